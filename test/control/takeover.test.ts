/** One control module waits while another leads, and has its place when that one dies or stands still. */

import { deepEqual, equal } from 'node:assert/strict'
import { test } from 'node:test'
import { askLeader, leaderOf } from '../../src/agent/leader.ts'
import { systemClock } from '../../src/base/clock.ts'
import { freshState, publish, routesOf, Scene, siteOf, siteText, whole } from './scene.ts'
import { keptBy } from './state.ts'

const SITE = siteText()
const NOON_s = Date.parse('2026-11-01T12:00:00Z') / 1000
const BEFORE = whole(routesOf('bgp-1', '192.168.1.2', [0, 20], { at_s: NOON_s }))
const AFTER = whole(routesOf('bgp-1', '192.168.1.3', [10, 40], { at_s: NOON_s + 60 }))

/** Of the routes that are shown: how many there are since when. */
function sinceWhen(routes: readonly unknown[]): Record<string, number> {
  const learnt = (routes as readonly { origin?: string; since?: string }[]).filter(({ origin }) => origin === 'bgp-1')
  const groups = Object.groupBy(learnt, ({ since }) => since ?? 'unknown')
  return Object.fromEntries(Object.entries(groups).map(([since, rows]) => [since, rows!.length]))
}

for (const signal of ['SIGKILL', 'SIGSTOP'] as const) {
  test(`a control module that leads and gets ${signal} is replaced, and what is shown comes from its successor`, async (t) => {
    const scene = await Scene.of(t)
    const bus = scene.join('readers')
    const readers = scene.readers(bus, siteOf(SITE))
    const first = scene.control('control', SITE)
    await publish(bus, BEFORE)
    const before = await freshState(SITE, BEFORE)
    const after = await freshState(SITE, [...BEFORE, ...AFTER])
    await readers.equal(before)
    readers.keep = keptBy([before, after])
    const second = scene.control('spare', SITE)
    await second.said('done put modules/spare')
    equal(await leaderOf(bus), 'control')
    const told = await askLeader(bus, systemClock, 'routes')
    const start_ms = performance.now()
    first.child.kill(signal)
    await publish(bus, AFTER)
    await readers.equal(after)
    t.diagnostic(
      `${(performance.now() - start_ms).toFixed(0)} ms from ${signal} to the next change of routes at all nodes`,
    )
    equal(await leaderOf(bus), 'spare')
    const toldAfter = await askLeader(bus, systemClock, 'routes')
    equal(toldAfter.length, told.length + 20)
    deepEqual(sinceWhen(told), { '2026-11-01T12:00:00.000Z': 20 })
    // What did not change is as old as it was, whoever leads.
    deepEqual(sinceWhen(toldAfter), { '2026-11-01T12:00:00.000Z': 10, '2026-11-01T12:01:00.000Z': 30 })
    equal(readers.flushed.join('\n'), '')
  })
}
