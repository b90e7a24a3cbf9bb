/**
 * Where a hash leads: the places of a hash table with open addressing and linear probing, which never has to be hashed anew
 * as a whole. It is cut into segments of one size, and one that has become full is split in two by the next bit of
 * its entries' hashes (extendible hashing; Fagin and others, 1979), so that with four million entries as with four thousand
 * growing costs some tens of microseconds at a time.
 *
 *   hash        ... bits of the segment | bits of the place in it
 *   directory   bits of the segment --> where it begins; one that was split less often than others is there several times
 *   places      segment | segment | segment ...
 *
 * A small table is one segment that doubles. A place is one word or two, of which the last is 0 where it is free. Whoever has
 * the table searches and fills places himself, for what is in them is his own.
 */

import { assert } from '../../../base/assert.ts'
import { grown8, grown32 } from './columns.ts'

const PLACES_FIRST = 32
/** Of few places there are four times as many next, of more twice: thousands of small tables grow in fewer steps. */
const SMALL_PLACES = 256
/** A segment of two words a place is 32 KB, and 2500 entries are put elsewhere in one when it is split. */
const SEGMENT_BITS = 12
/** More than so many segments there are only where hashes do not differ, and there splitting them is of no use. */
const DIRECTORY_BITS_MAX = 18
const HASH_BITS = 32

/** Of all small tables: one segment, the first. */
const ONE_SEGMENT = new Int32Array(1)

/** What was in the segment that is being split. */
let scratch: Int32Array = new Int32Array(2 << SEGMENT_BITS)

export type HashAt = (places: Int32Array, at: number) => number

export class PlaceIndex {
  /** By words. May be another array after `filled`. */
  places: Int32Array
  /** Of a place in its segment. */
  mask = PLACES_FIRST - 1
  readonly #hashAt: HashAt
  /** 0 or 1: a place has 2 ** this words. */
  readonly #wordShift: number
  #count = 0
  /** By words. */
  #directory: Int32Array = ONE_SEGMENT
  #directoryMask = 0
  #directoryBits = 0
  /** Of the hash, that say which place in a segment it is. */
  #segmentBits = SEGMENT_BITS
  #segments = 1
  // By segment, once the first is whole: entries in it, and how many bits of the hash they have in common.
  #used: Int32Array = new Int32Array(0)
  #depth: Uint8Array = new Uint8Array(0)

  /** `hashAt` is the hash of the entry whose place begins at word `at` of these. */
  constructor(words: 1 | 2, hashAt: HashAt) {
    this.#wordShift = words - 1
    this.#hashAt = hashAt
    this.places = new Int32Array(PLACES_FIRST << this.#wordShift)
  }

  /** The word at which the hash's segment begins. */
  baseOf(hash: number): number {
    return this.#directory[(hash >>> this.#segmentBits) & this.#directoryMask]!
  }

  #segmentAt(base: number): number {
    return base >> (this.#segmentBits + this.#wordShift)
  }

  /** The free place at which the search for it ended is taken by an entry of this hash now. */
  filled(hash: number): void {
    this.#count++
    if (this.#used.length === 0) {
      if (2 * this.#count > this.mask) this.#growSmall()
      return
    }
    const segment = this.#segmentAt(this.baseOf(hash))
    // Five eighths full: a search still sees one cache line, or two.
    if (8 * ++this.#used[segment]! > 5 * this.mask) this.#makeRoom(segment, hash)
  }

  /**
   * The entry of this hash whose place begins at word `at` goes. What probed past it moves up, so that no search ends too
   * early.
   */
  empty(hash: number, at: number): void {
    const { places, mask } = this
    const shift = this.#wordShift
    const base = this.baseOf(hash)
    let place = (at - base) >> shift
    for (let next = (place + 1) & mask; ; next = (next + 1) & mask) {
      const from = base + (next << shift)
      if (places[from + shift] === 0) break
      const home = this.#hashAt(places, from) & mask
      if (((next - home) & mask) < ((next - place) & mask)) continue
      const to = base + (place << shift)
      places[to] = places[from]!
      places[to + shift] = places[from + shift]!
      place = next
    }
    places[base + (place << shift) + shift] = 0
    this.#count--
    if (this.#used.length > 0) this.#used[this.#segmentAt(base)]!--
  }

  #growSmall(): void {
    const before = this.places
    const places = this.mask + 1
    const more = places < SMALL_PLACES ? 4 * places : 2 * places
    this.places = new Int32Array(more << this.#wordShift)
    this.mask = more - 1
    if (more === 1 << SEGMENT_BITS) {
      this.#used = grown32(this.#used, 1)
      this.#depth = grown8(this.#depth, 1)
      this.#used[0] = this.#count
    }
    this.#putAll(before)
  }

  // Splits a segment that is full, or has larger ones where that is of no use.
  #makeRoom(segment: number, hash: number): void {
    const depth = this.#depth[segment]!
    const bitsMax = Math.min(DIRECTORY_BITS_MAX, HASH_BITS - this.#segmentBits)
    if (depth === bitsMax) this.#enlarge()
    else this.#split(segment, depth, hash)
  }

  #split(segment: number, depth: number, hash: number): void {
    if (depth === this.#directoryBits) this.#doubleDirectory()
    const made = this.#segments++
    const words = 1 << (this.#segmentBits + this.#wordShift)
    this.places = grown32(this.places, this.#segments * words)
    this.#used = grown32(this.#used, this.#segments)
    this.#depth = grown8(this.#depth, this.#segments)
    this.#depth[segment] = this.#depth[made] = depth + 1
    // Those of its entries in the directory that have the next bit lead to the new one.
    const bit = 1 << depth
    const first = (hash >>> this.#segmentBits) & (bit - 1)
    for (let at = first | bit; at < this.#directory.length; at += 2 * bit) this.#directory[at] = made * words
    const whole = this.places.subarray(segment * words, (segment + 1) * words)
    scratch = grown32(scratch, words)
    scratch.set(whole)
    whole.fill(0)
    const entries = this.#used[segment]!
    this.#used[made] = this.#putAll(scratch.subarray(0, words), made)
    this.#used[segment] = entries - this.#used[made]!
  }

  #doubleDirectory(): void {
    const before = this.#directory
    this.#directory = new Int32Array(2 * before.length)
    this.#directory.set(before)
    this.#directory.set(before, before.length)
    this.#directoryMask = this.#directory.length - 1
    this.#directoryBits++
  }

  // Hashes that somebody has chosen, or not enough of their bits differ: everything is put into segments of twice the size.
  #enlarge(): void {
    const before = this.places.slice(0, this.#segments << (this.#segmentBits + this.#wordShift))
    this.#segmentBits++
    assert(this.#segmentBits < HASH_BITS - 2, 'a hash table that is larger than any')
    this.#directory = new Int32Array(1)
    this.#directoryMask = 0
    this.#directoryBits = 0
    this.#segments = 1
    this.#count = 0
    this.#used = new Int32Array(1)
    this.#depth = new Uint8Array(1)
    this.mask = 2 * this.mask + 1
    this.places = new Int32Array((this.mask + 1) << this.#wordShift)
    const shift = this.#wordShift
    for (let at = 0; at < before.length; at += 1 << shift) {
      if (before[at + shift] === 0) continue
      this.#put(before, at)
      this.filled(this.#hashAt(before, at))
    }
  }

  /** Puts entries where they belong; returns how many of them went into that segment. */
  #putAll(before: Int32Array, into = 0): number {
    const shift = this.#wordShift
    const intoFrom = into << (this.#segmentBits + shift)
    let there = 0
    for (let at = 0; at < before.length; at += 1 << shift)
      if (before[at + shift] !== 0 && this.#put(before, at) === intoFrom) there++
    return there
  }

  /** Returns the word at which its segment begins. */
  #put(before: Int32Array, at: number): number {
    const { places, mask } = this
    const shift = this.#wordShift
    const hash = this.#hashAt(before, at)
    const base = this.baseOf(hash)
    let place = hash & mask
    while (places[base + (place << shift) + shift] !== 0) place = (place + 1) & mask
    places[base + (place << shift)] = before[at]!
    places[base + (place << shift) + shift] = before[at + shift]!
    return base
  }
}
