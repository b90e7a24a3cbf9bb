/**
 * A routing process that is killed and starts again, between FRR and BIRD, which keep meanwhile what it told them (RFC 4724):
 * nothing goes until it says that it has told everything, which it does once its peers have, and then what is gone goes.
 */

import { match, ok } from 'node:assert/strict'
import { after, before, suite, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { Lab } from '../../lab/namespaces.ts'
import { needs } from '../../lab/needs.ts'
import { type BgpOrigination, type BgpRouterOptions, untilTable } from '../../lab/peers/bgp-router.ts'
import { Bird } from '../../lab/peers/bird.ts'
import { Frr } from '../../lab/peers/frr.ts'
import { addPeeringLan, lanAddresses, OURS } from '../../lab/peers/peering-lan.ts'
import { RoutingModule } from '../../lab/routing-module.ts'

const ROUTERS = new Map([
  ['frr', 21],
  ['bird', 22],
  ['late', 23],
])
const SITE = `
site: restart
routing:
  as: 65001
  router_id: 10.9.0.1
  listen: [{ address: 10.9.0.1 }]
  neighbours:
    - { name: frr, address: 10.9.0.21, as: 65021 }
    - { name: bird, address: 10.9.0.22, as: 65022 }
    - { name: late, address: 10.9.0.23, as: 65023 }
`
const route: Omit<BgpOrigination, 'prefix'> = { asPath: [], origin: 'igp', communities: [], largeCommunities: [] }
const FROM_BIRD = '20.1.0.0/16 via 10.9.0.1 path 65001 65022 igp'
const FROM_LATE = '20.2.0.0/16 via 10.9.0.1 path 65001 65023 igp'
const PATIENCE_MS = 30_000
const LOOK_MS = 50

let lab: Lab

function optionsOf(name: string, extra: readonly string[]): BgpRouterOptions {
  const number = ROUTERS.get(name)!
  const { ipv4: routerId } = lanAddresses(number)
  const neighbour = { local: routerId, remote: lanAddresses(1).ipv4, as: 65001, families: ['ipv4'] } as const
  return {
    ...{ lab, namespace: name, name, as: 65000 + number, routerId, nextHops: lanAddresses(number) },
    neighbours: [{ ...neighbour, extra }],
  }
}

suite('a routing process that is killed', { skip: needs('ip', 'bird', 'vtysh') }, () => {
  before(async () => {
    lab = await Lab.open()
    await addPeeringLan(lab, ROUTERS)
  })
  after(() => lab.close())

  test('comes back without a route lost, and takes back what is gone when all have told it what there is', async () => {
    const restarts = ['graceful restart on;']
    const [first, frr, bird, late] = await Promise.all([
      RoutingModule.start(lab, OURS, SITE),
      Frr.start(optionsOf('frr', [])),
      Bird.start(optionsOf('bird', restarts)),
      Bird.start(optionsOf('late', restarts)),
    ])
    await bird.announce([{ ...route, prefix: '20.1.0.0/16' }])
    await late.announce([{ ...route, prefix: '20.2.0.0/16' }])
    await untilTable(frr, 'ipv4', [FROM_BIRD, FROM_LATE])

    await first.kill()
    await late.kill()
    const second = await RoutingModule.start(lab, OURS, SITE)
    await second.established('frr', 'bird')
    const restart = await frr.command('show bgp ipv4 neighbors 10.9.0.1 graceful-restart json')
    match(restart, /"rBit" *: *true/)
    // Told by bird and by us again; the other one is kept, for we have not heard of it yet.
    const isStale = async (prefix: string): Promise<boolean> =>
      /"stale" *: *true/.test(await frr.command(`show bgp ipv4 unicast ${prefix} json`))
    for (const late_ms = performance.now() + PATIENCE_MS; await isStale('20.1.0.0/16'); await sleep(LOOK_MS))
      ok(performance.now() < late_ms, 'not told again')
    ok(await isStale('20.2.0.0/16'))
    await untilTable(frr, 'ipv4', [FROM_BIRD, FROM_LATE])

    await Bird.start(optionsOf('late', restarts))
    await untilTable(frr, 'ipv4', [FROM_BIRD])
    await second.stop()
  })
})
