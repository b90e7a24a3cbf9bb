/**
 * The routing module among routers of others' making on a peering LAN: BIRD, FRR, GoBGP, OpenBGPD and ExaBGP. All announce
 * and withdraw at random, and in the end each must hold exactly what follows from what the others announce, with every
 * attribute.
 */

import { suite, test } from 'node:test'
import { Lab } from '../../lab/namespaces.ts'
import { needs } from '../../lab/needs.ts'
import type { BgpFamily, BgpNeighbour, BgpRoute, BgpRouter, BgpRouterOptions } from '../../lab/peers/bgp-router.ts'
import { Bird } from '../../lab/peers/bird.ts'
import { ExaBgp } from '../../lab/peers/exabgp.ts'
import { Frr } from '../../lab/peers/frr.ts'
import { GoBgp } from '../../lab/peers/gobgp.ts'
import { OpenBgpd } from '../../lab/peers/open-bgpd.ts'
import { addPeeringLan, lanAddresses, OURS } from '../../lab/peers/peering-lan.ts'
import { RoutingModule } from '../../lab/routing-module.ts'
import { freshSeed, Random } from '../../src/base/random.ts'
import { Churn, type Member } from './churn.ts'

const ROUNDS = 3
const OUR_AS = 65001
const ours = lanAddresses(1)

interface Kind {
  readonly number: number
  readonly as: number
  readonly start: (options: BgpRouterOptions) => Promise<BgpRouter>
}

const KINDS: ReadonlyMap<string, Kind> = new Map([
  ['bird', { number: 11, as: 65011, start: Bird.start }],
  ['frr', { number: 12, as: 65012, start: Frr.start }],
  ['gobgp', { number: 13, as: 4_200_000_013, start: GoBgp.start }],
  ['open-bgpd', { number: 14, as: 65014, start: OpenBgpd.start }],
  ['exabgp', { number: 15, as: 65015, start: ExaBgp.start }],
])

/** A session of ours with one of them: over which family, and for which ones. */
interface Session {
  readonly name: string
  readonly router: string
  readonly transport: BgpFamily
  readonly families: readonly BgpFamily[]
}

function siteOf(sessions: readonly Session[], options: string): string {
  const neighbours = sessions.map(({ name, router, transport, families }) => {
    const { as, number } = KINDS.get(router)!
    const named = families.map((family) => `${family}-unicast`).join(', ')
    const address = lanAddresses(number)[transport]
    return `    - { name: ${name}, address: '${address}', as: ${as}, families: [${named}], ${options} }`
  })
  return `
site: exchange
routing:
  as: ${OUR_AS}
  router_id: ${ours.ipv4}
  listen: [{ address: ${ours.ipv4} }, { address: '${ours.ipv6}' }]
  neighbours:
${neighbours.join('\n')}
`
}

async function startMember(lab: Lab, name: string, sessions: readonly Session[]): Promise<Member> {
  const { as, number, start } = KINDS.get(name)!
  const addresses = lanAddresses(number)
  const neighbours: BgpNeighbour[] = sessions
    .filter(({ router }) => router === name)
    .map(({ transport, families }) => ({
      local: addresses[transport],
      remote: ours[transport],
      as: OUR_AS,
      families,
    }))
  const routerId = addresses.ipv4
  const router = await start({ lab, namespace: name, name, as, routerId, nextHops: addresses, neighbours })
  return { router, routerId, nextHops: addresses }
}

async function churn(sessions: readonly Session[], options: string, passage: (route: BgpRoute) => BgpRoute) {
  const seed = freshSeed()
  await using lab = await Lab.open()
  await addPeeringLan(lab, new Map(Array.from(KINDS, ([name, { number }]) => [name, number])))
  const [routing, ...members] = await Promise.all([
    RoutingModule.start(lab, OURS, siteOf(sessions, options)),
    ...Array.from(KINDS.keys(), (name) => startMember(lab, name, sessions)),
  ])
  try {
    await routing.established(...sessions.map(({ name }) => name))
    const run = new Churn(members, new Random(seed), passage)
    for (let round = 0; round < ROUNDS; round++) {
      await run.round()
      await run.agree()
    }
    const lost = routing.sessions.filter(({ to }) => to !== 'established')
    if (lost.length > 0) throw new Error(`sessions were lost: ${JSON.stringify(lost)}`)
  } catch (error) {
    throw new Error(`seed ${seed}; the end of our log:\n${routing.lastLines()}`, { cause: error })
  } finally {
    await Promise.all(members.map(({ router }) => router.stop()))
  }
}

const COMMANDS = ['ip', 'bird', 'vtysh', 'gobgpd', 'bgpctl', 'exabgp']

suite('BGP with routers of others', { skip: needs(...COMMANDS) }, () => {
  test('as a route server, a session a family: routes arrive as they are', async () => {
    const sessions = [...KINDS.keys()].flatMap((router): Session[] => [
      { name: `${router}-4`, router, transport: 'ipv4', families: ['ipv4'] },
      { name: `${router}-6`, router, transport: 'ipv6', families: ['ipv6'] },
    ])
    await churn(sessions, 'route_server_client: true', (route) => route)
  })

  test('as a router, one session for both families, over one or the other', async () => {
    const transports: Record<string, BgpFamily> = { bird: 'ipv4', frr: 'ipv6', gobgp: 'ipv4', 'open-bgpd': 'ipv6' }
    const sessions = [...KINDS.keys()].map((router): Session => {
      const transport = transports[router] ?? 'ipv4'
      return { name: router, router, transport, families: ['ipv4', 'ipv6'] }
    })
    // RFC 4271 section 5.1: our AS in front, our next hop, and a MED stays where it came.
    await churn(sessions, 'passive: false', (route) => ({
      ...route,
      asPath: [OUR_AS, ...route.asPath],
      nextHop: route.prefix.includes(':') ? ours.ipv6 : ours.ipv4,
      med: undefined,
    }))
  })
})
