/**
 * ICMP and ICMPv6 errors about a packet that cannot go on: written into a fresh chunk, from the gateway's own address
 * to the packet's sender, quoting as much of it as the RFCs ask for. Who may be answered at all is decided here too
 * (RFC 1812 section 4.3.2.7, RFC 4443 section 2.4 e); how often is the caller's business.
 */

import { Fault } from '../wire/fault.ts'
import { icmp, icmpError, isIcmpError, writeIcmpChecksum } from '../wire/icmp.ts'
import { ICMPV6_TYPE, icmpv6, isIcmpv6Error, writeIcmpv6Checksum } from '../wire/icmpv6.ts'
import { IPV4_PLAIN, ipv4, ipv4FragmentOffset, ipv4HeaderBytes, PROTOCOL, writeIpv4Checksum } from '../wire/ipv4.ts'
import { FRAGMENT, ipv6, ipv6Walk, walkIpv6 } from '../wire/ipv6.ts'

/** RFC 1812 section 4.3.2.3: as much of the packet as fits without the error exceeding 576 bytes. */
const ERROR4_MAX = 576
/** RFC 4443 section 2.4 c: the smallest IPv6 MTU. */
const ERROR6_MAX = 1280

const OWN_TTL = 64
/** RFC 1812 section 4.3.2.5: internetwork control. */
const OWN_TOS = 0xc0

const walk = ipv6Walk()

/** May the sender of the IPv4 packet at `l3` be told of an error? `end` bounds what may be read. */
export function mayReportTo4(frame: DataView, l3: number, end: number): boolean {
  if (ipv4FragmentOffset(frame, l3) !== 0) return false
  if (isGroupOrBad4(ipv4.source.get(frame, l3)) || isGroupOrBad4(ipv4.destination.get(frame, l3))) return false
  if (ipv4.protocol.get(frame, l3) !== PROTOCOL.icmp) return true
  const l4 = l3 + ipv4HeaderBytes(frame, l3)
  return l4 < end && !isIcmpError(icmp.type.get(frame, l4))
}

/** Not one sender: groups, class E and broadcast, "this network", loopback. */
export function isGroupOrBad4(address: number): boolean {
  return address >= 0xe0000000 || address >>> 24 === 0 || address >>> 24 === 127
}

/**
 * May the sender of the IPv6 packet at `l3` be told? A packet to a group only when it is too big (path MTU discovery).
 */
export function mayReportTo6(frame: DataView, l3: number, end: number, tooBig: boolean): boolean {
  if (isGroupOrBad6(frame, l3 + ipv6.source.offset)) return false
  if (!tooBig && frame.getUint8(l3 + ipv6.destination.offset) === 0xff) return false
  if (walkIpv6(frame, l3, end, walk) !== Fault.none) return false
  if (walk.fragment === FRAGMENT.later) return false
  if (walk.protocol !== PROTOCOL.icmpv6) return true
  if (walk.at >= end) return false
  const type = frame.getUint8(walk.at)
  return !isIcmpv6Error(type) && type !== ICMPV6_TYPE.redirect
}

/** Groups, the unspecified address and loopback. */
export function isGroupOrBad6(frame: DataView, at: number): boolean {
  if (frame.getUint8(at) === 0xff) return true
  const zeros = frame.getUint32(at) === 0 && frame.getUint32(at + 4) === 0 && frame.getUint32(at + 8) === 0
  return zeros && frame.getUint32(at + 12) <= 1
}

/**
 * Writes the error at `to` about the IPv4 packet at `l3`, of which `bytes` are there to be quoted. `mtu` is for
 * fragmentation needed (RFC 1191), otherwise 0. Returns the length of the IPv4 packet written; its source address is
 * `source`.
 */
export function writeIcmpError(
  bytes: Uint8Array,
  frame: DataView,
  to: number,
  l3: number,
  available: number,
  type: number,
  code: number,
  mtu: number,
  source: number,
): number {
  const headers = ipv4.BYTES + icmpError.BYTES
  const quoted = Math.min(available, ERROR4_MAX - headers)
  const total = headers + quoted
  bytes.fill(0, to, to + headers)
  ipv4.versionIhl.set(frame, to, IPV4_PLAIN)
  ipv4.tos.set(frame, to, OWN_TOS)
  ipv4.totalLength.set(frame, to, total)
  ipv4.ttl.set(frame, to, OWN_TTL)
  ipv4.protocol.set(frame, to, PROTOCOL.icmp)
  ipv4.source.set(frame, to, source)
  ipv4.destination.set(frame, to, ipv4.source.get(frame, l3))
  writeIpv4Checksum(frame, to)
  const error = to + ipv4.BYTES
  icmpError.type.set(frame, error, type)
  icmpError.code.set(frame, error, code)
  icmpError.nextHopMtu.set(frame, error, mtu)
  bytes.copyWithin(to + headers, l3, l3 + quoted)
  writeIcmpChecksum(frame, error, to + total)
  return total
}

/**
 * The same for IPv6. The caller writes the source address at `to + ipv6.source.offset` before; `rest` is the MTU or 0.
 */
export function writeIcmpv6Error(
  bytes: Uint8Array,
  frame: DataView,
  to: number,
  l3: number,
  available: number,
  type: number,
  code: number,
  rest: number,
): number {
  const headers = ipv6.BYTES + icmpv6.BYTES
  const quoted = Math.min(available, ERROR6_MAX - headers)
  ipv6.versionClassFlow.set(frame, to, 0x60000000 | (OWN_TOS << 20))
  ipv6.payloadLength.set(frame, to, icmpv6.BYTES + quoted)
  ipv6.nextHeader.set(frame, to, PROTOCOL.icmpv6)
  ipv6.hopLimit.set(frame, to, OWN_TTL)
  bytes.copyWithin(to + ipv6.destination.offset, l3 + ipv6.source.offset, l3 + ipv6.source.offset + 16)
  const error = to + ipv6.BYTES
  icmpv6.type.set(frame, error, type)
  icmpv6.code.set(frame, error, code)
  icmpv6.rest.set(frame, error, rest)
  bytes.copyWithin(to + headers, l3, l3 + quoted)
  writeIcmpv6Checksum(frame, error, to + headers + quoted, to)
  return headers + quoted
}
