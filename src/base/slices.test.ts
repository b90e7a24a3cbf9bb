import { equal, ok, rejects, throws } from 'node:assert/strict'
import { test } from 'node:test'
import { systemClock } from './clock.ts'
import { atOnce, inSlices, type Slices } from './slices.ts'

function* busy(steps: number, step_us: number): Slices<number> {
  for (let i = 0; i < steps; i++) {
    for (const until_us = systemClock.now_us() + step_us; systemClock.now_us() < until_us; );
    yield
  }
  return steps
}

// biome-ignore lint/correctness/useYield: it fails before it would
function* failing(): Slices<never> {
  throw new Error('on purpose')
}

test('others have their turn while long work goes on', async () => {
  let turns = 0
  const others = setInterval(() => turns++, 1)
  equal(await inSlices(busy(200, 500), systemClock), 200)
  clearInterval(others)
  ok(turns >= 5, `${turns} turns in 100 ms`)
})

test('at once it is done at once, and errors are the caller’s either way', async () => {
  equal(atOnce(busy(3, 0)), 3)
  throws(() => atOnce(failing()), /on purpose/)
  await rejects(inSlices(failing(), systemClock), /on purpose/)
})

test('long work is done in the manner asked for, to its end and whatever the end; short work is not', async () => {
  let asked = 0
  let isSo = false
  const manner = (): Disposable => {
    asked++
    isSo = true
    return {
      [Symbol.dispose]() {
        isSo = false
      },
    }
  }
  await inSlices(busy(3, 0), systemClock, manner)
  equal(asked, 0)
  function* long(): Slices<boolean> {
    yield* busy(20, 500)
    return isSo
  }
  equal(await inSlices(long(), systemClock, manner), true)
  function* failing(): Slices<never> {
    yield* busy(20, 500)
    throw new Error('late')
  }
  await rejects(inSlices(failing(), systemClock, manner), /late/)
  equal(asked, 2)
  equal(isSo, false)
})
