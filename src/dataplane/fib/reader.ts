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
export const LOOKUPS_MAX = 256

const WIDE_NODE = NODE | WIDE
const DIRECT_NODE = WIDE_NODE | DIRECT

export class FibReader {
  /** The columns of a batch: whoever looks up fills the first two and finds the slots in the third. */
  readonly vrfs = new Uint32Array(LOOKUPS_MAX)
  readonly addresses = new Uint32Array(LOOKUPS_MAX)
  readonly slots = new Uint32Array(LOOKUPS_MAX)
  readonly #words: Int32Array
  readonly #lookUpDirect: (count: number) => number
  // For the batches: which word to read next; for IPv6 also of which row, and how far its address has been followed.
  readonly #at = new Int32Array(LOOKUPS_MAX)
  readonly #rows = new Int32Array(LOOKUPS_MAX)
  readonly #bytes = new Int32Array(LOOKUPS_MAX)
  readonly #tables = new TableGroup(LOOKUPS_MAX)

  constructor(memory: FibMemory) {
    this.#words = wordsOf(memory)
    this.#lookUpDirect = directLookup(this.#words, this.vrfs, this.addresses, this.slots)
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
   * lookup4 for the first `count` rows of the columns, LOOKUPS_MAX at most. It works in steps over many addresses rather
   * than address by address, so that the memory's latency is waited for once for many.
   */
  lookup4Batch(count: number): void {
    const found = this.#lookUpDirect(count)
    if (isSlot(found)) return
    if (found === NOT_DIRECT) {
      this.#locate(count)
      this.#read(count)
    }
    this.#finish(count)
  }

  // The word that two steps lead to: root, node, node or, in a wide root, which has two or three steps in one, root and
  // node. Without branches, which would be mispredicted: a step that does not lead on stays where it is, and so do all after it,
  // as the word there may have changed when it is read again. Packets of one tenant often come in a row.
  #locate(count: number): void {
    const { vrfs, addresses } = this
    const words = this.#words
    const places = this.#at
    let vrf = -1
    let base = 0
    let shift = 0
    let leads = 0
    for (let row = 0; row < count; row++) {
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
      places[row] = first ^ ((first ^ second) & (entry >> 31) & leads)
    }
  }

  #read(count: number): void {
    const { slots } = this
    const words = this.#words
    const places = this.#at
    for (let row = 0; row < count; row++) slots[row] = words[places[row]!]!
  }

  // Follows what is no slot yet. A node starts anew: the word may have changed since it was located, so how deep the node
  // lies is not known for sure.
  #finish(count: number): void {
    const { vrfs, addresses, slots } = this
    for (let row = 0; row < count; row++) {
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
    for (let from = 0; from < count; from += LOOKUPS_MAX) {
      const to = Math.min(from + LOOKUPS_MAX, count)
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

/** Not all of these rows are looked up in one wide root of 24 bits. It is no slot. */
const NOT_DIRECT = -1

/**
 * For full tables, whose packets come in runs: reads the one entry of each row. Returns all that it found, or-ed together,
 * which is a slot's number when it was slots alone, or NOT_DIRECT. A function of its own and not a method: where a process
 * has one reader, as workers do, the compiler takes these arrays for constants, and a lookup takes two thirds of the time.
 */
function directLookup(
  words: Int32Array,
  vrfs: Uint32Array,
  addresses: Uint32Array,
  slots: Uint32Array,
): (count: number) => number {
  return (count) => {
    const vrf = vrfs[0]!
    const root = words[ROOTS + 2 * vrf]!
    if ((root & DIRECT_NODE) !== DIRECT_NODE) return NOT_DIRECT
    let others = 0
    for (let row = 1; row < count; row++) others |= vrfs[row]! ^ vrf
    if (others !== 0) return NOT_DIRECT
    const entries = blockOf(root)
    let all = 0
    for (let row = 0; row < count; row++) {
      const entry = words[entries + (addresses[row]! >>> 8)]!
      slots[row] = entry
      all |= entry
    }
    // An entry of its own would be taken for NOT_DIRECT.
    return all === NOT_DIRECT ? NODE : all
  }
}
