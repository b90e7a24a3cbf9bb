import { deepEqual, equal } from 'node:assert/strict'
import { test } from 'node:test'
import { SmoothedDelay } from './path-quality.ts'

/** After each of these numbers of probes, answers, and their sums of microseconds. */
function after(words: readonly (readonly [ended: number, answered: number, delaySum_us: number])[], average_us = 0) {
  const smoothed = new SmoothedDelay()
  return words.map(([ended, answered, delaySum_us]) => {
    smoothed.take({ ended, answered, delaySum_us, delayAverage_us: average_us })
    return smoothed.value_us
  })
}

test('the delay is the median of three measurements, each the difference of two words', () => {
  deepEqual(
    after([
      [1, 1, 10],
      [2, 2, 20],
      [4, 4, 44],
      [5, 5, 944],
      [6, 6, 956],
      [7, 7, 1856],
    ]),
    [...[undefined, undefined], 10, 12, 12, 900],
  )
})

test('a word that says nothing new, or only of losses, is no measurement', () => {
  deepEqual(
    after([
      [1, 1, 10],
      [1, 1, 10],
      [2, 1, 10],
      [3, 2, 20],
      [4, 3, 40],
    ]).at(-1),
    10,
  )
  equal(
    after([
      [1, 1, 10],
      [1, 1, 10],
      [1, 1, 10],
      [1, 1, 10],
    ]).at(-1),
    undefined,
  )
})

test('whoever begins to listen has the average of the window, and a probe that begins anew counts from nothing', () => {
  deepEqual(
    after(
      [
        [900, 900, 9_000_000],
        [1, 1, 50],
        [2, 2, 110],
      ],
      10_000,
    ),
    [10_000, 10_000, 60],
  )
})
