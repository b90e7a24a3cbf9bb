/**
 * A worker's side of the FIB: longest-prefix match, by reading only. Every entry on the way is read once and followed, so
 * a lookup meets each change either before or after it was made. What it follows stays what it is until the worker's next
 * quiescent point (qsbr.ts). VRF numbers are below the memory's `vrfs`; nothing here looks.
 */

import { blockOf, DIRECT, isSlot, NODE, ROOTS, WIDE } from './layout.ts'
import { type FibMemory, wordsOf } from './memory.ts'
import { TableGroup } from './table-group.ts'
import { searchTable4, searchTable6 } from './table-search.ts'

/** Addresses that are looked up side by side: some 20 cache misses are under way at a time, and the columns stay in L1. */
const STRIDE = 256

const WIDE_NODE = NODE | WIDE
const DIRECT_NODE = WIDE_NODE | DIRECT
/** No block begins there. */
const NONE = 0

export class FibReader {
  readonly #words: Int32Array
  // For the batches: which word to read next; for IPv6 also of which row, and how far its address has been followed.
  readonly #at = new Int32Array(STRIDE)
  readonly #rows = new Int32Array(STRIDE)
  readonly #bytes = new Int32Array(STRIDE)
  readonly #tables = new TableGroup(STRIDE)

  constructor(memory: FibMemory) {
    this.#words = wordsOf(memory)
  }

  /** The slot of the longest prefix that contains the address, an unsigned number; 0 when there is none. */
  lookup4(vrf: number, address: number): number {
    const words = this.#words
    let entry = words[ROOTS + 2 * vrf]!
    let shift = 24
    if ((entry & DIRECT_NODE) === DIRECT_NODE) {
      entry = words[blockOf(entry) + (address >>> 8)]!
      shift = 0
    } else if ((entry & WIDE_NODE) === WIDE_NODE) {
      entry = words[blockOf(entry) + (address >>> 16)]!
      shift = 8
    }
    for (; entry < 0; shift -= 8) entry = words[blockOf(entry) + ((address >>> shift) & 255)]!
    return isSlot(entry) ? entry : searchTable4(words, blockOf(entry), address)
  }

  /**
   * lookup4 for `count` rows of the columns. It works in steps over many addresses rather than address by address, so that
   * the memory's latency is waited for once for many.
   */
  lookup4Batch(vrfs: Uint32Array, addresses: Uint32Array, slots: Uint32Array, count: number): void {
    for (let from = 0; from < count; from += STRIDE) {
      const to = Math.min(from + STRIDE, count)
      const entries = this.#directEntries(vrfs, from, to)
      if (entries !== NONE) {
        if (this.#readDirect(entries, addresses, slots, from, to)) continue
      } else {
        this.#locate(vrfs, addresses, from, to)
        this.#read(slots, from, to)
      }
      this.#finish(vrfs, addresses, slots, from, to)
    }
  }

  // Where the entries of the wide root of 24 bits are that all of these rows are looked up in; NONE when there is none.
  #directEntries(vrfs: Uint32Array, from: number, to: number): number {
    const root = this.#words[ROOTS + 2 * vrfs[from]!]!
    if ((root & DIRECT_NODE) !== DIRECT_NODE) return NONE
    let others = 0
    for (let row = from; row < to; row++) others |= vrfs[row]! ^ vrfs[from]!
    return others === 0 ? blockOf(root) : NONE
  }

  // Full tables come in runs, and short loops have the most misses under way. True when all that was found are slots.
  #readDirect(entries: number, addresses: Uint32Array, slots: Uint32Array, from: number, to: number): boolean {
    const words = this.#words
    let all = 0
    for (let row = from; row < to; row++) {
      const entry = words[entries + (addresses[row]! >>> 8)]!
      slots[row] = entry
      all |= entry
    }
    return isSlot(all)
  }

  // The word that two steps lead to: root, node, node or, in a wide root, which has two or three steps in one, root and
  // node. Without branches, which would be mispredicted: a step that does not lead on stays where it is, and so do all after it,
  // as the word there may have changed when it is read again. Packets of one tenant often come in a row.
  #locate(vrfs: Uint32Array, addresses: Uint32Array, from: number, to: number): void {
    const words = this.#words
    const places = this.#at
    let vrf = -1
    let base = 0
    let shift = 0
    let leads = 0
    for (let row = from; row < to; row++) {
      if (vrfs[row] !== vrf) {
        vrf = vrfs[row]!
        base = ROOTS + 2 * vrf
        const root = words[base]!
        leads = root >> 31
        shift = 24 - ((root >>> 26) & 8) - ((root >>> 27) & 8)
        base ^= (base ^ blockOf(root)) & leads
      }
      const address = addresses[row]!
      const first = base + ((address >>> shift) & leads)
      const entry = words[first]!
      const second = blockOf(entry) + ((address >>> (shift - 8)) & 255)
      places[row - from] = first ^ ((first ^ second) & (entry >> 31) & leads)
    }
  }

  #read(slots: Uint32Array, from: number, to: number): void {
    const words = this.#words
    const places = this.#at
    for (let row = from; row < to; row++) slots[row] = words[places[row - from]!]!
  }

  // Follows what is no slot yet. A node starts anew: the word may have changed since it was located, so how deep the node
  // lies is not known for sure.
  #finish(vrfs: Uint32Array, addresses: Uint32Array, slots: Uint32Array, from: number, to: number): void {
    for (let row = from; row < to; row++) {
      const entry = slots[row]! | 0
      if (isSlot(entry)) continue
      if (entry < 0) slots[row] = this.lookup4(vrfs[row]!, addresses[row]!)
      else this.#tables.add(row, blockOf(entry))
    }
    this.#tables.search4(this.#words, addresses, slots)
  }

  /** The same for the IPv6 address whose 16 bytes stand at `at`. */
  lookup6(vrf: number, frame: DataView, at: number): number {
    const words = this.#words
    let entry = words[ROOTS + 2 * vrf + 1]!
    let byte = at
    if ((entry & WIDE_NODE) === WIDE_NODE) {
      entry = words[blockOf(entry) + frame.getUint16(at)]!
      byte = at + 2
    }
    for (; entry < 0; byte++) entry = words[blockOf(entry) + frame.getUint8(byte)]!
    return isSlot(entry) ? entry : searchTable6(words, blockOf(entry), frame, at)
  }

  /** lookup6 for `count` rows: in steps as lookup4Batch, all read their next entry until none leads on. */
  lookup6Batch(vrfs: Uint32Array, frame: DataView, at: Uint32Array, slots: Uint32Array, count: number): void {
    const words = this.#words
    const rows = this.#rows
    const bytes = this.#bytes
    const places = this.#at
    for (let from = 0; from < count; from += STRIDE) {
      const to = Math.min(from + STRIDE, count)
      for (let row = from; row < to; row++) {
        rows[row - from] = row
        bytes[row - from] = at[row]!
        places[row - from] = ROOTS + 2 * vrfs[row]! + 1
      }
      for (let going = to - from; going > 0; going = this.#advance6(frame, slots, going));
      this.#tables.search6(words, frame, at, slots)
    }
  }

  // Reads the next entry of each, and sorts out which of them lead on.
  #advance6(frame: DataView, slots: Uint32Array, count: number): number {
    const words = this.#words
    const rows = this.#rows
    const bytes = this.#bytes
    const places = this.#at
    for (let i = 0; i < count; i++) places[i] = words[places[i]!]!
    let going = 0
    for (let i = 0; i < count; i++) {
      const entry = places[i]!
      const row = rows[i]!
      if (isSlot(entry)) {
        slots[row] = entry
      } else if (entry > 0) {
        this.#tables.add(row, blockOf(entry))
      } else {
        const byte = bytes[i]!
        const isWide = (entry & WIDE_NODE) === WIDE_NODE
        places[going] = blockOf(entry) + (isWide ? frame.getUint16(byte) : frame.getUint8(byte))
        bytes[going] = byte + (isWide ? 2 : 1)
        rows[going++] = row
      }
    }
    return going
  }
}
