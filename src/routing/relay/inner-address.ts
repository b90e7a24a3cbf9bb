/**
 * The addresses by which the kernel knows tenants' peers. Tenants' own overlap, so each peer has a number of its own, and
 * with it an address in a network that nobody uses: of IPv4's class E (RFC 1112 section 4), which Linux routes like any
 * other, and of one unique local prefix of IPv6 (RFC 4193). Number 1 is the TUN device itself. None of them ever leaves
 * this host: on the wire stand the tenant's.
 */

import type { IpAddress, Prefix } from '../../base/address.ts'

/** 28 bits are left for numbers. */
const NETWORK_4 = 0xf0000000
const LENGTH_4 = 4
/** "gate" after fd: fd67:6174::/32, and a number in the last 32 bits. */
const NETWORK_6 = 0xfd676174
const LENGTH_6 = 32

const OURS = 1

/** Of peers that the site file names, and of those that come from a prefix, by their slot. */
export const FIRST_NAMED = 2
export const FIRST_DYNAMIC = 1 << 20

export function innerAddress(number: number, length: number): IpAddress {
  const out = new Uint8Array(length)
  const view = new DataView(out.buffer)
  if (length === 4) view.setUint32(0, (NETWORK_4 | number) >>> 0)
  else {
    view.setUint32(0, NETWORK_6)
    view.setUint32(12, number)
  }
  return out
}

/** The number of the address at `at`, which is of `length` bytes; 0 when it is none of these. */
export function innerNumber(view: DataView, at: number, length: number): number {
  const first = view.getUint32(at)
  if (length === 4) return first >>> 28 === NETWORK_4 >>> 28 ? first & 0x0fffffff : 0
  if (first !== NETWORK_6 || view.getUint32(at + 4) !== 0 || view.getUint32(at + 8) !== 0) return 0
  return view.getUint32(at + 12)
}

export function innerNumberOf(address: IpAddress): number {
  return innerNumber(new DataView(address.buffer, address.byteOffset, address.length), 0, address.length)
}

/** The device's own address of a family, with the length of the network. */
export function ourInnerAddress(length: 4 | 16): Prefix {
  return { address: innerAddress(OURS, length), length: length === 4 ? LENGTH_4 : LENGTH_6 }
}
