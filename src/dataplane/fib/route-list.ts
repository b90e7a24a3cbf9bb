/**
 * Routes in columns: what a whole table is loaded from, and the writer's scratch when it takes a block apart and puts it
 * together anew. Sorted means by address, and of equal addresses the shorter prefix first: then a prefix comes right before
 * all that it contains.
 */

import { addressWords, type Family, infoOf, lengthIn, slotIn } from './layout.ts'

/** Routes as they come from outside. A prefix that occurs twice has the slot of the last. */
export interface RouteColumns {
  readonly count: number
  /** Host order, one word an IPv4 route, four an IPv6 route with the most significant first. Host bits are zero. */
  readonly addresses: Uint32Array
  readonly lengths: Uint8Array
  readonly slots: Uint32Array
}

/** From so many routes on fewer and wider digits sort faster. */
const MANY = 4096

export class RouteList {
  readonly words: number
  count = 0
  /** A column a word of the address. */
  keys: Int32Array<ArrayBuffer>[]
  infos = new Int32Array(64)

  constructor(family: Family) {
    this.words = addressWords(family)
    this.keys = Array.from({ length: this.words }, () => new Int32Array(64))
  }

  clear(): void {
    this.count = 0
  }

  /** Makes room for so many routes, and keeps those that are there. */
  reserve(count: number): void {
    if (count <= this.infos.length) return
    const capacity = Math.max(count, this.infos.length * 2)
    this.keys = this.keys.map((column) => grown(column, capacity))
    this.infos = grown(this.infos, capacity)
  }

  append(key: Int32Array, info: number): void {
    this.reserve(this.count + 1)
    for (let word = 0; word < this.words; word++) this.keys[word]![this.count] = key[word]!
    this.infos[this.count++] = info
  }

  /** Adds a prefix that is not there, where it belongs. */
  insert(key: Int32Array, info: number): void {
    const row = this.#placeOf(key, lengthIn(info))
    this.reserve(this.count + 1)
    for (let word = 0; word < this.words; word++) {
      const column = this.keys[word]!
      column.copyWithin(row + 1, row, this.count)
      column[row] = key[word]!
    }
    this.infos.copyWithin(row + 1, row, this.count++)
    this.infos[row] = info
  }

  /** Takes out a prefix that is there. */
  remove(key: Int32Array, length: number): void {
    const row = this.#placeOf(key, length)
    for (const column of this.keys) column.copyWithin(row, row + 1, this.count)
    this.infos.copyWithin(row, row + 1, this.count--)
  }

  // The first row whose prefix does not come before this one.
  #placeOf(key: Int32Array, length: number): number {
    let low = 0
    let high = this.count
    while (low < high) {
      const middle = (low + high) >>> 1
      if (this.#comesBefore(middle, key, length)) low = middle + 1
      else high = middle
    }
    return low
  }

  #comesBefore(row: number, key: Int32Array, length: number): boolean {
    for (let word = 0; word < this.words; word++) {
      const here = this.keys[word]![row]! >>> 0
      const there = key[word]! >>> 0
      if (here !== there) return here < there
    }
    return lengthIn(this.infos[row]!) < length
  }

  /** The eight bits of a route's address from bit `depth` on; `depth` is a multiple of eight. */
  byteAt(row: number, depth: number): number {
    return (this.keys[depth >>> 5]![row]! >>> (24 - (depth & 31))) & 255
  }

  /** Takes out the routes from row `from` on that have no slot: in a table they only keep their place. */
  dropGone(from: number): void {
    const infos = this.infos
    let live = from
    for (let row = from; row < this.count; row++) {
      if (slotIn(infos[row]!) === 0) continue
      if (live !== row) {
        for (const column of this.keys) column[live] = column[row]!
        infos[live] = infos[row]!
      }
      live++
    }
    this.count = live
  }

  /** How many leading bits the addresses of two routes have in common. */
  commonBits(row: number, other: number): number {
    for (let word = 0; word < this.words; word++) {
      const difference = this.keys[word]![row]! ^ this.keys[word]![other]!
      if (difference !== 0) return word * 32 + Math.clz32(difference)
    }
    return this.words * 32
  }

  /** Replaces the content by routes from outside, sorted and each prefix once. */
  fill({ count, addresses, lengths, slots }: RouteColumns): void {
    this.clear()
    this.reserve(count)
    this.count = count
    for (let row = 0; row < count; row++) this.infos[row] = infoOf(lengths[row]!, slots[row]!)
    for (let word = 0; word < this.words; word++) {
      const column = this.keys[word]!
      for (let row = 0; row < count; row++) column[row] = addresses[row * this.words + word]!
    }
    if (!this.#isSorted()) this.#sort()
    this.#keepLast()
  }

  #isSorted(): boolean {
    for (let row = 1; row < this.count; row++) if (this.#compare(row - 1, row) > 0) return false
    return true
  }

  #compare(row: number, other: number): number {
    for (let word = 0; word < this.words; word++) {
      const difference = (this.keys[word]![row]! >>> 0) - (this.keys[word]![other]! >>> 0)
      if (difference !== 0) return difference
    }
    return lengthIn(this.infos[row]!) - lengthIn(this.infos[other]!)
  }

  // Least significant digit first, which keeps the order of equals: the length, then the address from its end.
  #sort(): void {
    const bits = this.count < MANY ? 8 : 11
    const counts = new Uint32Array((1 << bits) + 1)
    const spare = new RouteList(this.words === 1 ? 4 : 6)
    spare.reserve(this.count)
    this.#sortBy(this.infos, 24, counts, spare)
    for (let word = this.words - 1; word >= 0; word--)
      for (let shift = 0; shift < 32; shift += bits) this.#sortBy(this.keys[word]!, shift, counts, spare)
  }

  #sortBy(column: Int32Array, shift: number, counts: Uint32Array, spare: RouteList): void {
    const { count, keys, infos } = this
    const mask = counts.length - 2
    counts.fill(0)
    for (let row = 0; row < count; row++) counts[((column[row]! >>> shift) & mask) + 1]!++
    if (counts[((column[0]! >>> shift) & mask) + 1] === count) return
    for (let digit = 1; digit <= mask; digit++) counts[digit]! += counts[digit - 1]!
    const first = keys[0]!
    const spareFirst = spare.keys[0]!
    const spareInfos = spare.infos
    for (let row = 0; row < count; row++) {
      const to = counts[(column[row]! >>> shift) & mask]!++
      spareFirst[to] = first[row]!
      spareInfos[to] = infos[row]!
      for (let word = 1; word < keys.length; word++) spare.keys[word]![to] = keys[word]![row]!
    }
    this.keys = spare.keys
    this.infos = spareInfos
    spare.keys = keys
    spare.infos = infos
  }

  // Of equal prefixes, which now stand side by side.
  #keepLast(): void {
    let kept = Math.min(1, this.count)
    for (let row = 1; row < this.count; row++) {
      if (this.#compare(kept - 1, row) === 0) kept--
      if (kept !== row) {
        for (const column of this.keys) column[kept] = column[row]!
        this.infos[kept] = this.infos[row]!
      }
      kept++
    }
    this.count = kept
  }

  /** The content as routes for outside. */
  columns(): RouteColumns {
    const { count, words } = this
    const addresses = new Uint32Array(count * words)
    const lengths = new Uint8Array(count)
    const slots = new Uint32Array(count)
    for (let row = 0; row < count; row++) {
      for (let word = 0; word < words; word++) addresses[row * words + word] = this.keys[word]![row]!
      lengths[row] = lengthIn(this.infos[row]!)
      slots[row] = slotIn(this.infos[row]!)
    }
    return { count, addresses, lengths, slots }
  }
}

function grown(column: Int32Array<ArrayBuffer>, capacity: number): Int32Array<ArrayBuffer> {
  const out = new Int32Array(capacity)
  out.set(column)
  return out
}
