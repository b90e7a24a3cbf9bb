/**
 * Where the kernel would send a packet: its routes, neighbours and links, and what follows from them. Longest prefix
 * first, then the lowest priority number, then all of the route's next hops that work, each in proportion to its
 * weight: what Linux does with its main table (ip-route(8)) once routes over dead links are passed over. Pure:
 * `underlay.ts` feeds it.
 *
 * Policy rules, source-specific routes and the tables of VRFs are not looked at: the underlay is one routed network.
 */

import { equalBytes, formatAddress, type IpAddress, masked, type Prefix } from '../base/address.ts'
import type { InterfaceAddress } from '../linux/interface-address.ts'
import type { Link } from '../linux/link.ts'
import type { Neighbour, NeighbourKey } from '../linux/neighbour.ts'
import type { Route } from '../linux/route.ts'
import type { Adjacency } from './template.ts'

/** As `linux/network-view.ts` keeps it. */
export interface Network {
  readonly links: ReadonlyMap<number, Link>
  readonly addresses: ReadonlyMap<string, InterfaceAddress>
  readonly routes: ReadonlyMap<string, Route>
  /** By `neighbourName`. */
  readonly neighbours: ReadonlyMap<string, Neighbour>
}

export function neighbourName({ interfaceIndex, address }: NeighbourKey): string {
  return `${interfaceIndex} ${formatAddress(address)}`
}

type NextHop = Route['nextHops'][number]

export type Resolution = {
  /** Whose MAC addresses it hangs on. */
  readonly neighbours: readonly NeighbourKey[]
} & (
  | { readonly status: 'resolved'; readonly adjacencies: readonly Adjacency[]; readonly mtu: number }
  | { readonly status: 'unresolved'; readonly why: string }
)

/** One entry of a table that forwards as the kernel would. */
export interface ForwardingRoute {
  readonly prefix: Prefix
  readonly resolution: Resolution
}

/** In the order in which the kernel's default rules look into them. */
const TABLES = [254, 253]

/** ECMP members a destination: weights beyond are evened out. */
const MEMBERS_MAX = 64

export class RouteChoice {
  readonly #network: Network
  /** Index of an interface to the number of the port on it. */
  readonly #ports: ReadonlyMap<number, number>
  readonly #hasCarrier: (link: Link) => boolean
  #index = new RouteIndex([])

  constructor(network: Network, ports: ReadonlyMap<number, number>, hasCarrier = (link: Link) => link.carrier) {
    this.#network = network
    this.#ports = ports
    this.#hasCarrier = hasCarrier
    this.routesChanged()
  }

  /** To be called when the network's routes have changed. Links, addresses and neighbours are always read afresh. */
  routesChanged(): void {
    this.#index = new RouteIndex(this.#network.routes.values())
  }

  resolve(destination: IpAddress): Resolution {
    return this.resolver()(destination)
  }

  /** For many destinations at one moment: those that are behind the same gateways have one resolution in common. */
  resolver(): (destination: IpAddress) => Resolution {
    const own = new Set(Array.from(this.#network.addresses.values(), ({ address }) => keyOf(address)))
    const behind = new Map<Route, Resolution>()
    return (destination) => {
      if (own.has(keyOf(destination))) return OWN
      let dead: string | undefined
      for (const route of this.#index.candidates(destination)) {
        const known = behind.get(route)
        if (known) return known
        if (route.type !== 'unicast') return unresolved(`the kernel's route to it says ${route.type}`)
        const hops = route.nextHops.filter((hop) => this.#works(hop))
        if (hops.length > 0) {
          const resolution = this.#over(hops, route, destination)
          if (hops.every(({ gateway }) => gateway)) behind.set(route, resolution)
          return resolution
        }
        dead ??= route.nextHops.map(({ interfaceIndex }) => this.#nameOf(interfaceIndex)).join(' and ')
      }
      return dead === undefined ? NO_ROUTE : unresolved(`its route leads over ${dead}, which is down`)
    }
  }

  /**
   * The whole table: every prefix that is routed over others, and every neighbour that has answered, as a host route.
   */
  *routes(): Iterable<ForwardingRoute> {
    for (const { address, interfaceIndex, mac, state } of this.#network.neighbours.values()) {
      if (!mac || state === 'no-arp' || isLinkLocal(address) || !this.#ports.has(interfaceIndex)) continue
      const prefix = { address, length: address.length * 8 }
      if (!this.#index.has(prefix)) yield { prefix, resolution: this.resolve(address) }
    }
    for (const candidates of this.#index.all()) {
      const route = candidates.find(
        ({ type, nextHops }) => type !== 'unicast' || nextHops.some((hop) => this.#works(hop)),
      )
      if (!route) continue
      const hops = route.nextHops.filter((hop) => this.#works(hop))
      if (route.type !== 'unicast')
        yield { prefix: route.destination, resolution: unresolved(`the kernel's route says ${route.type}`) }
      else if (hops.every(({ gateway }) => gateway))
        yield { prefix: route.destination, resolution: this.#over(hops, route, route.destination.address) }
      else yield { prefix: route.destination, resolution: unresolved('the neighbour has not answered') }
    }
  }

  /** Whom the table's routes lead over: all gateways, and the other addresses of links that have two or four. */
  *neighbours(): Iterable<NeighbourKey> {
    for (const candidates of this.#index.all())
      for (const { type, destination, nextHops } of candidates)
        for (const { interfaceIndex, gateway } of nextHops) {
          if (type !== 'unicast' || !this.#ports.has(interfaceIndex)) continue
          if (gateway) yield { interfaceIndex, address: gateway }
          else for (const address of othersOf(destination, this.#own())) yield { interfaceIndex, address }
        }
  }

  #own(): Set<string> {
    return new Set(Array.from(this.#network.addresses.values(), ({ address }) => formatAddress(address)))
  }

  #works({ interfaceIndex, usable }: NextHop): boolean {
    const link = this.#network.links.get(interfaceIndex)
    return usable && link?.up === true && (link.loopback || this.#hasCarrier(link))
  }

  #over(hops: readonly NextHop[], route: Route, destination: IpAddress): Resolution {
    const ours = hops.filter(({ interfaceIndex }) => this.#ports.has(interfaceIndex))
    if (ours.length === 0) {
      const names = hops.map(({ interfaceIndex }) => this.#nameOf(interfaceIndex)).join(' and ')
      return unresolved(`its route leads over ${names}, which is no port of ours`)
    }
    const neighbours = ours.map(({ interfaceIndex, gateway }) => ({ interfaceIndex, address: gateway ?? destination }))
    const found: { adjacency: Adjacency; weight: number }[] = []
    for (const [i, { interfaceIndex, weight }] of ours.entries()) {
      const link = this.#network.links.get(interfaceIndex)!
      const mac = this.#network.neighbours.get(neighbourName(neighbours[i]!))?.mac
      if (!mac) continue
      const mtu = Math.min(link.mtu, route.mtu ?? link.mtu)
      const port = this.#ports.get(interfaceIndex)!
      found.push({ adjacency: { port, source: link.mac, destination: mac, mtu }, weight })
    }
    if (found.length === 0) {
      const names = neighbours.map(
        ({ address, interfaceIndex }) => `${formatAddress(address)} on ${this.#nameOf(interfaceIndex)}`,
      )
      return { status: 'unresolved', why: `${names.join(' and ')} has not answered`, neighbours }
    }
    const mtu = Math.min(...found.map(({ adjacency }) => adjacency.mtu))
    return { status: 'resolved', adjacencies: byWeight(found), mtu, neighbours }
  }

  #nameOf(interfaceIndex: number): string {
    return this.#network.links.get(interfaceIndex)?.name ?? `interface ${interfaceIndex}`
  }
}

/**
 * The hosts of a point-to-point subnet but ourselves. Of four IPv4 addresses the first and the last are none (RFC 3021
 * for subnets of two); of larger subnets it is not known who is there.
 */
function othersOf({ address, length }: Prefix, own: ReadonlySet<string>): IpAddress[] {
  const hosts = 2 ** (address.length * 8 - length)
  if (hosts > 4) return []
  const inside = hosts === 4 ? [1, 2] : Array.from({ length: hosts }, (_, i) => i)
  return inside
    .map((host) => address.with(-1, address.at(-1)! + host))
    .filter((other) => !own.has(formatAddress(other)))
}

/** RFC 4291 section 2.4, RFC 3927. */
function isLinkLocal([first, second]: IpAddress): boolean {
  return (first === 0xfe && (second! & 0xc0) === 0x80) || (first === 169 && second === 254)
}

function unresolved(why: string): Resolution {
  return { status: 'unresolved', why, neighbours: [] }
}

const OWN = unresolved('it is an address of this host')
const NO_ROUTE = unresolved('the kernel has no route to it')

/** Do they say the same? */
export function isSameResolution(one: Resolution, other: Resolution): boolean {
  if (one === other) return true
  const isSame =
    one.status === 'resolved'
      ? other.status === 'resolved' && one.mtu === other.mtu && isSameList(one.adjacencies, other.adjacencies)
      : other.status === 'unresolved' && one.why === other.why
  return isSame && isSameList(one.neighbours, other.neighbours)
}

/** Of objects of numbers and bytes. */
function isSameList<T extends object>(some: readonly T[], others: readonly T[]): boolean {
  return some.length === others.length && some.every((one, i) => isSameRow(one, others[i]!))
}

function isSameRow<T extends object>(one: T, other: T): boolean {
  for (const name in one) {
    const [a, b] = [one[name], other[name]]
    if (a !== b && !(a instanceof Uint8Array && b instanceof Uint8Array && equalBytes(a, b))) return false
  }
  return true
}

/** An adjacency stands as often as its weight says, in lowest terms. */
function byWeight(found: readonly { adjacency: Adjacency; weight: number }[]): Adjacency[] {
  const unit = found.map(({ weight }) => weight).reduce(greatestCommonDivisor)
  const total = found.reduce((sum, { weight }) => sum + weight / unit, 0)
  return found.flatMap(({ adjacency, weight }) =>
    new Array<Adjacency>(total > MEMBERS_MAX ? 1 : weight / unit).fill(adjacency),
  )
}

function greatestCommonDivisor(a: number, b: number): number {
  return b === 0 ? a : greatestCommonDivisor(b, a % b)
}

/** Routes by prefix, a map a length; a look-up tries the lengths that there are, longest first. */
class RouteIndex {
  readonly #lengths: { readonly bytes: number; readonly length: number; readonly routes: Map<string, Route[]> }[] = []

  constructor(routes: Iterable<Route>) {
    for (const route of routes) {
      if (!TABLES.includes(route.table)) continue
      const { address, length } = route.destination
      const key = keyOf(address)
      const prefixes = this.#ofLength(address.length, length)
      const known = prefixes.get(key)
      if (known) known.push(route)
      else prefixes.set(key, [route])
    }
    this.#lengths.sort((a, b) => b.length - a.length)
    const order = (a: Route, b: Route): number =>
      TABLES.indexOf(a.table) - TABLES.indexOf(b.table) || a.priority - b.priority
    for (const { routes } of this.#lengths) for (const candidates of routes.values()) candidates.sort(order)
  }

  /** What the kernel would try, in its order. */
  *candidates(destination: IpAddress): Iterable<Route> {
    for (const table of TABLES)
      for (const { bytes, length, routes } of this.#lengths) {
        if (bytes !== destination.length) continue
        for (const route of routes.get(keyOf(masked(destination, length))) ?? []) if (route.table === table) yield route
      }
  }

  *all(): Iterable<readonly Route[]> {
    for (const { routes } of this.#lengths) yield* routes.values()
  }

  has({ address, length }: Prefix): boolean {
    return this.#ofLength(address.length, length).has(keyOf(address))
  }

  #ofLength(bytes: number, length: number): Map<string, Route[]> {
    const known = this.#lengths.find((entry) => entry.bytes === bytes && entry.length === length)
    if (known) return known.routes
    const routes = new Map<string, Route[]>()
    this.#lengths.push({ bytes, length, routes })
    return routes
  }
}

function keyOf(address: IpAddress): string {
  return String.fromCharCode(...address)
}
