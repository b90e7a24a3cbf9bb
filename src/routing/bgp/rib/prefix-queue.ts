/**
 * Prefixes of which somebody is to be told, each waiting once, in the order in which they came: a ring of their numbers
 * and a bit for each.
 */

import { capacityFor, grownUnsigned32 } from './columns.ts'

export class PrefixQueue {
  count = 0
  #ring = new Uint32Array(16)
  #head = 0
  #queued = new Uint32Array(1)

  /** False when it waits already. */
  add(prefix: number): boolean {
    const word = prefix >>> 5
    if (word >= this.#queued.length) this.#queued = grownUnsigned32(this.#queued, word + 1)
    const bit = 1 << (prefix & 31)
    if ((this.#queued[word]! & bit) !== 0) return false
    this.#queued[word]! |= bit
    if (this.count === this.#ring.length) this.#grow()
    this.#ring[(this.#head + this.count++) & (this.#ring.length - 1)] = prefix
    return true
  }

  /** Takes the one that has waited longest. Only while some wait. */
  take(): number {
    const prefix = this.#ring[this.#head]!
    this.#head = (this.#head + 1) & (this.#ring.length - 1)
    this.count--
    this.#queued[prefix >>> 5]! &= ~(1 << (prefix & 31))
    return prefix
  }

  /** The one that is `place` behind the first. */
  at(place: number): number {
    return this.#ring[(this.#head + place) & (this.#ring.length - 1)]!
  }

  #grow(): void {
    const larger = new Uint32Array(capacityFor(this.#ring.length + 1))
    const tail = this.#ring.subarray(this.#head)
    larger.set(tail)
    larger.set(this.#ring.subarray(0, this.#head), tail.length)
    this.#ring = larger
    this.#head = 0
  }
}
