/**
 * What a cluster's nodes hold after the batches that they were sent: read back from the feed when a control module
 * takes over, so that it carries on from there and sends only what differs.
 */

import { isDeepStrictEqual } from 'node:util'
import type { FibBatch, FibTenant, NextHop } from '../wire/control/fib.ts'
import { FibComposer, tenantRecord } from './compose.ts'
import { identityOfNumbered } from './hop.ts'
import { hopThing } from './hop-table.ts'
import type { Ids } from './ids.ts'
import { segmentThing } from './network.ts'
import { keyAt4, keyAt6 } from './prefix-key.ts'
import { PrefixMap } from './prefix-map.ts'
import type { TenantFib } from './tenant-fib.ts'
import { wayThing } from './traffic-policies.ts'

export interface HeldTenant {
  record: FibTenant
  readonly hops: Map<number, NextHop>
  routes: PrefixMap<number>
}

/** The numbers of everything in FIBs. */
export interface Numbering {
  readonly tenants: Ids
  readonly segments: Ids
  readonly hops: Ids
}

export class HeldFib {
  readonly tenants = new Map<number, HeldTenant>()
  readonly #owners = new Map<number, number>()
  epoch = 0
  generation = 0

  apply(batch: FibBatch): void {
    if (batch.snapshot) this.#clear()
    this.epoch = batch.epoch
    this.generation = batch.generation
    for (const record of batch.tenants) {
      const held = this.tenants.get(record.id)
      if (held) held.record = record
      else this.tenants.set(record.id, { record, hops: new Map(), routes: new PrefixMap() })
    }
    for (const id of batch.whole ?? []) this.#forgetContent(id)
    for (const hop of batch.nextHops) {
      this.tenants.get(hop.tenant)?.hops.set(hop.id, hop)
      this.#owners.set(hop.id, hop.tenant)
    }
    this.#applyRoutes(batch)
    for (const id of batch.removedNextHops) {
      this.tenants.get(this.#owners.get(id) ?? 0)?.hops.delete(id)
      this.#owners.delete(id)
    }
    for (const id of batch.removedTenants) this.tenants.delete(id)
  }

  /** Things keep the numbers that they have here. */
  teach({ tenants, segments, hops }: Numbering): void {
    for (const [id, { record, hops: held }] of this.tenants) {
      tenants.adopt(record.name, id)
      for (const { kind, name, id: segment } of record.segments) {
        segments.adopt(segmentThing(record.name, kind, name), segment)
      }
      for (const { way, balanced, segments: named } of record.policies) {
        const connections = Array.from(
          named,
          (one) => record.segments.find((segment) => segment.id === one)?.name ?? '',
        )
        if (way !== 0) segments.adopt(wayThing(record.name, { connections, balanced }), way)
      }
      for (const hop of held.values()) {
        hops.adopt(hopThing(id, identityOfNumbered(hop)), hop.id)
      }
    }
  }

  /** What makes this what it ought to be: the tenants, each with the address that the cluster's nodes send from. */
  differenceTo(wanted: ReadonlyMap<TenantFib, string>): FibComposer {
    const composer = new FibComposer()
    const kept = new Set<number>()
    for (const [fib, vip] of wanted) {
      kept.add(fib.id)
      const held = this.tenants.get(fib.id)
      if (held) addDifference(composer, held, fib, vip)
      else composer.addWhole(fib, vip)
    }
    for (const [id, { hops }] of this.tenants) if (!kept.has(id)) composer.removeTenant(id, hops.keys())
    return composer
  }

  #applyRoutes({ routes4, routes6 }: FibBatch): void {
    for (const [columns, keyAt] of [
      [routes4, keyAt4],
      [routes6, keyAt6],
    ] as const) {
      for (let row = 0; row < columns.lengths.length; row++) {
        const routes = this.tenants.get(columns.tables[row]!)?.routes
        const nextHop = columns.nextHops[row]!
        if (nextHop === 0) routes?.delete(keyAt(columns, row))
        else routes?.set(keyAt(columns, row), nextHop)
      }
    }
  }

  #forgetContent(id: number): void {
    const held = this.tenants.get(id)
    if (!held) return
    for (const hop of held.hops.keys()) this.#owners.delete(hop)
    held.hops.clear()
    held.routes = new PrefixMap()
  }

  #clear(): void {
    this.tenants.clear()
    this.#owners.clear()
  }
}

function addDifference(composer: FibComposer, held: HeldTenant, fib: TenantFib, vip: string): void {
  const record = tenantRecord(fib, vip)
  if (!isDeepStrictEqual(record, held.record)) composer.addTenant(record)
  const hops = fib.hops.all()
  const used = new Set(hops.map(({ id }) => id))
  composer.addHops(hops.filter((hop) => !isDeepStrictEqual(hop, held.hops.get(hop.id))))
  composer.removeHops([...held.hops.keys()].filter((id) => !used.has(id)))
  const changed = new PrefixMap<number>()
  fib.routes.forEach((nextHop, key) => {
    if (held.routes.get(key) !== nextHop) changed.set(key, nextHop)
  })
  held.routes.forEach((_, key) => {
    if (!fib.routes.has(key)) changed.set(key, 0)
  })
  composer.addRoutes(fib.id, changed)
}
