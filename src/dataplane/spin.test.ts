import { deepEqual, equal } from 'node:assert/strict'
import { test } from 'node:test'
import { Spin } from './spin.ts'

/** Seconds after which it looks on for how long, when it waits for this share of its time. */
function course(spin: Spin, waits: { us: number }, seconds: number, share: number, from_s = 0): number[] {
  const seen: number[] = []
  for (let now_us = from_s * 1e6 + 1000; now_us <= (from_s + seconds) * 1e6; now_us += 1000) {
    waits.us += share * 1000
    spin.look(now_us)
    if (now_us % 500_000 === 0) seen.push(spin.us)
  }
  return seen
}

test('a worker looks on while nobody wants its core, and again a second after somebody did', () => {
  const waits = { us: 0 }
  const spin = new Spin(100, () => waits.us)
  deepEqual(course(spin, waits, 1, 0.01), [100, 100])
  deepEqual(course(spin, waits, 1, 0.1, 1), [0, 0])
  deepEqual(course(spin, waits, 2, 0, 2), [0, 100, 100, 100])
})

test('a worker that is not to look on never does, and one that cannot know does as it was told', () => {
  const waits = { us: 0 }
  const never = new Spin(0, () => waits.us)
  deepEqual(course(never, waits, 1, 0), [0, 0])
  const blind = new Spin(100, () => undefined)
  course(blind, waits, 1, 1)
  equal(blind.us, 100)
})
