/** In which form a session's peer gets routes: what follows from who it is and what it can do. */

import type { IpAddress } from '../../base/address.ts'
import { FAMILY, type Family, hasFamily } from '../../wire/bgp/family.ts'
import type { RouteSettings, SessionUp } from './messages.ts'
import type { ExportForm } from './rib/attribute-rewriter.ts'

/** Undefined when routes of the family cannot be told to the peer, because there is no next hop to give them. */
export function exportFormOf(
  { local, sibling, negotiated, handling }: SessionUp,
  family: Family,
  { as, clusterId }: RouteSettings,
): ExportForm | undefined {
  const { external } = negotiated
  const isOurs = external ? !handling.routeServerClient && !handling.nextHopUnchanged : handling.nextHopSelf
  const extendedNextHop = hasFamily(negotiated.extendedNextHop, family)
  const ours = nextHopFor([local, sibling], family, extendedNextHop)
  const nextHopSelf = isOurs ? ours : undefined
  if (isOurs && !nextHopSelf) return undefined
  return {
    external,
    transparent: handling.routeServerClient,
    localAs: as,
    overriddenAs: external && handling.asOverride ? negotiated.remoteAs : 0,
    nextHopSelf,
    ours,
    as4: negotiated.as4,
    clusterId,
    family,
    messageBytesMax: negotiated.sendBytesMax,
    addPath: hasFamily(negotiated.addPathSend, family) ? handling.addPathSend : 0,
    extendedNextHop,
  }
}

/**
 * Our address as MP_REACH_NLRI or NEXT_HOP has it. An IPv4 one is mapped for IPv6 routes (RFC 4291 section 2.5.5.2), and
 * IPv4 routes have an IPv6 one only where that was agreed on (RFC 8950). VPN routes have a route distinguisher of zeros
 * before it (RFC 4364 section 4.3.2, RFC 4659 section 3.2.1).
 */
function nextHopFor(
  ours: readonly (IpAddress | undefined)[],
  family: Family,
  extended: boolean,
): IpAddress | undefined {
  const four = ours.find((address) => address?.length === 4)
  const six = ours.find((address) => address?.length === 16)
  const isIpv4 = family === FAMILY.ipv4Unicast || family === FAMILY.vpnv4
  const mapped = four && Uint8Array.from([...new Uint8Array(10), 0xff, 0xff, ...four])
  const address = isIpv4 ? (four ?? (extended ? six : undefined)) : (six ?? mapped)
  if (!address || family === FAMILY.ipv4Unicast || family === FAMILY.ipv6Unicast) return address
  return Uint8Array.from([...new Uint8Array(8), ...address])
}
