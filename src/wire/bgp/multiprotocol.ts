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

import { formatAddress } from '../../base/address.ts'
import type { Reader } from '../cursor.ts'
import { type AttributeRow, attribute, CODE_MP_REACH, CODE_MP_UNREACH, OPTIONAL } from './attribute-row.ts'
import { type AttributeContext, type AttributeFacts, OUTCOME } from './facts.ts'
import { FAMILY, familyName, familyOf, hasFamily, NO_FAMILY, SAFI } from './family.ts'
import { UPDATE_ERROR } from './notification.ts'
import { isHost4 } from './prefix.ts'

export interface MpReach {
  readonly afi: number
  readonly safi: number
  /** As it stands there, distinguisher and link-local address included. */
  readonly nextHop: Uint8Array
  /** Prefixes as bytes: nlri.ts reads them. */
  readonly nlri: Uint8Array
}

export interface MpUnreach {
  readonly afi: number
  readonly safi: number
  readonly nlri: Uint8Array
}

export const mpReach: AttributeRow<MpReach> = attribute(CODE_MP_REACH, {
  name: 'MP_REACH_NLRI',
  flags: OPTIONAL,
  malformed: 'session-reset', // RFC 7606 section 7.11, of its two choices
  check: checkMpReach,
  read(from) {
    const afi = from.u16()
    const safi = from.u8()
    const nextHop = from.bytes(from.u8())
    from.u8()
    return { afi, safi, nextHop, nlri: from.bytes(from.remaining) }
  },
  write(out, { afi, safi, nextHop, nlri }) {
    out.u16(afi)
    out.u8(safi)
    out.u8(nextHop.length)
    out.bytes(nextHop)
    out.u8(0)
    out.bytes(nlri)
  },
  print: ({ afi, safi, nextHop, nlri }) =>
    `${familyName(afi, safi)} via ${formatNextHop(safi, nextHop)}, ${nlri.length} bytes of prefixes`,
})

export const mpUnreach: AttributeRow<MpUnreach> = attribute(CODE_MP_UNREACH, {
  name: 'MP_UNREACH_NLRI',
  flags: OPTIONAL,
  malformed: 'session-reset', // RFC 7606 section 5.3
  check: checkMpUnreach,
  read: (from) => ({ afi: from.u16(), safi: from.u8(), nlri: from.bytes(from.remaining) }),
  write(out, { afi, safi, nlri }) {
    out.u16(afi)
    out.u8(safi)
    out.bytes(nlri)
  },
  print: ({ afi, safi, nlri }) => `${familyName(afi, safi)}, ${nlri.length} bytes of prefixes`,
})

const DISTINGUISHER_BYTES = 8

/** Of a next hop of so many bytes, those of the route distinguisher before its address. */
export function nextHopHeadBytes(nextHopBytes: number): number {
  return nextHopBytes === 12 || nextHopBytes === 24 || nextHopBytes === 48 ? DISTINGUISHER_BYTES : 0
}

/** The addresses without what stands before them; bytes where there are no such addresses. */
export function formatNextHop(safi: number, nextHop: Uint8Array): string {
  const each = safi === SAFI.vpn ? DISTINGUISHER_BYTES : 0
  const addressBytes = nextHop.length === each + 4 ? 4 : 16
  const size = each + addressBytes
  if (nextHop.length === 0 || nextHop.length % size !== 0) return `0x${Buffer.from(nextHop).toString('hex')}`
  const addresses: string[] = []
  for (let at = each; at < nextHop.length; at += size)
    addresses.push(formatAddress(nextHop.slice(at, at + addressBytes)))
  return addresses.join(' ')
}

/** RFC 7606 section 7.11: a next hop of a wrong length hides where the prefixes begin. */
function checkMpReach(from: Reader, facts: AttributeFacts, context: AttributeContext): number {
  const family = familyOf(from.u16(), from.u8())
  const nextHopBytes = from.u8()
  const nextHopAt = from.at
  from.skip(nextHopBytes)
  from.u8()
  if (from.failed) return UPDATE_ERROR.optionalAttribute
  facts.mpReachAt = facts.attributeAt
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

function checkMpUnreach(from: Reader, facts: AttributeFacts, context: AttributeContext): number {
  const family = familyOf(from.u16(), from.u8())
  if (from.failed) return UPDATE_ERROR.optionalAttribute
  facts.mpUnreachAt = facts.attributeAt
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
  if (bytes === 4 || bytes === 12) return isHost4(first)
  if (first >= 0xff00_0000) return false
  return first !== 0 || from.u32() !== 0 || from.u32() !== 0 || from.u32() !== 0
}
