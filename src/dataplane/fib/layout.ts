/**
 * How the FIB lies in its words. Every VRF has a root entry for IPv4 and one for IPv6; an entry is a slot number or leads to
 * a block of the arena, of which there are two kinds:
 *
 *   entry   0 .. 2^24 - 1           the result: a slot number, 0 for no route
 *           TABLE | block >> 2      a sorted table of routes (table.ts); as a root: the small representation
 *           NODE | block >> 2       a trie node, indexed by the next 8 bits; as a root: the large representation
 *           NODE | WIDE | ...       a root only: 256 nodes and the node above them in one block, indexed by 16 bits
 *
 *   table   routes and chunks | fallback | first starts of all chunks but the first | chunks (table.ts)
 *   node    256 entries | header
 *   wide    65,536 or 2^24 entries (node 0's 256, node 1's ...) | the headers of all its nodes
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
/** The bit of TABLE, which a node has no use for. */
export const DIRECT = 0x40000000
const BLOCK_MASK = 0x1fffffff

export const FANOUT = 256

/** Offsets within a header. */
export const Header = { prefixes: 0, slots: 16, counts: 17, routes: 18, fallback: 19 } as const
export const HEADER_WORDS = 20
export const NODE_WORDS = FANOUT + HEADER_WORDS

/** Offsets within a table: of the number of routes and, in the upper half, of chunks, and so on. */
export const Table = { counts: 0, fallback: 1, pivots: 2 } as const

/** A chunk is one cache line. */
export const CHUNK_WORDS = 16
/** Tables of up to so many routes are one chunk, only as long as these need, and have no parents. */
export const FLAT_MAX = 7
export const NO_PARENT = 0xff

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

/** How many routes fill a chunk, each with its start, its info and a byte for its parent. */
export function chunkRoutes(addressWords: number): number {
  return addressWords === 1 ? 7 : 3
}

/** A route's place is its chunk and its number there, together in a byte: the latter takes so many bits. */
export function placeBits(addressWords: number): number {
  return addressWords === 1 ? 3 : 2
}

/** The most routes of a table: all places are below NO_PARENT. */
export function tableMaxRoutes(addressWords: number): number {
  return (NO_PARENT >> placeBits(addressWords)) * chunkRoutes(addressWords)
}

export function chunksFor(routes: number, addressWords: number): number {
  return routes <= FLAT_MAX ? 1 : Math.ceil(routes / chunkRoutes(addressWords))
}

/** Where the first chunk begins within a table: behind the pivots, and where there are any, on a line of its own. */
export function firstChunkAt(chunks: number, addressWords: number): number {
  if (chunks === 1) return Table.pivots
  return (Table.pivots + (chunks - 1) * addressWords + CHUNK_WORDS - 1) & -CHUNK_WORDS
}

export function tableWords(routes: number, addressWords: number): number {
  if (routes <= FLAT_MAX) return Table.pivots + routes * (addressWords + 1)
  const chunks = chunksFor(routes, addressWords)
  return firstChunkAt(chunks, addressWords) + chunks * CHUNK_WORDS
}
