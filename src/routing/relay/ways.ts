/**
 * What the relay of one routing node is told of the site: its own address, the segments that tenants' peers are on, and
 * the way to each peer. Everything that can be worked out beforehand is, so that the threads share one understanding of it
 * and look nothing up in the site file.
 */

import { equalBytes, type IpAddress, masked, type Prefix, parseAddress, parseInterface } from '../../base/address.ts'
import { nodeOfProbe } from '../../config/probe.ts'
import type { Neighbour } from '../../config/routing.ts'
import { connectionVni, type Site } from '../../config/site.ts'
import type { Connection, Tenant } from '../../config/tenant.ts'
import { PeerNumbers } from './peer-numbers.ts'

/** From us to one peer of a tenant's, or to all of a prefix; or to a target of probes. */
export interface Way {
  /** No other way has it, of this site file or one before. */
  readonly index: number
  /** Of the site file; undefined of a target. */
  readonly neighbour: string | undefined
  readonly tenant: string
  /** Of the tenant in the tables of routes. */
  readonly vrf: number
  /** Of the segment that it is on. */
  readonly vni: number
  /** The peer, or where peers come from that are not known one by one. */
  readonly peers: Prefix
  /** By which the kernel knows it; 0 for a prefix. */
  readonly number: number
  /** Ours, as the peer sees it: the gateway address in its subnet, unless the site file has another. */
  readonly local: IpAddress
  /** Ours of the other family on the same connection, if there is one. */
  readonly sibling: IpAddress | undefined
  /** Where the peer listens. */
  readonly port: number
  /** The largest packet on the connection. */
  readonly mtu: number
  /** TCP-MD5 (RFC 2385). */
  readonly password: string | undefined
  /** What must be left of the TTL of what comes (RFC 5082); 0, anything. */
  readonly ttlMin: number
  /** The TTL of what leaves. */
  readonly ttl: number
}

export interface SegmentSetup {
  readonly vni: number
  /** Where its forwarding nodes are reached. */
  readonly vip: IpAddress
  /** Ours on it, for which ARP and ND are answered. */
  readonly gateways: readonly IpAddress[]
}

export interface RelaySetup {
  readonly node: string
  /** In the underlay. */
  readonly address: IpAddress
  /** On every segment. */
  readonly mac: IpAddress
  readonly ways: readonly Way[]
  /** Whom the probes of this node watch. */
  readonly targets: readonly Way[]
  readonly segments: readonly SegmentSetup[]
  /** Forwarding nodes' own addresses: tunnels may begin there as well as at a VIP. */
  readonly nodes: readonly IpAddress[]
  /** All routing nodes, until it is said which of them live. */
  readonly members: readonly string[]
}

const GTSM_TTL = 255
/** A peer on the segment: what was meant for it must not be routed on, as BGP speakers have it for external peers. */
const LINK_TTL = 1
const TTL = 64

/**
 * Undefined where the node has nothing to relay: it is no node of the site's, or no tenant has a neighbour and none is
 * probed. `numbers`: those of a site file before.
 */
export function relaySetupOf(site: Site, node: string, numbers = new PeerNumbers()): RelaySetup | undefined {
  const nodes = site.routing?.nodes ?? []
  const own = nodes.find(({ name }) => name === node)
  if (!own) return undefined
  const tenants = new Map(site.tenants.map((tenant) => [tenant.name, tenant]))
  const unnumbered: Omit<Way, 'index' | 'number'>[] = []
  const talking = new Set<Tenant>()
  for (const neighbour of site.routing!.neighbours) {
    const tenant = neighbour.tenant === undefined ? undefined : tenants.get(neighbour.tenant)
    if (!tenant) continue
    unnumbered.push(wayTo(site, tenant, neighbour))
    talking.add(tenant)
  }
  const neighbours = unnumbered.length
  for (const [tenant, address] of probedBy(site, node, tenants)) {
    unnumbered.push(wayToTarget(tenant, address))
    talking.add(tenant)
  }
  if (unnumbered.length === 0) return undefined
  const places = numbers.assign(unnumbered.map((way) => ({ key: JSON.stringify(way), isPrefix: isPrefix(way.peers) })))
  const ways = unnumbered.map((way, i) => ({ ...way, ...places[i]! }))
  return {
    node,
    address: parseAddress(own.address)!,
    mac: macOf(site),
    ways: ways.slice(0, neighbours),
    targets: ways.slice(neighbours),
    segments: segmentsOf(site, talking),
    nodes: site.clusters.flatMap((cluster) => cluster.nodes.map(({ address }) => parseAddress(address)!)),
    members: nodes.map(({ name }) => name),
  }
}

function macOf({ gateway }: Site): Uint8Array {
  return Uint8Array.from(gateway.mac.split(':'), (byte) => Number.parseInt(byte, 16))
}

function isPrefix({ address, length }: Prefix): boolean {
  return length < address.length * 8
}

function wayTo(site: Site, tenant: Tenant, neighbour: Neighbour): Omit<Way, 'index' | 'number'> {
  const peers = peersOf(neighbour)
  const { connection, gateway } = connectionOf(tenant, peers)!
  const local = neighbour.local_address === undefined ? gateway : parseAddress(neighbour.local_address)!
  const hops = neighbour.ttl_security_hops
  return {
    neighbour: neighbour.name,
    tenant: tenant.name,
    vrf: tenant.vni,
    vni: connectionVni(tenant, connection),
    peers,
    local,
    sibling: gatewaysOf(connection).find(({ address }) => address.length !== local.length)?.address,
    port: neighbour.port,
    mtu: connection.mtu,
    password: neighbour.password,
    ttlMin: hops === undefined ? 0 : GTSM_TTL + 1 - hops,
    ttl: hops === undefined ? (isExternal(site, neighbour) ? LINK_TTL : TTL) : GTSM_TTL,
  }
}

/** Each address of a tenant's once. */
function probedBy(site: Site, node: string, tenants: ReadonlyMap<string, Tenant>): [tenant: Tenant, address: string][] {
  const { nodes, probes } = site.routing!
  const names = nodes.map(({ name }) => name)
  const probed = probes.flatMap((probe): [string, [Tenant, string]][] => {
    const tenant = probe.tenant === undefined ? undefined : tenants.get(probe.tenant)
    return tenant && nodeOfProbe(probe, names) === node ? [[`${tenant.name} ${probe.to}`, [tenant, probe.to]]] : []
  })
  return [...new Map(probed).values()]
}

function wayToTarget(tenant: Tenant, address: string): Omit<Way, 'index' | 'number'> {
  const bytes = parseAddress(address)!
  const peers = { address: bytes, length: bytes.length * 8 }
  const { connection, gateway } = connectionOf(tenant, peers)!
  return {
    ...{ neighbour: undefined, tenant: tenant.name, vrf: tenant.vni, vni: connectionVni(tenant, connection) },
    ...{ peers, local: gateway, sibling: undefined, port: 0, mtu: connection.mtu },
    ...{ password: undefined, ttlMin: 0, ttl: TTL },
  }
}

function peersOf({ address, prefix }: Neighbour): Prefix {
  if (address !== undefined) {
    const bytes = parseAddress(address)!
    return { address: bytes, length: bytes.length * 8 }
  }
  const { address: bytes, length } = parseInterface(prefix!)!
  return { address: masked(bytes, length), length }
}

/** The connection that has the subnet, and our address in it. The checks of the site file have seen that there is one. */
function connectionOf(tenant: Tenant, peers: Prefix): { connection: Connection; gateway: IpAddress } | undefined {
  for (const connection of tenant.connections)
    for (const { address, length } of gatewaysOf(connection))
      if (address.length === peers.address.length && length <= peers.length)
        if (equalBytes(masked(peers.address, length), masked(address, length))) return { connection, gateway: address }
  return undefined
}

function gatewaysOf(connection: Connection): Prefix[] {
  return connection.gateway.map((text) => parseInterface(text)!)
}

function isExternal({ routing }: Site, { as, as_range: range }: Neighbour): boolean {
  const own = routing!.as
  return range === undefined ? as !== own : own < range.from || own > range.to
}

function segmentsOf(site: Site, tenants: ReadonlySet<Tenant>): SegmentSetup[] {
  const vips = new Map(site.vips.map(({ name, address }) => [name, parseAddress(address)!]))
  const segments = new Map<number, { vni: number; vip: IpAddress; gateways: IpAddress[] }>()
  for (const tenant of tenants)
    for (const connection of tenant.connections) {
      const vni = connectionVni(tenant, connection)
      const segment = segments.get(vni) ?? { vni, vip: vips.get(tenant.vip)!, gateways: [] }
      segment.gateways.push(...gatewaysOf(connection).map(({ address }) => address))
      segments.set(vni, segment)
    }
  return [...segments.values()]
}
