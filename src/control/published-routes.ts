/**
 * Routes that sources have published, by tenant and origin, as they were learnt: next hops are addresses here. Holds
 * routes of tenants that the site does not have (yet), too; a tenant may arrive after its routes.
 */

import { formatAddress, type IpAddress } from '../base/address.ts'
import { RouteColumnsBuilder } from '../wire/control/columns.ts'
import type { Gateways, RouteBatch } from '../wire/control/route.ts'
import { addRow, keyAt4, keyAt6, type PrefixKey } from './prefix-key.ts'
import { PrefixMap } from './prefix-map.ts'

/** DSR section 3.2.3: routing tables of 10 M entries. */
const PUBLISHED_ROUTES_MAX = 10_000_000
const ORIGINS_MAX = 1024

/** The next hops that routes of one origin were learnt with: one object for all routes that have the same ones. */
export interface GatewaySet {
  readonly gateways: Gateways
}

export interface OriginRoutes {
  readonly origin: string
  readonly preference: number
  /** Another site's: its way is one more of the tenant's paths, whatever the preference. */
  readonly isRemote?: boolean
  readonly routes: NotedRoutes
}

/** With each, since when its origin has it by these next hops, in seconds since 1970; 0 where it did not say. */
interface NotedRoutes extends ReadonlyMap<PrefixKey, GatewaySet> {
  noteOf(key: PrefixKey): number
}

interface Origin {
  preference: number
  readonly tenants: Map<string, PrefixMap<GatewaySet>>
  readonly sets: Map<string, GatewaySet>
  /** While it says all of its routes anew: those of before, since when they are known. */
  before?: ReadonlyMap<string, NotedRoutes> | undefined
}

/** Tenants and the prefixes in them whose routes may have changed; one that changed twice may be there twice. */
export type Touched = Map<string, PrefixKey[]>

/** What is in `more` as well. Its lists may become those of `touched`. */
export function addTouched(touched: Touched, more: Touched): void {
  for (const [tenant, keys] of more) {
    const known = touched.get(tenant)
    if (known) for (const key of keys) known.push(key)
    else touched.set(tenant, keys)
  }
}

export class PublishedRoutes {
  readonly #origins = new Map<string, Origin>()
  /** By origin: parts of a batch that replaces, of which more are to come. */
  readonly #parts = new Map<string, RouteBatch[]>()
  readonly #routesMax: number
  #count = 0

  constructor(routesMax = PUBLISHED_ROUTES_MAX) {
    this.#routesMax = routesMax
  }

  get count(): number {
    return this.#count
  }

  get origins(): string[] {
    return [...this.#origins.keys()]
  }

  /** The origins' routes of a tenant, the most preferred origin first. */
  of(tenant: string): OriginRoutes[] {
    const found: OriginRoutes[] = []
    for (const [origin, { preference, tenants }] of this.#origins) {
      const routes = tenants.get(tenant)
      if (routes) found.push({ origin, preference, routes })
    }
    return found.sort((a, b) => a.preference - b.preference || (a.origin < b.origin ? -1 : 1))
  }

  /** Has the origin, or any, said only a part yet of what replaces all that it said before? */
  isWaiting(origin?: string): boolean {
    return origin === undefined ? this.#parts.size > 0 : this.#parts.has(origin)
  }

  /** Takes a batch over. Answers what it touched, or why it is refused. */
  take(batch: RouteBatch): Touched | string {
    const touched = this.#takeOrWait(batch)
    const taken = this.#origins.get(batch.origin)
    if (taken) taken.before = undefined
    return touched
  }

  #takeOrWait(batch: RouteBatch): Touched | string {
    const { origin, part, replaces } = batch
    const before = this.#parts.get(origin)
    this.#parts.delete(origin)
    const refused = this.#refuse(batch)
    if (refused) return refused
    if (part === 'first' && replaces) return this.#wait([batch])
    if (!before || (part !== 'middle' && part !== 'last')) return this.#take(batch)
    const parts = [...before, batch]
    return part === 'middle' ? this.#wait(parts) : this.#takeParts(parts)
  }

  #wait(parts: RouteBatch[]): Touched {
    this.#parts.set(parts[0]!.origin, parts)
    return new Map()
  }

  #takeParts(parts: readonly RouteBatch[]): Touched | string {
    const touched: Touched = new Map()
    const count = parts.reduce((sum, { routes4, routes6 }) => sum + routes4.lengths.length + routes6.lengths.length, 0)
    if (this.#countWithout(parts[0]!.origin) + count > this.#routesMax) return this.#tooMany()
    for (const part of parts) {
      addTouched(touched, this.#take(part))
    }
    return touched
  }

  #take(batch: RouteBatch): Touched {
    const touched: Touched = new Map()
    const origin = this.#origin(batch, touched)
    const sets = batch.gateways.map((gateways) => internSet(origin, gateways))
    const tables = batch.tenants.map((tenant) => ({
      routes: valueAt(origin.tenants, tenant, () => new PrefixMap<GatewaySet>()),
      touched: valueAt(touched, tenant, () => []),
      before: origin.before?.get(tenant),
    }))
    for (const [columns, keyAt, times] of families(batch)) {
      for (let row = 0; row < columns.lengths.length; row++) {
        const table = tables[columns.tables[row]!]!
        const key = keyAt(columns, row)
        const nextHop = columns.nextHops[row]!
        if (nextHop === 0) {
          if (!table.routes.delete(key)) continue
          this.#count--
        } else {
          const before = table.routes.size
          const set = sets[nextHop - 1]!
          const isKnown = table.before?.get(key) === set
          table.routes.set(key, set, isKnown ? table.before!.noteOf(key) : (times?.[row] ?? batch.at_s ?? 0))
          this.#count += table.routes.size - before
        }
        table.touched.push(key)
      }
    }
    this.#tidy(batch, origin)
    return touched
  }

  /** All routes as batches that make the same again, one an origin. */
  snapshot(): RouteBatch[] {
    return Array.from(this.#origins, ([name, origin]) => {
      const tenants = [...origin.tenants.keys()]
      const numbers = new Map<GatewaySet, number>()
      const builders = { v4: new RouteColumnsBuilder(1), v6: new RouteColumnsBuilder(4) }
      const times: Record<'v4' | 'v6', number[]> = { v4: [], v6: [] }
      for (const [table, tenant] of tenants.entries()) {
        const routes = origin.tenants.get(tenant)!
        for (const [key, set] of routes) {
          const number = valueAt(numbers, set, () => numbers.size + 1)
          addRow(builders, table, key, number)
          times[typeof key === 'number' ? 'v4' : 'v6'].push(routes.noteOf(key))
        }
      }
      return {
        origin: name,
        preference: origin.preference,
        replaces: true,
        tenants,
        gateways: Array.from(numbers.keys(), ({ gateways }) => gateways),
        routes4: builders.v4.build(),
        routes6: builders.v6.build(),
        times4: Uint32Array.from(times.v4),
        times6: Uint32Array.from(times.v6),
      }
    })
  }

  #refuse(batch: RouteBatch): string | undefined {
    const { origin, tenants, gateways, routes4, routes6 } = batch
    if (!this.#origins.has(origin) && this.#origins.size >= ORIGINS_MAX) return `more than ${ORIGINS_MAX} origins`
    for (const { tables, nextHops } of [routes4, routes6]) {
      for (let row = 0; row < tables.length; row++) {
        if (tables[row]! >= tenants.length) return `a route of tenant ${tables[row]}, of ${tenants.length}`
        if (nextHops[row]! > gateways.length) return `a route by gateways ${nextHops[row]}, of ${gateways.length}`
      }
    }
    return this.#countAfter(batch) > this.#routesMax ? this.#tooMany() : undefined
  }

  #tooMany(): string {
    return `more than ${this.#routesMax} routes`
  }

  #countWithout(origin: string): number {
    const routes = [...(this.#origins.get(origin)?.tenants.values() ?? [])]
    return routes.reduce((count, { size }) => count - size, this.#count)
  }

  /** At most so many routes there will be: what is withdrawn or replaced adds none. */
  #countAfter(batch: RouteBatch): number {
    const { origin: name, replaces, tenants, routes4, routes6 } = batch
    const known = this.#origins.get(name)
    let count = replaces ? this.#countWithout(name) : this.#count
    // Mostly there is room for all rows, and nothing need be looked up.
    const rows = routes4.lengths.length + routes6.lengths.length
    if (count + rows <= this.#routesMax) return count + rows
    const tables = tenants.map((tenant) => (replaces ? undefined : known?.tenants.get(tenant)))
    for (const [columns, keyAt] of families(batch)) {
      for (let row = 0; row < columns.lengths.length; row++) {
        if (columns.nextHops[row] !== 0 && !tables[columns.tables[row]!]?.has(keyAt(columns, row))) count++
      }
    }
    return count
  }

  #origin({ origin: name, preference, replaces }: RouteBatch, touched: Touched): Origin {
    const known = this.#origins.get(name)
    if (known && !replaces && known.preference === preference) return known
    if (known) {
      for (const [tenant, routes] of known.tenants) {
        touched.set(tenant, [...routes.keys()])
        if (replaces) this.#count -= routes.size
      }
    }
    if (known && !replaces) {
      known.preference = preference
      return known
    }
    // The same sets: a route that is said again by the next hops that it had is the same route.
    const fresh: Origin = { preference, tenants: new Map(), sets: known?.sets ?? new Map(), before: known?.tenants }
    this.#origins.set(name, fresh)
    return fresh
  }

  /** After a batch: what it left nothing of goes. */
  #tidy(batch: RouteBatch, origin: Origin): void {
    for (const tenant of batch.tenants) if (origin.tenants.get(tenant)?.size === 0) origin.tenants.delete(tenant)
    if (origin.tenants.size === 0) this.#origins.delete(batch.origin)
    if (origin.sets.size <= SETS_KEPT) return
    // Sets are not counted by their routes: now and then those without any are dropped.
    const used = new Set<GatewaySet>()
    for (const routes of origin.tenants.values()) for (const set of routes.values()) used.add(set)
    if (used.size > origin.sets.size / 2) return
    for (const [text, set] of origin.sets) if (!used.has(set)) origin.sets.delete(text)
  }
}

const SETS_KEPT = 4096

function families({ routes4, routes6, times4, times6 }: RouteBatch) {
  return [
    [routes4, keyAt4, times4],
    [routes6, keyAt6, times6],
  ] as const
}

function internSet(origin: Origin, gateways: Gateways): GatewaySet {
  const text = gateways
    .map(({ address, weight, backup }) => `${formatAddress(address as IpAddress)}*${weight}${backup ? ' backup' : ''}`)
    .join(' ')
  return valueAt(origin.sets, text, () => ({ gateways }))
}

function valueAt<K, V>(map: Map<K, V>, key: K, make: () => V): V {
  const known = map.get(key)
  if (known !== undefined) return known
  const made = make()
  map.set(key, made)
  return made
}
