/**
 * What a set of peers has been told, and what they are still to be told: an Adj-RIB-Out (RFC 4271 section 3.2) that peers
 * with equal needs share while they keep up. Prefixes wait in a queue, each once, and what is sent is the state when it is
 * sent, not every state on the way: a peer that is slow costs the queue and nothing more.
 *
 *   sent     the attribute set that was announced last, 0 for nothing            columns by prefix
 *   source   whose route that was: it is not told of its own
 *   queue    prefixes that may have changed, a ring; `queued` has a bit for each
 */

import { NO_SET } from './attribute-sets.ts'
import { capacityFor, grown16, grown32, grownUnsigned32 } from './columns.ts'
import type { RoutingTable } from './routing-table.ts'

export class Track {
  readonly table: RoutingTable
  /** Peers by their RIB numbers. */
  readonly members = new Set<number>()
  /** Of the members, those that have not been told yet that they have everything (End-of-RIB, RFC 4724 section 2). */
  readonly awaiting = new Set<number>()
  sent = new Int32Array(16)
  source = new Uint16Array(16)
  #queued = new Uint32Array(1)
  #queue = new Uint32Array(16)
  #head = 0
  #waiting = 0

  constructor(table: RoutingTable) {
    this.table = table
  }

  get waiting(): number {
    return this.#waiting
  }

  /** The prefix may have changed. */
  enqueue(prefix: number): void {
    if (prefix >= this.sent.length) this.#reserve(prefix)
    const bit = 1 << (prefix & 31)
    if ((this.#queued[prefix >>> 5]! & bit) !== 0) return
    this.#queued[prefix >>> 5]! |= bit
    if (this.sent[prefix] === NO_SET) this.table.holds[prefix]!++
    if (this.#waiting === this.#queue.length) this.#growQueue()
    this.#queue[(this.#head + this.#waiting++) & (this.#queue.length - 1)] = prefix
  }

  enqueueAll(): void {
    for (let prefix = 0; prefix < this.table.prefixes.end; prefix++)
      if (this.table.best[prefix] !== 0) this.enqueue(prefix)
  }

  /** The prefix that has waited longest, which stays there until `take`. Only while some wait. */
  peek(): number {
    return this.#queue[this.#head]!
  }

  /** Takes the prefix that `peek` showed off the queue. It is held until `settle`. */
  take(): void {
    const prefix = this.#queue[this.#head]!
    this.#head = (this.#head + 1) & (this.#queue.length - 1)
    this.#waiting--
    this.#queued[prefix >>> 5]! &= ~(1 << (prefix & 31))
  }

  /** What was taken is told now: `set` of `source`'s route, or NO_SET. */
  settle(prefix: number, set: number, source: number): void {
    const before = this.sent[prefix]!
    if (set !== before) {
      if (set !== NO_SET) this.table.sets.use(set)
      if (before !== NO_SET) this.table.sets.drop(before)
      this.sent[prefix] = set
    }
    this.source[prefix] = source
    if (set !== NO_SET) return
    this.table.holds[prefix]!--
    this.table.releaseIfUnused(prefix)
  }

  /** Another track that has been told the same and is told the rest from here on. */
  copy(): Track {
    const other = new Track(this.table)
    for (let prefix = 0; prefix < this.sent.length; prefix++) {
      const set = this.sent[prefix]!
      if (set !== NO_SET) {
        if (prefix >= other.sent.length) other.#reserve(prefix)
        other.sent[prefix] = set
        other.source[prefix] = this.source[prefix]!
        this.table.sets.use(set)
        this.table.holds[prefix]!++
      }
    }
    for (let i = 0; i < this.#waiting; i++) other.enqueue(this.#queue[(this.#head + i) & (this.#queue.length - 1)]!)
    return other
  }

  /** What was sent counts for nothing. */
  forget(): void {
    for (let prefix = 0; prefix < this.sent.length; prefix++) {
      if (this.sent[prefix] === NO_SET) continue
      // It waits to be told anew, which holds it.
      this.enqueue(prefix)
      this.table.sets.drop(this.sent[prefix]!)
      this.sent[prefix] = NO_SET
    }
  }

  /** Lets go of everything: nobody is told anything any more. */
  clear(): void {
    for (; this.#waiting > 0; ) {
      const prefix = this.peek()
      this.take()
      this.settle(prefix, NO_SET, 0)
    }
    for (let prefix = 0; prefix < this.sent.length; prefix++)
      if (this.sent[prefix] !== NO_SET) this.settle(prefix, NO_SET, 0)
  }

  #reserve(prefix: number): void {
    this.sent = grown32(this.sent, prefix + 1)
    this.source = grown16(this.source, prefix + 1)
    this.#queued = grownUnsigned32(this.#queued, (this.sent.length >>> 5) + 1)
  }

  #growQueue(): void {
    const larger = new Uint32Array(capacityFor(this.#queue.length + 1))
    const tail = this.#queue.subarray(this.#head)
    larger.set(tail)
    larger.set(this.#queue.subarray(0, this.#head), tail.length)
    this.#queue = larger
    this.#head = 0
  }
}
