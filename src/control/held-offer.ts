/**
 * What a site offers to others (wire/control/offer.ts), put together from the batches of its feed: by the control modules
 * of the other sites, and by the site's own next leader, which goes on from there. Each route has the same value.
 */

import type { OfferedTenant, SiteOffer } from '../wire/control/offer.ts'
import { keyAt4, keyAt6, type PrefixKey } from './prefix-key.ts'
import { PrefixMap } from './prefix-map.ts'
import type { Touched } from './published-routes.ts'

export interface HeldTenantOffer<V> {
  offered: OfferedTenant
  readonly routes: PrefixMap<V>
}

export class HeldOffer<V> {
  readonly tenants = new Map<string, HeldTenantOffer<V>>()
  readonly #value: V
  last: SiteOffer | undefined

  constructor(value: V) {
    this.#value = value
  }

  /** Answers the tenants of which anything was said, with the prefixes, and those that are to be reached otherwise now. */
  apply(batch: SiteOffer): { touched: Touched; moved: Set<string> } {
    const touched: Touched = new Map()
    const moved = new Set<string>()
    if (batch.snapshot) {
      for (const [name, { routes }] of this.tenants) {
        touched.set(name, [...routes.keys()])
        moved.add(name)
      }
      this.tenants.clear()
    }
    // What is the same for all of them is of interest to each.
    const isOther = this.last?.mac.join() !== batch.mac.join() || this.last.vips.join(';') !== batch.vips.join(';')
    if (isOther) for (const name of this.tenants.keys()) moved.add(name)
    this.last = batch
    for (const offered of batch.tenants) {
      const known = this.tenants.get(offered.name)
      if (!known || !isAtSamePlace(known.offered, offered)) moved.add(offered.name)
      if (known) known.offered = offered
      else this.tenants.set(offered.name, { offered, routes: new PrefixMap() })
      keysOf(touched, offered.name)
    }
    this.#applyRoutes(batch, touched)
    for (const name of batch.removedTenants) {
      const routes = this.tenants.get(name)?.routes.keys() ?? []
      this.tenants.delete(name)
      moved.add(name)
      for (const key of routes) keysOf(touched, name).push(key)
    }
    return { touched, moved }
  }

  #applyRoutes({ tables, routes4, routes6 }: SiteOffer, touched: Touched): void {
    for (const [columns, keyAt] of [
      [routes4, keyAt4],
      [routes6, keyAt6],
    ] as const) {
      for (let row = 0; row < columns.lengths.length; row++) {
        const name = tables[columns.tables[row]!]
        const routes = name === undefined ? undefined : this.tenants.get(name)?.routes
        if (!routes) continue
        const key = keyAt(columns, row)
        if (columns.nextHops[row] === 0) routes.delete(key)
        else routes.set(key, this.#value)
        keysOf(touched, name!).push(key)
      }
    }
  }
}

function isAtSamePlace(a: OfferedTenant, b: OfferedTenant): boolean {
  return a.vni === b.vni && a.vip.join() === b.vip.join()
}

function keysOf(touched: Touched, tenant: string): PrefixKey[] {
  const keys = touched.get(tenant) ?? []
  touched.set(tenant, keys)
  return keys
}
