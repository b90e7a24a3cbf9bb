/**
 * ICMP, RFC 792: echo, and the errors that a gateway sends and learns from, with the next hop's MTU (RFC 1191) and the
 * length of the quoted datagram (RFC 4884).
 */

import { checksum, checksumHolds } from './checksum.ts'
import { Fault } from './fault.ts'
import { header, u8, u16, u32 } from './header.ts'
import { ipv4 } from './ipv4.ts'

export const icmp = header('ICMP, RFC 792', {
  type: u8,
  code: u8,
  checksum: u16,
  rest: u32,
})

export const icmpEcho = header('ICMP echo, RFC 792; ICMPv6 echo, RFC 4443 section 4', {
  type: u8,
  code: u8,
  checksum: u16,
  identifier: u16,
  sequence: u16,
})

/** In front of the datagram that the error is about, from its IP header on. */
export const icmpError = header('ICMP error, RFC 792, RFC 1191 section 4, RFC 4884 section 4', {
  type: u8,
  code: u8,
  checksum: u16,
  /** Parameter problem only. */
  pointer: u8,
  /** Of the quoted datagram in 32-bit words where extensions follow it, otherwise 0. */
  quotedLength: u8,
  /** Destination unreachable, fragmentation needed only. */
  nextHopMtu: u16,
})

export const ICMP_TYPE = {
  echoReply: 0,
  destinationUnreachable: 3,
  redirect: 5,
  echoRequest: 8,
  timeExceeded: 11,
  parameterProblem: 12,
} as const

/** Codes of destination unreachable. */
export const ICMP_UNREACHABLE = {
  network: 0,
  host: 1,
  protocol: 2,
  port: 3,
  fragmentationNeeded: 4,
  administrativelyProhibited: 13,
} as const

/** Deprecated by RFC 6633, yet an error. */
const SOURCE_QUENCH = 4

/** The quoted datagram is padded to at least this where extensions follow it, RFC 4884 section 4. */
const EXTENDED_QUOTE_MIN = 128

/** `end` is the IP packet's: the checksum covers all of it. */
export function checkIcmp(frame: DataView, at: number, end: number): number {
  if (at + icmp.BYTES > end) return Fault.truncated
  if (!checksumHolds(frame, at, end)) return Fault['bad-checksum']
  if (!isIcmpError(icmp.type.get(frame, at))) return Fault.none
  if (at + icmpError.BYTES + ipv4.BYTES > end) return Fault.truncated
  return hasQuotedLength(frame, at) ? checkQuotedLength(frame, at, end) : Fault.none
}

// Redirect's second word is a gateway's address.
function hasQuotedLength(frame: DataView, at: number): boolean {
  return icmp.type.get(frame, at) !== ICMP_TYPE.redirect && icmpError.quotedLength.get(frame, at) !== 0
}

function checkQuotedLength(frame: DataView, at: number, end: number): number {
  const bytes = icmpError.quotedLength.get(frame, at) * 4
  return bytes < EXTENDED_QUOTE_MIN || at + icmpError.BYTES + bytes > end ? Fault['bad-header-length'] : Fault.none
}

/** Errors are never answered by errors, RFC 1812 section 4.3.2.7. */
export function isIcmpError(type: number): boolean {
  return (
    type === ICMP_TYPE.destinationUnreachable ||
    type === ICMP_TYPE.timeExceeded ||
    type === ICMP_TYPE.parameterProblem ||
    type === ICMP_TYPE.redirect ||
    type === SOURCE_QUENCH
  )
}

/** Where the quoted datagram of an error ends: before extensions, where there are any. */
export function quoteEnd(frame: DataView, at: number, end: number): number {
  return hasQuotedLength(frame, at) ? at + icmpError.BYTES + icmpError.quotedLength.get(frame, at) * 4 : end
}

export function writeIcmpChecksum(frame: DataView, at: number, end: number): void {
  icmp.checksum.set(frame, at, 0)
  icmp.checksum.set(frame, at, checksum(frame, at, end))
}
