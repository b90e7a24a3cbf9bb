/**
 * Checks of the routing module: its nodes, and tenants' neighbours, each of which is reached over a connection of its
 * tenant, from an address of ours there. Names and policies are check-policy.ts's.
 */

import {
  equalBytes,
  formatPrefix,
  type IpAddress,
  masked,
  type Prefix,
  parseAddress,
  parseInterface,
  prefixContains,
} from '../base/address.ts'
import { checkUsable } from './check-tenant.ts'
import { type Complain, each, Unique } from './complain.ts'
import type { Loose } from './loose.ts'
import type { Path } from './position.ts'
import { type Probe, TENANT_PROBE_BYTES_MAX } from './probe.ts'
import type { Neighbour, Routing } from './routing.ts'
import type { Site } from './site.ts'
import type { Connection, Tenant } from './tenant.ts'

const BGP_PORT = 179
const ANY = ['0.0.0.0', '::']
const NO_NODES = 'a tenant is spoken to by routing nodes, and routing.nodes has none'

export function checkRouting(site: Loose<Site>, complain: Complain): void {
  const { routing } = site
  if (!routing) return
  const tenants = new Unique<Loose<Tenant>>(complain)
  // Two of one name are told elsewhere.
  each(site.tenants, (tenant, i) => tenants.get(tenant.name) ?? tenants.add(tenant.name, ['tenants', i], tenant))
  const perTenant = new Map<string, Unique>()
  let hasTenants = false
  each(routing.neighbours, (neighbour, i) => {
    if (neighbour.tenant === undefined) return
    hasTenants = true
    const path = ['routing', 'neighbours', i]
    const tenant = tenants.refer('tenant', neighbour.tenant, [...path, 'tenant'])
    if ((routing.nodes?.length ?? 0) === 0) complain([...path, 'tenant'], NO_NODES)
    each(neighbour.families, (family, j) => {
      if (family.startsWith('vpn'))
        complain(
          [...path, 'families', j],
          "a tenant's routes are in one VRF: VPN routes come from neighbours without a tenant",
        )
    })
    const seen = perTenant.get(neighbour.tenant) ?? new Unique(complain)
    perTenant.set(neighbour.tenant, seen)
    const at = neighbour.address === undefined ? [...path, 'prefix'] : [...path, 'address']
    if (!seen.add(neighbour.address ?? neighbour.prefix, at, undefined) || !tenant) return
    checkNeighbour(tenant, neighbour, path, complain)
  })
  if (hasTenants) checkListeners(routing, complain)
  const probing = new Map<string, string | undefined>()
  each(routing.probes, (probe, i) => {
    const path = ['routing', 'probes', i]
    const tenant = probe.tenant && tenants.refer('tenant', probe.tenant, [...path, 'tenant'])
    if (probe.tenant !== undefined && (routing.nodes?.length ?? 0) === 0) complain([...path, 'tenant'], NO_NODES)
    if (!tenant) return
    checkProbe(tenant, probe, path, complain)
    const target = `${probe.tenant} ${probe.to}`
    const node = probe.node ?? routing.nodes?.[0]?.name
    if (probing.has(target) && probing.get(target) !== node)
      complain([...path, 'node'], `${probe.to} is probed by ${probing.get(target)}, and answers go to one node`)
    else probing.set(target, node)
  })
  each(routing.aggregates, ({ tenant }, i) => {
    if (tenant !== undefined) tenants.refer('tenant', tenant, ['routing', 'aggregates', i, 'tenant'])
  })
  const distinguishers = new Unique(complain)
  each(site.tenants, ({ vpn }, i) => {
    const at = ['tenants', i, 'vpn', 'route_distinguisher']
    if (vpn?.route_distinguisher !== undefined) distinguishers.add(vpn.route_distinguisher, at, undefined)
  })
}

/** Tenants' peers connect to an address of their own, which a listener on all addresses would leave none of. */
function checkListeners({ listen }: Loose<Routing>, complain: Complain): void {
  each(listen, ({ address, port }, i) => {
    if (port !== BGP_PORT || address === undefined || !ANY.includes(address)) return
    const advice = 'name the addresses to listen on'
    complain(['routing', 'listen', i, 'address'], `tenants' neighbours need port ${BGP_PORT} of other ones: ${advice}`)
  })
}

interface Place {
  readonly connection: Loose<Connection>
  readonly gateway: Prefix
}

function checkNeighbour(tenant: Loose<Tenant>, neighbour: Loose<Neighbour>, path: Path, complain: Complain): void {
  const { address, prefix, local_address: local } = neighbour
  const key = address === undefined ? 'prefix' : 'address'
  const text = address ?? prefix
  if (text === undefined) return
  const peers = peersOf(text)
  const place = checkPlace(tenant, text, [...path, key], complain)
  if (place && local !== undefined)
    checkLocal(place, parseAddress(local)!, peers.address, [...path, 'local_address'], complain)
}

/** Where on a connection of the tenant an address or a prefix is; undefined, and told, when it is on none. */
function checkPlace(tenant: Loose<Tenant>, text: string, at: Path, complain: Complain): Place | undefined {
  const peers = peersOf(text)
  const place = placeOf(tenant, peers)
  if (!place) {
    if (hasAllGateways(tenant)) complain(at, `${text} is in no subnet of a connection of tenant ${tenant.name}`)
    return undefined
  }
  const { gateway } = place
  if (parseAddress(text)) {
    if (equalBytes(gateway.address, peers.address)) complain(at, `${text} is our own address there`)
    else checkUsable(peers.address, gateway.length, at, complain)
  }
  return place
}

function checkProbe(tenant: Loose<Tenant>, probe: Loose<Probe>, path: Path, complain: Complain): void {
  const { to, from, icmp, udp, tcp, bandwidth } = probe
  if (from !== undefined)
    complain([...path, 'from'], "what is sent to a tenant comes from the gateway's address on the connection")
  if (tcp?.port === BGP_PORT) complain([...path, 'tcp', 'port'], 'the port of BGP is left to sessions')
  if (to === undefined) return
  const place = checkPlace(tenant, to, [...path, 'to'], complain)
  const is4 = parseAddress(to)!.length === 4
  const mtu = Math.min(place?.connection.mtu || TENANT_PROBE_BYTES_MAX, TENANT_PROBE_BYTES_MAX)
  const headers = (is4 ? 20 : 40) + 8
  for (const [key, bytes] of [
    ['icmp', icmp?.bytes && icmp.bytes + headers],
    ['udp', udp?.bytes && udp.bytes + headers],
    ['bandwidth', bandwidth?.bytes],
  ] as const)
    if ((bytes ?? 0) > mtu)
      complain([...path, key, 'bytes'], `packets of ${bytes} bytes do not fit: the connection has room for ${mtu}`)
}

/** Where forwarding nodes take packets for the gateway: its own addresses. */
function checkLocal({ connection }: Place, local: IpAddress, peer: IpAddress, at: Path, complain: Complain): void {
  const gateways = gatewaysOf(connection)
  if (gateways.some(({ address }) => equalBytes(address, local) && local.length === peer.length)) return
  const same = gateways.filter(({ address }) => address.length === peer.length)
  const has = same.map((one) => formatPrefix(one)).join(', ')
  complain(at, `connection ${connection.name} has no such gateway address; of this family it has ${has}`)
}

function peersOf(text: string): Prefix {
  const address = parseAddress(text)
  if (address) return { address, length: address.length * 8 }
  const { address: bytes, length } = parseInterface(text)!
  return { address: masked(bytes, length), length }
}

function placeOf(tenant: Loose<Tenant>, peers: Prefix): Place | undefined {
  for (const connection of tenant.connections ?? [])
    for (const gateway of connection ? gatewaysOf(connection) : []) {
      const subnet = { address: masked(gateway.address, gateway.length), length: gateway.length }
      if (gateway.length <= peers.length && prefixContains(subnet, peers.address))
        return { connection: connection!, gateway }
    }
  return undefined
}

function gatewaysOf({ gateway }: Loose<Connection>): Prefix[] {
  return (gateway ?? []).flatMap((text) => (text === undefined ? [] : [parseInterface(text)!]))
}

function hasAllGateways({ connections }: Loose<Tenant>): boolean {
  return connections?.every((one) => one?.gateway?.every((text) => text !== undefined)) ?? true
}
