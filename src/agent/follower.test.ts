import { deepEqual, equal, ok } from 'node:assert/strict'
import { readdirSync, readFileSync, truncateSync } from 'node:fs'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { type Clock, systemClock } from '../base/clock.ts'
import { silent } from '../base/log.ts'
import { type Bus, PAYLOAD_BYTES_MAX } from '../bus/bus.ts'
import { RouteColumnsBuilder } from '../wire/control/columns.ts'
import { type FibBatch, fibBatch } from '../wire/control/fib.ts'
import { cut } from '../wire/control/pieces.ts'
import { ack, feedStart } from '../wire/control/report.ts'
import { type BusHere, busHere } from './bus-here.ts'
import { BatchFollower, FEED_LIMITS } from './follower.ts'
import { BUCKET } from './names.ts'

const FEED = 'fib-blue'

function batch(generation: number, more: Partial<FibBatch> = {}): FibBatch {
  return {
    cluster: 'blue',
    epoch: 1,
    generation,
    base: generation - 1,
    snapshot: false,
    tenants: [],
    removedTenants: new Uint32Array(0),
    nextHops: [],
    removedNextHops: new Uint32Array(0),
    routes4: new RouteColumnsBuilder(1).build(),
    routes6: new RouteColumnsBuilder(4).build(),
    ...more,
  }
}

/** The writing end, as bare as it can be. */
class Feed {
  readonly #bus: Bus
  #incarnation = 'first'

  constructor(bus: Bus) {
    this.#bus = bus
  }

  async append(...batches: FibBatch[]): Promise<void> {
    await this.#bus.whenConnected(5000)
    const stream = this.#bus.stream(FEED, FEED_LIMITS)
    for (const one of batches) {
      const { last } = await stream.bounds()
      for (const piece of cut(fibBatch.encode(one), PAYLOAD_BYTES_MAX)) await stream.append(piece)
      if (!one.snapshot) continue
      const start = feedStart.encode({ incarnation: this.#incarnation, sequence: last + 1 })
      await this.#bus.bucket(BUCKET.feeds).put(FEED, start)
    }
  }

  startOver(): void {
    this.#incarnation = 'second'
  }
}

class Node {
  readonly applied: number[] = []
  readonly follower: BatchFollower<FibBatch>
  refuse: number | undefined
  refusesForGood = false
  #check = (): void => {}

  constructor(here: BusHere, bus: Bus, clock = systemClock) {
    this.follower = new BatchFollower({
      bus,
      feed: FEED,
      message: fibBatch,
      module: 'fn-1',
      directory: here.directory,
      clock,
      log: silent,
      apply: ({ generation }) => {
        if (generation === this.refuse) {
          if (!this.refusesForGood) this.refuse = undefined
          return 'no room'
        }
        this.applied.push(generation)
        this.#check()
        return undefined
      },
    })
    this.follower.start()
    here.atEnd(() => this.follower.close())
  }

  until(generation: number): Promise<void> {
    return new Promise((resolve) => {
      this.#check = () => {
        if (this.applied.at(-1) === generation) resolve()
      }
      this.#check()
    })
  }
}

/** A clock that does not wait, but for the last of so many times. */
function hurried(times: number): { clock: Clock; delays: number[]; enough: Promise<void> } {
  const delays: number[] = []
  const enough = Promise.withResolvers<void>()
  const clock: Clock = {
    ...systemClock,
    after(delay_ms, run) {
      delays.push(delay_ms)
      if (delays.length < times) return systemClock.after(0, run)
      enough.resolve()
      return systemClock.after(delay_ms, run)
    },
  }
  return { clock, delays, enough: enough.promise }
}

async function scene(t: TestContext) {
  const here = await busHere(t)
  const bus = await here.join('node')
  const feed = new Feed(await here.join('control'))
  return { here, bus, feed, node: () => new Node(here, bus) }
}

const snapshot = (generation: number, more: Partial<FibBatch> = {}): FibBatch =>
  batch(generation, { snapshot: true, base: generation, ...more })

test('batches are applied once and in order, and acknowledged', async (t) => {
  const { bus, feed, node } = await scene(t)
  const fn = node()
  await feed.append(snapshot(1), batch(2), batch(3))
  await fn.until(3)
  deepEqual(fn.applied, [1, 2, 3])
  await fn.follower.current
  const acked = new Promise<number>((resolve) => {
    bus.bucket(BUCKET.acks).watch(`${FEED}.fn-1`, ({ value }) => {
      const decoded = value && ack.decode(value)
      if (decoded?.ok && decoded.value.generation === 3) resolve(decoded.value.epoch)
    })
  })
  equal(await acked, 1)
})

test('a snapshot of what a node has already is not applied again', async (t) => {
  const { feed, node } = await scene(t)
  const fn = node()
  await feed.append(snapshot(1), batch(2), snapshot(2), batch(3))
  await fn.until(3)
  deepEqual(fn.applied, [1, 2, 3])
})

test('a node that starts without bus and control has what it had', async (t) => {
  const { here, feed, node } = await scene(t)
  const first = node()
  await feed.append(snapshot(1), batch(2))
  await first.until(2)
  await first.follower.close()
  await here.stop()
  const second = node()
  await second.follower.holding
  await second.until(2)
  await here.start()
  await feed.append(batch(3))
  await second.until(3)
  deepEqual(second.applied, [1, 2, 3])
})

test('what is kept on disk is good up to where it was torn', async (t) => {
  const { here, feed, node } = await scene(t)
  const first = node()
  await feed.append(snapshot(1), batch(2), batch(3))
  await first.until(3)
  await first.follower.close()
  const directory = join(here.directory, 'batches')
  const path = join(directory, readdirSync(directory)[0]!)
  const whole = readFileSync(path).length
  truncateSync(path, whole - 3)
  await here.stop()
  const second = node()
  await second.until(2)
  await here.start()
  await second.until(3)
  deepEqual(second.applied, [1, 2, 3])
  await second.follower.close()
  equal(readFileSync(path).length, whole)
})

test('a batch of an epoch that is over is refused', async (t) => {
  const { feed, node } = await scene(t)
  const fn = node()
  await feed.append(snapshot(1, { epoch: 2 }), batch(2, { epoch: 2 }), batch(3, { epoch: 1 }), batch(3, { epoch: 2 }))
  await fn.until(3)
  equal(fn.follower.counters.stale, 1)
  deepEqual(fn.applied, [1, 2, 3])
})

test('a node that missed a batch starts from the latest snapshot', async (t) => {
  const { feed, node } = await scene(t)
  const fn = node()
  await feed.append(snapshot(1))
  await fn.until(1)
  await feed.append(batch(3), snapshot(3), batch(4))
  await fn.until(4)
  deepEqual(fn.applied, [1, 3, 4])
  equal(fn.follower.counters.restarts, 1)
})

test('a batch that a node could not apply is told, and made good from a snapshot', async (t) => {
  const { bus, feed, node } = await scene(t)
  const fn = node()
  fn.refuse = 2
  const told = new Promise<string>((resolve) => {
    bus.bucket(BUCKET.acks).watch(`${FEED}.fn-1`, ({ value }) => {
      const decoded = value && ack.decode(value)
      if (decoded?.ok && decoded.value.error !== undefined) resolve(decoded.value.error)
    })
  })
  await feed.append(snapshot(1), batch(2))
  equal(await told, 'no room')
  await feed.append(snapshot(2), batch(3))
  await fn.until(3)
  deepEqual(fn.applied, [1, 2, 3])
})

test('what only a newer release can read is told once, what was taken over holds, and the next readable snapshot is taken', async (t) => {
  const { bus, feed, node } = await scene(t)
  const fn = node()
  const told: string[] = []
  const heard = Promise.withResolvers<void>()
  bus.bucket(BUCKET.acks).watch(`${FEED}.fn-1`, ({ value }) => {
    const decoded = value && ack.decode(value)
    if (!decoded?.ok || decoded.value.error === undefined) return
    told.push(`${decoded.value.generation}: ${decoded.value.error}`)
    heard.resolve()
  })
  await feed.append(snapshot(1))
  const newer = fibBatch.encode(batch(2))
  newer[3] = 200 // the oldest version that can read it
  await bus.stream(FEED, FEED_LIMITS).append(cut(newer, PAYLOAD_BYTES_MAX)[0]!)
  await heard.promise
  equal(fn.follower.generation, 1)
  await feed.append(batch(3), snapshot(3), batch(4))
  await fn.until(4)
  deepEqual(fn.applied, [1, 3, 4])
  deepEqual(told, [`1: FIB batch of version ${newer[2]} that asks for version 200; this is ${newer[2]}`])
})

test('a node that starts from an old snapshot again does not fall behind what it has', async (t) => {
  const { here, bus, feed } = await scene(t)
  const { clock, enough } = hurried(3)
  const fn = new Node(here, bus, clock)
  await feed.append(snapshot(1), batch(2), batch(3))
  await fn.until(3)
  await feed.append(batch(5))
  await enough
  await feed.append(snapshot(5, { epoch: 2 }), batch(6, { epoch: 2 }))
  await fn.until(6)
  deepEqual(fn.applied, [1, 2, 3, 5, 6])
})

test('what is refused for good is tried ever more slowly, and at once when there is a newer snapshot', async (t) => {
  const { here, bus, feed } = await scene(t)
  const { clock, delays, enough } = hurried(9)
  const fn = new Node(here, bus, clock)
  fn.refuse = 2
  fn.refusesForGood = true
  await feed.append(snapshot(1), batch(2))
  await enough
  deepEqual(delays, [500, 1000, 2000, 4000, 8000, 16_000, 30_000, 30_000, 30_000])
  await feed.append(snapshot(3))
  await fn.until(3)
})

test('a feed that starts over is followed from its start, whatever its numbers', async (t) => {
  const { feed, node } = await scene(t)
  const fn = node()
  await feed.append(snapshot(7, { epoch: 9 }), batch(8, { epoch: 9 }))
  await fn.until(8)
  feed.startOver()
  await feed.append(snapshot(1, { epoch: 1 }), batch(2))
  await fn.until(2)
  deepEqual(fn.applied, [7, 8, 1, 2])
})

test('a batch of several pieces is one batch', async (t) => {
  const { feed, node } = await scene(t)
  const fn = node()
  const routes4 = new RouteColumnsBuilder(1)
  for (let i = 0; i < 200_000; i++) routes4.add4(1, i * 256, 24, 1)
  await feed.append(snapshot(1, { routes4: routes4.build() }), batch(2))
  await fn.until(2)
  ok(fibBatch.encode(snapshot(1, { routes4: routes4.build() })).length > 2 * PAYLOAD_BYTES_MAX)
})
