/**
 * Where a packet ends, its frame ends: what is behind (Ethernet pads what is short) must not travel on in the next
 * tunnel.
 */

import type { Batch } from './batch.ts'
import type { FramePool } from './frames.ts'

/**
 * Ends the frame of a row before byte `end`, counted as if it were in one piece. Returns up to where it may be read.
 */
export function trim(pool: FramePool, batch: Batch, row: number, end: number): number {
  const address = batch.address[row]!
  const length = batch.length[row]!
  const total = batch.total[row]!
  const wanted = end - address
  if (wanted < total) {
    batch.length[row] = total === length ? wanted : pool.shorten(address, length, total, wanted)
    batch.total[row] = wanted
  }
  return Math.min(end, address + batch.length[row]!)
}
