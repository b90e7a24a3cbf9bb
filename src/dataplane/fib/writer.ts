/**
 * The FIB's one writer, on the agent thread. Every change is visible to the workers when the call returns, in one store or
 * one store an address (trie.ts); what it replaces is freed once the workers have passed by (qsbr.ts). Nothing is kept of a
 * route but what the workers' tables hold, so routes() reads them back out of those.
 */

import { type IpAddress, ipv4Bytes, type Prefix } from '../../base/address.ts'
import { assert } from '../../base/assert.ts'
import type { QsbrWriter, RetireQueue } from '../qsbr.ts'
import { Arena } from './arena.ts'
import { Builder, type WideFrom } from './build.ts'
import { addressWords, type Family, isNode, isSlot, isWide, ROOTS, rootOf, SLOT_MAX, UPDATES } from './layout.ts'
import { type FibMemory, wordsOf } from './memory.ts'
import { type RouteColumns, RouteList } from './route-list.ts'
import { Trie } from './trie.ts'
import { wideBitsOf } from './wide.ts'

/** So many retired blocks cause a look at the workers: its cost is then not seen, nor is the memory. */
const RECLAIM_EVERY = 128

export interface Route {
  readonly prefix: Prefix
  readonly slot: number
}

export interface FibStats {
  /** Of four bytes: all there are, in blocks, and in blocks with the gaps between them. */
  readonly words: { readonly limit: number; readonly used: number; readonly taken: number }
  readonly routes4: number
  readonly routes6: number
  /** Roots, two a VRF, that have routes: one sorted table, a trie, or a trie that begins with 16 or with 24 bits at once. */
  readonly small: number
  readonly large: number
  readonly wide: number
  readonly direct: number
  /** Blocks, with those that wait for the workers. */
  readonly tables: number
  readonly nodes: number
  /** Blocks, or tries as a whole, that the workers may still be reading. */
  readonly retired: number
}

export interface FibWriterOptions {
  /** For tests: what freed memory is filled with. */
  readonly poison?: number
  /** For tests, which need fewer routes then; both multiples of 1,024. */
  readonly wideFrom?: WideFrom
}

export class FibWriter {
  readonly #words: Int32Array
  readonly #vrfs: number
  readonly #qsbr: QsbrWriter
  readonly #arena: Arena
  readonly #builder: Builder
  readonly #retired: RetireQueue
  readonly #trie4: Trie
  readonly #trie6: Trie
  readonly #key = new Int32Array(4)

  constructor(memory: FibMemory, qsbr: QsbrWriter, options: FibWriterOptions = {}) {
    this.#words = wordsOf(memory)
    this.#vrfs = memory.vrfs
    this.#qsbr = qsbr
    this.#arena = new Arena(this.#words, ROOTS + 2 * memory.vrfs, () => qsbr.reclaim(), options.poison)
    this.#builder = new Builder(this.#arena, options.wideFrom)
    this.#retired = qsbr.queue((entry) => this.#builder.free(entry))
    this.#trie4 = new Trie(this.#arena, this.#builder, 4, (entry) => this.#retire(entry))
    this.#trie6 = new Trie(this.#arena, this.#builder, 6, (entry) => this.#retire(entry))
  }

  /** Adds the route or gives it another slot. Throws FibFullError and changes nothing when there is no room for it. */
  insert(vrf: number, prefix: Prefix, slot: number): void {
    const family = this.#setKey(prefix.address)
    this.#insert(vrf, family, prefix.length, slot)
  }

  insert4(vrf: number, address: number, length: number, slot: number): void {
    this.#key[0] = address
    this.#insert(vrf, 4, length, slot)
  }

  /** False when there is no such route. Works in a full FIB too. */
  remove(vrf: number, prefix: Prefix): boolean {
    const family = this.#setKey(prefix.address)
    return this.#remove(vrf, family, prefix.length)
  }

  remove4(vrf: number, address: number, length: number): boolean {
    this.#key[0] = address
    return this.#remove(vrf, 4, length)
  }

  /**
   * Replaces all routes of a VRF and family. The new table is built beside the old one and published by one store; both
   * need room meanwhile. Throws FibFullError and changes nothing when there is none.
   */
  load(vrf: number, family: Family, routes: RouteColumns): void {
    assert(vrf < this.#vrfs, 'a VRF beyond the FIB')
    for (let i = 0; i < routes.count; i++) {
      assert(isSlotNumber(routes.slots[i]!), 'a slot beyond 24 bits, or none')
      assert(
        isPrefix(routes.addresses, i * addressWords(family), family, routes.lengths[i]!),
        'a prefix with host bits',
      )
    }
    const list = new RouteList(family)
    list.fill(routes)
    this.#fence()
    this.#trie(family).replace(rootOf(vrf, family), list)
    this.commit()
  }

  /** Takes all routes of a VRF out, of both families. */
  clear(vrf: number): void {
    for (const family of [4, 6] as const) this.#trie(family).replace(rootOf(vrf, family), new RouteList(family))
    this.commit()
  }

  /** Frees what the workers have left behind. Changes are visible without it; call it now and then, as when idle. */
  commit(): void {
    this.#qsbr.reclaim()
  }

  /** A VRF's routes, IPv4 first, sorted by address and then by length: equal tables give equal sequences. */
  *routes(vrf: number): Generator<Route> {
    for (const family of [4, 6] as const) {
      const { count, addresses, lengths, slots } = this.columns(vrf, family)
      for (let i = 0; i < count; i++) {
        const address = family === 4 ? ipv4Bytes(addresses[i]!) : ipv6Bytes(addresses.subarray(4 * i, 4 * i + 4))
        yield { prefix: { address, length: lengths[i]! }, slot: slots[i]! }
      }
    }
  }

  /** The same as columns, which load() takes. */
  columns(vrf: number, family: Family): RouteColumns {
    const list = new RouteList(family)
    this.#trie(family).gather(rootOf(vrf, family), list)
    return list.columns()
  }

  stats(): FibStats {
    let small = 0
    let large = 0
    let wide = 0
    let direct = 0
    for (let at = ROOTS; at < ROOTS + 2 * this.#vrfs; at++) {
      const entry = this.#words[at]!
      if (isWide(entry) && wideBitsOf(entry) === 24) direct++
      else if (isWide(entry)) wide++
      else if (isNode(entry)) large++
      else if (!isSlot(entry)) small++
    }
    return {
      words: { limit: this.#words.length, used: this.#arena.used, taken: this.#arena.taken },
      routes4: this.#trie4.routes,
      routes6: this.#trie6.routes,
      small,
      large,
      wide,
      direct,
      tables: this.#builder.tables,
      nodes: this.#builder.nodes,
      retired: this.#retired.length,
    }
  }

  #insert(vrf: number, family: Family, length: number, slot: number): void {
    assert(vrf < this.#vrfs, 'a VRF beyond the FIB')
    assert(isSlotNumber(slot), 'a slot beyond 24 bits, or none')
    assert(isPrefix(this.#key, 0, family, length), 'a prefix with host bits')
    this.#fence()
    this.#trie(family).insert(rootOf(vrf, family), this.#key, length, slot)
  }

  #remove(vrf: number, family: Family, length: number): boolean {
    assert(vrf < this.#vrfs, 'a VRF beyond the FIB')
    return this.#trie(family).remove(rootOf(vrf, family), this.#key, length)
  }

  // What was written to the action that a slot names is seen by whoever meets the slot in the FIB.
  #fence(): void {
    Atomics.add(this.#words, UPDATES, 1)
  }

  #trie(family: Family): Trie {
    return family === 4 ? this.#trie4 : this.#trie6
  }

  #setKey(address: IpAddress): Family {
    for (let word = 0; word * 4 < address.length; word++) {
      const at = word * 4
      this.#key[word] = (address[at]! << 24) | (address[at + 1]! << 16) | (address[at + 2]! << 8) | address[at + 3]!
    }
    return address.length === 4 ? 4 : 6
  }

  #retire(entry: number): void {
    this.#retired.push(entry)
    if (this.#retired.length % RECLAIM_EVERY === 0) this.#qsbr.reclaim()
  }
}

function isSlotNumber(slot: number): boolean {
  return slot > 0 && slot <= SLOT_MAX
}

/** Is the length one that the family has, and are all bits behind it zero? */
function isPrefix(words: Int32Array | Uint32Array, first: number, family: Family, length: number): boolean {
  const count = addressWords(family)
  if (length > 32 * count) return false
  for (let word = length >>> 5; word < count; word++) {
    const hostBits = word === length >>> 5 ? 0xffffffff >>> (length & 31) : 0xffffffff
    if ((words[first + word]! & hostBits) !== 0) return false
  }
  return true
}

function ipv6Bytes(words: Uint32Array): IpAddress {
  const out = new Uint8Array(16)
  const view = new DataView(out.buffer)
  for (let word = 0; word < 4; word++) view.setUint32(4 * word, words[word]!)
  return out
}
