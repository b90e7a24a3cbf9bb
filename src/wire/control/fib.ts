/**
 * What the control module tells the forwarding nodes of a cluster: the tenants that they hold, next hops, and routes
 * that name next hops. Nothing in it refers to anything outside of it. The control module has resolved every next hop
 * as far as the site is known; what remains to the node is what only packets can tell: neighbours' MAC addresses (ARP,
 * ND) and the underlay (the kernel's routes).
 *
 * A batch is a snapshot, which replaces all that a node holds, or the difference from generation `base` to
 * `generation`. It is applied in this order: tenants, next hops, routes, then removed next hops and removed tenants; so
 * nothing ever names what is not there. A removed tenant takes its segments and routes with it; its next hops are
 * named. Whoever obeys it refuses an `epoch` below one that it has seen.
 */

import {
  address,
  appended,
  column32,
  flag,
  list,
  type MessageValue,
  mac,
  message,
  optional,
  record,
  text,
  u8,
  u16,
  u32,
  u53,
  type Value,
  variant,
  word,
} from './codec.ts'
import { routes4, routes6 } from './columns.ts'

/** An address that a node answers for (ARP or ND, ping) on a segment, with the subnet that is on the segment. */
const fibInterface = record({ address, length: u8, mac })
export type FibInterface = Value<typeof fibInterface>

/** A neighbour that nodes keep resolved, or need not because its MAC address is given. */
const fibPeer = record({ address, mac: optional(mac) })
export type FibPeer = Value<typeof fibPeer>

/** A tunnel endpoint of a VPC. */
const fibHost = record({
  address,
  tunnel: word('gre', 'vxlan'),
  /** What the tunnel carries. VXLAN always carries Ethernet. */
  payload: word('ip', 'ethernet'),
})
export type FibHost = Value<typeof fibHost>

/** Which routing node has the BGP and BFD of a neighbour (without `peer`, of all who are not named), or probes an address. */
const fibSession = record({ peer: optional(address), speaker: address })
export type FibSession = Value<typeof fibSession>

/** Where a tenant's packets come from and go to: the wire behind a connection, or a VPC. Ids are unique in the site. */
const fibSegment = variant({
  /**
   * A tenant's own site behind `remote`, the VTEP of an edge switch. `mtu` is the largest IP packet there, 0 for any.
   * `speakers` are routing nodes, which send for the gateway here; `sessions` say what is theirs of what it is sent, and
   * `probes` to whom answers to what they ask go.
   */
  connection: {
    id: u32,
    name: text,
    vni: u32,
    remote: address,
    mtu: u16,
    interfaces: list(fibInterface),
    peers: list(fibPeer),
    speakers: appended(list(address), []),
    sessions: appended(list(fibSession), []),
    probes: appended(list(fibSession), []),
  },
  /**
   * Machines behind hosts. `key` is GRE's key and VXLAN's VNI. Packets with it from any other source are not the VPC's.
   */
  vpc: { id: u32, name: text, key: u32, hosts: list(fibHost), interfaces: list(fibInterface) },
  /**
   * The same tenant at another site, behind the gateway there: `remotes` are the tunnel endpoints that may send for it, and
   * what they send is addressed to `mac`, which is ours. It leaves by ways of this site only, so no packet goes in circles.
   */
  site: { id: u32, name: text, vni: u32, remotes: list(address), mtu: u16, mac },
})
export type FibSegment = Value<typeof fibSegment>

const fibPrefix = record({ address, length: u8 })
const fibPorts = record({ from: u16, to: u16 })

/** One combination of what a policy matches; what is not said may be anything. */
const fibRule = record({
  source: optional(fibPrefix),
  destination: optional(fibPrefix),
  protocol: optional(u8),
  sourcePorts: optional(fibPorts),
  destinationPorts: optional(fibPorts),
  dscp: optional(u8),
})
export type FibRule = Value<typeof fibRule>

/** Which of a tenant's packets to its own networks go by which of its connections. */
const fibPolicy = record({
  name: text,
  rules: list(fibRule),
  /** The number by which next hops of the kind `policy` know the way; 0: packets are dropped. */
  way: u32,
  /** Of the way: connections' segments in the order of preference, or all alike. */
  segments: column32,
  balanced: flag,
  /** Packets are dropped where the way is none. */
  only: flag,
})
export type FibPolicy = Value<typeof fibPolicy>

export const fibTenant = record({
  id: u32,
  name: text,
  /**
   * The outer source of what nodes of this cluster send for the tenant. They accept packets to any VIP that they serve.
   */
  vip: address,
  segments: list(fibSegment),
  /** The first one that a packet matches decides. They take effect after the routes of the batch. */
  policies: appended(list(fibPolicy), []),
})
export type FibTenant = Value<typeof fibTenant>

const whose = { id: u32, tenant: u32 }
const member = record({ nextHop: u32, weight: u16 })
const way = record({ way: u32, nextHop: u32 })

/** Ids count from 1 and are unique in the site. An id that comes again replaces what it stood for. */
export const nextHop = variant({
  /** A neighbour on a connection's segment, by VXLAN to the switch it is behind; or the gateway of another site. */
  peer: { ...whose, segment: u32, vni: u32, remote: address, address, mac: optional(mac), mtu: u16 },
  /**
   * A machine of a VPC on its host. Without `address` it is any machine on this host: with an Ethernet payload the
   * packet's destination is then resolved on the segment at this host. `mtu` is the host's, 0 for what the path allows.
   */
  host: {
    ...whose,
    segment: u32,
    tunnel: word('gre', 'vxlan'),
    payload: word('ip', 'ethernet'),
    key: u32,
    remote: address,
    address: optional(address),
    mac: optional(mac),
    mtu: u16,
  },
  /** The packet's destination is itself a neighbour on the connection's segment. */
  connected: { ...whose, segment: u32, vni: u32, remote: address, mtu: u16 },
  /** One of our own interface addresses on the segment. */
  local: { ...whose, segment: u32 },
  discard: { ...whose },
  /** Equal-cost paths: flows are spread over the members that are up, by weight. Members are no groups. */
  group: { ...whose, members: list(member) },
  /**
   * A primary and its backups, by their ids in the order of preference (RFC 5714): the first one that is up takes all. Where
   * none is, the first one. Members are no failovers. Where `choice` is not empty, it says what there was to choose from: the
   * same choice is the same next hop, whatever order its members have now.
   */
  failover: { ...whose, members: column32, choice: appended(text, '') },
  /**
   * What the tenant's policies choose from: `ordinary`, and the ways to the same destination by other connections, as far as
   * there are any. It is no member of anything. `choice` is as that of a failover.
   */
  policy: { ...whose, ordinary: u32, ways: list(way), choice: text },
  /**
   * The packet's destination is looked up once more, in the VRF of the tenant `into`. What leads on from there to a third is
   * lost.
   */
  vrf: { ...whose, into: u32 },
  /** As `host`, of the tenant `owner`, whose segment it is. */
  public: {
    ...whose,
    segment: u32,
    tunnel: word('gre', 'vxlan'),
    payload: word('ip', 'ethernet'),
    key: u32,
    remote: address,
    address: optional(address),
    mac: optional(mac),
    mtu: u16,
    owner: u32,
  },
})
export type NextHop = Value<typeof nextHop>

/** A next hop that stands for others. */
export type GroupNextHop = Extract<NextHop, { kind: 'group' | 'failover' | 'policy' }>

export function isGroup(hop: NextHop): hop is GroupNextHop {
  return hop.kind === 'group' || hop.kind === 'failover' || hop.kind === 'policy'
}

/** The ids of those that it stands for. */
export function membersOf(hop: GroupNextHop): number[] {
  if (hop.kind === 'failover') return [...hop.members]
  if (hop.kind === 'policy') return [hop.ordinary, ...hop.ways.map(({ nextHop: id }) => id)]
  return hop.members.map(({ nextHop: id }) => id)
}

const LEVELS: Partial<Record<NextHop['kind'], number>> = { group: 1, failover: 2, policy: 3 }
export const LEVEL_MAX = 3

/** Those of a lower level come first, so that nothing names what is not there: groups name hops, failovers both, policies all. */
export function levelOf({ kind }: NextHop): number {
  return LEVELS[kind] ?? 0
}

export const fibBatch = message(
  'FIB batch',
  2,
  {
    cluster: text,
    epoch: u53,
    generation: u53,
    /** The generation that a difference starts from. */
    base: u53,
    snapshot: flag,
    tenants: list(fibTenant),
    removedTenants: column32,
    nextHops: list(nextHop),
    removedNextHops: column32,
    /** `tables` are tenant ids, grouped; `nextHops` ids of next hops, 0 where the route goes. */
    routes4,
    routes6,
  },
  {
    /**
     * Of a difference: tenants of which it says all, as a snapshot does of all tenants. What it does not name of them is gone.
     * A reader that does not know the field takes over what is named.
     */
    whole: column32,
  },
  ({ tenants, nextHops }) => {
    // Older readers do not know what leads to other tenants, policies, other sites, or failovers.
    if (nextHops.some(({ kind }) => kind === 'vrf' || kind === 'public')) return 5
    if (tenants.some(({ policies }) => policies.length > 0) || nextHops.some(({ kind }) => kind === 'policy')) return 4
    if (tenants.some(({ segments }) => segments.some(({ kind }) => kind === 'site'))) return 3
    return nextHops.some(({ kind }) => kind === 'failover') ? 2 : 1
  },
)
export type FibBatch = MessageValue<typeof fibBatch>
