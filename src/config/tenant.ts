/** The schema of a tenant: how it reaches us, its virtual networks, and its routes between them. */

import { z } from 'zod'
import { formatAddress, parseAddress } from '../base/address.ts'
import { isPair } from './community-text.ts'
import {
  CONNECTION_MTU,
  CONNECTIONS_MAX,
  COST_MAX,
  GATEWAYS_MAX,
  GRE_KEY_MAX,
  MACHINES_MAX,
  PATH_PROBES_MAX,
  PEERS_MAX,
  ROUTE_TARGETS_MAX,
  STATIC_ROUTES_MAX,
  SUBNETS_MAX,
  TRAFFIC_POLICIES_MAX,
  VIA_MAX,
  VLAN_MAX,
  VPCS_MAX,
} from './limits.ts'
import { address, interfaceAddress, listOf, mac, mtu, name, port, prefix, vni, weight, whole } from './scalar.ts'
import { trafficPolicy } from './traffic-policy.ts'

/** A neighbour in a connection's subnet, written as its address alone or with what is known of it. */
const peer = z.union([
  address.transform((text): { address: string; mac?: string | undefined } => ({ address: text })),
  z.strictObject({ address, mac: mac.optional() }),
])

/** One attachment of a tenant's own network: a port of an edge switch, or a VLAN on it. */
export const connection = z.strictObject({
  name,
  switch: name,
  port,
  /** Frames with this tag; without it, those without one. */
  vlan: whole('VLAN', 1, VLAN_MAX).optional(),
  /** The tenant's, unless the connection is a segment of its own on a switch that has another. */
  vni: vni.optional(),
  /** Our addresses there, each with its subnet. All nodes answer for them. */
  gateway: listOf('gateway addresses', interfaceAddress, GATEWAYS_MAX).min(1, {
    error: 'a connection needs a gateway address',
  }),
  /** Neighbours that nodes keep resolved. */
  peers: listOf('peers', peer, PEERS_MAX).default([]),
  /** The largest IP packet that the tenant's wires take. Jumbo frames must be asked for: the port may take more than they. */
  mtu: mtu.default(CONNECTION_MTU),
  /** Of several ways to a prefix the one over the lowest preference is taken; those over the same one share its packets. */
  preference: whole('preference', 0, 65_535).default(100),
  /** Of what goes over it, in any unit, for tenants that steer by cost. */
  cost: whole('cost', 0, COST_MAX).default(0),
  /**
   * What they measure is the quality of the path over it: of several the best, for the path is not worse than the best that
   * it leads to. While all of them are down the path is the last choice, and for half a minute after.
   */
  probes: listOf('probes', name, PATH_PROBES_MAX).default([]),
})
export type Connection = z.output<typeof connection>

const addresses = z.union([address.transform((text) => [text]), listOf('addresses', address, GATEWAYS_MAX).min(1)])

export const machine = z.strictObject({
  name,
  /** One address or a list. */
  address: addresses,
  host: name,
  mac: mac.optional(),
})
export type Machine = z.output<typeof machine>

const subnet = z.strictObject({
  prefix,
  /** Our address in it, which nodes answer for where the host's payload is Ethernet. */
  gateway: address.optional(),
  /** All of the subnet is behind this host. Without it only the machines that are listed are reached. */
  host: name.optional(),
})

export const vpc = z.strictObject({
  name,
  /** GRE key, and VNI for hosts that speak VXLAN. By default the tenant's VNI. */
  key: whole('key', 1, GRE_KEY_MAX).optional(),
  subnets: listOf('subnets', subnet, SUBNETS_MAX).default([]),
  machines: listOf('machines', machine, MACHINES_MAX).default([]),
})
export type Vpc = z.output<typeof vpc>

/**
 * A next hop: an address in a connection's subnet, a machine's address, or a connection's name for all that is on it.
 */
const hop = z
  .string()
  .min(1)
  .transform((text) => {
    const bytes = parseAddress(text)
    return bytes ? formatAddress(bytes) : text
  })

export const via = z.union([
  hop.transform((text) => ({ to: text, weight: 1, backup: false })),
  z.strictObject({
    to: hop,
    weight: weight.default(1),
    /** Packets go there only while none of the others is up. */
    backup: z.boolean().default(false),
  }),
])
export type Via = z.output<typeof via>

const route = z.strictObject({
  prefix,
  /** Several share the packets by weight. */
  via: listOf('next hops', via, VIA_MAX).min(1, { error: 'a route needs a next hop' }).optional(),
  discard: z.literal(true, { error: 'discard can only be true' }).optional(),
  /** Into the VRF of this tenant, by its routes and policies: such as one with connections to the Internet. */
  vrf: name.optional(),
  /** A probe, or a neighbour with BFD: the route is withdrawn while that is down. */
  track: name.optional(),
})

/** As `65001:100`, `4200000001:7` or `192.0.2.1:7` (RFC 4364 section 4.2). */
const pair = z
  .string()
  .refine(isPair, { error: 'this is written as an AS number or an IPv4 address, and a number: 65001:100' })

/** How it takes part in VPNs of others' making, whose routes come from neighbours with the VPN families (RFC 4364). */
const vpn = z.strictObject({
  route_distinguisher: pair,
  /** Route targets: of routes that it takes, and that its own routes get. */
  import: listOf('route targets', pair, ROUTE_TARGETS_MAX).default([]),
  export: listOf('route targets', pair, ROUTE_TARGETS_MAX).default([]),
  /** The MPLS label that its routes are told with: 3, implicit null, where nobody looks at it (RFC 3032 section 2.1). */
  label: whole('label', 0, 2 ** 20 - 1).default(3),
})

/**
 * Prefixes of its VPCs that are reached from another tenant's VRF, such as from the Internet: that VRF has routes to the
 * machines in them, and its neighbours are told of the prefixes as they are written here.
 *
 *   - { name: internet, ..., connections: [{ name: isp, ... }] }
 *   - name: acme
 *     vpcs: [{ name: web, subnets: [{ prefix: 203.0.113.0/28 }], machines: [...] }]
 *     public: { vrf: internet, prefixes: [203.0.113.0/28] }
 *     routes: [{ prefix: 0.0.0.0/0, vrf: internet }]
 *
 * A packet is looked up in two VRFs at most, and is counted to the tenant that it came from, drops included.
 */
const publicPrefixes = z.strictObject({
  vrf: name,
  prefixes: listOf('prefixes', prefix, SUBNETS_MAX).min(1, { error: 'which prefixes?' }),
})

const criterion = z.enum(['latency', 'loss', 'bandwidth', 'cost'])
export type Criterion = z.output<typeof criterion>

/** A customer: one VRF, IPv4 and IPv6. */
export const tenant = z.strictObject({
  name,
  vni,
  vip: name,
  /**
   * By what it chooses among connections of the same preference: one criterion, or several of which the first decides that
   * finds one clearly better. Packets go over the best alone, and the others are its backups:
   *
   *   steer: [loss, latency]
   *   connections:
   *     - { name: mpls, ..., probes: [acme-mpls], cost: 10 }
   *     - { name: internet, ..., probes: [acme-internet] }
   *     - { name: lte, ..., probes: [acme-lte], preference: 200 }
   */
  steer: z
    .union([listOf('criteria', criterion, criterion.options.length), criterion.transform((one) => [one])])
    .default([]),
  connections: listOf('connections', connection, CONNECTIONS_MAX).default([]),
  vpcs: listOf('VPCs', vpc, VPCS_MAX).default([]),
  vpn: vpn.optional(),
  public: publicPrefixes.optional(),
  /** Which of its traffic goes by which of its connections; the first that matches decides (traffic-policy.ts). */
  policies: listOf('policies', trafficPolicy, TRAFFIC_POLICIES_MAX).default([]),
  routes: listOf('routes', route, STATIC_ROUTES_MAX).default([]),
})
export type Tenant = z.output<typeof tenant>
