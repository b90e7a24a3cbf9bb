/**
 * Where things are in a wide root: the nodes of a trie's first two or three levels in one block, so that a lookup takes
 * their 16 or 24 bits in one step.
 *
 *   entries   2^16 or 2^24, those of the deepest level; the levels above have none of their own
 *   headers   of the deepest level's nodes (256 or 65,536), of the next one's (none or 256), of the one at the top
 *
 * A node is known by its depth, the bits above it, and its index, what these bits say. Node i of the deepest level has the
 * entries from 256 i on.
 */

import { blockOf, DIRECT, FANOUT, HEADER_WORDS, NODE, WIDE } from './layout.ts'

/** How many bits a wide root decides. */
export type WideBits = 16 | 24

export function wideBitsOf(entry: number): WideBits {
  return (entry & DIRECT) === 0 ? 16 : 24
}

export function wideEntryOf(bits: WideBits, block: number): number {
  return NODE | WIDE | (bits === 24 ? DIRECT : 0) | (block >>> 2)
}

/** Where the header of a node begins. */
export function wideHeader(block: number, bits: WideBits, depth: number, index: number): number {
  let before = 0
  for (let deeper = depth + 8; deeper < bits; deeper += 8) before += 1 << deeper
  return block + (1 << bits) + (before + index) * HEADER_WORDS
}

/** Where the entries of a node of the deepest level begin. */
export function wideEntries(block: number, index: number): number {
  return block + index * FANOUT
}

/** How many nodes there are, in all levels. */
export function wideNodes(bits: WideBits): number {
  return bits === 24 ? 1 + FANOUT + FANOUT * FANOUT : 1 + FANOUT
}

export function wideWords(bits: WideBits): number {
  return (1 << bits) + wideNodes(bits) * HEADER_WORDS
}

/** The header of a root that is a node, wide or not. */
export function rootHeader(entry: number): number {
  const block = blockOf(entry)
  return (entry & WIDE) === 0 ? block + FANOUT : wideHeader(block, wideBitsOf(entry), 0, 0)
}
