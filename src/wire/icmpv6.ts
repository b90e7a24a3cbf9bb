/**
 * ICMPv6, RFC 4443: echo (laid out as `icmpEcho`) and the errors that a gateway sends and learns from. Neighbour
 * discovery, which rides on it, is in `neighbour-discovery.ts`.
 */

import { checksum, checksumHolds, pseudoHeader6 } from './checksum.ts'
import { Fault } from './fault.ts'
import { header, u8, u16, u32 } from './header.ts'
import { PROTOCOL } from './ipv4.ts'
import { ipv6 } from './ipv6.ts'

export const icmpv6 = header('ICMPv6, RFC 4443 section 2.1', {
  type: u8,
  code: u8,
  checksum: u16,
  /** The MTU of packet too big, the pointer of parameter problem. */
  rest: u32,
})

export const ICMPV6_TYPE = {
  destinationUnreachable: 1,
  packetTooBig: 2,
  timeExceeded: 3,
  parameterProblem: 4,
  echoRequest: 128,
  echoReply: 129,
  routerSolicitation: 133,
  routerAdvertisement: 134,
  neighbourSolicitation: 135,
  neighbourAdvertisement: 136,
  redirect: 137,
} as const

/** Codes of destination unreachable. */
export const ICMPV6_UNREACHABLE = { noRoute: 0, administrativelyProhibited: 1, address: 3, port: 4 } as const

/** `ip` is the IPv6 header's place: the checksum covers its addresses. `end` is the IPv6 packet's. */
export function checkIcmpv6(frame: DataView, at: number, end: number, ip: number): number {
  if (at + icmpv6.BYTES > end) return Fault.truncated
  if (!checksumHolds(frame, at, end, pseudoHeader6(frame, ip, PROTOCOL.icmpv6, end - at))) return Fault['bad-checksum']
  if (isIcmpv6Error(icmpv6.type.get(frame, at)) && at + icmpv6.BYTES + ipv6.BYTES > end) return Fault.truncated
  return Fault.none
}

/** Errors, known or not, have types below 128, RFC 4443 section 2.1. They are never answered by errors. */
export function isIcmpv6Error(type: number): boolean {
  return type < 128
}

export function writeIcmpv6Checksum(frame: DataView, at: number, end: number, ip: number): void {
  icmpv6.checksum.set(frame, at, 0)
  icmpv6.checksum.set(frame, at, checksum(frame, at, end, pseudoHeader6(frame, ip, PROTOCOL.icmpv6, end - at)))
}
