/**
 * IPv4 fragmentation (RFC 791 section 3.2) of a tenant's packet that may be fragmented and does not fit into its tunnel.
 * The tenant's own packet is cut, before the tunnel's headers are put on: the far host reassembles, not the tunnel's end.
 * The packet becomes its own first fragment, and the others are originated.
 */

import { type Batch, FORWARD } from '../dataplane/batch.ts'
import { Drop } from '../dataplane/drop.ts'
import { CHUNK_BYTES, type Frames, HEADROOM, NO_FRAME } from '../dataplane/frames.ts'
import { trim } from '../dataplane/trim.ts'
import { ETHERTYPE } from '../wire/ethernet.ts'
import { Fault } from '../wire/fault.ts'
import { IPV4_MORE_FRAGMENTS, ipv4, ipv4FragmentOffset, ipv4HeaderBytes, writeIpv4Checksum } from '../wire/ipv4.ts'
import type { Shared } from './shared.ts'

const CHUNK_ROOM = CHUNK_BYTES - HEADROOM
/** Fragment offsets count in these, in both versions of IP. */
export const FRAGMENT_UNIT = 8
const PACKET_MAX = 65_535
/** Bit 7 of an option's type: it is copied into every fragment (RFC 791 section 3.1). */
const COPIED = 0x80

export class Fragmenter {
  readonly #shared: Shared

  constructor(shared: Shared) {
    this.#shared = shared
  }

  /** Cuts the packet of the row to `mtu` bytes and sends the rest after it. Returns its verdict: forward, or why not. */
  fragment(batch: Batch, row: number, mtu: number): number {
    const { frames, pool, columns } = this.#shared
    const view = frames.view
    const l3 = batch.l3[row]!
    const header = ipv4HeaderBytes(view, l3)
    const payload = ipv4.totalLength.get(view, l3) - header
    const piece = (Math.min(mtu, CHUNK_ROOM) - header) & ~(FRAGMENT_UNIT - 1)
    if (piece < FRAGMENT_UNIT) return Drop['too-big']
    // A fragment that would end behind the largest packet: cutting it further would wrap its offset round.
    if (ipv4FragmentOffset(view, l3) + payload > PACKET_MAX) return Fault['bad-header-length']
    if (Math.ceil(payload / piece) - 1 > pool.free) return Drop['no-frames']
    for (let done = piece; done < payload; done += piece) {
      const bytes = Math.min(piece, payload - done)
      const to = this.#shared.takeChunk()
      frames.bytes.copyWithin(to, l3, l3 + header)
      blankUncopiedOptions(view, to, header)
      copyPiece(frames, batch, row, l3 + header + done, to + header, bytes)
      finish(view, to, done, header + bytes, done + bytes < payload)
      this.#shared.originate(batch.tenant[row]!, batch.hash[row]!, to, header + bytes, ETHERTYPE.ipv4)
    }
    finish(view, l3, 0, header + piece, true)
    columns.end[row] = l3 + header + piece
    columns.readable[row] = trim(pool, batch, row, columns.end[row]!)
    return FORWARD
  }
}

// What has been a fragment before keeps its offset and that there are more, and the pieces count from there.
function finish(view: DataView, at: number, offset: number, bytes: number, more: boolean): void {
  const flags = ipv4.flagsFragment.get(view, at) | (more ? IPV4_MORE_FRAGMENTS : 0)
  ipv4.flagsFragment.set(view, at, flags + offset / FRAGMENT_UNIT)
  ipv4.totalLength.set(view, at, bytes)
  writeIpv4Checksum(view, at)
}

// What is not to be copied becomes no-operations, so that the header keeps its length.
function blankUncopiedOptions(view: DataView, at: number, header: number): void {
  let option = at + ipv4.BYTES
  const end = at + header
  while (option < end) {
    const type = view.getUint8(option)
    if (type === 0) return
    const bytes = type === 1 ? 1 : view.getUint8(option + 1)
    if ((type & COPIED) === 0) for (let i = 0; i < bytes; i++) view.setUint8(option + i, 1)
    option += bytes
  }
}

/** From a place counted as if the frame were in one piece, out of whichever chunks of the chain it lies in. */
export function copyPiece(frames: Frames, batch: Batch, row: number, from: number, to: number, bytes: number): void {
  let chunk = batch.address[row]!
  let length = batch.length[row]!
  let skip = from - chunk
  let copied = 0
  while (copied < bytes && chunk !== NO_FRAME) {
    const take = Math.min(bytes - copied, length - skip)
    if (take > 0) {
      frames.bytes.copyWithin(to + copied, chunk + skip, chunk + skip + take)
      copied += take
      skip += take
    }
    if (copied === bytes) return
    skip -= length
    length = frames.nextLength(chunk)
    chunk = frames.nextAddress(chunk)
  }
}
