/**
 * Routes that are to be looked at again because policy has changed: which tables, and which peers' routes in them. All
 * peers of a table are done in one walk over it, a piece at a time, and new routes meet the new policies meanwhile.
 */

import type { RoutingTable, WayIn } from './rib/routing-table.ts'

/** In one step. Each costs up to 2 us where the policy has to be worked out. */
const REVIEW_PREFIXES = 2000

interface Review {
  readonly table: RoutingTable
  /** By RIB number. */
  readonly ways: Map<number, WayIn>
  from: number
}

export class PolicyReviews {
  #reviews: Review[] = []

  get isBusy(): boolean {
    return this.#reviews.length > 0
  }

  add(table: RoutingTable, ways: Map<number, WayIn>): void {
    for (const rib of ways.keys()) this.forget(rib, table)
    this.#reviews.push({ table, ways, from: 0 })
  }

  /** The session is gone, or the table is to be looked at under another policy from the beginning. */
  forget(rib: number, table?: RoutingTable): void {
    for (const review of this.#reviews) if (table === undefined || review.table === table) review.ways.delete(rib)
    this.#reviews = this.#reviews.filter(({ ways }) => ways.size > 0)
  }

  /** Does a piece; the table that it was in, or undefined when nothing is left to do. */
  step(): RoutingTable | undefined {
    const [review] = this.#reviews
    if (!review) return undefined
    const { table, ways, from } = review
    table.reconsider(ways, from, from + REVIEW_PREFIXES)
    review.from += REVIEW_PREFIXES
    if (review.from >= table.prefixes.end) this.#reviews.shift()
    return table
  }
}
