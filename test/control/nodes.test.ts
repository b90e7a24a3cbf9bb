/** Nodes that say that they have taken a batch over and die, and modules of other versions. */

import { match } from 'node:assert/strict'
import { test } from 'node:test'
import { EVENTS_LIMITS } from '../../src/agent/events.ts'
import { EVENTS_STREAM } from '../../src/agent/names.ts'
import { event } from '../../src/wire/control/event.ts'
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
  const told = new AbortController()
  for await (const { payload } of bus.stream(EVENTS_STREAM, EVENTS_LIMITS).consume(1, { signal: told.signal })) {
    const decoded = event.decode(payload)
    if (!decoded.ok || decoded.value.what !== 'batch-refused') continue
    match(decoded.value.detail, /^route batch of version 200 that asks for version 200/)
    told.abort()
  }
})
