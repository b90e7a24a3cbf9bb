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
  fill(routes: RouteColumns): void {
    this.clear()
    this.reserve(routes.count)
    const order = isSorted(routes, this.words) ? undefined : sortedOrder(routes, this.words)
    for (let i = 0; i < routes.count; i++) {
      const from = order ? order[i]! : i
      const length = routes.lengths[from]!
      // Where the order is stable the last of equals comes last and overwrites the one before.
      const row = this.count > 0 && this.#isPrefix(this.count - 1, routes, from) ? this.count - 1 : this.count
      for (let word = 0; word < this.words; word++) this.keys[word]![row] = routes.addresses[from * this.words + word]!
      this.infos[row] = infoOf(length, routes.slots[from]!)
      this.count = row + 1
    }
  }

  #isPrefix(row: number, routes: RouteColumns, from: number): boolean {
    if (lengthIn(this.infos[row]!) !== routes.lengths[from]) return false
    for (let word = 0; word < this.words; word++)
      if (this.keys[word]![row] !== (routes.addresses[from * this.words + word]! | 0)) return false
    return true
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

function isSorted({ count, addresses, lengths }: RouteColumns, words: number): boolean {
  for (let i = 1; i < count; i++) {
    let word = 0
    while (word < words - 1 && addresses[i * words + word] === addresses[(i - 1) * words + word]) word++
    const before = addresses[(i - 1) * words + word]!
    const here = addresses[i * words + word]!
    if (before > here || (before === here && lengths[i - 1]! > lengths[i]!)) return false
  }
  return true
}

/** Below this comparing is faster than a pass over 65,536 counters a digit. */
const RADIX_FROM = 4096

/** The rows in order; equal prefixes stay as they are. */
function sortedOrder(routes: RouteColumns, words: number): Uint32Array {
  const order = new Uint32Array(routes.count)
  for (let i = 0; i < order.length; i++) order[i] = i
  if (routes.count >= RADIX_FROM) return radixSorted(order, routes, words)
  const { addresses, lengths } = routes
  return order.sort((a, b) => {
    for (let word = 0; word < words; word++) {
      const difference = addresses[a * words + word]! - addresses[b * words + word]!
      if (difference !== 0) return difference
    }
    return lengths[a]! - lengths[b]!
  })
}

// Least significant digit first, 16 bits a pass; a digit that is the same in all routes costs only its count.
function radixSorted(rows: Uint32Array, { count, addresses, lengths }: RouteColumns, words: number): Uint32Array {
  let order = rows
  let other: Uint32Array = new Uint32Array(count)
  const counts = new Uint32Array(65_537)
  const pass = (digitOf: (route: number) => number): void => {
    counts.fill(0)
    for (let i = 0; i < count; i++) counts[digitOf(i) + 1]!++
    if (counts[digitOf(0) + 1] === count) return
    for (let digit = 1; digit < counts.length; digit++) counts[digit]! += counts[digit - 1]!
    for (let i = 0; i < count; i++) {
      const route = order[i]!
      other[counts[digitOf(route)]!++] = route
    }
    ;[order, other] = [other, order]
  }
  pass((route) => lengths[route]!)
  for (let word = words - 1; word >= 0; word--) {
    pass((route) => addresses[route * words + word]! & 0xffff)
    pass((route) => addresses[route * words + word]! >>> 16)
  }
  return order
}
