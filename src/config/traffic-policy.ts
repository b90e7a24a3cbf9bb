/**
 * The schema of a tenant's policies: which of its traffic goes by which of its connections.
 *
 *   policies:
 *     - { name: voice, match: { dscp: [ef, cs5] }, by: [mpls, internet] }
 *     - { name: backup, match: { protocol: tcp, destination_port: 873 }, by: [internet, lte], balanced: true, only: true }
 *     - { name: no-telnet, match: { protocol: tcp, destination_port: 23 }, discard: true }
 *
 * The first one that a packet matches decides, whatever becomes of it. They are about packets on their way to the tenant's
 * own networks: those whose route leads to a connection. Packets to machines, to the gateway, and what the gateway itself
 * sends (ICMP errors, BGP, BFD) are none of theirs.
 *
 * A policy says by which connections a packet goes, and the routes say how: a connection is a way to a destination if the
 * route for it, the longest prefix there is, has a next hop on that connection. It need not be the best one: routes that were
 * learnt from the connection and have lost to others count.
 */

import { z } from 'zod'
import { CONNECTIONS_MAX, POLICY_ALTERNATIVES_MAX } from './limits.ts'
import { range, some } from './policy.ts'
import { name, prefix, whole } from './scalar.ts'

/** IANA, assigned Internet protocol numbers. */
const protocolNames = { icmp: 1, tcp: 6, udp: 17, gre: 47, esp: 50, ah: 51, icmpv6: 58, sctp: 132 } as const

/** Those that carry ports where TCP has them (RFC 9260 section 3.1 for SCTP). */
export const PROTOCOLS_WITH_PORTS: readonly number[] = [protocolNames.tcp, protocolNames.udp, protocolNames.sctp]

/** RFC 2474 section 4.2.2, RFC 2597 section 6, RFC 3246, RFC 5865. */
const dscpNames = {
  ...{ cs0: 0, cs1: 8, cs2: 16, cs3: 24, cs4: 32, cs5: 40, cs6: 48, cs7: 56 },
  ...{ af11: 10, af12: 12, af13: 14, af21: 18, af22: 20, af23: 22, af31: 26, af32: 28, af33: 30 },
  ...{ af41: 34, af42: 36, af43: 38, ef: 46, 'voice-admit': 44 },
}

/** A number, or its name. */
function named<const Names extends Readonly<Record<string, number>>>(what: string, max: number, names: Names) {
  return z.union([
    whole(what, 0, max),
    z.enum(Object.keys(names) as (keyof Names & string)[]).transform((word) => names[word as string] as number),
  ])
}

const port = range('port', 65_535)

/** All that is said must hold, and of a list one: what is not said may be anything. */
const match = z.strictObject({
  source: some('prefixes', prefix, POLICY_ALTERNATIVES_MAX).optional(),
  destination: some('prefixes', prefix, POLICY_ALTERNATIVES_MAX).optional(),
  /** Of IPv6 what comes after the extension headers; a packet whose headers cannot be followed has none. */
  protocol: some('protocols', named('protocol', 255, protocolNames), POLICY_ALTERNATIVES_MAX).optional(),
  /**
   * Of TCP, UDP and SCTP. What has no ports matches no policy that asks for them, and neither does any fragment, not even the
   * first, which has them: so all fragments of a packet go the same way.
   */
  source_port: some('ports', port, POLICY_ALTERNATIVES_MAX).optional(),
  destination_port: some('ports', port, POLICY_ALTERNATIVES_MAX).optional(),
  /** Of the tenant's packet, not of the tunnel's. */
  dscp: some('DSCPs', named('DSCP', 63, dscpNames), POLICY_ALTERNATIVES_MAX).optional(),
})
export type TrafficMatch = z.output<typeof match>

export const trafficPolicy = z.strictObject({
  name,
  match: match.default({}),
  /**
   * The first of these connections that is up and a way to the destination takes the packet. Where none is, the packet goes
   * by its ordinary route. A connection whose probes are all down is not up, nor for half a minute after.
   */
  by: some('connections', name, CONNECTIONS_MAX).optional(),
  /** All of them that are up share the packets, flow by flow. */
  balanced: z.boolean().default(false),
  /** Where none of them is up and a way, the packet is dropped, and counted as `policy-no-way`. */
  only: z.boolean().default(false),
  /** The packet is dropped, and counted as `policy-discard`. */
  discard: z.literal(true, { error: 'discard can only be true' }).optional(),
})
export type TrafficPolicy = z.output<typeof trafficPolicy>

/** How many combinations of one alternative each there are, which is what nodes look through. */
export function rulesOf({ source, destination, protocol, source_port, destination_port, dscp }: TrafficMatch): number {
  const lists = [source, destination, protocol, source_port, destination_port, dscp]
  return lists.reduce((product, list) => product * (list?.length ?? 1), 1)
}
