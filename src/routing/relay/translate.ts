/**
 * Translation of one packet, in place: the tenant's addresses for those that the kernel knows the peer by, or the other way
 * round. Checksums are not made anew but brought up to date by what has changed (RFC 1624), so that one that was wrong
 * before is wrong after, and its receiver sees it.
 */

import type { IpAddress } from '../../base/address.ts'
import { pseudoHeader4, pseudoHeader6, updated16 } from '../../wire/checksum.ts'
import { icmpv6 } from '../../wire/icmpv6.ts'
import { ipv4, PROTOCOL } from '../../wire/ipv4.ts'
import { ipv6 } from '../../wire/ipv6.ts'
import { tcp } from '../../wire/tcp.ts'
import { udp } from '../../wire/udp.ts'

/** Where source and destination stand in an IP header, and how long one is. */
export function addressesAt(ip: number, addressBytes: number): number {
  return ip + (addressBytes === 4 ? ipv4.source.offset : ipv6.source.offset)
}

/** How long an IP header without options is. */
export function ipBytesFor(addressBytes: number): number {
  return addressBytes === 4 ? ipv4.BYTES : ipv6.BYTES
}

/** The sum of the pseudo-header of the packet at `ip`, whose payload has so many bytes. */
export function pseudoHeader(
  view: DataView,
  ip: number,
  addressBytes: number,
  protocol: number,
  bytes: number,
): number {
  return addressBytes === 4 ? pseudoHeader4(view, ip, protocol, bytes) : pseudoHeader6(view, ip, protocol, bytes)
}

/**
 * `before` and `after`: the folded sums of both addresses. `upper`: where TCP, UDP or ICMP begins; 0 leaves its checksum alone,
 * for it will be made anew.
 */
export function translate(
  view: DataView,
  ip: number,
  protocol: number,
  upper: number,
  source: IpAddress,
  destination: IpAddress,
  before: number,
  after: number,
): void {
  const bytes = new Uint8Array(view.buffer, view.byteOffset, view.byteLength)
  const at = addressesAt(ip, source.length)
  bytes.set(source, at)
  bytes.set(destination, at + source.length)
  if (source.length === 4) ipv4.checksum.set(view, ip, updated16(ipv4.checksum.get(view, ip), before, after))
  // ICMP's says nothing of addresses.
  if (upper === 0 || protocol === PROTOCOL.icmp) return
  if (protocol !== PROTOCOL.udp) {
    const { checksum } = protocol === PROTOCOL.tcp ? tcp : icmpv6
    checksum.set(view, upper, updated16(checksum.get(view, upper), before, after))
    return
  }
  // Only UDP has a meaning for 0, RFC 768: there is none.
  const sum = udp.checksum.get(view, upper)
  if (sum !== 0) udp.checksum.set(view, upper, updated16(sum, before, after) || 0xffff)
}

/** The TTL or hop limit, and the checksum of IPv4 with it. */
export function setTtl(view: DataView, ip: number, addressBytes: number, ttl: number): void {
  if (addressBytes === 16) {
    ipv6.hopLimit.set(view, ip, ttl)
    return
  }
  const before = ipv4.ttl.get(view, ip)
  ipv4.ttl.set(view, ip, ttl)
  ipv4.checksum.set(view, ip, updated16(ipv4.checksum.get(view, ip), before << 8, ttl << 8))
}

export function ttlOf(view: DataView, ip: number, addressBytes: number): number {
  return addressBytes === 4 ? ipv4.ttl.get(view, ip) : ipv6.hopLimit.get(view, ip)
}
