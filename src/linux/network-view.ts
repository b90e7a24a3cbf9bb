/**
 * What the kernel's network looks like, kept current: all links, addresses, routes and neighbours of the namespace in
 * maps, and a call for each that changes. What changed several times meanwhile may be told once.
 *
 * When the kernel had to throw events away (ENOBUFS), everything is read again and the differences are told, so whoever
 * listens never knows. Routes are always read again: events about them are incomplete. The kernel removes IPv4 routes
 * with their link or address and says nothing, and of an IPv6 route with several next hops it tells the one that went.
 */

import { isDeepStrictEqual } from 'node:util'
import { formatAddress, formatPrefix } from '../base/address.ts'
import type { Clock, Timer } from '../base/clock.ts'
import { AddressMessage, decodeAddress, type InterfaceAddress, listAddresses } from './interface-address.ts'
import { decodeLink, type Link, LinkMessage, listLinks } from './link.ts'
import { decodeNeighbour, listNeighbours, type Neighbour, NeighbourMessage } from './neighbour.ts'
import { Group, type Message, Netlink } from './netlink.ts'
import { type Watch, watch } from './poll.ts'
import { type Route, RouteMessage, RouteReader } from './route.ts'

interface Objects {
  link: Link
  address: InterfaceAddress
  route: Route
  neighbour: Neighbour
}
type Kind = keyof Objects

/** `set`: it is there now, or in a new form. `removed`: it was there, as the value says. */
export type NetworkEvent = { [K in Kind]: { kind: K; change: 'set' | 'removed'; value: Objects[K] } }[Kind]

/** Of the time, how much reading the routes may take: a host with a full table is read a fifth of the time at most. */
const ROUTE_READING_SHARE = 0.2

export class NetworkView {
  readonly links = new Map<number, Link>()
  /** By `interface address/length`, `table prefix priority interface` and `interface address`. */
  readonly addresses = new Map<string, InterfaceAddress>()
  readonly routes = new Map<string, Route>()
  readonly neighbours = new Map<string, Neighbour>()
  /** For changes and look-ups. */
  readonly netlink = new Netlink()
  readonly #events = new Netlink(Object.values(Group))
  readonly #listener: (event: NetworkEvent) => void
  readonly #clock: Clock
  readonly #watch: Watch
  readonly #routeReader = new RouteReader()
  #routesStale = false
  #routesNotBefore_us = 0
  #routesTimer: Timer | undefined

  /** Of the calling thread's namespace. What is there already is in the maps at once and not told. */
  constructor(clock: Clock, listener: (event: NetworkEvent) => void) {
    this.#clock = clock
    this.#listener = () => {}
    this.#readAll() // the events' socket is open already: what changes meanwhile is told again
    this.#listener = listener
    this.#watch = watch(this.#events.fd, () => this.update(), { background: true })
  }

  /** Takes in what has happened. Runs by itself from the event loop; for threads that have theirs blocked. */
  update(): void {
    const messages = this.#events.events()
    if (messages === 'overrun') {
      this.#readAll()
      return
    }
    for (const message of messages) this.#take(message)
    if (this.#routesStale) this.#readRoutesSoon()
  }

  close(): void {
    this.#watch.stop()
    this.#routesTimer?.cancel()
    this.#events.close()
    this.netlink.close()
  }

  #take(message: Message): void {
    const { type } = message
    if (type === LinkMessage.new) this.#put('link', this.links, linkKey, decodeLink(message))
    else if (type === LinkMessage.delete) this.#remove('link', this.links, linkKey, decodeLink(message))
    else if (type === AddressMessage.new) this.#put('address', this.addresses, addressKey, decodeAddress(message))
    else if (type === AddressMessage.delete) this.#remove('address', this.addresses, addressKey, decodeAddress(message))
    else if (type === NeighbourMessage.new)
      this.#put('neighbour', this.neighbours, neighbourKey, decodeNeighbour(message))
    else if (type === NeighbourMessage.delete)
      this.#remove('neighbour', this.neighbours, neighbourKey, decodeNeighbour(message))
    else if (type === RouteMessage.new || type === RouteMessage.delete) this.#routesStale = true
  }

  #put<K extends Kind, Key>(
    kind: K,
    into: Map<Key, Objects[K]>,
    keyOf: (value: Objects[K]) => Key,
    value?: Objects[K],
  ): void {
    if (!value) return
    const key = keyOf(value)
    const known = into.get(key)
    if (known === value || isDeepStrictEqual(known, value)) return
    into.set(key, value)
    this.#tell(kind, 'set', value)
  }

  #remove<K extends Kind, Key>(
    kind: K,
    from: Map<Key, Objects[K]>,
    keyOf: (value: Objects[K]) => Key,
    value?: Objects[K],
  ): void {
    const known = value && from.get(keyOf(value))
    if (!known) return
    from.delete(keyOf(value))
    this.#tell(kind, 'removed', known)
  }

  #tell<K extends Kind>(kind: K, change: 'set' | 'removed', value: Objects[K]): void {
    if (kind === 'link' || kind === 'address') this.#routesStale = true
    this.#listener({ kind, change, value } as NetworkEvent)
  }

  #readAll(): void {
    this.#replace('link', this.links, linkKey, listLinks(this.netlink))
    this.#replace('address', this.addresses, addressKey, listAddresses(this.netlink))
    this.#replace('neighbour', this.neighbours, neighbourKey, listNeighbours(this.netlink))
    this.#readRoutes()
  }

  #readRoutesSoon(): void {
    const wait_us = this.#routesNotBefore_us - this.#clock.now_us()
    if (wait_us <= 0) this.#readRoutes()
    else this.#routesTimer ??= this.#clock.after(Math.ceil(wait_us / 1000), () => this.#readRoutes())
  }

  #readRoutes(): void {
    this.#routesTimer?.cancel()
    this.#routesTimer = undefined
    this.#routesStale = false
    const start_us = this.#clock.now_us()
    this.#replace('route', this.routes, routeKey, this.#routeReader.read(this.netlink))
    const end_us = this.#clock.now_us()
    this.#routesNotBefore_us = end_us + (end_us - start_us) * (1 / ROUTE_READING_SHARE - 1)
  }

  #replace<K extends Kind, Key>(
    kind: K,
    table: Map<Key, Objects[K]>,
    keyOf: (value: Objects[K]) => Key,
    now: Objects[K][],
  ): void {
    const keys = new Set(now.map(keyOf))
    for (const [key, value] of [...table]) if (!keys.has(key)) this.#remove(kind, table, keyOf, value)
    for (const value of now) this.#put(kind, table, keyOf, value)
  }
}

const linkKey = ({ index }: Link): number => index
const addressKey = ({ interfaceIndex, address, prefixLength }: InterfaceAddress): string =>
  `${interfaceIndex} ${formatAddress(address)}/${prefixLength}`
const neighbourKey = ({ interfaceIndex, address }: Neighbour): string => `${interfaceIndex} ${formatAddress(address)}`

const routeKeys = new WeakMap<Route, string>()

// The interface as well: every link has its own fe80::/64.
function routeKey(route: Route): string {
  const known = routeKeys.get(route)
  if (known !== undefined) return known
  const { table, destination, priority, nextHops } = route
  const key = `${table} ${formatPrefix(destination)} ${priority} ${nextHops[0]?.interfaceIndex ?? 0}`
  routeKeys.set(route, key)
  return key
}
