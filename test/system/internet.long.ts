/**
 * Two sites with a provider each: machines with public addresses, the better provider for what they send, and announcements
 * that say by which site they are to be reached (DSR section 2, figure 1: Elastic Internet Service).
 */

import { deepEqual, equal } from 'node:assert/strict'
import { resolve } from 'node:path'
import { after, before, suite, test } from 'node:test'
import { needs } from '../../lab/needs.ts'
import type { Bird } from '../../lab/peers/bird.ts'
import { reach } from '../../lab/reach.ts'
import { PingSet } from '../../lab/traffic/pinger.ts'
import { TwoSites } from '../../lab/two-sites.ts'
import { systemClock } from '../../src/base/clock.ts'
import { unaccounted } from '../../src/dataplane/ledger.ts'
import { withNamespace } from '../../src/linux/namespace.ts'
import { until } from './live-site.ts'
import { Side } from './side.ts'

const EXAMPLES = resolve(import.meta.dirname, '../../examples/internet')
const NEWS_EVERY_ms = 250
const PING_EVERY_ms = 5
const SERVER = '198.51.100.1'
/** A machine at each site. */
const WEB = { east: '203.0.113.17', west: '203.0.113.33' } as const
const OURS = 65001

suite('the Internet by two sites', { skip: needs('ip', 'bird') }, () => {
  let made: TwoSites
  let east: Side
  let west: Side
  let measuring: { cancel(): void }
  const delays = { east: 10, west: 10, between: 2 }

  before(async () => {
    made = await TwoSites.build([`${EXAMPLES}/east.yaml`, `${EXAMPLES}/west.yaml`])
    east = new Side('east', made.sites[0], 'internet')
    west = new Side('west', made.sites[1], 'internet')
    made.startOrchestrator()
    measuring = systemClock.every(NEWS_EVERY_ms, () => {
      east.measure({ 'by-isp-east': delays.east, 'to-west': delays.between })
      west.measure({ 'by-isp-west': delays.west, 'to-east': delays.between })
    })
    await Promise.all([east, west].map(({ gateway }) => gateway.whenReady()))
    await until('east knows what west has', async () => (await east.way('203.0.113.32/28')) !== 'none')
    await until('west knows what east has', async () => (await west.way('203.0.113.16/28')) !== 'none')
  })
  after(async () => {
    measuring?.cancel()
    await Promise.all([east, west].map((side) => side?.stop()))
    await made?.close()
  })

  async function reached(side: Side, namespace: string, to: string): Promise<void> {
    const plan = [{ tenant: 'acme', namespace, to }]
    const silent = await reach(side.made.lab, plan, { timeout_ms: 30_000 })
    deepEqual(silent, [], `${east.gateway.lastLines()}\n${west.gateway.lastLines()}`)
  }

  /** What east's machine sends to the Internet comes to this provider. */
  async function leavesBy(side: Side, isp: string): Promise<void> {
    const before = side.asked(isp)
    await until(`packets by ${isp}`, async () => {
      await reached(east, 'acme-web-web-east', SERVER)
      return side.asked(isp) > before
    })
  }

  /** The AS paths by which a provider has the machines of both sites. */
  async function heardBy(side: Side, isp: string): Promise<Record<string, string>> {
    const router = side.made.routers.get(isp) as Bird
    const routes = (await router.table('ipv4')).filter(({ prefix }) => prefix.startsWith('203.0.113.'))
    return Object.fromEntries(routes.map(({ prefix, asPath }) => [prefix, asPath.join(' ')]))
  }

  test('each provider hears of both sites’ machines, of those at the other site by a longer path', async () => {
    const near = `${OURS}`
    const far = [OURS, OURS, OURS, OURS].join(' ')
    for (const [side, isp, expected] of [
      [east, 'internet-isp-east', { '203.0.113.16/28': near, '203.0.113.32/28': far }],
      [west, 'internet-isp-west', { '203.0.113.16/28': far, '203.0.113.32/28': near }],
    ] as const) {
      await until(`${isp} hears of both`, async () => Object.keys(await heardBy(side, isp)).length === 2)
      deepEqual(await heardBy(side, isp), expected)
    }
  })

  test('users of both providers reach the machines of both sites', async () => {
    await reached(east, 'internet-isp-east', WEB.east)
    await reached(west, 'internet-isp-west', WEB.west)
    // The same server is behind both providers, and what a machine answers goes to the one that is better for its site.
    const full = east.made.lab.fullName('internet-isp-east')
    const pings = withNamespace(full, () => new PingSet([{ to: WEB.west, identifier: 77 }]))
    const before = west.asked('acme-web-web-west')
    pings.start(PING_EVERY_ms)
    await until('packets by the other site', async () => west.asked('acme-web-web-west') > before + 10)
    await pings.stop()
  })

  test('what machines send leaves by the better provider, at the other site too', async () => {
    await leavesBy(east, 'internet-isp-east')
    delays.east = 40
    await leavesBy(west, 'internet-isp-west')
    delays.east = 10
    await leavesBy(east, 'internet-isp-east')
  })

  test('when a provider’s wire breaks both ways lead by the other site', async () => {
    await east.made.lab.run('internet-isp-east', 'ip', 'link', 'set', 'wan', 'down')
    await leavesBy(west, 'internet-isp-west')
    await reached(west, 'internet-isp-west', WEB.east)
    await east.made.lab.run('internet-isp-east', 'ip', 'link', 'set', 'wan', 'up')
    await leavesBy(east, 'internet-isp-east')
  })

  test('every packet is accounted for on all nodes', async () => {
    for (const { gateway, name } of [east, west])
      for (const { name: module, totals } of await gateway.observer.modules())
        equal(totals && unaccounted(totals), 0, `${module} of ${name}`)
  })
})
