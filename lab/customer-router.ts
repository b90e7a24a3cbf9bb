/**
 * A customer's own router, where the site file says that the gateway speaks BGP with it: what it is to be, worked out from
 * the file, and started. BIRD where it is installed, which tells the kernel what it learns as such a router does; otherwise
 * our own speaker, which tells nobody.
 */

import { formatAddress, masked, parseAddress, parseInterface, prefixContains } from '../src/base/address.ts'
import type { Neighbour, Routing } from '../src/config/routing.ts'
import type { Site } from '../src/config/site.ts'
import type { Connection, Tenant } from '../src/config/tenant.ts'
import type { Lab } from './namespaces.ts'
import { findCommand } from './packages.ts'
import type { BgpFamily, BgpNeighbour, BgpRouter } from './peers/bgp-router.ts'
import { Bird } from './peers/bird.ts'
import { OwnSpeaker } from './peers/own-speaker.ts'
import type { Customer } from './topology.ts'

/** One that runs. */
export type RunningRouter = Pick<BgpRouter, 'announce' | 'withdraw' | 'stop'>

export interface CustomerRouter {
  readonly as: number
  readonly routerId: string
  readonly sessions: readonly BgpNeighbour[]
  readonly announces: readonly string[]
  /** Lines of BIRD's, for BFD where the file wants it; our own speaker has none. */
  readonly extra: readonly string[]
}

/** What is behind a customer of whom the file does not say what it may announce. */
const USUAL: Readonly<Record<BgpFamily, string>> = { ipv4: '10.1.0.0/16', ipv6: '2001:db8:a::/48' }

/** `routed` are the prefixes that the file routes to the customer by itself. */
export function routerOf(
  { routing }: Site,
  tenant: Tenant,
  connection: Connection,
  routed: readonly string[],
): CustomerRouter | undefined {
  const sessions: BgpNeighbour[] = []
  const announces = new Set<string>()
  const extra = new Set<string>()
  let as = 0
  for (const neighbour of routing?.neighbours ?? []) {
    if (neighbour.tenant !== tenant.name || neighbour.address === undefined) continue
    const session = sessionOf(routing!, neighbour, connection)
    if (!session) continue
    sessions.push(session)
    for (const line of bfdOf(neighbour)) extra.add(line)
    as = neighbour.as ?? neighbour.as_range!.from
    const accepted = acceptedFrom(routing!, neighbour)
    const usual = routed.length > 0 ? [] : session.families.map((family) => USUAL[family])
    for (const prefix of accepted.length > 0 ? accepted : usual) announces.add(prefix)
  }
  if (sessions.length === 0) return undefined
  const routerId = sessions.map(({ local }) => local).find((address) => !address.includes(':')) ?? '10.0.0.1'
  return { as, routerId, sessions, announces: [...announces], extra: [...extra] }
}

/** From the customer's end. Undefined when the neighbour is on another connection. */
function sessionOf(routing: Routing, neighbour: Neighbour, { gateway }: Connection): BgpNeighbour | undefined {
  const peer = parseAddress(neighbour.address!)!
  const ours = gateway
    .map((text) => parseInterface(text)!)
    .find(({ address, length }) => prefixContains({ address: masked(address, length), length }, peer))
  if (!ours) return undefined
  return {
    local: neighbour.address!,
    remote: formatAddress(ours.address),
    as: routing.as,
    families: neighbour.families.flatMap((family): BgpFamily[] =>
      family === 'ipv4-unicast' ? ['ipv4'] : family === 'ipv6-unicast' ? ['ipv6'] : [],
    ),
    holdTime_s: neighbour.hold_time_s,
    ...(neighbour.password !== undefined && { password: neighbour.password }),
    ...(neighbour.ttl_security_hops === 1 && { ttlSecurity: true }),
    ...(neighbour.bfd && { extra: ['bfd;'] }),
  }
}

function bfdOf({ bfd }: Neighbour): string[] {
  if (!bfd) return []
  return [`protocol bfd { interface "*" { interval ${bfd.interval_ms} ms; multiplier ${bfd.multiplier}; }; }`]
}

/** The prefixes that its import policies accept by a list. */
function acceptedFrom({ policies, prefix_lists: lists }: Routing, { import: names, families }: Neighbour): string[] {
  const accepting = policies
    .filter(({ name }) => names.includes(name))
    .flatMap(({ terms }) =>
      terms.filter(({ then }) => then === 'accept').flatMap(({ match }) => match?.prefix_list ?? []),
    )
  return lists
    .filter(({ name }) => accepting.includes(name))
    .flatMap(({ prefixes }) => prefixes.map(({ prefix }) => prefix))
    .filter((prefix) => families.includes(prefix.includes(':') ? 'ipv6-unicast' : 'ipv4-unicast'))
}

/** Whether routers that are started here can tell their kernels what they learn. */
export function routersInstall(): boolean {
  return findCommand('bird') !== undefined
}

/** Announces at once, whether the gateway is there yet or not. Where it installs what it learns it is BIRD. */
export async function startRouter(
  lab: Lab,
  { namespace, addresses: sources, router }: { readonly router: CustomerRouter } & Omit<Customer, 'router'>,
  isInstalling: boolean,
): Promise<RunningRouter> {
  const { as, routerId, sessions, announces, extra } = router
  const options = { lab, namespace, name: `${namespace}-router`, as, routerId, neighbours: sessions, extra }
  const source = (isIpv6: boolean) => sources.find((address) => address.includes(':') === isIpv6)
  const installs = { ipv4: source(false), ipv6: source(true) }
  const started = isInstalling ? await Bird.start({ ...options, installs }) : await OwnSpeaker.start(options)
  await started.announce(
    announces.map((prefix) => ({ prefix, asPath: [], origin: 'igp', communities: [], largeCommunities: [] })),
  )
  return started
}
