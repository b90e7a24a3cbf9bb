/**
 * Routes of other families than IPv4 unicast, and IPv4 with IPv6 next hops: RFC 4760.
 *
 *   MP_REACH_NLRI     afi u16 | safi u8 | next hop's bytes u8 | next hop | 0 u8 | prefixes, to the end
 *   MP_UNREACH_NLRI   afi u16 | safi u8 | prefixes, to the end
 *
 * A next hop is an address; before it a route distinguisher of zero where the family is a VPN's (RFC 4364 section 4.3.2,
 * RFC 4659 section 3.2.1), behind a global IPv6 one a link-local one (RFC 2545 section 3). IPv4 routes may have IPv6
 * next hops where that was agreed on (RFC 8950 section 3).
 */

import type { Reader } from '../cursor.ts'
import { type AttributeContext, type AttributeFacts, OUTCOME } from './facts.ts'
import { FAMILY, familyOf, hasFamily, NO_FAMILY } from './family.ts'
import { UPDATE_ERROR } from './notification.ts'

/** RFC 7606 section 7.11: a next hop of a wrong length hides where the prefixes begin. */
export function checkMpReach(from: Reader, facts: AttributeFacts, context: AttributeContext): number {
  const family = familyOf(from.u16(), from.u8())
  const nextHopBytes = from.u8()
  const nextHopAt = from.at
  from.skip(nextHopBytes)
  from.u8()
  if (from.failed) return UPDATE_ERROR.optionalAttribute
  facts.mpReachNextHopAt = nextHopAt
  facts.mpReachNextHopBytes = nextHopBytes
  facts.mpReachNlriAt = from.at
  facts.mpReachNlriEnd = from.at + from.remaining
  // What was not agreed on is not looked at: its routes have no table to stand in.
  if (!hasFamily(context.families, family)) return 0
  facts.mpReachFamily = family
  if (!isNextHopLength(family, nextHopBytes, hasFamily(context.extendedNextHop, family)))
    return UPDATE_ERROR.optionalAttribute
  from.window(nextHopAt, nextHopAt + nextHopBytes)
  if (!isHost(from, family, nextHopBytes)) facts.judge(OUTCOME.withdraw, UPDATE_ERROR.invalidNextHop)
  return 0
}

export function checkMpUnreach(from: Reader, facts: AttributeFacts, context: AttributeContext): number {
  const family = familyOf(from.u16(), from.u8())
  if (from.failed) return UPDATE_ERROR.optionalAttribute
  facts.mpUnreachNlriAt = from.at
  facts.mpUnreachNlriEnd = from.at + from.remaining
  facts.mpUnreachFamily = hasFamily(context.families, family) ? family : NO_FAMILY
  return 0
}

function isNextHopLength(family: number, bytes: number, extended: boolean): boolean {
  switch (family) {
    case FAMILY.ipv4Unicast:
      return bytes === 4 || (extended && (bytes === 16 || bytes === 32))
    case FAMILY.ipv6Unicast:
      return bytes === 16 || bytes === 32
    case FAMILY.vpnv4:
      return bytes === 12 || (extended && (bytes === 24 || bytes === 48))
    default:
      return bytes === 24 || bytes === 48
  }
}

/** Neither unspecified nor a group. */
function isHost(from: Reader, family: number, bytes: number): boolean {
  if (family === FAMILY.vpnv4 || family === FAMILY.vpnv6) from.skip(8)
  const first = from.u32()
  if (bytes === 4 || bytes === 12) return first >= 0x0100_0000 && first < 0xe000_0000
  if (first >= 0xff00_0000) return false
  return first !== 0 || from.u32() !== 0 || from.u32() !== 0 || from.u32() !== 0
}
