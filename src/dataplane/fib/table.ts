/**
 * A sorted table of routes: all routes of a small VRF, or the few below one entry of a large one's trie. A lookup finds the
 * last route that starts at or before the address; if that route does not contain the address, then one that encloses it
 * may, which are its parents from the inside out; if none does, the table's fallback is the answer.
 *
 *   starts   10.0.0.0/8   10.1.0.0/16   10.1.2.0/24   10.9.0.0/16
 *   parents  none         0             1             0
 *
 * A lookup in a tenant's table is the first for long, so what counts is how many cache lines it waits for. The routes lie
 * in chunks of a line, with their parents; in front are the first starts of the chunks, on which the chunk is chosen. A
 * hundred IPv4 routes take 16 lines, of which a lookup reads two.
 *
 *   routes, chunks | fallback | pivots                    the address words of the first start of chunk 1, 2, ...
 *   starts of 7 | infos of 7 | parents of 7, a byte each  IPv4
 *   starts of 3, a column each of the four words | infos of 3 | parents of 3          IPv6
 *
 * Starts and pivots have the sign bit of each word flipped, so that signed words compare as addresses do. What is left over
 * of the last chunk are routes that match nothing and lie behind all others.
 *
 * The table is the routes themselves, so the writer keeps no other copy of them. Workers read it as they go: it is never
 * changed but by single stores, of a route's slot or of the fallback; everything else makes a new one.
 */

import {
  CHUNK_WORDS,
  chunkRoutes,
  chunksFor,
  firstChunkAt,
  infoOf,
  lengthIn,
  NO_PARENT,
  placeBits,
  slotIn,
  Table,
} from './layout.ts'
import type { RouteList } from './route-list.ts'

/** Flips the sign bit. */
export const SIGN = -0x80000000
const LAST_START = 0x7fffffff

/** While parents are written: the routes that enclose the current one, and their places. At most one a prefix length. */
const enclosing = new Int32Array(130)
const enclosingPlaces = new Int32Array(130)

/** Where things are in one table. */
interface Shape {
  readonly routes: number
  readonly chunks: number
  /** Routes in a chunk, which is how far apart the columns of a chunk are. */
  readonly stride: number
  readonly firstChunk: number
}

function shapeOf(words: Int32Array, table: number, addressWords: number): Shape {
  const counts = words[table + Table.counts]!
  const routes = counts & 0xffff
  const chunks = counts >>> 16
  const stride = chunks === 1 ? routes : chunkRoutes(addressWords)
  return { routes, chunks, stride, firstChunk: table + firstChunkAt(chunks, addressWords) }
}

/** Where route `row` has the first word of its start; the others, and then the info, follow a stride apart. */
function startOf({ stride, firstChunk }: Shape, row: number): number {
  const chunk = Math.floor(row / stride)
  return firstChunk + chunk * CHUNK_WORDS + row - chunk * stride
}

/** Writes the routes of a sorted list from row `from` to before row `to`. The block has tableWords() words. */
export function writeTable(
  words: Int32Array,
  table: number,
  list: RouteList,
  from: number,
  to: number,
  fallback: number,
): void {
  const chunks = chunksFor(to - from, list.words)
  words[table + Table.counts] = (to - from) | (chunks << 16)
  words[table + Table.fallback] = fallback
  const { stride, firstChunk } = shapeOf(words, table, list.words)
  for (let word = 0; word < list.words; word++) {
    const column = list.keys[word]!
    const pivots = table + Table.pivots - list.words + word
    for (let chunk = 1; chunk < chunks; chunk++)
      words[pivots + chunk * list.words] = column[from + chunk * stride]! ^ SIGN
    writeColumn(words, firstChunk + word * stride, stride, column, from, to, SIGN, LAST_START)
  }
  writeColumn(words, firstChunk + list.words * stride, stride, list.infos, from, to, 0, 0)
  if (chunks > 1) writeParents(words, firstChunk, list, from, to)
}

// One column of all chunks, the first of which is at `first`; `rest` fills up the last.
function writeColumn(
  words: Int32Array,
  first: number,
  stride: number,
  column: Int32Array,
  from: number,
  to: number,
  flip: number,
  rest: number,
): void {
  let at = first
  let row = from
  for (; row + stride <= to; row += stride) {
    for (let i = 0; i < stride; i++) words[at + i] = column[row + i]! ^ flip
    at += CHUNK_WORDS
  }
  if (row === to) return
  for (let i = 0; i < stride; i++) words[at + i] = row + i < to ? column[row + i]! ^ flip : rest
}

function writeParents(words: Int32Array, firstChunk: number, list: RouteList, from: number, to: number): void {
  const { words: addressWords, infos } = list
  const first = list.keys[0]!
  const stride = chunkRoutes(addressWords)
  const bits = placeBits(addressWords)
  let depth = 0
  for (let chunk = 0; from + chunk * stride < to; chunk++) {
    const at = firstChunk + chunk * CHUNK_WORDS + (addressWords + 1) * stride
    let parents = 0
    for (let i = 0; i < stride; i++) {
      const row = from + chunk * stride + i
      // What is left over is enclosed by the last route, and by what encloses that.
      for (; depth > 0 && row < to; depth--) {
        const outer = enclosing[depth - 1]!
        const length = lengthIn(infos[outer]!)
        const common = Math.clz32(first[outer]! ^ first[row]!)
        if (common >= length || (common === 32 && list.commonBits(outer, row) >= length)) break
      }
      parents |= (depth > 0 ? enclosingPlaces[depth - 1]! : NO_PARENT) << (8 * (i & 3))
      if ((i & 3) === 3 || i === stride - 1) {
        words[at + (i >> 2)] = parents
        parents = 0
      }
      if (row >= to) continue
      enclosing[depth] = row
      enclosingPlaces[depth++] = (chunk << bits) | i
    }
  }
}

/** Appends the table's live routes to the list, in order. */
export function readTable(words: Int32Array, table: number, list: RouteList): void {
  const { routes, stride, firstChunk } = shapeOf(words, table, list.words)
  const from = list.count
  list.reserve(from + routes)
  list.count += routes
  for (let word = 0; word < list.words; word++)
    readColumn(words, firstChunk + word * stride, stride, list.keys[word]!, from, list.count, SIGN)
  if (readColumn(words, firstChunk + list.words * stride, stride, list.infos, from, list.count, 0)) list.dropGone(from)
}

// One column of all chunks. True when it holds a word without a slot.
function readColumn(
  words: Int32Array,
  first: number,
  stride: number,
  column: Int32Array,
  from: number,
  to: number,
  flip: number,
): boolean {
  let signs = 0
  let at = first
  for (let row = from; row < to; row += stride) {
    const end = Math.min(row + stride, to)
    for (let i = row; i < end; i++) {
      const word = words[at + i - row]! ^ flip
      column[i] = word
      signs |= slotIn(word) - 1
    }
    at += CHUNK_WORDS
  }
  return signs < 0
}

/** Which word holds the info of a prefix, be it live or gone; 0 when it has none. `key` has the address's words. */
export function findInTable(
  words: Int32Array,
  table: number,
  key: Int32Array,
  keyWords: number,
  length: number,
): number {
  const shape = shapeOf(words, table, keyWords)
  let low = 0
  let high = shape.routes
  while (low < high) {
    const middle = (low + high) >>> 1
    const start = startOf(shape, middle)
    const info = start + keyWords * shape.stride
    const order = compareStart(words, start, shape.stride, key, keyWords) || lengthIn(words[info]!) - length
    if (order === 0) return info
    if (order < 0) low = middle + 1
    else high = middle
  }
  return 0
}

function compareStart(words: Int32Array, start: number, stride: number, key: Int32Array, keyWords: number): number {
  for (let word = 0; word < keyWords; word++) {
    const here = words[start + word * stride]!
    const wanted = key[word]! ^ SIGN
    if (here !== wanted) return here < wanted ? -1 : 1
  }
  return 0
}

/** One store: lookups meet the old slot or the new. Slot 0 takes the route out where there is no memory for a new table. */
export function setSlotAt(words: Int32Array, info: number, slot: number): void {
  words[info] = infoOf(lengthIn(words[info]!), slot)
}
