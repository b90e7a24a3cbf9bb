/**
 * IPv6, RFC 8200: the fixed header, and a bounded walk over extension headers to what they carry. Options inside of
 * hop-by-hop and destination headers are not judged, a router that knows none of them passes them on (RFC 8200 section
 * 4.8 as operators read it, RFC 9098). Jumbograms (RFC 2675) are not known.
 */

import { Fault } from './fault.ts'
import { header, ip6, u8, u16, u32 } from './header.ts'
import { PROTOCOL } from './ipv4.ts'

export const ipv6 = header('IPv6, RFC 8200 section 3', {
  versionClassFlow: u32,
  payloadLength: u16,
  nextHeader: u8,
  hopLimit: u8,
  source: ip6,
  destination: ip6,
})

export const ipv6Extension = header('IPv6 hop-by-hop, routing and destination options, RFC 8200 sections 4.3 to 4.6', {
  nextHeader: u8,
  /** In units of 8 bytes, the first 8 not counted. */
  extensionLength: u8,
})

export const ipv6Fragment = header('IPv6 fragment header, RFC 8200 section 4.5', {
  nextHeader: u8,
  reserved: u8,
  /** 13 bits of offset in units of 8 bytes, 2 reserved, more fragments. */
  offsetMore: u16,
  id: u32,
})

export const authenticationHeader = header('Authentication Header, RFC 4302 section 2', {
  nextHeader: u8,
  /** In units of 4 bytes, the first 8 not counted. */
  payloadLength: u8,
  reserved: u16,
  spi: u32,
  sequence: u32,
})

/** The smallest MTU that every IPv6 link has, RFC 8200 section 5. */
export const IPV6_MTU_MIN = 1280

/**
 * RFC 8200 section 4.1 orders seven, none twice but one. More is an attack on who walks them (RFC 8504 section 5.3).
 */
const EXTENSIONS_MAX = 8

/** `Ipv6Walk.fragment`. An atomic fragment, first and last at once, is whole (RFC 6946). */
export const FRAGMENT = { none: 0, first: 1, later: 2 } as const

/** Where a walk ended. One object is made once and written by every walk. */
export interface Ipv6Walk {
  /** The upper-layer protocol; of a later fragment, of what it is a piece. */
  protocol: number
  /** Where it begins. */
  at: number
  /** Where the header before it names it. */
  namedAt: number
  /** One of FRAGMENT. */
  fragment: number
}

export function ipv6Walk(): Ipv6Walk {
  return { protocol: PROTOCOL.none, at: 0, namedAt: 0, fragment: FRAGMENT.none }
}

/** A whole packet: the fixed header, and a payload length that stays within `end`. What is behind it is padding. */
export function checkIpv6(frame: DataView, at: number, end: number): number {
  const fault = checkIpv6Header(frame, at, end)
  if (fault !== Fault.none) return fault
  return ipv6End(frame, at) > end ? Fault['bad-header-length'] : Fault.none
}

/** The fixed header alone. For the packet that an ICMPv6 error quotes, which may be cut short behind it. */
export function checkIpv6Header(frame: DataView, at: number, end: number): number {
  if (at + ipv6.BYTES > end) return Fault.truncated
  return frame.getUint8(at) >>> 4 === 6 ? Fault.none : Fault['bad-version']
}

/** Where the packet ends. */
export function ipv6End(frame: DataView, at: number): number {
  return at + ipv6.BYTES + ipv6.payloadLength.get(frame, at)
}

/**
 * Walks the headers between the fixed one, checked before, and the upper layer, and writes `walk`. Returns a fault when
 * they are malformed or do not end before `end`: a first fragment must hold them all (RFC 7112).
 */
export function walkIpv6(frame: DataView, at: number, end: number, walk: Ipv6Walk): number {
  let protocol = ipv6.nextHeader.get(frame, at)
  let here = at + ipv6.BYTES
  let namedAt = at + ipv6.nextHeader.offset
  walk.fragment = FRAGMENT.none
  for (let extensions = 0; isExtension(protocol); extensions++) {
    if (extensions === EXTENSIONS_MAX) return Fault['bad-option']
    if (protocol === PROTOCOL.hopByHop && extensions > 0) return Fault['bad-option']
    if (here + 8 > end) return Fault.truncated
    const next = frame.getUint8(here)
    namedAt = here
    if (protocol === PROTOCOL.fragment) {
      const offsetMore = ipv6Fragment.offsetMore.get(frame, here)
      here += ipv6Fragment.BYTES
      if (offsetMore >>> 3 !== 0) {
        walk.protocol = next
        walk.at = here
        walk.namedAt = namedAt
        walk.fragment = FRAGMENT.later
        return Fault.none
      }
      if ((offsetMore & 1) !== 0) walk.fragment = FRAGMENT.first
    } else {
      const units = frame.getUint8(here + 1)
      here += protocol === PROTOCOL.authentication ? (units + 2) * 4 : (units + 1) * 8
      if (here > end) return Fault['bad-header-length']
    }
    protocol = next
  }
  walk.protocol = protocol
  walk.at = here
  walk.namedAt = namedAt
  return Fault.none
}

function isExtension(protocol: number): boolean {
  return (
    protocol === PROTOCOL.hopByHop ||
    protocol === PROTOCOL.routing ||
    protocol === PROTOCOL.fragment ||
    protocol === PROTOCOL.destinationOptions ||
    protocol === PROTOCOL.authentication
  )
}

/** DSCP and ECN, as in IPv4's TOS byte. */
export function trafficClass(frame: DataView, at: number): number {
  return (ipv6.versionClassFlow.get(frame, at) >>> 20) & 0xff
}

export function setTrafficClass(frame: DataView, at: number, trafficClass: number): void {
  const word = ipv6.versionClassFlow.get(frame, at)
  ipv6.versionClassFlow.set(frame, at, (word & 0xf00fffff) | (trafficClass << 20))
}

export function flowLabel(frame: DataView, at: number): number {
  return ipv6.versionClassFlow.get(frame, at) & 0xfffff
}
