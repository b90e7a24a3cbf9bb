/**
 * Routes that go without having been withdrawn, a piece of a table at a time so that whoever asks meanwhile is answered:
 * those of a session that is gone, and those that did not come again when all were to (RFC 7313).
 */

import type { RoutingTable } from './rib/routing-table.ts'

/** Prefixes of a table that are looked at in one step. */
const PREFIXES = 50_000

export interface Purge {
  /** The session's number in the RIB. */
  readonly rib: number
  readonly tables: readonly RoutingTable[]
  /** Only what is marked as stale. */
  readonly onlyStale?: boolean
  /** So many paths went. */
  readonly purged?: (paths: number) => void
  /** All of it is gone. */
  readonly done?: () => void
}

export class Purges {
  readonly #touched: (table: RoutingTable) => void
  readonly #waiting: Purge[] = []
  // Of the first one: the table and the prefix in it.
  #table = 0
  #from = 0

  /** `touched` is told of tables in which prefixes may be unused now. */
  constructor(touched: (table: RoutingTable) => void) {
    this.#touched = touched
  }

  get isBusy(): boolean {
    return this.#waiting.length > 0
  }

  /** Stale routes of the session are still on their way out of the table. */
  isClearing(rib: number, table: RoutingTable): boolean {
    return this.#waiting.some((purge) => purge.onlyStale && purge.rib === rib && purge.tables.includes(table))
  }

  add(purge: Purge): void {
    this.#waiting.push(purge)
  }

  step(): void {
    const [purge] = this.#waiting
    if (!purge) return
    const table = purge.tables[this.#table]
    if (table && this.#from < table.prefixes.end) {
      const gone = table.purge(purge.rib, this.#from, this.#from + PREFIXES, purge.onlyStale)
      purge.purged?.(gone)
      this.#touched(table)
      this.#from += PREFIXES
      return
    }
    this.#from = 0
    if (++this.#table < purge.tables.length) return
    this.#table = 0
    this.#waiting.shift()
    purge.done?.()
  }
}
