import { equal, rejects } from 'node:assert/strict'
import { test } from 'node:test'
import { setImmediate as yieldToEventLoop } from 'node:timers/promises'
import { ManualClock } from '../base/clock.ts'
import { LinuxError } from '../linux/error.ts'
import { whileBusy } from './while-busy.ts'

const failure = (code: string): LinuxError => new LinuxError('bind', LinuxError.numberOf(code))

/** Lets the clock run until the promise is settled. */
async function settled<T>(clock: ManualClock, promise: Promise<T>): Promise<T> {
  let isOver = false
  const over = (): void => {
    isOver = true
  }
  promise.then(over, over)
  while (!isOver) {
    await yieldToEventLoop()
    clock.advance(10)
  }
  return promise
}

test('what is busy is tried again, until it is free', async () => {
  const clock = new ManualClock()
  let tries = 0
  const run = (): string => {
    if (++tries < 5) throw failure('EBUSY')
    return 'free'
  }
  equal(await settled(clock, whileBusy(clock, run)), 'free')
  equal(tries, 5)
})

test('what stays busy for two seconds, or fails otherwise, is an error', async () => {
  const clock = new ManualClock()
  const busy = whileBusy(clock, () => {
    throw failure('EBUSY')
  })
  await rejects(settled(clock, busy), /EBUSY/)
  equal(Math.abs(clock.now_us() / 1e6 - 2) < 0.1, true)
  let tries = 0
  const refused = whileBusy(clock, () => {
    tries++
    throw failure('EINVAL')
  })
  await rejects(refused, /EINVAL/)
  equal(tries, 1)
})
