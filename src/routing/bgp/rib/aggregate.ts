/**
 * A summary of our own for all that lies in it (RFC 4271 section 9.2.2.2, and by RFC 6472 without an AS_SET): it is there
 * while the table has a route to a longer prefix in it. Longer prefixes may be kept from peers, who are told the summary
 * instead.
 */

import { NO_SET } from './attribute-sets.ts'
import { grown8 } from './columns.ts'
import { NONE } from './path.ts'
import type { AddressTable } from './prefix-table.ts'
import type { RouteFollower, RoutingTable } from './routing-table.ts'

export interface AggregateOptions {
  /** Of the address: one word of IPv4, four of IPv6, with no bits set behind the length. */
  readonly words: Uint32Array
  readonly length: number
  readonly summaryOnly: boolean
  /** The attributes of the summary, which are held for it. */
  readonly set: number
  /** Whose path it is. */
  readonly peer: number
}

/** Beside a virtual network with the same prefix, whose path has identifier 0. */
const PATH_ID = 1

export class Aggregate implements RouteFollower {
  readonly #table: RoutingTable
  readonly #options: AggregateOptions
  readonly #prefix: number
  /** By prefix: it lies in the summary, and it has a route. */
  #counted: Uint8Array = new Uint8Array(16)
  #count = 0
  readonly #words = new Uint32Array(4)

  /** The table has nothing in it yet. */
  constructor(table: RoutingTable, options: AggregateOptions) {
    this.#table = table
    this.#options = options
    this.#prefix = (table.prefixes as AddressTable).findAddress(options.words, 0, options.length, true)
    table.hold(this.#prefix)
    if (options.set !== NO_SET) table.sets.use(options.set)
    table.followers.push(this)
    table.aggregates.push(this)
  }

  suppresses(prefix: number): boolean {
    return this.#options.summaryOnly && this.#covers(prefix)
  }

  changed(prefix: number): void {
    this.#counted = grown8(this.#counted, prefix + 1)
    const isThere = this.#table.best[prefix] !== NONE ? 1 : 0
    if (isThere === this.#counted[prefix] || !this.#covers(prefix)) return
    this.#counted[prefix] = isThere
    this.#count += isThere === 1 ? 1 : -1
    const { peer, set } = this.#options
    if (isThere === 1 && this.#count === 1) this.#table.announce(this.#prefix, peer, PATH_ID, set, set, 0)
    if (this.#count === 0) this.#table.withdraw(this.#prefix, peer, PATH_ID)
  }

  // A longer prefix within the summary.
  #covers(prefix: number): boolean {
    const { prefixes } = this.#table
    const { words, length } = this.#options
    if (prefixes.length(prefix) <= length) return false
    prefixes.address(prefix, this.#words)
    for (let word = 0; 32 * word < length; word++) {
      const bits = Math.min(length - 32 * word, 32)
      if (((this.#words[word]! ^ words[word]!) & (-1 << (32 - bits))) !== 0) return false
    }
    return true
  }
}
