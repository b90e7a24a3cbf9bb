/**
 * A tenant with machines and data centres at two sites, both whole: gateways, buses, routers that speak BGP, and an
 * orchestrator between them. Packets of all ways; the better site's way, damped; a connection that breaks; and no orchestrator.
 */

import { deepEqual, equal, ok } from 'node:assert/strict'
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { after, before, suite, test } from 'node:test'
import { needs } from '../../lab/needs.ts'
import { reach } from '../../lab/reach.ts'
import { PingSet } from '../../lab/traffic/pinger.ts'
import { TwoSites } from '../../lab/two-sites.ts'
import { systemClock } from '../../src/base/clock.ts'
import { unaccounted } from '../../src/dataplane/ledger.ts'
import { withNamespace } from '../../src/linux/namespace.ts'
import { until } from './live-site.ts'
import { Side } from './side.ts'

const EXAMPLES = resolve(import.meta.dirname, '../../examples/two-sites')
const PING_EVERY_ms = 5
const NEWS_EVERY_ms = 250

const BEHIND_BOTH = '10.110.0.0/16'
/** An address in it. */
const BOTH = '10.110.0.1'

suite('a tenant at two sites', { skip: needs('ip', 'bird') }, () => {
  let made: TwoSites
  let east: Side
  let west: Side
  let orchestrator: ChildProcess
  let measuring: { cancel(): void }
  /** What the way by west is called, where sites are called as their labs. */
  let westward = ''
  const delays = { east: 10, west: 10, between: 2 }

  before(async () => {
    made = await TwoSites.build([`${EXAMPLES}/east.yaml`, `${EXAMPLES}/west.yaml`])
    westward = `10.255.2.1 on site-${made.sites[1].lab.id}`
    east = new Side('east', made.sites[0], 'acme')
    west = new Side('west', made.sites[1], 'acme')
    orchestrator = made.startOrchestrator()
    measuring = systemClock.every(NEWS_EVERY_ms, () => {
      east.measure({ 'acme-east-dc': delays.east, 'to-west': delays.between })
      west.measure({ 'acme-west-dc': delays.west, 'to-east': delays.between })
    })
    await Promise.all([east, west].map(({ gateway }) => gateway.whenReady()))
    await until('east knows what west has', async () => (await east.way('10.102.0.0/16')) !== 'none')
    await until('west knows what east has', async () => (await west.way('10.103.0.0/16')) !== 'none')
  })
  after(async () => {
    measuring?.cancel()
    await Promise.all([east, west].map((side) => side?.stop()))
    await made?.close()
  })

  const log = (): string => `${east.gateway.lastLines()}\n${west.gateway.lastLines()}`

  async function reached(from: Side, pings: readonly (readonly [namespace: string, to: string])[]): Promise<void> {
    const plan = pings.map(([namespace, to]) => ({ tenant: 'acme', namespace, to }))
    deepEqual(await reach(from.made.lab, plan, { timeout_ms: 30_000 }), [], log())
  }

  /** Offers that orchestrators have begun to carry. */
  function carried(): number {
    const text = readFileSync(`${made.sites[0].lab.folder}/orchestrator.log`, 'utf8')
    return text.split('an offer is carried').length - 1
  }

  /** Pings, until `during` is over; answers how many were lost. */
  async function lostWhile(from: Side, namespace: string, to: string, during: () => Promise<void>): Promise<number> {
    const full = from.made.lab.fullName(namespace)
    const set = withNamespace(full, () => new PingSet([{ to, identifier: 77 }]))
    set.start(PING_EVERY_ms)
    await during()
    await set.stop()
    const { sent, lost } = set.report()
    ok(sent > 0)
    return lost
  }

  test('machines and data centres of both sites reach each other through the gateways', async () => {
    await reached(east, [
      ['acme-prod-vm-east', '10.102.0.1'],
      ['acme-prod-vm-east', '172.16.2.5'],
      ['acme-east', '10.102.0.1'],
      ['acme-east', '172.16.2.5'],
    ])
    await reached(west, [
      ['acme-west', '10.101.0.1'],
      ['acme-west', '10.103.0.1'],
      ['acme-west', '172.16.1.5'],
      ['acme-prod-vm-west', '10.101.0.1'],
    ])
    equal(await east.way('10.102.0.0/16'), westward)
  })

  test('data centres at one site reach each other through its gateway alone', async () => {
    await reached(east, [
      ['acme-east', '10.103.0.1'],
      ['acme-branch', '10.101.0.1'],
    ])
  })

  test('when a connection breaks its packets go by the other site, and come back with it', async () => {
    await until('the way here', async () => (await east.way(BEHIND_BOTH)).startsWith('192.168.1.2 on acme-east'))
    await reached(east, [['acme-prod-vm-east', BOTH]])
    const [here, there] = [() => east.asked('acme-east'), () => west.asked('acme-west')]
    const moves = async (to: () => number): Promise<void> => {
      const at = to()
      await until('packets by the other way', async () => {
        await reached(east, [['acme-prod-vm-east', BOTH]])
        return to() > at
      })
    }
    await east.made.lab.run('acme-east', 'ip', 'link', 'set', 'wan', 'down')
    await moves(there)
    await east.made.lab.run('acme-east', 'ip', 'link', 'set', 'wan', 'up')
    await moves(here)
    await until('its routes', async () => (await east.way(BEHIND_BOTH)).startsWith('192.168.1.2 on acme-east'))
  })

  test('what is behind both data centres is reached by the better way, and by the other one when that is twice as slow', async () => {
    await until('the way here', async () => (await east.way(BEHIND_BOTH)).startsWith('192.168.1.2 on acme-east'))
    ok((await east.way(BEHIND_BOTH)).includes(`${westward} as backup`))
    await reached(east, [['acme-prod-vm-east', BOTH]])
    const lost = await lostWhile(east, 'acme-prod-vm-east', BOTH, async () => {
      delays.east = 30
      await until('the way by west', async () => (await east.way(BEHIND_BOTH)).startsWith(westward))
      const before = west.asked('acme-west')
      await until('packets there', async () => west.asked('acme-west') > before + 20)
    })
    equal(lost, 0, log())
    const paths = await east.show<{ connection: string; latency_ms: number }>('paths')
    const [best] = paths
    ok(westward.endsWith(best!.connection))
    equal(best!.latency_ms, 12, "that of the path between the sites, and that of the other one's connection")
    const rows = await east.show<{ prefix: string; why?: string }>('routes')
    equal(rows.find(({ prefix }) => prefix === BEHIND_BOTH)?.why, 'latency 12 ms before 30 ms')
    // West sends nothing by east, whatever east does.
    ok((await west.way(BEHIND_BOTH)).startsWith('192.168.2.2 on acme-west'))
  })

  test('without the orchestrator all goes on, and with the next one nothing changes that is as it was', async () => {
    const generations = async () => [
      ...(await east.show<{ generation: number }>('nodes')),
      ...(await west.show<{ generation: number }>('nodes')),
    ]
    const before = await generations()
    const lost = await lostWhile(east, 'acme-prod-vm-east', '10.102.0.1', async () => {
      const ended = once(orchestrator, 'exit')
      orchestrator.kill('SIGKILL')
      await ended
      await reached(west, [['acme-west', '10.101.0.1']])
      orchestrator = made.startOrchestrator()
      await until('the next one carries both offers', async () => carried() === 4)
      deepEqual(await generations(), before)
    })
    equal(lost, 0, log())
    const router = west.made.routers.get('acme-west')!
    const route = { asPath: [], origin: 'igp', communities: [], largeCommunities: [] } as const
    await router.withdraw([BEHIND_BOTH])
    await until('east hears it', async () => !(await east.way(BEHIND_BOTH)).includes(westward))
    await router.announce([{ ...route, prefix: BEHIND_BOTH }])
    await until('east hears it', async () => (await east.way(BEHIND_BOTH)).includes(westward))
  })

  test('every packet is accounted for on all nodes, and none was sent round', async () => {
    for (const { gateway, name } of [east, west]) {
      for (const { name: module, totals } of await gateway.observer.modules()) {
        ok(totals, `${module} of ${name} answers`)
        equal(unaccounted(totals), 0, `${module} of ${name}`)
        equal(totals.drops['site-loop'] ?? 0, 0, `${module} of ${name}`)
      }
    }
  })
})
