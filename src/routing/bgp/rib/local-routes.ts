/**
 * Routes that are ours to tell: of tenants' virtual networks, and of what they have at another site. To the tables those of
 * each are the paths of one more peer.
 */

import { FAMILY, type Family } from '../../../wire/bgp/family.ts'
import { type RouteColumns, WITHDRAWN } from '../../../wire/control/columns.ts'
import type { RouteBatch } from '../../../wire/control/route.ts'
import { type AttributeSets, NO_SET } from './attribute-sets.ts'
import { type AddressTable, NO_PREFIX } from './prefix-table.ts'
import type { RoutingTable } from './routing-table.ts'

export interface LocalRoutesOptions {
  /** The number of their peer in the RIB. */
  readonly peer: number
  /** Theirs. */
  readonly setOf: (sets: AttributeSets, family: Family) => number
  /** The table of a tenant; undefined when there is no such tenant. */
  readonly tableOf: (tenant: string, family: Family) => RoutingTable | undefined
}

export class LocalRoutes {
  readonly #sets: AttributeSets
  readonly #options: LocalRoutesOptions
  /** By family: held here, so that it stays. */
  readonly #set = [NO_SET, NO_SET]
  readonly #tables = new Set<RoutingTable>()

  constructor(sets: AttributeSets, options: LocalRoutesOptions) {
    this.#sets = sets
    this.#options = options
  }

  /** Takes a batch over; its next hops say only that there is one. Returns the tables that changed. */
  take(batch: RouteBatch): ReadonlySet<RoutingTable> {
    if (batch.replaces) for (const table of this.#tables) table.purge(this.#options.peer, 0, table.prefixes.end)
    this.#rows(batch, FAMILY.ipv4Unicast, batch.routes4)
    this.#rows(batch, FAMILY.ipv6Unicast, batch.routes6)
    return this.#tables
  }

  #rows({ tenants }: RouteBatch, family: Family, { tables, addresses, lengths, nextHops }: RouteColumns): void {
    const found = tenants.map((tenant) => this.#options.tableOf(tenant, family))
    const set = this.#setOf(family)
    const { peer } = this.#options
    for (let row = 0; row < lengths.length; row++) {
      const table = found[tables[row]!]
      if (!table) continue
      this.#tables.add(table)
      const isGone = nextHops[row] === WITHDRAWN
      const prefixes = table.prefixes as AddressTable
      const at = row * (family === FAMILY.ipv4Unicast ? 1 : 4)
      const prefix = prefixes.findAddress(addresses, at, lengths[row]!, !isGone)
      if (prefix === NO_PREFIX) continue
      if (isGone) table.withdraw(prefix, peer, 0)
      else table.announce(prefix, peer, 0, set, set, 0)
    }
  }

  #setOf(family: Family): number {
    const known = this.#set[family]!
    if (known !== NO_SET) return known
    const set = this.#options.setOf(this.#sets, family)
    this.#sets.use(set)
    this.#set[family] = set
    return set
  }
}
