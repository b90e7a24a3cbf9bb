/**
 * A tenant of the site file as its FIB needs it: segments with our addresses on them, the routes that follow from the
 * file, and what an address is as a next hop. Pure: the same site gives the same network.
 */

import {
  equalBytes,
  type IpAddress,
  type MacAddress,
  masked,
  type Prefix,
  parseAddress,
  parseInterface,
  parseMac,
  parsePrefix,
  prefixContains,
} from '../base/address.ts'
import type { Host, Switch, Vip } from '../config/fabric.ts'
import { pathTo } from '../config/remote-site.ts'
import { connectionVni, type Site, vpcKey } from '../config/site.ts'
import { Subnets } from '../config/subnets.ts'
import type { Connection, Tenant, Via, Vpc } from '../config/tenant.ts'
import type { FibInterface, FibPeer, FibPolicy, FibSegment } from '../wire/control/fib.ts'
import type { Gateways } from '../wire/control/route.ts'
import { failoverOf, type Hop, type SingleHop } from './hop.ts'
import { endpointOf, hostHopOf } from './host-hop.ts'
import { Ids } from './ids.ts'
import { asTheyCome, byPath, type Candidate } from './ordered-hop.ts'
import type { PathPlaces } from './path-order.ts'
import { hostKey, keyOf, type PrefixKey } from './prefix-key.ts'
import { publicRoutes } from './public-prefixes.ts'
import type { RemoteTenant } from './remote-sites.ts'
import { Speakers, type Spoken } from './speakers.ts'
import { fibPolicyOf, type PolicedWays, type PolicyWay, policedWays, waysOf, wayThing } from './traffic-policies.ts'

export interface SiteIndex {
  readonly gatewayMac: MacAddress
  readonly vips: ReadonlyMap<string, Vip>
  readonly switches: ReadonlyMap<string, Switch>
  readonly hosts: ReadonlyMap<string, Host>
  readonly speakers: Speakers
  /** Probes and BFD sessions that are down. */
  readonly down: ReadonlySet<string>
  /** By tenant: the order of its paths, where it has one. */
  readonly orders: ReadonlyMap<string, PathPlaces>
  /** By a tenant whose VRF it is: those that have public prefixes there. */
  readonly publics: ReadonlyMap<string, readonly Tenant[]>
  /** Where else a tenant is. */
  remotes(tenant: Tenant): readonly RemoteTenant[]
}

const NONE: ReadonlySet<string> = new Set()

/** `live` are the routing nodes that are; `down` is what static routes may be tied to and is down. */
export function indexSite(
  site: Site,
  live = NONE,
  down = NONE,
  orders: ReadonlyMap<string, PathPlaces> = new Map(),
  remotes: SiteIndex['remotes'] = () => [],
): SiteIndex {
  const byName = <T extends { name: string }>(list: readonly T[]): Map<string, T> =>
    new Map(list.map((one) => [one.name, one]))
  return {
    gatewayMac: parseMac(site.gateway.mac)!,
    vips: byName(site.vips),
    switches: byName(site.switches),
    hosts: byName(site.hosts),
    speakers: new Speakers(site, live),
    down,
    orders,
    publics: Map.groupBy(
      site.tenants.filter((tenant) => tenant.public !== undefined),
      (tenant) => tenant.public!.vrf,
    ),
    remotes,
  }
}

/** One that is the gateway of another site has its name. */
type Gateway = Gateways[number] & { readonly site?: string }

type ConnectionSegment = Extract<FibSegment, { kind: 'connection' }>

export interface TenantNetwork {
  readonly segments: readonly FibSegment[]
  /** Routes that the file gives: ours, subnets, machines, static ones. */
  readonly routes: ReadonlyMap<PrefixKey, Hop>
  /** Of those the ones that other sites may send packets to: machines and subnets of VPCs, and static routes. */
  readonly offered: ReadonlySet<PrefixKey>
  /** The tenant's paths have an order, by which next hops are chosen. */
  readonly isOrdered: boolean
  /** The tenant's policies. Where there are none, nothing is policed. */
  readonly policies: readonly FibPolicy[]
  /**
   * The ways to a destination that policies name, of the file's own route for it and of what was learnt from origins, the most
   * preferred first.
   */
  policed(own: Hop | undefined, learnt: readonly Gateways[]): PolicedWays
  /** Next hops that were learnt. Undefined if none of them is on a connection or a machine. */
  resolve(gateways: Gateways): Hop | undefined
  /** Of several origins that are equally preferred, where paths have an order, and the next one that is a backup of those. */
  choose(equals: readonly Gateways[], next: Gateways | undefined): Hop | undefined
}

/** `tenants` are the numbers of those that are led to. */
export function networkOf(tenant: Tenant, site: SiteIndex, ids: Ids, tenants = new Ids()): TenantNetwork {
  const builder = new NetworkBuilder(tenant, site, ids, tenants)
  for (const connection of tenant.connections) builder.addConnection(connection)
  for (const vpc of tenant.vpcs) builder.addVpc(vpc)
  for (const remote of site.remotes(tenant)) builder.addSite(remote)
  builder.addStaticRoutes()
  builder.addPublicPrefixes()
  builder.addPolicies()
  return builder
}

const DISCARD: SingleHop = { kind: 'discard' }

class NetworkBuilder implements TenantNetwork {
  readonly segments: FibSegment[] = []
  readonly routes = new Map<PrefixKey, Hop>()
  readonly offered = new Set<PrefixKey>()
  policies: readonly FibPolicy[] = []
  readonly #tenant: Tenant
  readonly #site: SiteIndex
  readonly #ids: Ids
  readonly #tenantIds: Ids
  readonly #order: PathPlaces | undefined
  readonly #connections = new Map<string, ConnectionSegment>()
  readonly #subnets: { prefix: Prefix; owner: ConnectionSegment }[] = []
  #index: Subnets<ConnectionSegment> | undefined
  /** Addresses that are nobody's but ours: our own and broadcasts. As keys of host routes, like those of machines. */
  readonly #ours = new Set<PrefixKey>()
  readonly #machines = new Map<PrefixKey, SingleHop>()
  /** By another site's name: the gateway there. */
  readonly #sites = new Map<string, SingleHop>()
  /** What static routes have to choose from, by what was chosen. */
  readonly #written = new Map<Hop, readonly Candidate[]>()
  #ways: readonly PolicyWay[] = []

  constructor(tenant: Tenant, site: SiteIndex, ids: Ids, tenantIds: Ids) {
    this.#tenantIds = tenantIds
    this.#tenant = tenant
    this.#site = site
    this.#ids = ids
    this.#order = site.orders.get(tenant.name)
  }

  get isOrdered(): boolean {
    return this.#order !== undefined
  }

  addConnection(connection: Connection): void {
    const vni = connectionVni(this.#tenant, connection)
    const interfaces = connection.gateway.map((text) => this.#interface(parseInterface(text)!))
    const subnets = interfaces.map(({ address, length }) => ({ address: masked(address, length), length }))
    const spoken = this.#site.speakers.on(this.#tenant.name, vni, subnets)
    const segment: ConnectionSegment = {
      kind: 'connection',
      id: this.#ids.of(segmentThing(this.#tenant.name, 'connection', connection.name)),
      name: connection.name,
      vni,
      remote: parseAddress(this.#site.switches.get(connection.switch)!.address)!,
      mtu: connection.mtu,
      interfaces,
      peers: peersOf(connection, spoken),
      ...spoken,
    }
    this.segments.push(segment)
    this.#connections.set(connection.name, segment)
    for (const [i, { address, length }] of segment.interfaces.entries()) {
      const prefix = subnets[i]!
      this.#subnets.push({ prefix, owner: segment })
      this.routes.set(keyOf(prefix), connectedTo(segment))
      if (address.length === 4 && length <= 30) this.#own(broadcastOf(prefix), DISCARD)
      this.#own(address, { kind: 'local', segment: segment.id })
    }
  }

  addVpc(vpc: Vpc): void {
    const id = this.#ids.of(segmentThing(this.#tenant.name, 'vpc', vpc.name))
    const key = vpcKey(this.#tenant, vpc)
    const hosts = new Set([...vpc.machines.map(({ host }) => host), ...vpc.subnets.flatMap(({ host }) => host ?? [])])
    const interfaces: FibInterface[] = []
    const wide = vpc.subnets.map(({ prefix }) => parsePrefix(prefix)!)
    for (const { prefix: text, gateway, host } of vpc.subnets) {
      const prefix = parsePrefix(text)!
      this.routes.set(keyOf(prefix), host === undefined ? DISCARD : hostHopOf(this.#site.hosts.get(host)!, id, key))
      this.offered.add(keyOf(prefix))
      if (gateway === undefined) continue
      const address = parseAddress(gateway)!
      interfaces.push(this.#interface({ address, length: prefix.length }))
      this.#own(address, { kind: 'local', segment: id })
    }
    for (const machine of vpc.machines) {
      for (const text of machine.address) {
        const address = parseAddress(text)!
        const mac = machine.mac === undefined ? undefined : parseMac(machine.mac)
        const hop = hostHopOf(this.#site.hosts.get(machine.host)!, id, key, { address, mac })
        this.routes.set(hostKey(address), hop)
        this.#machines.set(hostKey(address), hop)
        if (!wide.some((prefix) => prefixContains(prefix, address))) this.offered.add(hostKey(address))
      }
    }
    this.segments.push({
      kind: 'vpc',
      id,
      name: vpc.name,
      key,
      hosts: Array.from(hosts, (name) => endpointOf(this.#site.hosts.get(name)!)),
      interfaces,
    })
  }

  /** The gateway of another site that the tenant is at: a hop to all that it offers. */
  addSite({ remote: { name, mtu }, vip, vips, mac }: RemoteTenant): void {
    const path = pathTo(name)
    const id = this.#ids.of(segmentThing(this.#tenant.name, 'site', path))
    const { vni } = this.#tenant
    this.segments.push({ kind: 'site', id, name: path, vni, remotes: vips, mtu, mac: this.#site.gatewayMac })
    this.#sites.set(name, { kind: 'peer', segment: id, vni, remote: vip, address: vip, mac, mtu })
  }

  addStaticRoutes(): void {
    // One object for all routes with the same next hops: there are thousands of those.
    const shared = new Map<string, Hop>()
    for (const { prefix, via = [], vrf, track } of this.#tenant.routes) {
      if (track !== undefined && this.#site.down.has(track)) continue
      if (vrf !== undefined) {
        this.routes.set(keyOf(parsePrefix(prefix)!), { kind: 'vrf', into: this.#tenantIds.of(vrf) })
        continue
      }
      const text = via.map(({ to, weight, backup }) => `${to}*${weight}${backup ? ' backup' : ''}`).join(' ')
      const hop = shared.get(text) ?? this.#hopVia(via)
      shared.set(text, hop)
      const key = keyOf(parsePrefix(prefix)!)
      this.routes.set(key, hop)
      if (hop.kind !== 'discard') this.offered.add(key)
    }
  }

  addPublicPrefixes(): void {
    const place = {
      hosts: this.#site.hosts,
      tenantId: (name: string) => this.#tenantIds.of(name),
      segmentId: (tenant: string, vpc: string) => this.#ids.of(segmentThing(tenant, 'vpc', vpc)),
    }
    for (const tenant of this.#site.publics.get(this.#tenant.name) ?? []) {
      for (const [key, hop] of publicRoutes(tenant, place)) this.routes.set(key, hop)
      for (const prefix of tenant.public!.prefixes) this.offered.add(keyOf(parsePrefix(prefix)!))
    }
  }

  addPolicies(): void {
    const { name, policies } = this.#tenant
    const numberOf = (thing: string): number => this.#ids.of(thing)
    this.#ways = waysOf(this.#tenant, numberOf)
    this.policies = policies.map((policy) =>
      fibPolicyOf(
        policy,
        (way) => numberOf(wayThing(name, way)),
        (connection) => this.#connections.get(connection)!.id,
      ),
    )
  }

  // What is on a connection itself is reached over it alone.
  policed(own: Hop | undefined, learnt: readonly Gateways[]): PolicedWays {
    const written = own?.kind === 'connected' ? this.#candidate({ weight: 1, backup: false }, own) : undefined
    const sources = [(own && this.#written.get(own)) ?? [], ...learnt.map((gateways) => this.#learnt(gateways))]
    const neighbours = sources.map((candidates) =>
      candidates.filter(
        // What is behind another site's gateway is on none of the tenant's connections here.
        ({ hop, connection }) => hop.kind === 'peer' && this.#connections.get(connection ?? '')?.id === hop.segment,
      ),
    )
    const order = this.#order
    return policedWays(this.#ways, written ? [written] : neighbours, (name) => !order || order.stateOf(name) === 0)
  }

  resolve(gateways: Gateways): Hop | undefined {
    return this.#chosenOf([this.#learnt(gateways)])
  }

  choose(equals: readonly Gateways[], next: Gateways | undefined): Hop | undefined {
    const lists = [equals.flatMap((gateways) => this.#learnt(gateways)), next ? this.#learnt(next) : []]
    return this.#chosenOf(lists)
  }

  #learnt(gateways: Gateways): Candidate[] {
    if (gateways.length === 0) return [{ hop: DISCARD, weight: 1, backup: false, connection: undefined }]
    return gateways.flatMap((one: Gateway) => {
      if (one.site === undefined) return this.#candidate(one, this.#neighbour(one.address))
      return this.#candidate(one, this.#sites.get(one.site)).map((candidate) => ({ ...candidate, isRemote: true }))
    })
  }

  #candidate({ weight, backup }: { weight: number; backup: boolean }, hop: SingleHop | undefined): Candidate[] {
    if (!hop) return []
    const on = hop.kind === 'peer' || hop.kind === 'connected' ? hop.segment : undefined
    return [{ hop, weight, backup, connection: this.segments.find(({ id }) => id === on)?.name }]
  }

  #chosenOf(lists: readonly Candidate[][]): Hop | undefined {
    if (this.#order) return byPath(lists, this.#order)
    return failoverOf(lists.map(asTheyCome))
  }

  #own(address: IpAddress, hop: SingleHop): void {
    this.routes.set(hostKey(address), hop)
    this.#ours.add(hostKey(address))
  }

  #hopVia(via: readonly Via[]): Hop {
    // A next hop that cannot be reached was refused with the file.
    const candidates = via.flatMap((one) => this.#candidate(one, this.#hopTo(one.to)))
    const chosen = this.#chosenOf([candidates]) ?? DISCARD
    this.#written.set(chosen, candidates)
    return chosen
  }

  #hopTo(to: string): SingleHop | undefined {
    const connection = this.#connections.get(to)
    if (connection) return connectedTo(connection)
    const address = parseAddress(to)
    return address && this.#neighbour(address)
  }

  #neighbour(address: IpAddress): SingleHop | undefined {
    const machine = this.#machines.get(hostKey(address))
    if (machine) return machine
    this.#index ??= new Subnets(this.#subnets)
    const segment = this.#index.find(address)?.owner
    if (!segment || this.#ours.has(hostKey(address))) return undefined
    const peer = segment.peers.find((one) => Buffer.compare(one.address, address) === 0)
    const { id, vni, remote, mtu } = segment
    return { kind: 'peer', segment: id, vni, remote, address, mac: peer?.mac, mtu }
  }

  #interface({ address, length }: Prefix): FibInterface {
    return { address, length, mac: this.#site.gatewayMac }
  }
}

/** Those of the file, and those that are spoken with or probed: the first packet is to find its way. */
function peersOf({ peers }: Connection, { sessions, probes }: Spoken): FibPeer[] {
  const named = peers.map(({ address, mac }) => ({
    address: parseAddress(address)!,
    mac: mac === undefined ? undefined : parseMac(mac),
  }))
  const isNamed = (peer: IpAddress): boolean => named.some(({ address }) => equalBytes(address, peer))
  const spoken = new Map(
    [...sessions, ...probes].flatMap(({ peer }) =>
      peer && !isNamed(peer) ? [[peer.join('.'), { address: peer, mac: undefined }] as const] : [],
    ),
  )
  return [...named, ...spoken.values()]
}

/** What a segment is known as to `Ids`. */
export function segmentThing(tenant: string, kind: FibSegment['kind'], name: string): string {
  return `${tenant} ${kind} ${name}`
}

function connectedTo({ id, vni, remote, mtu }: ConnectionSegment): SingleHop {
  return { kind: 'connected', segment: id, vni, remote, mtu }
}

function broadcastOf({ address, length }: Prefix): IpAddress {
  const host = masked(
    address.map(() => 0xff),
    length,
  )
  return address.map((byte, i) => byte | (~host[i]! & 0xff))
}
