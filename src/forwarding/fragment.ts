/**
 * IPv4 fragmentation (RFC 791 section 3.2) of a tenant's packet that may be fragmented and does not fit into its tunnel.
 * The tenant's own packet is cut, before the tunnel's headers are put on: the far host reassembles, not the tunnel's end.
 * To the books the packet is delivered here, and its fragments are originated.
 */

import { type Batch, DELIVERED } from '../dataplane/batch.ts'
import { Drop } from '../dataplane/drop.ts'
import { CHUNK_BYTES, type Frames, HEADROOM, NO_FRAME } from '../dataplane/frames.ts'
import { ETHERTYPE } from '../wire/ethernet.ts'
import { Fault } from '../wire/fault.ts'
import { IPV4_MORE_FRAGMENTS, ipv4, ipv4FragmentOffset, ipv4HeaderBytes, writeIpv4Checksum } from '../wire/ipv4.ts'
import type { Shared } from './shared.ts'

const CHUNK_ROOM = CHUNK_BYTES - HEADROOM
/** Fragment offsets count in these. */
const UNIT = 8
const PACKET_MAX = 65_535
/** Bit 7 of an option's type: it is copied into every fragment (RFC 791 section 3.1). */
const COPIED = 0x80

export class Fragmenter {
  readonly #shared: Shared

  constructor(shared: Shared) {
    this.#shared = shared
  }

  /** Sends the packet of row `row` in fragments of at most `mtu` bytes. Returns its verdict: delivered, or why it was dropped. */
  fragment(batch: Batch, row: number, mtu: number): number {
    const { frames, originated, pool } = this.#shared
    const view = frames.view
    const l3 = batch.l3[row]!
    const header = ipv4HeaderBytes(view, l3)
    const payload = ipv4.totalLength.get(view, l3) - header
    const piece = (Math.min(mtu, CHUNK_ROOM) - header) & ~(UNIT - 1)
    if (piece < UNIT) return Drop['too-big']
    // A fragment that would end behind the largest packet: cutting it further would wrap its offset round.
    if (ipv4FragmentOffset(view, l3) + payload > PACKET_MAX) return Fault['bad-header-length']
    const pieces = Math.ceil(payload / piece)
    if (pieces > originated.room || pieces > pool.free) return Drop['no-frames']
    const flags = ipv4.flagsFragment.get(view, l3)
    for (let done = 0; done < payload; done += piece) {
      const bytes = Math.min(piece, payload - done)
      const to = this.#shared.takeChunk()
      frames.bytes.copyWithin(to, l3, l3 + header)
      if (done > 0) blankUncopiedOptions(view, to, header)
      copyPiece(frames, batch, row, l3 + header + done, to + header, bytes)
      const more = done + bytes < payload ? IPV4_MORE_FRAGMENTS : 0
      ipv4.flagsFragment.set(view, to, (flags | more) + done / UNIT)
      ipv4.totalLength.set(view, to, header + bytes)
      writeIpv4Checksum(view, to)
      this.#shared.originate(batch.tenant[row]!, batch.hash[row]!, to, header + bytes, ETHERTYPE.ipv4)
    }
    return DELIVERED
  }
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

// From a place counted as if the frame were in one piece, out of whichever chunks of the chain it lies in.
function copyPiece(frames: Frames, batch: Batch, row: number, from: number, to: number, bytes: number): void {
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
