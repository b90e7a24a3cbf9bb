/**
 * What a set of peers has been told, and what they are still to be told: an Adj-RIB-Out (RFC 4271 section 3.2) that peers
 * with equal needs share while they keep up. Prefixes wait in a queue, each once, and what is sent is the state when it is
 * sent, not every state on the way: a peer that is slow costs the queue and nothing more.
 *
 *   sent     the attribute set that was announced last, 0 for nothing            columns by prefix
 *   source   whose route that was: it is not told of its own
 *   label    of VPN routes, the label that it was announced with
 *   paths    where several are told, all of them; `sent` is the set of the best one then
 *   queue    prefixes that may have changed
 */

import { NO_SET } from './attribute-sets.ts'
import { grown16, grown32, grownUnsigned32 } from './columns.ts'
import { PrefixQueue } from './prefix-queue.ts'
import type { RoutingTable } from './routing-table.ts'
import type { ToldPaths } from './told-paths.ts'

export class Track {
  readonly table: RoutingTable
  /** Peers by their RIB numbers. */
  readonly members = new Set<number>()
  /** Of the members, those that have not been told yet that they have everything (End-of-RIB, RFC 4724 section 2). */
  readonly awaiting = new Set<number>()
  /** Those that are to be told that all routes come again from here on, and that they have come (RFC 7313). */
  readonly toBegin = new Set<number>()
  readonly toEnd = new Set<number>()
  sent: Int32Array = new Int32Array(16)
  source: Uint16Array = new Uint16Array(16)
  label: Uint32Array = new Uint32Array(0)
  readonly paths: ToldPaths | undefined
  readonly #queue = new PrefixQueue()
  /** Prefixes that it was ever told of are below this. */
  #end = 0

  /** `paths`: its members are told several paths of a prefix, these so far. */
  constructor(table: RoutingTable, paths?: ToldPaths) {
    this.table = table
    this.paths = paths
  }

  get waiting(): number {
    return this.#queue.count
  }

  /** No member any more. False when it was none. */
  drop(peer: number): boolean {
    for (const set of [this.awaiting, this.toBegin, this.toEnd]) set.delete(peer)
    return this.members.delete(peer)
  }

  /** The member goes on with another track, which has been told the same. */
  move(peer: number, to: Track): void {
    if (this.awaiting.has(peer)) to.awaiting.add(peer)
    if (this.toBegin.has(peer)) to.toBegin.add(peer)
    if (this.toEnd.has(peer)) to.toEnd.add(peer)
    this.drop(peer)
    to.members.add(peer)
  }

  /** The prefix may have changed. */
  enqueue(prefix: number): void {
    if (prefix >= this.#end) this.#reserve(prefix)
    if (this.#queue.add(prefix) && this.sent[prefix] === NO_SET) this.table.holds[prefix]!++
  }

  enqueueAll(): void {
    for (let prefix = 0; prefix < this.table.prefixes.end; prefix++)
      if (this.table.best[prefix] !== 0) this.enqueue(prefix)
  }

  /** Takes the prefix that has waited longest off the queue; only while some wait. It is held until `settle`. */
  take(): number {
    return this.#queue.take()
  }

  /** What was taken is told now: `set` of `source`'s route, or NO_SET. */
  settle(prefix: number, set: number, source: number, label = 0): void {
    const before = this.sent[prefix]!
    if (set !== before) {
      if (set !== NO_SET) this.table.sets.use(set)
      if (before !== NO_SET) this.table.sets.drop(before)
      this.sent[prefix] = set
    }
    this.source[prefix] = source
    if (this.table.hasLabels) this.label[prefix] = label
    if (set !== NO_SET) return
    this.table.letGo(prefix)
  }

  /** Another track that has been told the same and is told the rest from here on. */
  copy(): Track {
    const other = new Track(this.table, this.paths?.copy())
    for (let prefix = 0; prefix < this.#end; prefix++) {
      const set = this.sent[prefix]!
      if (set !== NO_SET) {
        if (prefix >= other.#end) other.#reserve(prefix)
        other.sent[prefix] = set
        other.source[prefix] = this.source[prefix]!
        if (this.table.hasLabels) other.label[prefix] = this.label[prefix]!
        this.table.sets.use(set)
        this.table.holds[prefix]!++
      }
    }
    for (const prefix of this.#queue.waiting()) other.enqueue(prefix)
    return other
  }

  /** What was sent is to be told again, and what is no more is to be taken back still: `source` says that it was told. */
  forget(): void {
    this.paths?.forget()
    for (let prefix = 0; prefix < this.#end; prefix++) {
      if (this.sent[prefix] === NO_SET) continue
      // It waits to be told anew, which holds it.
      this.enqueue(prefix)
      this.table.sets.drop(this.sent[prefix]!)
      this.sent[prefix] = NO_SET
    }
  }

  /** Lets go of everything: nobody is told anything any more. */
  clear(): void {
    this.paths?.clear()
    while (this.waiting > 0) this.settle(this.take(), NO_SET, 0)
    for (let prefix = 0; prefix < this.#end; prefix++) if (this.sent[prefix] !== NO_SET) this.settle(prefix, NO_SET, 0)
  }

  #reserve(prefix: number): void {
    this.#end = prefix + 1
    this.sent = grown32(this.sent, prefix + 1)
    this.source = grown16(this.source, prefix + 1)
    if (this.table.hasLabels) this.label = grownUnsigned32(this.label, prefix + 1)
  }
}
