/**
 * What sessions are held with outside of a laboratory, with BIRD, FRR and OpenBGPD: passwords and GTSM, both ends that
 * connect at once, silence, restarts, refreshes, and peers that know AS numbers of two octets only.
 */

import { equal, match, ok } from 'node:assert/strict'
import { after, before, suite, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { Lab } from '../../lab/namespaces.ts'
import { needs } from '../../lab/needs.ts'
import {
  type BgpNeighbour,
  type BgpOrigination,
  type BgpRouterOptions,
  untilTable,
} from '../../lab/peers/bgp-router.ts'
import { Bird } from '../../lab/peers/bird.ts'
import { Frr } from '../../lab/peers/frr.ts'
import { OpenBgpd } from '../../lab/peers/open-bgpd.ts'
import { addPeeringLan, lanAddresses, OURS } from '../../lab/peers/peering-lan.ts'
import { RoutingModule } from '../../lab/routing-module.ts'

// One word: FRR takes no more.
const PASSWORD = 'not-everybody-knows'
const ROUTERS = new Map([
  ['bird', 21],
  ['frr', 22],
  ['old-bird', 23],
  ['old-bgpd', 24],
  ['wrong-key', 25],
  ['far', 26],
  ['brief', 27],
])
/** Two octets are enough for us, and not for those behind us. */
const SITE = `
site: sessions
routing:
  as: 65001
  router_id: 10.9.0.1
  listen: [{ address: 10.9.0.1 }, { address: 'fd09::1' }]
  neighbours:
    - { name: bird, address: 10.9.0.21, as: 65021, password: ${PASSWORD}, ttl_security_hops: 1 }
    - { name: frr, address: 'fd09::16', as: 65022, password: ${PASSWORD}, ttl_security_hops: 1, hold_time_s: 60 }
    - { name: old-bird, address: 10.9.0.23, as: 65023 }
    - { name: old-bgpd, address: 10.9.0.24, as: 65024 }
    - { name: wrong-key, address: 10.9.0.25, as: 65025, password: ${PASSWORD} }
    - { name: far, address: 10.9.0.26, as: 65026, ttl_security_hops: 1 }
    - { name: brief, address: 10.9.0.27, as: 65027, hold_time_s: 3 }
`
const route: Omit<BgpOrigination, 'prefix'> = { asPath: [], origin: 'igp', communities: [], largeCommunities: [] }
const FROM_BIRD = '20.1.0.0/16 via 10.9.0.1 path 65001 65021 4200000001 igp'
const FROM_FRR = '20.2.0.0/16 via 10.9.0.1 path 65001 65022 65100 4200000002 igp'
const LOOK_MS = 50
const PATIENCE_MS = 15_000

let lab: Lab
let routing: RoutingModule

function optionsOf(name: string, session: Partial<BgpNeighbour> = {}): BgpRouterOptions {
  const number = ROUTERS.get(name)!
  const { ipv4: routerId, ...addresses } = lanAddresses(number)
  const family = session.local === addresses.ipv6 ? 'ipv6' : 'ipv4'
  const neighbour = {
    local: routerId,
    remote: lanAddresses(1)[family],
    as: 65001,
    families: ['ipv4'],
    ...session,
  } as const
  return {
    ...{ lab, namespace: name, name, as: 65000 + number, routerId, nextHops: lanAddresses(number) },
    neighbours: [neighbour],
  }
}

async function until(what: string, holds: () => Promise<boolean>): Promise<void> {
  const late_ms = performance.now() + PATIENCE_MS
  while (!(await holds())) {
    if (performance.now() > late_ms) throw new Error(`it did not come to it: ${what}\n${routing.lastLines()}`)
    await sleep(LOOK_MS)
  }
}

/** A counter of the kernel's TCP in our namespace (/proc/net/netstat: a line of names, a line of values). */
async function kernelCount(name: string): Promise<number> {
  const lines = (await lab.run(OURS, 'cat', '/proc/net/netstat'))
    .split('\n')
    .filter((line) => line.startsWith('TcpExt:'))
  const [names, values] = lines.map((line) => line.split(' '))
  return Number(values![names!.indexOf(name)])
}

suite('sessions with routers of others', { skip: needs('ip', 'bird', 'vtysh', 'bgpctl') }, () => {
  let bird: Bird
  let frr: Frr
  let oldBird: Bird
  let oldBgpd: OpenBgpd
  let brief: Bird

  before(async () => {
    lab = await Lab.open()
    await addPeeringLan(lab, ROUTERS)
    const secured = { password: PASSWORD, ttlSecurity: true }
    ;[routing, bird, frr, oldBird, oldBgpd, brief] = await Promise.all([
      RoutingModule.start(lab, OURS, SITE),
      Bird.start(optionsOf('bird', { ...secured, holdTime_s: 9 })),
      Frr.start(optionsOf('frr', { ...secured, local: lanAddresses(22).ipv6 })),
      Bird.start(optionsOf('old-bird', { extra: ['enable as4 off;'] })),
      OpenBgpd.start(optionsOf('old-bgpd', { extra: ['announce as-4byte no'] })),
      Bird.start(optionsOf('brief')),
      Bird.start(optionsOf('wrong-key', { password: 'a guess' })),
      Bird.start(optionsOf('far')),
    ])
  })
  after(() => lab.close())

  test('MD5 and GTSM with BIRD, and with FRR over IPv6; the shorter hold time counts', async () => {
    await routing.established('bird', 'frr')
    await bird.announce([{ ...route, prefix: '20.1.0.0/16', asPath: [4_200_000_001] }])
    await frr.announce([{ ...route, prefix: '20.2.0.0/16', asPath: [65100, 4_200_000_002] }])
    await untilTable(frr, 'ipv4', [FROM_BIRD])
    await untilTable(bird, 'ipv4', [FROM_FRR])
    match(await bird.command('show protocols all peer0'), /Hold timer: +[\d.]+\/9\n/)
    match(await frr.command('show bgp neighbors fd09::1'), /Hold time is 60 seconds/)
  })

  test('a wrong password and a peer from further away do not come up', async () => {
    await until('MD5 refused', async () => (await kernelCount('TCPMD5Failure')) > 0)
    await until('GTSM refused', async () => (await kernelCount('TCPMinTTLDrop')) > 0)
    ok(!routing.isUp('wrong-key') && !routing.isUp('far'))
  })

  test('peers that know two octets only get whole paths, and give them', async () => {
    await routing.established('old-bird', 'old-bgpd')
    await oldBird.announce([{ ...route, prefix: '20.3.0.0/16', asPath: [4_200_000_003, 65100] }])
    const third = '20.3.0.0/16 via 10.9.0.1 path 65001 65023 4200000003 65100 igp'
    await untilTable(oldBird, 'ipv4', [FROM_BIRD, FROM_FRR])
    await untilTable(oldBgpd, 'ipv4', [FROM_BIRD, FROM_FRR, third])
    await untilTable(frr, 'ipv4', [FROM_BIRD, third])
    await oldBird.withdraw(['20.3.0.0/16'])
    await untilTable(frr, 'ipv4', [FROM_BIRD])
  })

  test('routes of a peer that is to be shut down give way to others (RFC 8326)', async () => {
    const [prefix, others] = ['20.4.0.0/16', [FROM_BIRD, FROM_FRR]]
    await frr.announce([{ ...route, prefix, asPath: [65100] }])
    await bird.announce([{ ...route, prefix }])
    await untilTable(oldBird, 'ipv4', [...others, `${prefix} via 10.9.0.1 path 65001 65021 igp`])
    await bird.announce([{ ...route, prefix, communities: ['65535:0'] }])
    await untilTable(oldBird, 'ipv4', [...others, `${prefix} via 10.9.0.1 path 65001 65022 65100 igp`])
    await frr.withdraw([prefix])
    await untilTable(oldBird, 'ipv4', [...others, `${prefix} via 10.9.0.1 path 65001 65021 igp 65535:0`])
    await bird.withdraw([prefix])
    await untilTable(oldBird, 'ipv4', others)
  })

  test('both ends connect at once, again and again, and one connection is left', async () => {
    for (let i = 0; i < 2; i++) {
      const up = routing.next('old-bird', 'up')
      await oldBird.command('restart peer0')
      await up
      await untilTable(oldBird, 'ipv4', [FROM_BIRD, FROM_FRR])
      const shown = await lab.run('old-bird', 'ss', '-Htn', 'state', 'established', 'dst', '10.9.0.1')
      equal(shown.trim().split('\n').length, 1, shown)
    }
  })

  test('a refresh is answered with all routes', async () => {
    const received = async (): Promise<number> =>
      Number(/Import updates: +(\d+)/.exec(await bird.command('show protocols all peer0'))?.[1])
    await untilTable(bird, 'ipv4', [FROM_FRR])
    const before = await received()
    await bird.command('reload in peer0')
    await until('told again', async () => (await received()) > before)
    await untilTable(bird, 'ipv4', [FROM_FRR])
    ok(routing.isUp('bird'))
  })

  test('a peer that takes its leave says why, and comes back', async () => {
    const down = routing.next('bird', 'down')
    await bird.command('disable peer0 "moving to rack 7"')
    match((await down).reason ?? '', /shutdown.*moving to rack 7/i)
    await untilTable(frr, 'ipv4', [])
    const up = routing.next('bird', 'up')
    await bird.command('enable peer0')
    await up
    await untilTable(frr, 'ipv4', [FROM_BIRD])
  })

  test('a peer that dies while routes come and go is forgotten, and met again', async () => {
    const prefixes = Array.from({ length: 200 }, (_, i) => `21.${i}.0.0/16`)
    const down = routing.next('bird', 'down')
    await Promise.all([
      frr.announce(prefixes.map((prefix) => ({ ...route, prefix }))),
      bird.announce(prefixes.map((prefix) => ({ ...route, prefix, asPath: [65100] }))).then(() => bird.kill()),
    ])
    await down
    const fromFrr = prefixes.map((prefix) => `${prefix} via 10.9.0.1 path 65001 65022 igp`)
    await untilTable(oldBird, 'ipv4', [...fromFrr, FROM_FRR])
    await frr.withdraw(prefixes)
    await bird.restart()
    const fromBird = prefixes.map((prefix) => `${prefix} via 10.9.0.1 path 65001 65021 65100 igp`)
    await untilTable(frr, 'ipv4', [...fromBird, FROM_BIRD])
    await untilTable(bird, 'ipv4', [FROM_FRR])
  })

  test('a peer that falls silent is given up after the hold time', async () => {
    await routing.established('brief')
    const down = routing.next('brief', 'down')
    brief.freeze(true)
    match((await down).reason ?? '', /nothing came from the peer for 3 s/)
    const up = routing.next('brief', 'up')
    brief.freeze(false)
    await up
  })
})
