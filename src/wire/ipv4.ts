/**
 * IPv4, RFC 791 section 3.1, with its options. Reassembly is not here: fragments are forwarded as they are. The TTL is
 * not judged here either, a packet whose TTL is 0 is well formed.
 */

import { checksum, fold, sum16, updated16 } from './checksum.ts'
import { Fault } from './fault.ts'
import { header, u8, u16, u32 } from './header.ts'

export const ipv4 = header('IPv4, RFC 791 section 3.1', {
  versionIhl: u8,
  tos: u8,
  totalLength: u16,
  id: u16,
  flagsFragment: u16,
  ttl: u8,
  protocol: u8,
  checksum: u16,
  source: u32,
  destination: u32,
})

/** IANA protocol-numbers: the `protocol` of IPv4 and the `nextHeader` of IPv6. */
export const PROTOCOL = {
  hopByHop: 0,
  icmp: 1,
  ipv4: 4,
  tcp: 6,
  udp: 17,
  ipv6: 41,
  routing: 43,
  fragment: 44,
  gre: 47,
  esp: 50,
  authentication: 51,
  icmpv6: 58,
  none: 59,
  destinationOptions: 60,
  sctp: 132,
} as const

/** In `flagsFragment`, RFC 791 section 3.1. */
export const IPV4_DONT_FRAGMENT = 0x4000
export const IPV4_MORE_FRAGMENTS = 0x2000
const FRAGMENT_OFFSET = 0x1fff

/** `versionIhl` of a header without options, by far the most. */
export const IPV4_PLAIN = 0x45

/** IANA ip-parameters, option types. The first two have no length. */
export const IPV4_OPTION = { end: 0, noOperation: 1, looseSourceRoute: 131, strictSourceRoute: 137 } as const

/** A whole packet: the header, and a total length that stays within `end`. What is behind the packet is padding. */
export function checkIpv4(frame: DataView, at: number, end: number): number {
  const fault = checkIpv4Header(frame, at, end)
  if (fault !== Fault.none) return fault
  return at + ipv4.totalLength.get(frame, at) > end ? Fault['bad-header-length'] : Fault.none
}

/** The header alone. For the packet that an ICMP error quotes, which may be cut short behind it. */
export function checkIpv4Header(frame: DataView, at: number, end: number): number {
  if (at + ipv4.BYTES > end) return Fault.truncated
  // Version, header length, TOS and total length in one read.
  const word = frame.getUint32(at)
  if (word >>> 28 !== 4) return Fault['bad-version']
  const bytes = (word >>> 22) & 0x3c
  if (bytes < ipv4.BYTES) return Fault['bad-header-length']
  if (at + bytes > end) return Fault.truncated
  if ((word & 0xffff) < bytes) return Fault['bad-header-length']
  if (headerSum(frame, at, bytes) !== 0xffff) return Fault['bad-checksum']
  return bytes === ipv4.BYTES ? Fault.none : checkOptions(frame, at + ipv4.BYTES, at + bytes)
}

function headerSum(frame: DataView, at: number, bytes: number): number {
  if (bytes !== ipv4.BYTES) return sum16(frame, at, at + bytes)
  const a = frame.getUint32(at)
  const b = frame.getUint32(at + 4)
  const c = frame.getUint32(at + 8)
  const d = frame.getUint32(at + 12)
  const e = frame.getUint32(at + 16)
  const high = (a >>> 16) + (b >>> 16) + (c >>> 16) + (d >>> 16) + (e >>> 16)
  return fold(high + (a & 0xffff) + (b & 0xffff) + (c & 0xffff) + (d & 0xffff) + (e & 0xffff))
}

function checkOptions(frame: DataView, at: number, end: number): number {
  let option = at
  while (option < end) {
    const type = frame.getUint8(option)
    if (type === IPV4_OPTION.end) break
    if (type === IPV4_OPTION.noOperation) {
      option += 1
      continue
    }
    if (option + 2 > end) return Fault['bad-option']
    const bytes = frame.getUint8(option + 1)
    if (bytes < 2 || option + bytes > end) return Fault['bad-option']
    option += bytes
  }
  return Fault.none
}

export function ipv4HeaderBytes(frame: DataView, at: number): number {
  return (ipv4.versionIhl.get(frame, at) & 0x0f) * 4
}

/** Where in the original packet's payload this one's begins, in bytes. */
export function ipv4FragmentOffset(frame: DataView, at: number): number {
  return (ipv4.flagsFragment.get(frame, at) & FRAGMENT_OFFSET) * 8
}

/** First, middle or last fragment. Only the first (offset 0) has an upper-layer header. */
export function isIpv4Fragment(frame: DataView, at: number): boolean {
  return (ipv4.flagsFragment.get(frame, at) & (IPV4_MORE_FRAGMENTS | FRAGMENT_OFFSET)) !== 0
}

export function hasDontFragment(frame: DataView, at: number): boolean {
  return (ipv4.flagsFragment.get(frame, at) & IPV4_DONT_FRAGMENT) !== 0
}

/** Where the first option of a type begins, 0 when there is none. */
export function ipv4Option(frame: DataView, at: number, type: number): number {
  const end = at + ipv4HeaderBytes(frame, at)
  let option = at + ipv4.BYTES
  while (option < end) {
    const found = frame.getUint8(option)
    if (found === type) return option
    if (found === IPV4_OPTION.end) return 0
    option += found === IPV4_OPTION.noOperation ? 1 : frame.getUint8(option + 1)
  }
  return 0
}

/** A route that the sender chose. Gateways that other tenants share refuse it, RFC 7126 sections 4.3 and 4.4. */
export function isSourceRouted(frame: DataView, at: number): boolean {
  if (ipv4.versionIhl.get(frame, at) === IPV4_PLAIN) return false
  return (
    ipv4Option(frame, at, IPV4_OPTION.looseSourceRoute) !== 0 ||
    ipv4Option(frame, at, IPV4_OPTION.strictSourceRoute) !== 0
  )
}

/** Takes one off a TTL that is above 0 and keeps the checksum right: the TTL is the upper half of its word. */
export function decrementTtl(frame: DataView, at: number): void {
  const ttl = ipv4.ttl.get(frame, at)
  ipv4.ttl.set(frame, at, ttl - 1)
  ipv4.checksum.set(frame, at, updated16(ipv4.checksum.get(frame, at), ttl << 8, (ttl - 1) << 8))
}

/** Sets the former TOS byte (DSCP and ECN) and keeps the checksum right. */
export function setTos(frame: DataView, at: number, tos: number): void {
  const before = frame.getUint16(at)
  ipv4.tos.set(frame, at, tos)
  ipv4.checksum.set(frame, at, updated16(ipv4.checksum.get(frame, at), before, frame.getUint16(at)))
}

export function writeIpv4Checksum(frame: DataView, at: number): void {
  ipv4.checksum.set(frame, at, 0)
  ipv4.checksum.set(frame, at, checksum(frame, at, at + ipv4HeaderBytes(frame, at)))
}
