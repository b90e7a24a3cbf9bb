/**
 * Which prefixes end in a trie node, and their slots. A node decides eight bits, so 2 + 4 + ... + 256 prefixes may end in
 * it; they are numbered like a heap, which makes the number of the next shorter prefix half the number:
 *
 *   1             the node's own prefix (it ends in the node above; only a root's, the default route, is kept here)
 *   2 3           one bit more
 *   4 5 6 7       two bits more
 *   256 .. 511    eight bits more: one entry of the node
 *
 * A bit a number says which exist; their slots are packed in that order in a block that grows as needed (a tree bitmap;
 * Eatherton, Varghese and Dittia, 2004). The writer's alone: nothing here needs a copy or the workers' leave.
 */

import { assert } from '../../base/assert.ts'
import type { Arena } from './arena.ts'
import { FANOUT, HEADER_WORDS, Header } from './layout.ts'

const COUNT_MASK = 0xffff

/** An empty header: nothing ends in the node. */
export function clearHeader(words: Int32Array, header: number, fallback: number): void {
  words.fill(0, header, header + HEADER_WORDS)
  words[header + Header.fallback] = fallback
}

/** The number of the prefix that has `bits` more bits than the node, the first eight of which are in `byte`. */
export function prefixNumber(byte: number, bits: number): number {
  return (FANOUT | byte) >>> (8 - bits)
}

export function bitsOf(number: number): number {
  return 31 - Math.clz32(number)
}

/** The prefix's bits, as the leading ones of a byte. */
export function byteOf(number: number): number {
  return (number << (8 - bitsOf(number))) & (FANOUT - 1)
}

export function hasPrefix(words: Int32Array, header: number, number: number): boolean {
  return ((words[header + (number >>> 5)]! >>> (number & 31)) & 1) === 1
}

export function prefixCount(words: Int32Array, header: number): number {
  return words[header + Header.counts]! & COUNT_MASK
}

/** With how few routes below it the node is put back into a table. */
export function collapseAt(words: Int32Array, header: number): number {
  return words[header + Header.counts]! >>> 16
}

export function setCollapseAt(words: Int32Array, header: number, routes: number): void {
  words[header + Header.counts] = (words[header + Header.counts]! & COUNT_MASK) | (routes << 16)
}

export function prefixSlot(words: Int32Array, header: number, number: number): number {
  return words[words[header + Header.slots]! + rank(words, header, number)]!
}

export function setPrefixSlot(words: Int32Array, header: number, number: number, slot: number): void {
  words[words[header + Header.slots]! + rank(words, header, number)] = slot
}

/** The slot of the longest prefix shorter than this one: one that ends in the node, or what comes from above. */
export function coveringSlot(words: Int32Array, header: number, number: number): number {
  for (let shorter = number >>> 1; shorter > 0; shorter >>>= 1)
    if (hasPrefix(words, header, shorter)) return prefixSlot(words, header, shorter)
  return words[header + Header.fallback]!
}

/** Adds a prefix that is not there. False, and nothing done, when the arena is full. */
export function addPrefix(arena: Arena, header: number, number: number, slot: number): boolean {
  const words = arena.words
  const count = prefixCount(words, header)
  let block = words[header + Header.slots]!
  if (block === 0 || count === arena.sizeOf(block)) {
    const larger = arena.allocate(count + 1)
    if (larger === 0) return false
    words.copyWithin(larger, block, block + count)
    if (block !== 0) arena.free(block)
    words[header + Header.slots] = larger
    block = larger
  }
  const at = block + rank(words, header, number)
  words.copyWithin(at + 1, at, block + count)
  words[at] = slot
  words[header + (number >>> 5)]! |= 1 << (number & 31)
  words[header + Header.counts]!++
  return true
}

/** Takes out a prefix that is there. It frees the block with the last one, and otherwise leaves it as large as it is. */
export function dropPrefix(arena: Arena, header: number, number: number): void {
  const words = arena.words
  const count = prefixCount(words, header)
  const block = words[header + Header.slots]!
  const at = block + rank(words, header, number)
  words.copyWithin(at, at + 1, block + count)
  words[header + (number >>> 5)]! &= ~(1 << (number & 31))
  words[header + Header.counts]!--
  if (count > 1) return
  arena.free(block)
  words[header + Header.slots] = 0
}

/** Prepares an empty header for `count` prefixes at once: mark each, then set the slot of each. False when full. */
export function reservePrefixes(arena: Arena, header: number, count: number): boolean {
  const block = arena.allocate(count)
  if (block === 0) return false
  arena.words[header + Header.slots] = block
  return true
}

export function markPrefix(words: Int32Array, header: number, number: number): void {
  assert(!hasPrefix(words, header, number), 'a prefix is added twice')
  words[header + (number >>> 5)]! |= 1 << (number & 31)
  words[header + Header.counts]!++
}

// How many prefixes with a smaller number there are.
function rank(words: Int32Array, header: number, number: number): number {
  let ones = popcount(words[header + (number >>> 5)]! & ((1 << (number & 31)) - 1))
  for (let word = header + (number >>> 5) - 1; word >= header; word--) ones += popcount(words[word]!)
  return ones
}

function popcount(word: number): number {
  let ones = word - ((word >>> 1) & 0x55555555)
  ones = (ones & 0x33333333) + ((ones >>> 2) & 0x33333333)
  return Math.imul((ones + (ones >>> 4)) & 0x0f0f0f0f, 0x01010101) >>> 24
}
