import { deepEqual } from 'node:assert/strict'
import { test } from 'node:test'
import { ManualClock } from '../../base/clock.ts'
import { type BucketChange, BusError } from '../bus.ts'
import { bytes } from '../suite/site.ts'
import { encodeRecord } from './lease-record.ts'
import { LeaseWatch } from './lease-watch.ts'

const ttl_ms = 1000

/** A watch whose bucket, and the clock that says how long a revision has stood, are played by the test. */
function watching() {
  const clock = new ManualClock()
  const told: string[] = []
  const seen = new Map<number, number>()
  let change: (change: BucketChange) => void = () => {}
  let present: () => Promise<number | undefined> = async () => undefined
  const watch = new LeaseWatch(clock, (holder) => told.push(holder ? `${holder.holder} ${holder.epoch}` : 'nobody'), {
    watch(tell) {
      change = tell
      return { ready: Promise.resolve(), close: () => {} }
    },
    left_ms(revision, wanted_ms) {
      if (!seen.has(revision)) seen.set(revision, clock.now_us())
      return wanted_ms - (clock.now_us() - seen.get(revision)!) / 1000
    },
    revision: () => present(),
  })
  return {
    told,
    watch,
    stands(answer: () => Promise<number | undefined>) {
      present = answer
    },
    written: (revision: number, epoch?: number) =>
      change({ key: 'x', revision, value: encodeRecord({ holder: 'a', ttl_ms, epoch }) }),
    changed: (revision: number, value: Uint8Array | undefined) => change({ key: 'x', revision, value }),
    /** And lets everybody have heard of it. */
    async pass(by_ms: number) {
      clock.advance(by_ms)
      await new Promise(setImmediate)
    },
  }
}

test('there is nobody before somebody has taken it', async () => {
  const { told, pass } = watching()
  await pass(0)
  deepEqual(told, ['nobody'])
})

test('renewals are no news, and each gives the holder its whole time', async () => {
  const { told, written, stands, pass } = watching()
  written(5)
  await pass(900)
  written(6, 5)
  stands(async () => 6)
  await pass(999)
  deepEqual(told, ['a 5'])
  await pass(1)
  deepEqual(told, ['a 5', 'nobody'])
})

test('a watch that hears nothing does not take its own silence for the end of the lease', async () => {
  const { told, written, stands, pass } = watching()
  written(5)
  // Renewed, which did not reach the watch.
  stands(async () => 6)
  await pass(1000)
  await pass(1000)
  deepEqual(told, ['a 5'])
  written(6, 5)
  await pass(1000)
  deepEqual(told, ['a 5', 'nobody'])
})

test('while nobody can say whether it stands, it is not over', async () => {
  const { told, written, stands, pass } = watching()
  written(5)
  stands(() => Promise.reject(new BusError('timeout', 'there is no leader')))
  await pass(1000)
  await pass(200)
  deepEqual(told, ['a 5'])
  stands(async () => 5)
  await pass(200)
  deepEqual(told, ['a 5', 'nobody'])
})

test('one that is let go, taken again, or written by somebody that we do not understand', async () => {
  const { told, written, changed, pass } = watching()
  written(5)
  changed(6, undefined)
  written(7)
  changed(8, bytes('{'))
  await pass(2000)
  deepEqual(told, ['a 5', 'nobody', 'a 7'])
})

test('a watch that is closed tells nothing more', async () => {
  const { told, watch, written, stands, pass } = watching()
  written(5)
  stands(async () => 5)
  watch.close()
  await pass(2000)
  deepEqual(told, ['a 5'])
})
