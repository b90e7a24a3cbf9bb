/**
 * How the FIB lies in its words. Every VRF has a root entry for IPv4 and one for IPv6; an entry is a slot number or leads to
 * a block of the arena, of which there are two kinds:
 *
 *   entry   0 .. 2^24 - 1           the result: a slot number, 0 for no route
 *           TABLE | block >> 2      a sorted table of routes (table.ts); as a root: the small representation
 *           NODE | block >> 2       a trie node, indexed by the next 8 bits; as a root: the large representation
 *           NODE | WIDE | ...       a root only: 256 nodes and the node above them in one block, indexed by 16 bits
 *
 *   table   count | fallback | starts, a column a 32-bit word of the address | infos | parents, two a word
 *   node    256 entries | header
 *   wide    65,536 entries (node 0's 256, node 1's ...) | 256 headers | the header of the node above
 *   header  which prefixes end in the node: 512 bits | block of their slots | their number, collapse at | routes below | fallback
 *
 * So a large VRF is a multibit trie whose leaves are small tables, and a small VRF is one table: the same two kinds of
 * block, read by the same code. Of a node the workers read the entries; its header is the writer's alone. A fallback is what
 * shorter prefixes, which end further up, have to say where nothing in the block matches.
 */

/** Counts updates; adding to it is also the barrier between an action's words and the entries that lead to it. */
export const UPDATES = 0
/** Two words a VRF: IPv4, IPv6. */
export const ROOTS = 16

export const SLOT_MAX = 0xffffff
export const VRFS_MAX = 65_536
/** Word indices stay below 2^31: beyond, V8 indexes many times slower. */
export const WORDS_MAX = 2 ** 31 - 65_536

/** The sign bit: the workers' first test. */
export const NODE = -0x80000000
export const TABLE = 0x40000000
export const WIDE = 0x20000000
const BLOCK_MASK = 0x1fffffff

export const FANOUT = 256
export const WIDE_ENTRIES = FANOUT * FANOUT

/** Offsets within a header. */
export const Header = { prefixes: 0, slots: 16, counts: 17, routes: 18, fallback: 19 } as const
export const HEADER_WORDS = 20
export const NODE_WORDS = FANOUT + HEADER_WORDS
export const WIDE_WORDS = WIDE_ENTRIES + (FANOUT + 1) * HEADER_WORDS

/** Offsets within a table, and where its columns begin. */
export const Table = { count: 0, fallback: 1, starts: 2 } as const

/** Up to this many routes a table has no parents: walking back over them costs less than looking them up. */
export const PARENTS_FROM = 9
export const NO_PARENT = 0xffff

export type Family = 4 | 6

/** How many 32-bit words an address has. */
export function addressWords(family: Family): number {
  return family === 4 ? 1 : 4
}

export function rootOf(vrf: number, family: Family): number {
  return ROOTS + vrf * 2 + (family === 4 ? 0 : 1)
}

export function isSlot(entry: number): boolean {
  return entry >>> 24 === 0
}

export function isNode(entry: number): boolean {
  return entry < 0
}

export function isWide(entry: number): boolean {
  return entry < 0 && (entry & WIDE) !== 0
}

/** The block's first word. Blocks are aligned to four words. */
export function blockOf(entry: number): number {
  return (entry & BLOCK_MASK) << 2
}

export function entryOf(kind: number, block: number): number {
  return kind | (block >>> 2)
}

/** A route's length and slot in one word. */
export function infoOf(length: number, slot: number): number {
  return (length << 24) | slot
}

export function lengthIn(info: number): number {
  return info >>> 24
}

/** 0 marks a route that is gone but still takes its place in a table. */
export function slotIn(info: number): number {
  return info & SLOT_MAX
}

export function tableWords(routes: number, words: number): number {
  return Table.starts + routes * (words + 1) + (routes < PARENTS_FROM ? 0 : (routes + 1) >> 1)
}
