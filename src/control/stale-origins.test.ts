import { deepEqual } from 'node:assert/strict'
import { test } from 'node:test'
import { ManualClock } from '../base/clock.ts'
import { StaleOrigins } from './stale-origins.ts'

function scene() {
  const clock = new ManualClock()
  const origins = new StaleOrigins(clock)
  const after = (s: number): string[] => {
    clock.advance(s * 1000)
    return origins.takeExpired(300)
  }
  return { origins, after }
}

test("a dead speaker's routes are kept for their time, and taken away once", () => {
  const { origins, after } = scene()
  origins.speaker('rn-1', 7)
  origins.speaker('rn-1', undefined)
  deepEqual(after(299), [])
  deepEqual(after(1), ['rn-1'])
  deepEqual(after(300), [])
})

test('a speaker that is back and has said all again has none that are stale', () => {
  const { origins, after } = scene()
  origins.speaker('rn-1', 7)
  origins.speaker('rn-1', undefined)
  deepEqual(after(100), [])
  origins.speaker('rn-1', 8)
  deepEqual(after(500), [], 'it lives')
  origins.replaced('rn-1')
  origins.speaker('rn-1', undefined)
  deepEqual(after(299), [])
  deepEqual(after(1), ['rn-1'])
})

test('one that comes and goes without saying all has its time counted from its first death', () => {
  const { origins, after } = scene()
  for (let epoch = 1; epoch <= 10; epoch++) {
    origins.speaker('rn-1', epoch)
    deepEqual(after(40), [])
  }
  origins.speaker('rn-1', undefined)
  deepEqual(after(0), ['rn-1'])
})

test('one that is not there when control starts is stale from then on, and one that leaves the site is nobody', () => {
  const { origins, after } = scene()
  origins.speaker('rn-1', undefined)
  origins.speaker('rn-2', undefined)
  origins.forget('rn-2')
  deepEqual(after(300), ['rn-1'])
})
