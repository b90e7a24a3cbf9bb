/**
 * Builds the blocks that fit a sorted list of routes, frees them, and reads the routes back out of them. Which block fits:
 *
 *   few routes                     a table
 *   more                           a node, and below each of its entries again what fits
 *   a whole VRF of very many       a wide root (wide.ts)
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
import { type WideBits, wideBitsOf, wideEntries, wideEntryOf, wideHeader, wideNodes, wideWords } from './wide.ts'

/** A VRF of up to so many routes is one table. */
export const SMALL_MAX = 128

/** Up to so many routes below one entry of a node are a table. */
const LEAF_MAX = FLAT_MAX

/** From how many routes on a VRF gets a wide root, of 16 bits and of 24. */
export interface WideFrom {
  readonly 16: number
  readonly 24: number
}

/**
 * 16 bits are 283 KB. 24 bits are 70 MB, IPv4 only: so many Internet-like routes have a node below most of the 2^16
 * entries, which together take as much, and a lookup reads one line instead of two.
 */
export const WIDE_FROM: WideFrom = { 16: 16_384, 24: 524_288 }

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

export class Builder {
  readonly #arena: Arena
  readonly #words: Int32Array
  readonly #wideFrom: WideFrom
  // Of the node that gather() is in: its address so far, the rest zero.
  readonly #key = new Int32Array(4)
  tables = 0
  nodes = 0

  constructor(arena: Arena, wideFrom: WideFrom = WIDE_FROM) {
    this.#arena = arena
    this.#words = arena.words
    this.#wideFrom = wideFrom
  }

  /** How many bits a wide root for so many routes has; 0 when they are too few for one. */
  wideBits(routes: number, addressWords: number): WideBits | 0 {
    if (routes >= this.#wideFrom[24] && addressWords === 1) return 24
    return routes >= this.#wideFrom[16] ? 16 : 0
  }

  /** With how few routes left a wide root is put back into a smaller form. */
  wideCollapseAt(bits: WideBits): number {
    return this.#wideFrom[bits] >> 1
  }

  /** The entry for the routes of rows `from` to before `to`, which all are longer than `depth`, or for their absence. */
  build(list: RouteList, from: number, to: number, depth: number, fallback: number): number {
    const count = to - from
    if (count === 0) return fallback
    if (count <= tableMax(list, from, to, depth)) return this.#table(list, from, to, fallback)
    const wide = depth === 0 ? this.wideBits(count, list.words) : 0
    return wide === 0 ? this.#node(list, from, to, depth, fallback) : this.#wide(list, from, to, wide)
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

  #wide(list: RouteList, from: number, to: number, bits: WideBits): number {
    const block = this.#allocate(wideWords(bits))
    const entry = wideEntryOf(bits, block)
    this.nodes++
    // Also for free(), should the arena become full half way.
    this.#words.fill(0, block, block + wideWords(bits))
    try {
      this.#fillWide(entry, 0, 0, 0, list, from, to)
    } catch (error) {
      this.free(entry)
      throw error
    }
    return entry
  }

  // One node of a wide root, and those below it.
  #fillWide(
    entry: number,
    depth: number,
    index: number,
    fallback: number,
    list: RouteList,
    from: number,
    to: number,
  ): void {
    const words = this.#words
    const bits = wideBitsOf(entry)
    const header = wideHeader(blockOf(entry), bits, depth, index)
    if (depth + 8 === bits) {
      const entries = wideEntries(blockOf(entry), index)
      this.#clearNode(entries, header, fallback)
      if (to > from) this.#fillNode(entries, header, list, from, to, depth)
      return
    }
    clearHeader(words, header, fallback)
    words[header + Header.routes] = to - from
    this.#placePrefixes(header, list, from, to, depth)
    let row = from
    for (let i = 0; i < FANOUT; i++) {
      // A prefix that ends in this node comes before what lies below it.
      while (row < to && list.byteAt(row, depth) === i && lengthIn(list.infos[row]!) <= depth + 8) row++
      const end = row < to && list.byteAt(row, depth) === i ? groupEnd(list, row, to, depth) : row
      this.#fillWide(entry, depth + 8, index * FANOUT + i, reachingSlot(words, header, i), list, row, end)
      row = end
    }
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
      const bits = wideBitsOf(entry)
      for (let at = block; at < block + (1 << bits); at++) this.free(this.#words[at]!)
      const headers = block + (1 << bits)
      for (let i = 0; i < wideNodes(bits); i++) this.#freeSlots(headers + i * HEADER_WORDS)
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
    if (isWide(entry)) this.#gatherWide(entry, 0, 0, 1, list)
    else if (isNode(entry)) this.#gatherNode(block, block + FANOUT, depth, 1, list)
    else readTable(this.#words, block, list)
  }

  // The prefix of that number and all that it contains: itself, then its two halves.
  #gatherNode(entries: number, header: number, depth: number, number: number, list: RouteList): void {
    this.#gatherPrefix(header, depth, number, list)
    if (number < FANOUT) {
      this.#gatherNode(entries, header, depth, 2 * number, list)
      this.#gatherNode(entries, header, depth, 2 * number + 1, list)
    } else this.#gather(this.#words[entries + number - FANOUT]!, depth + 8, list)
    this.#setByte(depth, 0)
  }

  // The same in a node of a wide root.
  #gatherWide(entry: number, depth: number, index: number, number: number, list: RouteList): void {
    const bits = wideBitsOf(entry)
    const header = wideHeader(blockOf(entry), bits, depth, index)
    if (depth + 8 === bits) {
      this.#gatherNode(wideEntries(blockOf(entry), index), header, depth, number, list)
      return
    }
    this.#gatherPrefix(header, depth, number, list)
    if (number < FANOUT) {
      this.#gatherWide(entry, depth, index, 2 * number, list)
      this.#gatherWide(entry, depth, index, 2 * number + 1, list)
    } else this.#gatherWide(entry, depth + 8, index * FANOUT + number - FANOUT, 1, list)
    this.#setByte(depth, 0)
  }

  #gatherPrefix(header: number, depth: number, number: number, list: RouteList): void {
    this.#setByte(depth, byteOf(number))
    if (hasPrefix(this.#words, header, number))
      list.append(this.#key, infoOf(depth + bitsOf(number), prefixSlot(this.#words, header, number)))
  }

  #setByte(depth: number, byte: number): void {
    const shift = 24 - (depth & 31)
    const word = depth >>> 5
    this.#key[word] = (this.#key[word]! & ~(0xff << shift)) | (byte << shift)
  }
}

/** What the prefixes that end in a node say for entry `i` as a whole. */
function reachingSlot(words: Int32Array, header: number, i: number): number {
  const number = FANOUT | i
  return hasPrefix(words, header, number) ? prefixSlot(words, header, number) : coveringSlot(words, header, number)
}

/** The end of the run of routes that lie below the same entry of the node at `depth` as the one in row `from`. */
function groupEnd(list: RouteList, from: number, to: number, depth: number): number {
  const byte = list.byteAt(from, depth)
  let end = from + 1
  while (end < to && list.byteAt(end, depth) === byte) end++
  return end
}
