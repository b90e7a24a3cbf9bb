/**
 * One family's tables and tries, as the writer changes them. Almost everything is made of two steps: take the routes of a
 * block apart into a sorted list, and build what fits the changed list. So a table that has become too large turns into a
 * node with tables below it, a node with few routes left into a table, and the small and the large representation into
 * each other, by the same two steps; only a prefix that ends in a node is added and removed in place.
 *
 * Workers look up meanwhile. What they may be reading is changed by single stores of a slot or not at all: new blocks are
 * finished first, then one store of an entry leads to them, and the old ones are retired. Where a prefix that ends in a
 * node covers many entries, each address changes over by itself, from the old answer to the new.
 *
 * An insertion that finds the arena full throws FibFullError and has changed nothing. A removal always works.
 */

import type { Arena } from './arena.ts'
import { type Builder, FibFullError } from './build.ts'
import { blockOf, FANOUT, type Family, Header, infoOf, isNode, isSlot, isWide, slotIn, Table } from './layout.ts'
import * as prefixes from './node-prefixes.ts'
import { RouteList } from './route-list.ts'
import { findInTable, readTable, setSlotAt } from './table.ts'
import { rootHeader, wideBitsOf, wideEntries, wideHeader } from './wide.ts'

/** No entry leads to the nodes of a wide root. */
const NOWHERE = -1

/** A VRF that outgrows its root tries for a wide one each time it has grown by so many routes. */
const WIDE_RETRY = 1024
/** And one that is to go back from a wide one, each time it has shrunk by so many. */
const NARROW_RETRY = 256

export class Trie {
  readonly #builder: Builder
  readonly #arena: Arena
  readonly #words: Int32Array
  readonly #retire: (entry: number) => void
  readonly #list: RouteList
  // The nodes on the way down, one for each eight bits: which entry leads there, and its header.
  readonly #pathAt = new Int32Array(16)
  readonly #pathHeader = new Int32Array(16)
  #pathLength = 0
  // Where the way down ended: an entry that is a slot or a table, or a node in which the prefix ends.
  #at = 0
  #entries = 0
  // Where in a wide root, when it ended there above the deepest level: the root, and the node's depth and index.
  #wide = 0
  #wideDepth = 0
  #wideIndex = 0
  routes = 0

  constructor(arena: Arena, builder: Builder, family: Family, retire: (entry: number) => void) {
    this.#builder = builder
    this.#arena = arena
    this.#words = arena.words
    this.#retire = retire
    this.#list = new RouteList(family)
  }

  /** True when the prefix is new, false when it only has another slot now. */
  insert(root: number, key: Int32Array, length: number, slot: number): boolean {
    const isNew = this.#descend(root, key, length)
      ? this.#insertInNode(key, length, slot)
      : this.#insertInTable(key, length, slot)
    if (!isNew) return false
    this.#countOnPath(1)
    this.#widen(root)
    return true
  }

  /** False when there is no such prefix. */
  remove(root: number, key: Int32Array, length: number): boolean {
    const wasThere = this.#descend(root, key, length)
      ? this.#removeFromNode(key, length)
      : this.#removeFromTable(key, length)
    if (!wasThere) return false
    this.#countOnPath(-1)
    this.#collapse(key)
    return true
  }

  /** All of a root's routes give way to those of the list, in one store. */
  replace(root: number, list: RouteList): void {
    const entry = this.#builder.build(list, 0, list.count, 0, 0)
    this.routes += list.count - this.count(root)
    this.#publish(root, entry)
  }

  /** Appends all of a root's routes to the list, in order. */
  gather(root: number, list: RouteList): void {
    this.#builder.gather(this.#words[root]!, ZERO_KEY, 0, list)
  }

  count(root: number): number {
    const entry = this.#words[root]!
    if (isSlot(entry)) return 0
    if (isNode(entry)) return this.#words[rootHeader(entry) + Header.routes]!
    this.#list.clear()
    readTable(this.#words, blockOf(entry), this.#list)
    return this.#list.count
  }

  // Goes down to where the prefix belongs, and notes the way. True when it ends in a node, false at a table or a slot.
  #descend(root: number, key: Int32Array, length: number): boolean {
    const words = this.#words
    let depth = 0
    this.#pathLength = 0
    this.#at = root
    this.#wide = 0
    for (;;) {
      const entry = words[this.#at]!
      if (!isNode(entry)) return false
      this.#pushPath(this.#at, rootHeader(entry))
      if (isWide(entry)) {
        depth = this.#descendWide(entry, key, length)
        if (this.#wide !== 0) return true
      } else this.#entries = blockOf(entry)
      if (length <= depth + 8) return true
      this.#at = this.#entries + byteAt(key, depth)
      depth += 8
    }
  }

  // To the deepest level of a wide root or, where the prefix ends above it, to that node, and then sets #wide. Returns
  // the depth of the node that it came to.
  #descendWide(entry: number, key: Int32Array, length: number): number {
    const block = blockOf(entry)
    const bits = wideBitsOf(entry)
    let depth = 0
    let index = 0
    while (length > depth + 8 && depth + 8 < bits) {
      depth += 8
      index = key[0]! >>> (32 - depth)
      this.#pushPath(NOWHERE, wideHeader(block, bits, depth, index))
    }
    this.#entries = wideEntries(block, index)
    if (depth + 8 < bits) {
      this.#wide = entry
      this.#wideDepth = depth
      this.#wideIndex = index
    }
    return depth
  }

  #pushPath(at: number, header: number): void {
    this.#pathAt[this.#pathLength] = at
    this.#pathHeader[this.#pathLength++] = header
  }

  #countOnPath(by: number): void {
    this.routes += by
    for (let i = 0; i < this.#pathLength; i++) this.#words[this.#pathHeader[i]! + Header.routes]! += by
  }

  #numberOnPath(key: Int32Array, length: number): number {
    const depth = (this.#pathLength - 1) * 8
    return prefixes.prefixNumber(byteAt(key, depth), length - depth)
  }

  #insertInNode(key: Int32Array, length: number, slot: number): boolean {
    const header = this.#pathHeader[this.#pathLength - 1]!
    const number = this.#numberOnPath(key, length)
    const isNew = !prefixes.hasPrefix(this.#words, header, number)
    if (!isNew) prefixes.setPrefixSlot(this.#words, header, number, slot)
    else if (!prefixes.addPrefix(this.#arena, header, number, slot)) throw this.#builder.full()
    this.#spreadFrom(header, number, slot)
    return isNew
  }

  #removeFromNode(key: Int32Array, length: number): boolean {
    const header = this.#pathHeader[this.#pathLength - 1]!
    const number = this.#numberOnPath(key, length)
    if (!prefixes.hasPrefix(this.#words, header, number)) return false
    prefixes.dropPrefix(this.#arena, header, number)
    this.#spreadFrom(header, number, prefixes.coveringSlot(this.#words, header, number))
    return true
  }

  #spreadFrom(header: number, number: number, slot: number): void {
    if (this.#wide === 0) this.#spread(this.#entries, header, number, slot)
    else this.#spreadWide(this.#wide, this.#wideDepth, this.#wideIndex, number, slot)
  }

  // Gives the slot to all that the prefix of that number covers and no longer one does.
  #spread(entries: number, header: number, number: number, slot: number): void {
    if (number >= FANOUT) {
      this.#setFallback(entries + number - FANOUT, slot)
      return
    }
    for (let half = 2 * number; half <= 2 * number + 1; half++)
      if (!prefixes.hasPrefix(this.#words, header, half)) this.#spread(entries, header, half, slot)
  }

  // The same in a node of a wide root.
  #spreadWide(entry: number, depth: number, index: number, number: number, slot: number): void {
    const bits = wideBitsOf(entry)
    const header = wideHeader(blockOf(entry), bits, depth, index)
    if (depth + 8 === bits) {
      this.#spread(wideEntries(blockOf(entry), index), header, number, slot)
    } else if (number >= FANOUT) {
      const below = index * FANOUT + number - FANOUT
      this.#words[wideHeader(blockOf(entry), bits, depth + 8, below) + Header.fallback] = slot
      this.#spreadWide(entry, depth + 8, below, 1, slot)
    } else {
      for (let half = 2 * number; half <= 2 * number + 1; half++)
        if (!prefixes.hasPrefix(this.#words, header, half)) this.#spreadWide(entry, depth, index, half, slot)
    }
  }

  #setFallback(at: number, slot: number): void {
    const entry = this.#words[at]!
    if (isSlot(entry)) this.#words[at] = slot
    else if (isNode(entry)) this.#inherit(blockOf(entry), blockOf(entry) + FANOUT, slot)
    else this.#words[blockOf(entry) + Table.fallback] = slot
  }

  #inherit(entries: number, header: number, slot: number): void {
    this.#words[header + Header.fallback] = slot
    this.#spread(entries, header, 1, slot)
  }

  #insertInTable(key: Int32Array, length: number, slot: number): boolean {
    const words = this.#words
    const list = this.#list
    const entry = words[this.#at]!
    let fallback = entry
    list.clear()
    if (!isSlot(entry)) {
      const table = blockOf(entry)
      const info = findInTable(words, table, key, list.words, length)
      if (info !== 0) {
        const isNew = slotIn(words[info]!) === 0
        setSlotAt(words, info, slot)
        return isNew
      }
      fallback = words[table + Table.fallback]!
      readTable(words, table, list)
    }
    list.insert(key, infoOf(length, slot))
    this.#publish(this.#at, this.#builder.build(list, 0, list.count, this.#pathLength * 8, fallback))
    return true
  }

  #removeFromTable(key: Int32Array, length: number): boolean {
    const words = this.#words
    const list = this.#list
    const entry = words[this.#at]!
    if (isSlot(entry)) return false
    const table = blockOf(entry)
    const info = findInTable(words, table, key, list.words, length)
    if (info === 0 || slotIn(words[info]!) === 0) return false
    list.clear()
    readTable(words, table, list)
    list.remove(key, length)
    const smaller = this.#tryBuild(this.#pathLength * 8, words[table + Table.fallback]!)
    if (smaller === undefined) setSlotAt(words, info, 0)
    else this.#publish(this.#at, smaller)
    return true
  }

  #widen(root: number): void {
    const entry = this.#words[root]!
    if (!isNode(entry)) return
    const routes = this.#words[rootHeader(entry) + Header.routes]!
    if (routes % WIDE_RETRY !== 0) return
    const has = isWide(entry) ? wideBitsOf(entry) : 0
    if (this.#builder.wideBits(routes, this.#list.words) > has) this.#rebuild(root, ZERO_KEY, 0)
  }

  // Puts the uppermost node that has few enough routes left back into a smaller form.
  #collapse(key: Int32Array): void {
    for (let i = 0; i < this.#pathLength; i++) {
      const at = this.#pathAt[i]!
      if (at === NOWHERE) continue
      const entry = this.#words[at]!
      const header = this.#pathHeader[i]!
      const routes = this.#words[header + Header.routes]!
      const few = isWide(entry)
        ? this.#builder.wideCollapseAt(wideBitsOf(entry))
        : prefixes.collapseAt(this.#words, header)
      if (routes > few || (isWide(entry) && routes % NARROW_RETRY !== 0)) continue
      this.#rebuild(at, key, i * 8)
      return
    }
  }

  // Takes apart and builds anew what lies at bit `depth` of the key. Without memory for that it stays as it is.
  #rebuild(at: number, key: Int32Array, depth: number): void {
    const words = this.#words
    const list = this.#list
    const entry = words[at]!
    list.clear()
    this.#builder.gather(entry, key, depth, list)
    const next = this.#tryBuild(depth, words[rootHeader(entry) + Header.fallback]!)
    if (next !== undefined) this.#publish(at, next)
  }

  #tryBuild(depth: number, fallback: number): number | undefined {
    try {
      return this.#builder.build(this.#list, 0, this.#list.count, depth, fallback)
    } catch (error) {
      if (error instanceof FibFullError) return undefined
      throw error
    }
  }

  #publish(at: number, entry: number): void {
    const old = this.#words[at]!
    Atomics.store(this.#words, at, entry)
    if (!isSlot(old)) this.#retire(old)
  }
}

const ZERO_KEY = new Int32Array(4)

/** The eight bits of an address from bit `depth` on. */
function byteAt(key: Int32Array, depth: number): number {
  return (key[depth >>> 5]! >>> (24 - (depth & 31))) & 255
}
