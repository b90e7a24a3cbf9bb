/**
 * Prefixes on the wire (network layer reachability information): a length in bits and as many bytes as it takes, RFC
 * 4271 section 4.3; behind a path identifier where RFC 7911 was agreed on; and for VPN routes behind a label and a route
 * distinguisher, which the length counts too (RFC 8277 section 2, RFC 4364 section 4.3.4):
 *
 *   [path id u32] | bits u8 | [label u24 | distinguisher 8 bytes] | address, (bits + 7) / 8 bytes
 *
 * A loop over prefixes allocates nothing:
 *
 *   from.window(parts.nlriAt, parts.nlriEnd)
 *   while (from.remaining > 0) {
 *     const pathId = addPath ? from.u32() : 0
 *     const length = from.u8()
 *     const address = readPrefix4(from, length)
 *     ...
 *   }
 *
 * `checkAttributes` has walked over all of them before (`checkNlri`), so that such a loop cannot fail half-way.
 */

import type { Reader } from '../cursor.ts'
import { families } from './family.ts'

/** Of IPv4's and IPv6's own: bits of an address. */
const BITS4 = 32
const BITS6 = 128
/** A label and a route distinguisher, in bits. */
const VPN_BITS = 88

/** The address of a prefix of so many bits, bits behind the prefix zeroed; in the failed state 0. */
export function readPrefix4(from: Reader, length: number): number {
  if (length > 24) {
    if (length > BITS4) from.fail()
    return (from.u32() & (-1 << (BITS4 - length))) >>> 0
  }
  if (length > 16) return (((from.u16() << 16) | (from.u8() << 8)) & (-1 << (BITS4 - length))) >>> 0
  if (length > 8) return ((from.u16() << 16) & (-1 << (BITS4 - length))) >>> 0
  return length > 0 ? ((from.u8() << 24) & (-1 << (BITS4 - length))) >>> 0 : 0
}

/** Into the four words, first bits first. */
export function readPrefix6(from: Reader, length: number, into: Uint32Array): void {
  if (length > BITS6) from.fail()
  into[0] = readWord(from, length)
  into[1] = readWord(from, length - 32)
  into[2] = readWord(from, length - 64)
  into[3] = readWord(from, length - 96)
}

// 32 bits of a longer prefix, of which `length` are left.
function readWord(from: Reader, length: number): number {
  if (length <= 0) return 0
  return length >= 32 ? from.u32() : readPrefix4(from, length)
}

/** A VPN prefix as it was read last; one object is reused. */
export class VpnPrefix {
  /** The 20 bits of the label. What a withdrawal carries here means nothing (RFC 8277 section 2.4). */
  label = 0
  /** The route distinguisher. */
  distinguisherHigh = 0
  distinguisherLow = 0
  /** In bits, of the address alone. */
  length = 0
  /** Of VPNv4. */
  address4 = 0
  /** Of VPNv6. */
  readonly words = new Uint32Array(4)
}

/** `length` is the whole one of the wire. */
export function readVpn4(from: Reader, length: number, into: VpnPrefix): void {
  readVpnHead(from, length, into)
  into.address4 = readPrefix4(from, into.length)
}

export function readVpn6(from: Reader, length: number, into: VpnPrefix): void {
  readVpnHead(from, length, into)
  readPrefix6(from, into.length, into.words)
}

// One label, whatever its bottom-of-stack bit says: more are sent only to who asked for them (RFC 8277 section 2.2).
function readVpnHead(from: Reader, length: number, into: VpnPrefix): void {
  if (length < VPN_BITS) from.fail()
  into.label = (from.u16() << 4) | (from.u8() >>> 4)
  into.distinguisherHigh = from.u32()
  into.distinguisherLow = from.u32()
  into.length = from.failed ? 0 : length - VPN_BITS
}

/** Whether the bytes between are prefixes of the family to the last (RFC 7606 section 5.3). */
export function checkNlri(from: Reader, at: number, end: number, family: number, addPath: boolean): boolean {
  const row = families[family]!
  const bitsMin = row.headBits
  const bitsMax = row.headBits + row.addressBits
  from.window(at, end)
  while (from.remaining > 0) {
    if (addPath) from.skip(4)
    const length = from.u8()
    if (length < bitsMin || length > bitsMax) return false
    from.skip((length + 7) >>> 3)
  }
  return !from.failed
}

/** Not of 0.0.0.0/8, and neither a group nor reserved: a next hop can be this. */
export function isHost4(address: number): boolean {
  return address >= 0x0100_0000 && address < 0xe000_0000
}
