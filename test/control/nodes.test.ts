/** Nodes that say that they have taken a batch over and die, and modules of other versions. */

import { match, ok } from 'node:assert/strict'
import { test } from 'node:test'
import { EVENTS_LIMITS } from '../../src/agent/events.ts'
import { BatchFollower } from '../../src/agent/follower.ts'
import { EVENTS_STREAM, fibFeed } from '../../src/agent/names.ts'
import { systemClock } from '../../src/base/clock.ts'
import { silent } from '../../src/base/log.ts'
import type { Bus } from '../../src/bus/bus.ts'
import { event } from '../../src/wire/control/event.ts'
import { type FibBatch, fibBatch } from '../../src/wire/control/fib.ts'
import { endNodesAt, FIRST } from './kill-points.ts'
import { freshState, publish, routesOf, Scene, siteOf, whole } from './scene.ts'

/** The version of a message and the oldest one that can read it: the third and fourth byte. */
function written(bytes: Uint8Array, version: number, oldestReader: number): Uint8Array {
  const other = Uint8Array.from(bytes)
  other[2] = version
  other[3] = oldestReader
  return other
}

for (const point of ['sent put acks/fib-blue.b1 1', 'done put acks/fib-green.g1 2']) {
  test(`nodes that are killed ${point}`, (t) => endNodesAt(t, point))
}

test('a source of an older version is understood, and what only a newer one understands is left out', async (t) => {
  const scene = await Scene.of(t, { busHere: true })
  const bus = scene.join('readers')
  const readers = scene.readers(bus, siteOf(FIRST))
  scene.controlHere('control', FIRST)
  await readers.equal(await freshState(FIRST, []))
  const batch = whole(routesOf('bgp-1', '192.168.1.2', [0, 20]))
  const newer = whole(routesOf('bgp-9', '192.168.1.3', [0, 60])).map((one) => written(one, 200, 200))
  await publish(bus, [...newer, ...batch.map((one) => written(one, 1, 1))])
  await readers.equal(await freshState(FIRST, batch))
  match(await heardOf(bus, 'batch-refused', 'unknown'), /^route batch of version 200 that asks for version 200/)
})

/** As a release reads it that knows version 1 only. */
const ofVersion1: typeof fibBatch = {
  ...fibBatch,
  decode(bytes) {
    if (bytes[3]! <= 1) return fibBatch.decode(bytes)
    return { ok: false, failure: 'newer-version', message: `FIB batch that asks for version ${bytes[3]}; this is 1` }
  },
}

test('a node of an older release keeps what it has when it is told what it cannot know, and an event says why', async (t) => {
  const scene = await Scene.of(t, { busHere: true })
  const bus = scene.join('old-node')
  const held: string[][] = []
  const old = new BatchFollower<FibBatch>({
    ...{
      bus,
      feed: fibFeed('blue'),
      message: ofVersion1,
      module: 'b1',
      directory: undefined,
      clock: systemClock,
      log: silent,
    },
    apply: ({ nextHops }) => void held.push(nextHops.map(({ kind }) => kind)),
  })
  t.after(() => old.close())
  old.start()
  scene.controlHere('control', FIRST)
  await publish(bus, whole(routesOf('bgp-1', '192.168.1.2', [0, 20])))
  await old.holding
  const why = (): Promise<string> => heardOf(bus, 'not-applied', 'b1')
  // A prefix with a backup is a next hop of a kind that came with version 2.
  const backup = [
    { address: Uint8Array.of(192, 168, 1, 2), weight: 1, backup: false },
    { address: Uint8Array.of(192, 168, 1, 3), weight: 1, backup: true },
  ]
  await publish(bus, whole(routesOf('bgp-1', '192.168.1.2', [0, 20], { gateways: [backup] })))
  match(await why(), /^generation \d+ of fib-blue: FIB batch that asks for version 2; this is 1$/)
  ok(held.length > 0 && !held.flat().includes('failover'))
})

/** The detail of the first event of this kind that is about this module. */
async function heardOf(bus: Bus, what: string, about: string): Promise<string> {
  const stop = new AbortController()
  for await (const { payload } of bus.stream(EVENTS_STREAM, EVENTS_LIMITS).consume(1, { signal: stop.signal })) {
    const decoded = event.decode(payload)
    if (!decoded.ok || decoded.value.what !== what || decoded.value.about !== about) continue
    stop.abort()
    return decoded.value.detail
  }
  throw new Error(`nobody said ${what} of ${about}`)
}
