/**
 * Why a packet was dropped: one reason a drop, one row a reason, a sentence for people. The numbering starts with the
 * faults of `wire/fault.ts`, so that a check's result is a drop reason as it stands. New rows go to the end: the
 * numbers are columns of the counters.
 */

import { type FaultName, faults } from '../wire/fault.ts'

const reasons = [
  ['not-ip', 'the outer frame is neither IPv4 nor IPv6'],
  ['not-a-tunnel', 'the outer packet is neither VXLAN nor GRE'],
  [
    'outer-fragment',
    'the tunnel packet itself is a fragment; tunnel endpoints do not reassemble (RFC 7348 section 4.3)',
  ],
  ['unknown-vni', 'no tenant has this VNI'],
  ['unknown-key', 'no VPC has this GRE key, or the key is missing'],
  ['unknown-remote', 'the outer source is not a tunnel endpoint that may send for this VNI or key'],
  ['inner-vlan', 'the inner frame carries a VLAN tag (RFC 7348 section 6.1)'],
  ['not-for-gateway', 'the inner Ethernet destination is neither the gateway nor a group'],
  ['unknown-ethertype', 'the inner payload is neither ARP, IPv4 nor IPv6'],
  ['multicast', 'an IP group address; the gateway routes unicast only'],
  ['martian-source', 'the inner source address cannot be a sender (unspecified, loopback, a group)'],
  [
    'ecn-mismatch',
    'congestion was marked on a tunnel around a packet that cannot carry the mark (RFC 6040 section 4.2)',
  ],
  ['ttl-exceeded', 'the TTL or hop limit ran out here'],
  ['no-route', 'no route in the tenant to this destination'],
  ['discard-route', 'the route says discard'],
  ['neighbour-unresolved', 'the next hop has not answered ARP or neighbour discovery'],
  ['underlay-unresolved', 'the kernel has no route or neighbour to the tunnel endpoint'],
  ['group-empty', 'no member of the group is alive'],
  ['group-loop', 'groups that lead to groups, deeper than is allowed'],
  ['too-big', 'larger than the path and not to be fragmented; ICMP says so to the sender'],
  ['no-listener', 'sent to an address of the gateway, and nothing listens there'],
  ['arp-ignored', 'an ARP packet that asks for nobody here'],
  ['nd-ignored', 'a neighbour discovery message that asks for nobody here'],
  ['icmp-rate', 'the reply would exceed the rate limit for ICMP'],
  ['port-full', 'the transmit ring of the port was full'],
  ['port-down', 'the port is down'],
  ['no-frames', 'no free frame buffer'],
  ['dispatch-full', 'the queue to the worker of this flow was full'],
  ['chain-too-long', 'a frame of more chunks than a jumbo frame has'],
  ['head-too-short', 'the headers do not lie in the first chunk of the frame'],
  ['unknown-vlan', 'no attachment for this VLAN on this port'],
  ['unknown-vip', 'the attachment leads to a VIP without a route'],
  ['same-port', 'the destination is behind the port that it came from'],
  ['no-attachment', 'nothing is attached to this VNI here'],
  ['link-local', 'link-local addresses do not leave their link (RFC 4291 section 2.5.6)'],
  ['actions-exhausted', 'the node has no room for another next hop'],
  ['injected-loss', 'a fault-injecting port lost it on purpose'],
  ['link-control', 'a frame of the link itself (spanning tree, LACP, LLDP, pause), which no bridge passes on'],
  ['routing-rate', 'more BGP or BFD from the tenant than a routing node is to take'],
  ['site-loop', 'it came from another site, and the only way on is to another site'],
  ['policy-discard', 'a policy of the tenant says discard'],
  ['policy-no-way', 'none of the connections that a policy of the tenant allows is up and leads there'],
  ['vrf-loop', 'a route leads into the VRF of another tenant, and from there on to a third'],
] as const

export type DropName = FaultName | (typeof reasons)[number][0]

/** Row `code` describes drop reason `code`; row 0 is "none". */
export const dropReasons: readonly (readonly [DropName, string])[] = [...faults, ...reasons]

export const Drop = Object.fromEntries(dropReasons.map(([name], code) => [name, code])) as {
  readonly [Name in DropName]: number
}

/** How often each reason was met, a line each, those last that were not. */
export function reasonsMet(drops: Partial<Record<DropName, number>>): string[] {
  const counts = dropReasons.slice(1).map(([name]) => [name, drops[name] ?? 0] as const)
  return counts.toSorted(([, a], [, b]) => b - a).map(([name, count]) => `${name} ${count}`)
}
