/**
 * What tenants notice when parts of a site die: as little as physics allows. The parts are killed with -9 or cut off
 * for real, under real traffic.
 */

import { equal, ok } from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { before, suite, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { needs } from '../../lab/needs.ts'
import {
  failedConnections,
  type LiveSite,
  leaveAlone,
  nodesOf,
  pidOf,
  sumOf,
  underTraffic,
  until,
} from './live-site.ts'
import { theSite } from './the-site.ts'

const ALONE_ms = 10_000
/** BFD takes three intervals of 50 ms (bfd/session.ts); as much again for a machine whose cores are all busy. */
const DETECTION_ms = 300

suite('when parts of a site die', { skip: needs('ip') }, () => {
  let site: LiveSite
  before(() => {
    site = theSite()
  })

  test('one of the two paths cut: only what was in flight is lost', async () => {
    const pathA = (state: 'up' | 'down') =>
      execFileSync('ip', ['-n', site.made.lab.fullName('edge-1'), 'link', 'set', 'path-a', state])
    const traffic = await underTraffic(site, async () => {
      pathA('down')
      await sleep(2000)
    })
    pathA('up')
    equal(failedConnections(traffic), 0)
    // In flight until the other end has seen it too: 300 pings a second, 10 ms.
    ok(sumOf(traffic, ({ ping }) => ping.lost) <= 6, `${sumOf(traffic, ({ ping }) => ping.lost)} pings lost`)
  })

  test('a node killed under load: its flows move, no connection breaks, and it comes back and takes traffic', async (t) => {
    const nodes = await nodesOf(site)
    // The busiest: some flows must be its own, and some must not.
    const flows = Map.groupBy(nodes.values(), (node) => node)
    ok(flows.size > 1)
    const killed = [...flows].toSorted(([, a], [, b]) => b.length - a.length)[0]![0]
    const traffic = await underTraffic(site, async () => {
      const pid = await pidOf(site.gateway, killed)
      ok(pid)
      process.kill(pid, 'SIGKILL')
      await until(`${killed} runs again`, async () => ((await pidOf(site.gateway, killed)) ?? pid) !== pid)
      await until(`${killed} takes traffic again`, async () => {
        const [node] = (await site.gateway.observer.modules()).filter(({ name }) => name === killed)
        return (node?.totals?.received ?? 0) > 100
      })
      await sleep(500)
    })
    equal(failedConnections(traffic), 0)
    equal(traffic.pings.length, nodes.size)
    t.diagnostic(`lost by flow: ${traffic.pings.map(({ lost }) => lost).join(' ')}`)
    for (const { identifier, lost, sent } of traffic.pings) {
      ok(sent > 1000 / site.plan.pingInterval_ms)
      // For as long as BFD alone would take. None come on top when the node takes traffic again.
      const most = nodes.get(identifier) === killed ? Math.ceil(DETECTION_ms / site.plan.pingInterval_ms) : 0
      ok(lost <= most, `${lost} pings of a flow on ${nodes.get(identifier)} lost with ${killed}`)
    }
  })

  test('supervisor, control and bus killed: forwarding goes on and loses nothing', async () => {
    const traffic = await underTraffic(site, () => leaveAlone(site, ALONE_ms))
    equal(failedConnections(traffic), 0)
    equal(
      sumOf(traffic, ({ ping }) => ping.lost),
      0,
    )
    ok(sumOf(traffic, ({ ping }) => ping.sent) > ALONE_ms / 20)
  })
})
