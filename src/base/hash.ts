/**
 * 32-bit mixing for flow hashes and hash tables. Fast and well spread; not against an attacker who chooses the keys.
 */

/**
 * MurmurHash3's finaliser: every input bit reaches every output bit. Returns a signed 32-bit number: an unsigned one of
 * 2^31 or more lies on the heap wherever a call is not inlined, which was ten objects a packet.
 */
export function mix32(value: number): number {
  let h = value ^ (value >>> 16)
  h = Math.imul(h, 0x85ebca6b)
  h ^= h >>> 13
  h = Math.imul(h, 0xc2b2ae35)
  return h ^ (h >>> 16)
}

/** Maps a 32-bit hash onto 0 .. buckets - 1 without a division, by its upper bits. buckets is at most 65,536. */
export function bucketOf(hash: number, buckets: number): number {
  return ((hash >>> 16) * buckets) >>> 16
}
