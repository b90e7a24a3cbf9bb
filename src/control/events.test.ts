/** What an operator can ask for later. */

import { deepEqual, ok } from 'node:assert/strict'
import { test } from 'node:test'
import { busHere } from '../agent/bus-here.ts'
import { eventsOf } from '../agent/events.ts'
import { BatchFollower } from '../agent/follower.ts'
import { EVENTS_STREAM, fibFeed } from '../agent/names.ts'
import { putSite } from '../agent/site-store.ts'
import { systemClock } from '../base/clock.ts'
import { silent } from '../base/log.ts'
import { parseSite } from '../config/load.ts'
import { fibBatch } from '../wire/control/fib.ts'
import { serveControl } from './serve.ts'

const siteAt = (vip: string) =>
  parseSite(`
    site: s
    control: { drain_ms: 1 }
    vips: [{ name: v1, address: 10.255.0.1 }, { name: v2, address: 10.255.0.2 }]
    clusters: [{ name: blue, vips: [v1, v2], nodes: [{ name: b1, address: 10.0.1.1, ports: [a] }] }]
    tenants: [{ name: acme, vni: 1001, vip: ${vip} }]`).site!

test('who leads, what a node could not take and how a tenant moved is there to be asked for', async (t) => {
  const here = await busHere(t)
  const [bus, control] = [await here.join('b1'), await here.join('control')]
  let refused: string | undefined = 'its table is full'
  const follower = new BatchFollower({
    ...{ bus, feed: fibFeed('blue'), message: fibBatch, module: 'b1', directory: here.directory },
    ...{ clock: systemClock, log: silent },
    apply: () => refused,
  })
  const options = { name: 'control', bus: control, clock: systemClock, log: silent, site: siteAt('v1') }
  const leading = serveControl({ ...options, newIncarnation: () => 'i1' })
  const stop = new AbortController()
  const told = (async () => {
    const wanted = ['leading', 'not-applied', 'move-begun', 'move-done', 'not-leading']
    const limits = { entriesMax: 10_000, bytesMax: 8 * 1024 * 1024 }
    for await (const _ of bus.stream(EVENTS_STREAM, limits).consume(1, { signal: stop.signal })) {
      const whats = (await eventsOf(bus)).map(({ what }) => what)
      if (whats.includes('not-applied') && refused !== undefined) {
        refused = undefined
        await putSite(bus, siteAt('v2'))
      }
      if (whats.includes('move-done') && !whats.includes('not-leading')) void leading.close()
      if (whats.includes('not-leading')) return deepEqual([...new Set(whats)], wanted)
    }
  })()
  follower.start()
  here.atEnd(async () => {
    stop.abort()
    await Promise.all([follower.close(), leading.close()])
  })
  await told
  const events = await eventsOf(bus)
  const moved = events.find(({ what }) => what === 'move-done')!
  deepEqual([moved.about, moved.detail, moved.module], ['acme', 'to v2', 'control'])
  ok(moved.epoch > 0)
})
