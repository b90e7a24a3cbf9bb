/** Puts the batch for a cluster together from whole tenants and from what changed in them. */

import { parseAddress } from '../base/address.ts'
import { RouteColumnsBuilder } from '../wire/control/columns.ts'
import { type FibBatch, type FibTenant, levelOf, type NextHop } from '../wire/control/fib.ts'
import { addRow, type PrefixKey } from './prefix-key.ts'
import type { TenantChanges, TenantFib } from './tenant-fib.ts'

export type BatchHead = Pick<FibBatch, 'cluster' | 'epoch' | 'generation' | 'base' | 'snapshot'>

/** A tenant's own record. `vip` is the address that the cluster's nodes send from. */
export function tenantRecord(fib: TenantFib, vip: string): FibTenant {
  return { id: fib.id, name: fib.name, vip: parseAddress(vip)!, segments: fib.segments, policies: fib.policies }
}

export class FibComposer {
  readonly #tenants: FibTenant[] = []
  readonly #removedTenants: number[] = []
  readonly #nextHops: NextHop[] = []
  readonly #removedNextHops: number[] = []
  readonly #whole: number[] = []
  readonly #routes = { v4: new RouteColumnsBuilder(1), v6: new RouteColumnsBuilder(4) }

  get isEmpty(): boolean {
    const { v4, v6 } = this.#routes
    const records = this.#tenants.length + this.#removedTenants.length + this.#nextHops.length
    return records + this.#removedNextHops.length + v4.count + v6.count === 0
  }

  addWhole(fib: TenantFib, vip: string): void {
    this.addTenant(tenantRecord(fib, vip))
    this.addHops(fib.hops.all())
    this.addRoutes(fib.id, fib.routes)
  }

  /** All of a tenant that is held already: nothing else of it stays. */
  replaceWhole(fib: TenantFib, vip: string): void {
    this.addWhole(fib, vip)
    this.#whole.push(fib.id)
  }

  addChanges(fib: TenantFib, changes: TenantChanges): void {
    this.addHops(changes.put)
    this.removeHops(changes.removed)
    for (const key of changes.changed) addRow(this.#routes, fib.id, key, fib.routes.get(key) ?? 0)
  }

  addTenant(record: FibTenant): void {
    this.#tenants.push(record)
  }

  removeTenant(id: number, hops: Iterable<number>): void {
    this.#removedTenants.push(id)
    this.removeHops(hops)
  }

  addHops(hops: readonly NextHop[]): void {
    for (const hop of hops) this.#nextHops.push(hop)
  }

  removeHops(ids: Iterable<number>): void {
    for (const id of ids) this.#removedNextHops.push(id)
  }

  addRoutes(tenant: number, routes: ReadonlyMap<PrefixKey, number>): void {
    routes.forEach((nextHop, key) => {
      addRow(this.#routes, tenant, key, nextHop)
    })
  }

  build(head: BatchHead): FibBatch {
    return {
      ...head,
      tenants: this.#tenants,
      removedTenants: Uint32Array.from(this.#removedTenants),
      // Members before their groups, also across tenants' changes.
      nextHops: this.#nextHops.toSorted((a, b) => levelOf(a) - levelOf(b)),
      removedNextHops: Uint32Array.from(this.#removedNextHops),
      routes4: this.#routes.v4.build(),
      routes6: this.#routes.v6.build(),
      ...(this.#whole.length > 0 && { whole: Uint32Array.from(this.#whole) }),
    }
  }
}
