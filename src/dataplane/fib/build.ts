/**
 * Builds the blocks that fit a sorted list of routes, frees them, and reads the routes back out of them. Which block fits:
 *
 *   few routes                     a table
 *   more                           a node, and below each of its entries again what fits
 *   a whole VRF of very many       a wide root
 *
 * Nothing here is visible to workers: the caller publishes what was built, and retires what it replaces.
 */

import type { Arena } from './arena.ts'
import {
  blockOf,
  entryOf,
  FANOUT,
  FLAT_MAX,
  HEADER_WORDS,
  Header,
  infoOf,
  isNode,
  isSlot,
  isWide,
  lengthIn,
  NODE,
  NODE_WORDS,
  slotIn,
  TABLE,
  tableMaxRoutes,
  tableWords,
  WIDE,
  WIDE_ENTRIES,
  WIDE_WORDS,
} from './layout.ts'
import {
  bitsOf,
  byteOf,
  clearHeader,
  coveringSlot,
  hasPrefix,
  markPrefix,
  prefixCount,
  prefixNumber,
  prefixSlot,
  reservePrefixes,
  setCollapseAt,
  setPrefixSlot,
} from './node-prefixes.ts'
import type { RouteList } from './route-list.ts'
import { readTable, writeTable } from './table.ts'

/** A VRF of up to so many routes is one table. */
export const SMALL_MAX = 128

/** Up to so many routes below one entry of a node are a table. */
const LEAF_MAX = FLAT_MAX

/** A VRF of so many routes gets a wide root, 283 KB. A multiple of 1,024. */
export const WIDE_FROM = 16_384

/** There is no room for what should go in. Nothing has been changed. */
export class FibFullError extends Error {
  override readonly name = 'FibFullError'
}

/**
 * How many of these routes, which end below bit `depth`, fit a table. Where they share further bits, a node would be the
 * first of a chain of nodes with one entry in use each, so the more of those the longer a table is the better choice.
 */
function tableMax(list: RouteList, from: number, to: number, depth: number): number {
  const chain = (list.commonBits(from, to - 1) - depth) >> 3
  const max = (depth === 0 ? SMALL_MAX : LEAF_MAX) + LEAF_MAX * Math.max(0, chain)
  return Math.min(max, tableMaxRoutes(list.words))
}

/** Entry `i` of a wide root's first level: where the entries of that node begin. */
export function wideEntries(block: number, i: number): number {
  return block + i * FANOUT
}

/** The header of node `i` of a wide root; FANOUT is the node above them. */
export function wideHeader(block: number, i: number): number {
  return block + WIDE_ENTRIES + i * HEADER_WORDS
}

export class Builder {
  readonly #arena: Arena
  readonly #words: Int32Array
  // Of the node that gather() is in: its address so far, the rest zero.
  readonly #key = new Int32Array(4)
  tables = 0
  nodes = 0

  constructor(arena: Arena) {
    this.#arena = arena
    this.#words = arena.words
  }

  /** The entry for the routes of rows `from` to before `to`, which all are longer than `depth`, or for their absence. */
  build(list: RouteList, from: number, to: number, depth: number, fallback: number): number {
    const count = to - from
    if (count === 0) return fallback
    if (count <= tableMax(list, from, to, depth)) return this.#table(list, from, to, fallback)
    return depth === 0 && count >= WIDE_FROM ? this.#wide(list, from, to) : this.#node(list, from, to, depth, fallback)
  }

  #table(list: RouteList, from: number, to: number, fallback: number): number {
    const block = this.#allocate(tableWords(to - from, list.words))
    writeTable(this.#words, block, list, from, to, fallback)
    this.tables++
    return entryOf(TABLE, block)
  }

  #node(list: RouteList, from: number, to: number, depth: number, fallback: number): number {
    const block = this.#allocate(NODE_WORDS)
    const entry = entryOf(NODE, block)
    this.nodes++
    this.#clearNode(block, block + FANOUT, fallback)
    try {
      this.#fillNode(block, block + FANOUT, list, from, to, depth)
      setCollapseAt(this.#words, block + FANOUT, tableMax(list, from, to, depth) >> 1)
    } catch (error) {
      this.free(entry)
      throw error
    }
    return entry
  }

  #wide(list: RouteList, from: number, to: number): number {
    const words = this.#words
    const block = this.#allocate(WIDE_WORDS)
    const entry = entryOf(NODE | WIDE, block)
    const top = wideHeader(block, FANOUT)
    this.nodes++
    words.fill(0, block, block + WIDE_WORDS)
    try {
      words[top + Header.routes] = to - from
      this.#placePrefixes(top, list, from, to, 0)
      setCollapseAt(words, top, WIDE_FROM >> 1)
      for (let i = 0; i < FANOUT; i++) {
        const number = FANOUT | i
        const slot = hasPrefix(words, top, number) ? prefixSlot(words, top, number) : coveringSlot(words, top, number)
        this.#clearNode(wideEntries(block, i), wideHeader(block, i), slot)
      }
      for (let row = from; row < to; ) {
        const end = lengthIn(list.infos[row]!) <= 8 ? row : groupEnd(list, row, to, 0)
        const i = list.byteAt(row, 0)
        if (end > row) this.#fillNode(wideEntries(block, i), wideHeader(block, i), list, row, end, 8)
        row = Math.max(end, row + 1)
      }
    } catch (error) {
      this.free(entry)
      throw error
    }
    return entry
  }

  #clearNode(entries: number, header: number, fallback: number): void {
    this.#words.fill(fallback, entries, entries + FANOUT)
    clearHeader(this.#words, header, fallback)
  }

  #fillNode(entries: number, header: number, list: RouteList, from: number, to: number, depth: number): void {
    const words = this.#words
    words[header + Header.routes] = to - from
    this.#placePrefixes(header, list, from, to, depth)
    // In sorted order a prefix that ends here comes before what lies below it, and overrides the shorter ones before it.
    for (let row = from; row < to; ) {
      const bits = lengthIn(list.infos[row]!) - depth
      const first = entries + list.byteAt(row, depth)
      if (bits <= 8) {
        words.fill(slotIn(list.infos[row]!), first, first + (FANOUT >> bits))
        row++
      } else {
        const end = groupEnd(list, row, to, depth)
        words[first] = this.build(list, row, end, depth + 8, words[first]!)
        row = end
      }
    }
  }

  // Enters the prefixes that end in the node into its header.
  #placePrefixes(header: number, list: RouteList, from: number, to: number, depth: number): void {
    const words = this.#words
    for (let row = from; row < to; row++) {
      const bits = lengthIn(list.infos[row]!) - depth
      if (bits <= 8) markPrefix(words, header, prefixNumber(list.byteAt(row, depth), bits))
    }
    const count = prefixCount(words, header)
    if (count === 0) return
    if (!reservePrefixes(this.#arena, header, count)) throw this.full()
    for (let row = from; row < to; row++) {
      const bits = lengthIn(list.infos[row]!) - depth
      if (bits > 8) continue
      setPrefixSlot(words, header, prefixNumber(list.byteAt(row, depth), bits), slotIn(list.infos[row]!))
    }
  }

  #allocate(words: number): number {
    const block = this.#arena.allocate(words)
    if (block === 0) throw this.full()
    return block
  }

  full(): FibFullError {
    const { used, taken, words } = this.#arena
    const inUse = `${used} words in blocks, ${taken} with the gaps between them, of ${words.length}`
    return new FibFullError(`the FIB is full (${inUse}); it is left as it was. Give it more words, or fewer routes.`)
  }

  /** Frees a block and all below it. */
  free(entry: number): void {
    if (isSlot(entry)) return
    const block = blockOf(entry)
    if (isWide(entry)) {
      for (let at = block; at < block + WIDE_ENTRIES; at++) this.free(this.#words[at]!)
      for (let i = 0; i <= FANOUT; i++) this.#freeSlots(wideHeader(block, i))
    } else if (isNode(entry)) {
      for (let at = block; at < block + FANOUT; at++) this.free(this.#words[at]!)
      this.#freeSlots(block + FANOUT)
    }
    if (isNode(entry)) this.nodes--
    else this.tables--
    this.#arena.free(block)
  }

  #freeSlots(header: number): void {
    const slots = this.#words[header + Header.slots]!
    if (slots !== 0) this.#arena.free(slots)
  }

  /** Appends all routes of a block that lies at bit `depth` of `key` to the list, in order. */
  gather(entry: number, key: Int32Array, depth: number, list: RouteList): void {
    this.#key.fill(0)
    for (let at = 0; at < depth; at += 8) this.#key[at >>> 5]! |= key[at >>> 5]! & (0xff << (24 - (at & 31)))
    this.#gather(entry, depth, list)
  }

  #gather(entry: number, depth: number, list: RouteList): void {
    if (isSlot(entry)) return
    const block = blockOf(entry)
    if (isWide(entry)) this.#gatherNode(block, wideHeader(block, FANOUT), depth, 1, list, true)
    else if (isNode(entry)) this.#gatherNode(block, block + FANOUT, depth, 1, list, false)
    else readTable(this.#words, block, list)
  }

  // The prefix of that number and all that it contains: itself, then its two halves.
  #gatherNode(block: number, header: number, depth: number, number: number, list: RouteList, wide: boolean): void {
    const words = this.#words
    const bits = bitsOf(number)
    this.#setByte(depth, byteOf(number))
    if (hasPrefix(words, header, number))
      list.append(this.#key, infoOf(depth + bits, prefixSlot(words, header, number)))
    if (bits < 8) {
      this.#gatherNode(block, header, depth, 2 * number, list, wide)
      this.#gatherNode(block, header, depth, 2 * number + 1, list, wide)
    } else {
      const i = number - FANOUT
      if (wide) this.#gatherNode(wideEntries(block, i), wideHeader(block, i), depth + 8, 1, list, false)
      else this.#gather(words[block + i]!, depth + 8, list)
    }
    this.#setByte(depth, 0)
  }

  #setByte(depth: number, byte: number): void {
    const shift = 24 - (depth & 31)
    const word = depth >>> 5
    this.#key[word] = (this.#key[word]! & ~(0xff << shift)) | (byte << shift)
  }
}

/** The end of the run of routes that lie below the same entry of the node at `depth` as the one in row `from`. */
function groupEnd(list: RouteList, from: number, to: number, depth: number): number {
  const byte = list.byteAt(from, depth)
  let end = from + 1
  while (end < to && list.byteAt(end, depth) === byte) end++
  return end
}
