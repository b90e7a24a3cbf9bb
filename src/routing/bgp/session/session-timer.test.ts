import { deepEqual, equal, ok } from 'node:assert/strict'
import { test } from 'node:test'
import { type Clock, ManualClock } from '../../../base/clock.ts'
import { Random } from '../../../base/random.ts'
import { jittered, SessionTimer } from './session-timer.ts'

function timer() {
  const clock = new ManualClock()
  const expired_ms: number[] = []
  let timers = 0
  const counting: Clock = {
    now_us: () => clock.now_us(),
    wall_ms: () => clock.wall_ms(),
    every: (ms, run) => clock.every(ms, run),
    after(ms, run) {
      timers++
      return clock.after(ms, run)
    },
  }
  return {
    clock,
    expired_ms,
    made: () => timers,
    one: new SessionTimer(counting, () => expired_ms.push(clock.wall_ms())),
  }
}

test('a timer expires once, its time after it was last restarted', () => {
  const { clock, expired_ms, one } = timer()
  one.restart(100)
  clock.advance(60)
  one.restart(100)
  equal(one.left_ms, 100)
  clock.advance(1000)
  deepEqual(expired_ms, [160])
  equal(one.running, false)
  equal(one.left_ms, 0)
})

test('a timer can be restarted for less, stopped, and restarted by its own end', () => {
  const { clock, expired_ms, one } = timer()
  one.restart(100)
  one.restart(10)
  clock.advance(50)
  deepEqual(expired_ms, [10])
  one.restart(100)
  one.stop()
  clock.advance(1000)
  one.restart(5)
  one.restart(0)
  clock.advance(1000)
  deepEqual(expired_ms, [10])
  const again: SessionTimer = new SessionTimer(clock, () => {
    if (expired_ms.push(clock.wall_ms()) < 4) again.restart(7)
  })
  again.restart(7)
  clock.advance(100)
  deepEqual(expired_ms, [10, 2057, 2064, 2071])
})

test('a hundred thousand restarts make a handful of timers', () => {
  const { clock, expired_ms, one, made } = timer()
  for (let i = 0; i < 100_000; i++) {
    one.restart(9000)
    clock.advance(1)
  }
  ok(made() < 20, `${made()}`)
  clock.advance(9000)
  deepEqual(expired_ms, [108_999])
})

test('jitter takes up to a quarter off, and never the same', () => {
  const random = new Random(5)
  const times = Array.from({ length: 1000 }, () => jittered(1000, random))
  ok(times.every((time) => time >= 750 && time <= 1000))
  ok(Math.min(...times) < 760 && Math.max(...times) > 990)
})
