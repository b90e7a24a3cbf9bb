import { equal } from 'node:assert/strict'
import { getEventListeners } from 'node:events'
import { test } from 'node:test'
import { ManualClock } from './clock.ts'
import { pause } from './signal.ts'

test('a pause ends with its time or with the signal, and leaves nothing behind on it', async () => {
  const clock = new ManualClock()
  const stop = new AbortController()
  const timed = pause(clock, 100, stop.signal)
  clock.advance(100)
  await timed
  equal(getEventListeners(stop.signal, 'abort').length, 0)
  const stopped = pause(clock, 100, stop.signal)
  stop.abort()
  await stopped
  await pause(clock, 100, stop.signal)
})
