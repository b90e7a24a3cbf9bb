/**
 * The workers' side of a table (table.ts): longest match, in two steps that each read one cache line of a table of several
 * chunks. First which chunk, by the pivots in front; then in that chunk the last route that starts at or before the
 * address, and from there outwards. What would be a mispredicted branch every other time is arithmetic.
 */

import { CHUNK_WORDS, firstChunkAt, lengthIn, NO_PARENT, slotIn, Table } from './layout.ts'
import { SIGN } from './table.ts'

/** Longest match of an IPv4 address. */
export function searchTable4(words: Int32Array, table: number, address: number): number {
  if (words[table + Table.counts]! >>> 16 === 1) return scanTable4(words, table, address)
  return matchInChunk4(words, table, chooseChunk4(words, table, address), address)
}

/** For a table of one chunk: of the routes that contain the address the last is the longest. */
export function scanTable4(words: Int32Array, table: number, address: number): number {
  const routes = words[table + Table.counts]! & 0xffff
  const starts = table + Table.pivots
  for (let at = starts + routes - 1; at >= starts; at--) {
    const info = words[at + routes]!
    if (isMiss4(words[at]!, info, address ^ SIGN) === 0) return slotIn(info)
  }
  return words[table + Table.fallback]!
}

/** For a table of several: where the chunk begins in which the last route is that starts at or before the address. */
export function chooseChunk4(words: Int32Array, table: number, address: number): number {
  const wanted = address ^ SIGN
  const chunks = words[table + Table.counts]! >>> 16
  const pivots = table + Table.pivots - 1
  let chunk = 0
  for (let left = chunks; left > 1; ) {
    const half = left >>> 1
    chunk += half & ~isBelow(wanted, words[pivots + chunk + half]!)
    left -= half
  }
  return table + firstChunkAt(chunks, 1) + chunk * CHUNK_WORDS
}

/** The longest match, given the chunk that was chosen. */
export function matchInChunk4(words: Int32Array, table: number, chosen: number, address: number): number {
  const wanted = address ^ SIGN
  let at = chosen
  // The last of seven that is not above the address: six less those that are.
  let i = 6 + isBelow(wanted, words[at + 1]!) + isBelow(wanted, words[at + 2]!) + isBelow(wanted, words[at + 3]!)
  i += isBelow(wanted, words[at + 4]!) + isBelow(wanted, words[at + 5]!) + isBelow(wanted, words[at + 6]!)
  for (;;) {
    const info = words[at + 7 + i]!
    if (isMiss4(words[at + i]!, info, wanted) === 0) return slotIn(info)
    const place = (words[at + 14 + (i >> 2)]! >>> (8 * (i & 3))) & NO_PARENT
    if (place === NO_PARENT) return words[table + Table.fallback]!
    at = table + firstChunkAt(words[table + Table.counts]! >>> 16, 1) + (place >> 3) * CHUNK_WORDS
    i = place & 7
  }
}

/** 0 when the route contains the address, which has its sign bit flipped like `start`, and is not gone; otherwise -1. */
function isMiss4(start: number, info: number, wanted: number): number {
  return ((Math.clz32(start ^ wanted) - lengthIn(info)) | (slotIn(info) - 1)) >> 31
}

/** -1 when a < b, otherwise 0: what `a < b` says, where a branch would be mispredicted every other time. */
function isBelow(a: number, b: number): number {
  const difference = (a - b) | 0
  return (difference ^ ((a ^ b) & (a ^ difference))) >> 31
}

/** Longest match of the IPv6 address whose 16 bytes stand at `at`. */
export function searchTable6(words: Int32Array, table: number, frame: DataView, at: number): number {
  if (words[table + Table.counts]! >>> 16 === 1) return scanTable6(words, table, frame, at)
  return matchInChunk6(words, table, chooseChunk6(words, table, frame, at), frame, at)
}

export function scanTable6(words: Int32Array, table: number, frame: DataView, at: number): number {
  const routes = words[table + Table.counts]! & 0xffff
  const starts = table + Table.pivots
  for (let i = routes - 1; i >= 0; i--) {
    const info = words[starts + 4 * routes + i]!
    if (isMatch6(words, starts + i, routes, info, frame, at)) return slotIn(info)
  }
  return words[table + Table.fallback]!
}

export function chooseChunk6(words: Int32Array, table: number, frame: DataView, at: number): number {
  const chunks = words[table + Table.counts]! >>> 16
  const pivots = table + Table.pivots - 4
  let chunk = 0
  for (let left = chunks; left > 1; ) {
    const half = left >>> 1
    if (isFrom6(words, pivots + (chunk + half) * 4, 1, frame, at)) chunk += half
    left -= half
  }
  return table + firstChunkAt(chunks, 4) + chunk * CHUNK_WORDS
}

export function matchInChunk6(words: Int32Array, table: number, chosen: number, frame: DataView, at: number): number {
  let start = chosen
  let i = 2
  while (i > 0 && !isFrom6(words, start + i, 3, frame, at)) i--
  for (;;) {
    const info = words[start + 12 + i]!
    if (isMatch6(words, start + i, 3, info, frame, at)) return slotIn(info)
    const place = (words[start + 15]! >>> (8 * i)) & NO_PARENT
    if (place === NO_PARENT) return words[table + Table.fallback]!
    start = table + firstChunkAt(words[table + Table.counts]! >>> 16, 4) + (place >> 2) * CHUNK_WORDS
    i = place & 3
  }
}

/** Is the address at or behind the start whose words are a stride apart? */
function isFrom6(words: Int32Array, start: number, stride: number, frame: DataView, at: number): boolean {
  for (let word = 0; word < 4; word++) {
    const here = words[start + word * stride]!
    const wanted = frame.getInt32(at + 4 * word) ^ SIGN
    if (here !== wanted) return here < wanted
  }
  return true
}

function isMatch6(
  words: Int32Array,
  start: number,
  stride: number,
  info: number,
  frame: DataView,
  at: number,
): boolean {
  if (slotIn(info) === 0) return false
  let common = 0
  for (let word = 0; common === 32 * word && word < 4; word++)
    common += Math.clz32(words[start + word * stride]! ^ frame.getInt32(at + 4 * word) ^ SIGN)
  return common >= lengthIn(info)
}
