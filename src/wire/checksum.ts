/**
 * The Internet checksum: the one's complement of the one's complement sum of 16-bit words, RFC 1071, its pseudo-headers
 * (RFC 9293 section 3.1 for IPv4, RFC 8200 section 8.1 for IPv6), and its incremental update, RFC 1624. Sums are kept
 * folded to 16 bits between calls, so the sums of pieces that start on even offsets of the whole simply add up.
 *
 * Two 16-bit words are read at once. Their halves go to two integer sums that cannot overflow 31 bits before 128 KB,
 * twice the largest IP packet.
 */

/** The folded sum, 0 to 0xffff, of the bytes from `at` up to `end`. An odd last byte counts as if a zero followed. */
export function sum16(frame: DataView, at: number, end: number): number {
  let high = 0
  let low = 0
  let i = at
  for (; i + 16 <= end; i += 16) {
    const a = frame.getUint32(i)
    const b = frame.getUint32(i + 4)
    const c = frame.getUint32(i + 8)
    const d = frame.getUint32(i + 12)
    high += (a >>> 16) + (b >>> 16) + (c >>> 16) + (d >>> 16)
    low += (a & 0xffff) + (b & 0xffff) + (c & 0xffff) + (d & 0xffff)
  }
  for (; i + 2 <= end; i += 2) low += frame.getUint16(i)
  if (i < end) low += frame.getUint8(i) << 8
  return fold(high + low)
}

/** Brings a sum of up to 2^32 - 1 back to 16 bits, carries added in. */
export function fold(sum: number): number {
  const once = (sum & 0xffff) + (sum >>> 16)
  return (once & 0xffff) + (once >>> 16)
}

/**
 * What belongs into a checksum field that was zero while `at` to `end` were summed. `pseudo` is a sum to begin with.
 */
export function checksum(frame: DataView, at: number, end: number, pseudo = 0): number {
  return ~fold(pseudo + sum16(frame, at, end)) & 0xffff
}

/** Whether bytes that contain their own checksum field add up. */
export function checksumHolds(frame: DataView, at: number, end: number, pseudo = 0): boolean {
  return fold(pseudo + sum16(frame, at, end)) === 0xffff
}

/** The sum over the pseudo-header of an upper-layer packet of `bytes` in the IPv4 packet whose header is at `ip`. */
export function pseudoHeader4(frame: DataView, ip: number, protocol: number, bytes: number): number {
  return fold(sum16(frame, ip + 12, ip + 20) + protocol + bytes)
}

/** The same for IPv6. The destination is the header's: right once a routing header is used up or absent. */
export function pseudoHeader6(frame: DataView, ip: number, protocol: number, bytes: number): number {
  return fold(sum16(frame, ip + 8, ip + 40) + protocol + bytes)
}

/** The checksum after a 16-bit word that it covers changed: HC' = ~(~HC + ~m + m'), RFC 1624 equation 3. */
export function updated16(checksum: number, before: number, after: number): number {
  return ~fold((~checksum & 0xffff) + (~before & 0xffff) + after) & 0xffff
}

/** The same for two words that stand together, such as an IPv4 address. */
export function updated32(checksum: number, before: number, after: number): number {
  const removed = (~before >>> 16) + (~before & 0xffff)
  return ~fold((~checksum & 0xffff) + removed + (after >>> 16) + (after & 0xffff)) & 0xffff
}
