/**
 * GRE, RFC 2784, with the key and the sequence number of RFC 2890. The optional fields come in this order, each of four
 * bytes, as the flags tell: checksum and reserved, key, sequence number. Routing (RFC 1701) and PPTP's version 1 are
 * refused.
 */

import { checksum, checksumHolds } from './checksum.ts'
import { Fault } from './fault.ts'
import { header, u16 } from './header.ts'

export const gre = header('GRE, RFC 2784 section 2.1', {
  flagsVersion: u16,
  protocol: u16,
})

export const GRE_FLAG = { checksum: 0x8000, key: 0x2000, sequence: 0x1000 } as const

const VERSION = 0x0007
/** Bits 1, 4 and 5: a receiver must discard a packet that has one, RFC 2784 section 2.3 as RFC 2890 leaves it. */
const MUST_BE_ZERO = 0x4c00

/** Covers the checksum too, where there is one: up to `end`, so `end` is the IP packet's and not the frame's. */
export function checkGre(frame: DataView, at: number, end: number): number {
  const fault = checkGreHeader(frame, at, end)
  if (fault !== Fault.none) return fault
  const flags = gre.flagsVersion.get(frame, at)
  return (flags & GRE_FLAG.checksum) !== 0 && !checksumHolds(frame, at, end) ? Fault['bad-checksum'] : Fault.none
}

/** The header alone, for a packet that does not lie in one piece. */
export function checkGreHeader(frame: DataView, at: number, end: number): number {
  if (at + gre.BYTES > end) return Fault.truncated
  const flags = gre.flagsVersion.get(frame, at)
  if ((flags & VERSION) !== 0) return Fault['bad-version']
  if ((flags & MUST_BE_ZERO) !== 0) return Fault['reserved-bits']
  return at + greHeaderBytes(flags) > end ? Fault.truncated : Fault.none
}

/** The length of a header with these flags, 4 to 16. */
export function greHeaderBytes(flagsVersion: number): number {
  return gre.BYTES + (((flagsVersion >>> 15) & 1) + ((flagsVersion >>> 13) & 1) + ((flagsVersion >>> 12) & 1)) * 4
}

/** The key, or -1 without one. */
export function greKey(frame: DataView, at: number): number {
  const flags = gre.flagsVersion.get(frame, at)
  if ((flags & GRE_FLAG.key) === 0) return -1
  return frame.getUint32(at + gre.BYTES + ((flags >>> 15) & 1) * 4)
}

/** The sequence number, or -1 without one. */
export function greSequence(frame: DataView, at: number): number {
  const flags = gre.flagsVersion.get(frame, at)
  if ((flags & GRE_FLAG.sequence) === 0) return -1
  return frame.getUint32(at + greHeaderBytes(flags) - 4)
}

/** For a header whose checksum flag is set: the sum over header and payload. */
export function writeGreChecksum(frame: DataView, at: number, end: number): void {
  frame.setUint32(at + gre.BYTES, 0)
  frame.setUint16(at + gre.BYTES, checksum(frame, at, end))
}
