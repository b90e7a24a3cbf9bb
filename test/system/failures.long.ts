/** A minute of forwarding with nobody in charge. */

import { equal, ok } from 'node:assert/strict'
import { test } from 'node:test'
import { needs } from '../../lab/needs.ts'
import { failedConnections, leaveAlone, sumOf, underTraffic, withSite } from './live-site.ts'

const ALONE_ms = 60_000

test('supervisor, control and bus killed: a minute of forwarding without loss', { skip: needs('ip') }, async () => {
  await withSite({}, async (site) => {
    const traffic = await underTraffic(site, () => leaveAlone(site, ALONE_ms))
    equal(failedConnections(traffic), 0)
    equal(
      sumOf(traffic, ({ ping }) => ping.lost),
      0,
    )
    ok(sumOf(traffic, ({ ping }) => ping.sent) > ALONE_ms / 20)
  })
})
