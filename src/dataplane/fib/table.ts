/**
 * A sorted table of routes: all routes of a small VRF, or the few below one entry of a large one's trie. A lookup finds the
 * last route that starts at or before the address; if that route does not contain the address, then one that encloses it
 * may, which are its parents from the inside out; if none does, the table's fallback is the answer.
 *
 *   starts   10.0.0.0/8   10.1.0.0/16   10.1.2.0/24   10.9.0.0/16        (sorted; stored with the sign bit flipped,
 *   parents  none         0             1             0                   so that signed words compare like addresses)
 *
 * The table is the routes themselves, so the writer keeps no other copy of them. Workers read it as they go: it is never
 * changed but by single stores, of a route's slot or of the fallback; everything else makes a new one.
 */

import { infoOf, lengthIn, NO_PARENT, PARENTS_FROM, slotIn, Table } from './layout.ts'
import type { RouteList } from './route-list.ts'

const SIGN = -0x80000000

/** For parents while a table is written: the routes that enclose the current one. At most one a prefix length. */
const enclosing = new Int32Array(130)

/** Writes the routes of a sorted list from row `from` to before row `to`. The block has tableWords() words. */
export function writeTable(
  words: Int32Array,
  table: number,
  list: RouteList,
  from: number,
  to: number,
  fallback: number,
): void {
  const count = to - from
  words[table + Table.count] = count
  words[table + Table.fallback] = fallback
  let at = table + Table.starts
  for (const column of list.keys) for (let row = from; row < to; row++) words[at++] = column[row]! ^ SIGN
  for (let row = from; row < to; row++) words[at++] = list.infos[row]!
  if (count >= PARENTS_FROM) writeParents(words, at, list, from, to)
}

function writeParents(words: Int32Array, parents: number, list: RouteList, from: number, to: number): void {
  let depth = 0
  for (let row = from; row < to; row++) {
    while (depth > 0 && !encloses(list, enclosing[depth - 1]!, row)) depth--
    const parent = depth > 0 ? enclosing[depth - 1]! - from : NO_PARENT
    const at = parents + ((row - from) >> 1)
    words[at] = ((row - from) & 1) === 0 ? parent : words[at]! | (parent << 16)
    enclosing[depth++] = row
  }
}

function encloses(list: RouteList, outer: number, row: number): boolean {
  return list.commonBits(outer, row) >= lengthIn(list.infos[outer]!)
}

/** Appends the table's live routes to the list, in order. */
export function readTable(words: Int32Array, table: number, list: RouteList): void {
  const count = words[table + Table.count]!
  const starts = table + Table.starts
  const infos = starts + count * list.words
  list.reserve(list.count + count)
  for (let i = 0; i < count; i++) {
    const info = words[infos + i]!
    if (slotIn(info) === 0) continue
    for (let word = 0; word < list.words; word++)
      list.keys[word]![list.count] = words[starts + word * count + i]! ^ SIGN
    list.infos[list.count++] = info
  }
}

/** Where the prefix stands, live or gone, or -1 - where it would. `key` has the address's words. */
export function findInTable(
  words: Int32Array,
  table: number,
  key: Int32Array,
  keyWords: number,
  length: number,
): number {
  const count = words[table + Table.count]!
  const starts = table + Table.starts
  const infos = starts + count * keyWords
  let low = 0
  let high = count
  while (low < high) {
    const middle = (low + high) >>> 1
    const order =
      compareStart(words, starts + middle, count, key, keyWords) || lengthIn(words[infos + middle]!) - length
    if (order === 0) return middle
    if (order < 0) low = middle + 1
    else high = middle
  }
  return -1 - low
}

function compareStart(words: Int32Array, start: number, stride: number, key: Int32Array, keyWords: number): number {
  for (let word = 0; word < keyWords; word++) {
    const here = words[start + word * stride]!
    const wanted = key[word]! ^ SIGN
    if (here !== wanted) return here < wanted ? -1 : 1
  }
  return 0
}

/** The slot of a route found by findInTable; 0 when it is gone. */
export function slotInTable(words: Int32Array, table: number, keyWords: number, row: number): number {
  return slotIn(words[infoAt(words, table, keyWords, row)]!)
}

/** One store: lookups meet the old slot or the new. Slot 0 takes the route out where there is no memory for a new table. */
export function setSlotInTable(words: Int32Array, table: number, keyWords: number, row: number, slot: number): void {
  const at = infoAt(words, table, keyWords, row)
  words[at] = infoOf(lengthIn(words[at]!), slot)
}

function infoAt(words: Int32Array, table: number, keyWords: number, row: number): number {
  return table + Table.starts + words[table + Table.count]! * keyWords + row
}

/** Longest match of an IPv4 address. */
export function searchTable4(words: Int32Array, table: number, address: number): number {
  const count = words[table + Table.count]!
  const starts = table + Table.starts
  const wanted = address ^ SIGN
  let row = 0
  for (let left = count; left > 1; ) {
    const half = left >>> 1
    if (words[starts + row + half]! <= wanted) row += half
    left -= half
  }
  const infos = starts + count
  while (row >= 0) {
    const info = words[infos + row]!
    if (Math.clz32(words[starts + row]! ^ wanted) >= lengthIn(info) && slotIn(info) !== 0) return slotIn(info)
    row = count < PARENTS_FROM ? row - 1 : parentOf(words, infos + count, row)
  }
  return words[table + Table.fallback]!
}

function parentOf(words: Int32Array, parents: number, row: number): number {
  const parent = (words[parents + (row >> 1)]! >>> ((row & 1) << 4)) & 0xffff
  return parent === NO_PARENT ? -1 : parent
}

/** Longest match of the IPv6 address whose 16 bytes stand at `at`. */
export function searchTable6(words: Int32Array, table: number, frame: DataView, at: number): number {
  const count = words[table + Table.count]!
  const first = table + Table.starts
  const second = first + count
  const third = second + count
  const fourth = third + count
  const infos = fourth + count
  const a = frame.getInt32(at) ^ SIGN
  const b = frame.getInt32(at + 4) ^ SIGN
  const c = frame.getInt32(at + 8) ^ SIGN
  const d = frame.getInt32(at + 12) ^ SIGN
  let row = 0
  for (let left = count; left > 1; ) {
    const half = left >>> 1
    const middle = row + half
    let start = words[first + middle]!
    let wanted = a
    if (start === a) {
      start = words[second + middle]!
      wanted = b
      if (start === b) {
        start = words[third + middle]!
        wanted = c
        if (start === c) {
          start = words[fourth + middle]!
          wanted = d
        }
      }
    }
    if (start <= wanted) row = middle
    left -= half
  }
  while (row >= 0) {
    const info = words[infos + row]!
    let common = Math.clz32(words[first + row]! ^ a)
    if (common === 32) common += Math.clz32(words[second + row]! ^ b)
    if (common === 64) common += Math.clz32(words[third + row]! ^ c)
    if (common === 96) common += Math.clz32(words[fourth + row]! ^ d)
    if (common >= lengthIn(info) && slotIn(info) !== 0) return slotIn(info)
    row = count < PARENTS_FROM ? row - 1 : parentOf(words, infos + count, row)
  }
  return words[table + Table.fallback]!
}
