/** In which form a session's peer gets routes: what follows from who it is and what it can do. */

import type { IpAddress } from '../../base/address.ts'
import { FAMILY, type Family } from '../../wire/bgp/family.ts'
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
  const nextHopSelf = isOurs ? nextHopFor(local, sibling, family) : undefined
  if (isOurs && !nextHopSelf) return undefined
  return {
    external,
    transparent: handling.routeServerClient,
    localAs: as,
    nextHopSelf,
    as4: negotiated.as4,
    clusterId,
    family,
    messageBytesMax: negotiated.sendBytesMax,
    addPath: (negotiated.addPathSend & (1 << family)) !== 0,
    classic: family === FAMILY.ipv4Unicast,
  }
}

/** Our address as MP_REACH_NLRI or NEXT_HOP has it; an IPv4 one is mapped for IPv6 routes (RFC 4291 section 2.5.5.2). */
function nextHopFor(local: IpAddress, sibling: IpAddress | undefined, family: Family): Uint8Array | undefined {
  const ours = [local, sibling]
  if (family === FAMILY.ipv4Unicast) return ours.find((address) => address?.length === 4)
  if (family !== FAMILY.ipv6Unicast) return undefined
  const mapped = Uint8Array.from([...new Uint8Array(10), 0xff, 0xff, ...local])
  return ours.find((address) => address?.length === 16) ?? mapped
}
