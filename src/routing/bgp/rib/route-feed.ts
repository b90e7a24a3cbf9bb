/**
 * What the control module is told of tenants' tables: the next hops of each prefix whose routes have changed, as batches
 * of columns (wire/control/route.ts). Like a peer on a track (track.ts) it is told the state when it is told, not every
 * state on the way, and a prefix whose next hops are what they were is not told at all.
 */

import { FAMILY, type Family } from '../../../wire/bgp/family.ts'
import { RouteColumnsBuilder } from '../../../wire/control/columns.ts'
import { type Gateways, routeBatch } from '../../../wire/control/route.ts'
import { grown32 } from './columns.ts'
import { type GatewayLists, NO_LIST } from './gateway-lists.ts'
import { NONE } from './path.ts'
import { PrefixQueue } from './prefix-queue.ts'
import type { RouteFollower, RoutingTable } from './routing-table.ts'

/** Of a whole table that is told anew. */
const UNLIMITED = Number.POSITIVE_INFINITY

/** Paths by the same next hops as the best ones, such as two reflectors have, are passed over; not without end. */
const BACKUPS_LOOKED_AT = 4

export interface FeedOptions {
  /** Who says so: the routing node. */
  readonly origin: string
  readonly preference: number
  /** Paths at most that share a prefix's packets. */
  readonly multipath: number
}

class FedTable implements RouteFollower {
  readonly table: RoutingTable
  readonly tenant: string
  readonly family: Family
  readonly queue = new PrefixQueue()
  /** By prefix: the list that was told last. */
  told: Int32Array = new Int32Array(16)
  /** Prefixes of which something was ever told are below this. */
  #end = 0
  readonly #wake: (fed: FedTable) => void

  constructor(table: RoutingTable, tenant: string, family: Family, wake: (fed: FedTable) => void) {
    this.table = table
    this.tenant = tenant
    this.family = family
    this.#wake = wake
  }

  changed(prefix: number): void {
    if (this.queue.count === 0) this.#wake(this)
    if (prefix >= this.#end) {
      this.told = grown32(this.told, prefix + 1)
      this.#end = prefix + 1
    }
    if (this.queue.add(prefix) && this.told[prefix] === NO_LIST) this.table.holds[prefix]!++
  }

  settle(prefix: number, list: number, lists: GatewayLists): void {
    const before = this.told[prefix]!
    if (list !== before) {
      if (list !== NO_LIST) lists.use(list)
      if (before !== NO_LIST) lists.drop(before)
      this.told[prefix] = list
    }
    if (list !== NO_LIST) return
    this.table.letGo(prefix)
  }

  /** What was told counts for nothing. */
  forget(lists: GatewayLists): void {
    for (let prefix = 0; prefix < this.#end; prefix++) {
      const list = this.told[prefix]!
      if (list === NO_LIST) continue
      // It waits to be told anew, which holds it.
      if (this.queue.count === 0) this.#wake(this)
      this.queue.add(prefix)
      lists.drop(list)
      this.told[prefix] = NO_LIST
    }
  }
}

export class RouteFeed {
  readonly #options: FeedOptions
  readonly #lists: GatewayLists
  readonly #tables: FedTable[] = []
  /** Those that have something to tell. */
  readonly #awake = new Set<FedTable>()
  /** Those that share the packets, and behind them those that are no backups. */
  readonly #paths: Int32Array
  readonly #words = new Uint32Array(4)
  #replaces = true

  constructor(options: FeedOptions, lists: GatewayLists) {
    this.#options = options
    this.#lists = lists
    this.#paths = new Int32Array(options.multipath + BACKUPS_LOOKED_AT)
  }

  follow(table: RoutingTable, tenant: string, family: Family): void {
    const fed = new FedTable(table, tenant, family, (awake) => void this.#awake.add(awake))
    this.#tables.push(fed)
    table.followers.push(fed)
  }

  /** There is something to tell. The first batch is to be told even when it is empty: what another life said is over. */
  get isBusy(): boolean {
    return this.#replaces || this.#awake.size > 0
  }

  /** Everything is to be told again, in one batch that replaces what was said before. */
  replay(): void {
    this.#replaces = true
    for (const fed of this.#tables) fed.forget(this.#lists)
  }

  /**
   * The next batch, encoded and said to be of `at_s`, of so many prefixes at most; one that replaces has all there are.
   * Tables of which something was told are entered in `touched`: prefixes of theirs may be unused now.
   */
  next(prefixesMax: number, at_s: number, touched: Set<RoutingTable>): Uint8Array {
    const batch = new BatchBuilder(this.#lists)
    let left = this.#replaces ? UNLIMITED : prefixesMax
    for (const fed of this.#awake) {
      touched.add(fed.table)
      for (; left > 0 && fed.queue.count > 0; left--) {
        const prefix = fed.queue.take()
        const list = this.#listOf(fed.table, prefix)
        if (list !== fed.told[prefix]) batch.add(fed, prefix, list, this.#words)
        fed.settle(prefix, list, this.#lists)
      }
      // Who has more to tell goes on behind the others.
      this.#awake.delete(fed)
      if (fed.queue.count === 0) continue
      this.#awake.add(fed)
      break
    }
    const { origin, preference } = this.#options
    const replaces = this.#replaces
    this.#replaces = false
    return routeBatch.encode({ origin, preference, replaces, at_s, ...batch.build() })
  }

  #listOf(table: RoutingTable, prefix: number): number {
    const best = table.best[prefix]!
    if (best === NONE) return NO_LIST
    const first = table.first[prefix]!
    if (table.next[first] === NONE) return this.#lists.of(table.set[best]!)
    const paths = this.#paths
    const count = table.decision.multipath(table, first, paths.subarray(0, this.#options.multipath))
    const sets = Array.from(paths.subarray(0, count), (path) => table.set[path]!)
    return this.#lists.ofAll(sets, this.#backup(table, first, count, sets))
  }

  /** The set of the best path by another next hop than the first `count` of `#paths`, if there is one (RFC 5714). */
  #backup(table: RoutingTable, first: number, count: number, sets: readonly number[]): number | undefined {
    const used = new Set(sets.map((set) => this.#lists.nextHopText(set)))
    for (let taken = count; taken < this.#paths.length; taken++) {
      const next = table.decision.bestBut(table, first, this.#paths.subarray(0, taken))
      if (next === NONE) return undefined
      const set = table.set[next]!
      const nextHop = this.#lists.nextHopText(set)
      if (nextHop !== undefined && !used.has(nextHop)) return set
      this.#paths[taken] = next
    }
    return undefined
  }
}

/** A batch names its tenants and lists of next hops, and its rows name them by their places. */
class BatchBuilder {
  readonly #lists: GatewayLists
  readonly #tenants = new Map<string, number>()
  readonly #places = new Map<number, number>()
  readonly #gateways: Gateways[] = []
  readonly #rows4 = new RouteColumnsBuilder(1)
  readonly #rows6 = new RouteColumnsBuilder(4)

  constructor(lists: GatewayLists) {
    this.#lists = lists
  }

  add({ table, tenant, family }: FedTable, prefix: number, list: number, words: Uint32Array): void {
    const place = this.#tenants.get(tenant) ?? this.#tenants.size
    this.#tenants.set(tenant, place)
    const length = table.prefixes.length(prefix)
    table.prefixes.address(prefix, words)
    const nextHop = list === NO_LIST ? 0 : this.#place(list) + 1
    if (family === FAMILY.ipv4Unicast) this.#rows4.add4(place, words[0]!, length, nextHop)
    else this.#rows6.add6(place, words, length, nextHop)
  }

  #place(list: number): number {
    const known = this.#places.get(list)
    if (known !== undefined) return known
    const place = this.#gateways.push(this.#lists.gateways(list)) - 1
    this.#places.set(list, place)
    return place
  }

  build() {
    return {
      tenants: [...this.#tenants.keys()],
      gateways: this.#gateways,
      routes4: this.#rows4.build(),
      routes6: this.#rows6.build(),
    }
  }
}
