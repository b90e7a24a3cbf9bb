/**
 * The FIBs of a site's tenants, kept at what the site, the published routes and what is up and how good say: a change
 * of the site is looked for in all tenants, any other in those that it is about.
 */

import type { Site } from '../config/site.ts'
import type { Numbering } from './held-fib.ts'
import { Ids } from './ids.ts'
import { networkOf, type SiteIndex, type TenantNetwork } from './network.ts'
import { addTouched, type OriginRoutes, type PublishedRoutes, type Touched } from './published-routes.ts'
import { type TenantChanges, TenantFib } from './tenant-fib.ts'

export class Tenants {
  readonly numbering: Numbering = { tenants: new Ids(), segments: new Ids(), hops: new Ids() }
  readonly #published: PublishedRoutes
  readonly #remotes: (tenant: string) => readonly OriginRoutes[]
  readonly #fibs = new Map<string, TenantFib>()
  readonly #touched: Touched = new Map()
  /** Those in which anything may be another since changes were taken last. */
  readonly #changed = new Set<TenantFib>()

  /** `remotes` are routes of other sites. */
  constructor(published: PublishedRoutes, remotes: (tenant: string) => readonly OriginRoutes[] = () => []) {
    this.#published = published
    this.#remotes = remotes
  }

  get fibs(): ReadonlyMap<string, TenantFib> {
    return this.#fibs
  }

  /** Those of the site, with all that is published for them; others go. */
  build(site: Site, index: SiteIndex): void {
    const wanted = new Set(site.tenants.map(({ name }) => name))
    for (const name of this.#fibs.keys()) {
      if (wanted.has(name)) continue
      this.#changed.delete(this.#fibs.get(name)!)
      this.#fibs.delete(name)
      this.numbering.tenants.forget(name)
    }
    for (const tenant of site.tenants) {
      const { name } = tenant
      const network = networkOf(tenant, index, this.numbering.segments, this.numbering.tenants)
      const known = this.#fibs.get(name)
      if (known) this.#set(known, network)
      else this.#add(new TenantFib(name, this.numbering.tenants.of(name), network, this.numbering.hops))
    }
  }

  /** Tenants whose part of the site file means something else now. */
  rebuild(tenants: Site['tenants'], index: SiteIndex): void {
    for (const tenant of tenants) {
      const fib = this.#fibs.get(tenant.name)
      if (fib) this.#set(fib, networkOf(tenant, index, this.numbering.segments, this.numbering.tenants))
    }
  }

  #set(fib: TenantFib, network: TenantNetwork): void {
    fib.setNetwork(network)
    this.#changed.add(fib)
  }

  #add(fib: TenantFib): void {
    const published = this.#routesOf(fib.name)
    const keys = published.flatMap(({ routes }) => [...routes.keys()])
    fib.setPublished(published, keys)
    this.#fibs.set(fib.name, fib)
    this.#changed.add(fib)
  }

  /** Published routes may be others now. */
  touch(touched: Touched): void {
    addTouched(this.#touched, touched)
  }

  #routesOf(tenant: string): OriginRoutes[] {
    return [...this.#published.of(tenant), ...this.#remotes(tenant)]
  }

  get isTouched(): boolean {
    return this.#touched.size > 0
  }

  /** Chooses again where published routes were touched. */
  takeTouched(): void {
    for (const [tenant, keys] of this.#touched) {
      const fib = this.#fibs.get(tenant)
      if (!fib) continue
      fib.setPublished(this.#routesOf(tenant), keys)
      this.#changed.add(fib)
    }
    this.#touched.clear()
  }

  /** What changed since the last time, of those in which anything did. */
  takeChanges(): Map<TenantFib, TenantChanges> {
    const changes = new Map<TenantFib, TenantChanges>()
    for (const fib of this.#changed) {
      const changed = fib.takeChanges()
      if (changed) changes.set(fib, changed)
    }
    this.#changed.clear()
    return changes
  }
}
