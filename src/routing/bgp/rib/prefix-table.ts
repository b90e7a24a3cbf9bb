/**
 * The IPv4 prefixes of one VRF, and what all tables of prefixes have in common (wide-prefix-table.ts has the others). Each
 * prefix has a number of its own, under which everything else about it is kept in columns. Numbers are dense from 0 and are
 * used again when a prefix is gone.
 *
 *   index   place-index.ts, two words a place
 *             IPv4      the address | number + 1 and length, together in a word
 *             others    the hash | number + 1
 *
 * A place of the IPv4 index holds the whole prefix, so that finding one waits for one cache line. And prefixes are looked
 * for many at a time: first the places of all are read, then all are found, so that they wait together.
 */

import { assert } from '../../../base/assert.ts'
import { mix32 } from '../../../base/hash.ts'
import { readPrefix4 } from '../../../wire/bgp/prefix.ts'
import type { UpdateBuilder } from '../../../wire/bgp/update-builder.ts'
import type { Reader } from '../../../wire/cursor.ts'
import { grown8, grownUnsigned32 } from './columns.ts'
import { PlaceIndex } from './place-index.ts'

/** Not there, or malformed. */
export const NO_PREFIX = -1

/** Numbers are below 2^26, which leaves six bits of a word for a length up to 32. */
const PREFIXES_MAX = 2 ** 26 - 1

/** As many prefixes as are looked for at a time. */
export const FOUND_MAX = 512

export interface PrefixTable {
  /** Numbers given out so far are below this. */
  readonly end: number
  /** Prefixes that are there. */
  readonly count: number
  /** What `read` found, FOUND_MAX of them at most, and the path identifiers that came with them; until the next `read`. */
  readonly found: Int32Array
  readonly pathIds: Uint32Array
  /** Of VPN routes, the labels that came with them (20 bits); has no rows for others. */
  readonly labels: Uint32Array
  /**
   * Reads NLRI up to the end of the reader's window, or as much as is looked for at a time, and finds the prefixes'
   * numbers, or NO_PREFIX. Those that are not known are entered if `enter`. Returns how many it has read; fewer than there
   * are when one is malformed, which leaves the reader failed.
   */
  read(from: Reader, hasIds: boolean, enter: boolean): number
  /**
   * Writes the prefix as NLRI: a VPN's with the label, with the path identifier where the message has them. False when it does
   * not fit the message any more.
   */
  write(out: UpdateBuilder, prefix: number, label: number, pathId: number): boolean
  /** Gives the first `count` of these numbers back. */
  remove(prefixes: Int32Array, count: number): void
  /** The prefix's address words and its length, for people and other modules. */
  length(prefix: number): number
  address(prefix: number, into: Uint32Array): void
}

/** Of unicast prefixes, which are found by their address. */
export interface AddressTable extends PrefixTable {
  /** The address is in one word or four, from `at` on, with no bits set behind the length. */
  findAddress(words: Uint32Array, at: number, length: number, enter: boolean): number
}

export const NO_LABELS = new Uint32Array(0)

/** No number: the end of the list of those that may be given again. */
export const NONE = -1

/** What was read last, of whichever table: there are thousands of small ones, and one is read at a time. */
export const FOUND = new Int32Array(FOUND_MAX)
export const PATH_IDS = new Uint32Array(FOUND_MAX)
// Of the prefixes that are being looked for.
const KEYS = new Uint32Array(FOUND_MAX)
const BITS = new Uint8Array(FOUND_MAX)

export class PrefixTable4 implements AddressTable {
  readonly found = FOUND
  readonly pathIds = PATH_IDS
  readonly labels = NO_LABELS
  end = 0
  count = 0
  // A free number's address is the next free number.
  #free = NONE
  #addresses: Uint32Array = new Uint32Array(16)
  #lengths: Uint8Array = new Uint8Array(16)
  readonly #index = new PlaceIndex(2, hashAt4)
  /** Of no use but to make the reading of places look useful to the compiler. */
  touched = 0

  read(from: Reader, hasIds: boolean, enter: boolean): number {
    const { places, mask } = this.#index
    let count = 0
    let touched = 0
    for (; count < FOUND_MAX && from.remaining > 0; count++) {
      this.pathIds[count] = hasIds ? from.u32() : 0
      const length = from.u8()
      const address = readPrefix4(from, length)
      if (from.failed) break
      KEYS[count] = address
      BITS[count] = length
      const hash = hashOf4(address | 0, length)
      touched ^= places[this.#index.baseOf(hash) + 2 * (hash & mask)]!
    }
    this.touched = touched
    for (let i = 0; i < count; i++) this.found[i] = this.find(KEYS[i]!, BITS[i]!, enter)
    return count
  }

  /** `address` has no bits set behind the length. */
  find(address: number, length: number, enter: boolean): number {
    const { places, mask } = this.#index
    const word = address | 0
    const hash = hashOf4(word, length)
    const base = this.#index.baseOf(hash)
    let at = base + 2 * (hash & mask)
    for (let place = hash & mask; ; ) {
      const tail = places[at + 1]!
      if (tail === 0) break
      if (places[at] === word && (tail & 63) === length) return (tail >>> 6) - 1
      place = (place + 1) & mask
      at = base + 2 * place
    }
    return enter ? this.#enter(at, hash, address, length) : NO_PREFIX
  }

  findAddress(words: Uint32Array, at: number, length: number, enter: boolean): number {
    return this.find(words[at]!, length, enter)
  }

  #enter(at: number, hash: number, address: number, length: number): number {
    const prefix = this.#take()
    this.#addresses[prefix] = address
    this.#lengths[prefix] = length
    this.#index.places[at] = address | 0
    this.#index.places[at + 1] = ((prefix + 1) << 6) | length
    this.#index.filled(hash)
    return prefix
  }

  #take(): number {
    assert(this.count < PREFIXES_MAX, 'more prefixes than a table has numbers for')
    this.count++
    const free = this.#free
    if (free !== NONE) {
      this.#free = this.#addresses[free]! | 0
      return free
    }
    const prefix = this.end++
    if (prefix >= this.#addresses.length) {
      this.#addresses = grownUnsigned32(this.#addresses, prefix + 1)
      this.#lengths = grown8(this.#lengths, prefix + 1)
    }
    return prefix
  }

  remove(prefixes: Int32Array, count: number): void {
    const { places, mask } = this.#index
    for (let from = 0; from < count; from += FOUND_MAX) {
      const to = Math.min(from + FOUND_MAX, count)
      let touched = 0
      for (let i = from; i < to; i++) {
        const hash = this.#hashOf(prefixes[i]!)
        touched ^= places[this.#index.baseOf(hash) + 2 * (hash & mask)]!
      }
      this.touched = touched
      for (let i = from; i < to; i++) this.#remove(prefixes[i]!)
    }
  }

  #hashOf(prefix: number): number {
    return hashOf4(this.#addresses[prefix]! | 0, this.#lengths[prefix]!)
  }

  #remove(prefix: number): void {
    const { places, mask } = this.#index
    const hash = this.#hashOf(prefix)
    const base = this.#index.baseOf(hash)
    let place = hash & mask
    while (places[base + 2 * place + 1]! >>> 6 !== prefix + 1) place = (place + 1) & mask
    this.#index.empty(hash, base + 2 * place)
    this.count--
    this.#addresses[prefix] = this.#free
    this.#free = prefix
  }

  write(out: UpdateBuilder, prefix: number, _label: number, pathId: number): boolean {
    return out.addPrefix4(this.#addresses[prefix]!, this.#lengths[prefix]!, pathId)
  }

  length(prefix: number): number {
    return this.#lengths[prefix]!
  }

  address(prefix: number, into: Uint32Array): void {
    into[0] = this.#addresses[prefix]!
  }
}

function hashOf4(word: number, length: number): number {
  return mix32(word ^ (length << 26))
}

function hashAt4(places: Int32Array, at: number): number {
  return hashOf4(places[at]!, places[at + 1]! & 63)
}
