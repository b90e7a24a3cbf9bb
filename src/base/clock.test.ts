import { deepEqual, equal, ok, throws } from 'node:assert/strict'
import { test } from 'node:test'
import { ManualClock, systemClock } from './clock.ts'

test('a manual clock stands still, and then runs what is due in order of time', () => {
  const clock = new ManualClock()
  const ran: string[] = []
  const note = (what: string) => () => void ran.push(`${what} at ${clock.now_us()}`)
  clock.after(20, note('late'))
  clock.after(10, note('early'))
  clock.after(10, note('early too'))
  clock.every(8, note('often'))
  deepEqual(ran, [])
  clock.advance(20)
  deepEqual(ran, ['often at 8000', 'early at 10000', 'early too at 10000', 'often at 16000', 'late at 20000'])
  equal(clock.now_us(), 20_000)
  equal(clock.wall_ms(), 20)
})

test('what a timer sets off within the same advance runs too', () => {
  const clock = new ManualClock()
  let ran_us = 0
  clock.after(1, () => clock.after(1, () => (ran_us = clock.now_us())))
  clock.advance(5)
  equal(ran_us, 2000)
})

test('a cancelled timer does not run, also when it is cancelled by another or by itself', () => {
  const clock = new ManualClock()
  let runs = 0
  const doomed = clock.after(2, () => runs++)
  clock.after(1, () => doomed.cancel())
  const once = clock.every(1, () => {
    runs++
    once.cancel()
  })
  clock.advance(10)
  equal(runs, 1)
})

test('time never runs back, and an interval of nothing is a mistake', () => {
  const clock = new ManualClock()
  clock.advance(10)
  let ran_us = -1
  clock.after(-5, () => (ran_us = clock.now_us()))
  clock.advance(0)
  equal(ran_us, 10_000)
  throws(() => clock.every(0, () => undefined), /interval/)
})

test('the system clock goes on, and its timers run and can be cancelled', async () => {
  const start_us = systemClock.now_us()
  const cancelled = systemClock.after(0, () => ok(false, 'it was cancelled'))
  cancelled.cancel()
  await new Promise<void>((resolve) => systemClock.after(1, resolve))
  await new Promise<void>((resolve) => {
    const timer = systemClock.every(1, () => {
      timer.cancel()
      resolve()
    })
  })
  ok(systemClock.now_us() - start_us >= 1000)
  ok(systemClock.wall_ms() > Date.UTC(2024))
})
