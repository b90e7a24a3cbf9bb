/**
 * What the node holds: tenants, next hops and routes, as the control module's FIB batches say, laid out in shared memory for
 * the workers. A batch is taken over in an order in which nothing ever names what is not there (tenants, next hops, routes),
 * and in which what is taken from one tenant can be another's in the same batch: what goes away goes first.
 */

import { ipv4Number } from '../base/address.ts'
import { FibFullError } from '../dataplane/fib/fib.ts'
import type { CounterReader } from '../dataplane/ledger.ts'
import { FIRST_TENANT } from '../dataplane/ledger.ts'
import type { QsbrWriter } from '../dataplane/qsbr.ts'
import { type RouteColumns, WITHDRAWN } from '../wire/control/columns.ts'
import type { FibBatch, FibTenant } from '../wire/control/fib.ts'
import { NextHops } from './next-hops.ts'
import type { NodeParts } from './node-parts.ts'
import { TenantState } from './tenant-state.ts'

export class Holdings {
  readonly #parts: NodeParts
  readonly #qsbr: QsbrWriter
  readonly #counters: CounterReader
  readonly #rows: number
  readonly #tenants = new Map<number, TenantState>()
  readonly #nextHops: NextHops
  readonly #freeRows: number[] = []
  readonly #localSlot: number
  #nextRow = FIRST_TENANT

  /** `rows` is how many tenants the counters have room for, the rows before the first included. */
  constructor(parts: NodeParts, qsbr: QsbrWriter, counters: CounterReader, rows: number) {
    this.#parts = parts
    this.#qsbr = qsbr
    this.#counters = counters
    this.#rows = rows
    this.#nextHops = new NextHops(parts, this.#tenants)
    this.#localSlot = parts.actions.allocate()!
    parts.actions.set(this.#localSlot, { kind: 'local', segment: 0 })
  }

  tenants(): Iterable<TenantState> {
    return this.#tenants.values()
  }

  tenant(id: number): TenantState | undefined {
    return this.#tenants.get(id)
  }

  /** Returns why it could not be taken over; what was taken over until then stays. */
  apply(batch: FibBatch): string | undefined {
    try {
      return this.#apply(batch)
    } catch (error) {
      if (error instanceof FibFullError) return error.message
      throw error
    }
  }

  #apply(batch: FibBatch): string | undefined {
    this.#release(batch)
    const failed =
      this.#applyTenants(batch.tenants) ??
      this.#applyNextHops(batch) ??
      this.#applyRoutes4(batch.routes4) ??
      this.#applyRoutes6(batch.routes6)
    if (failed !== undefined) return failed
    if (batch.snapshot) this.#removeStale(batch)
    for (const id of batch.removedNextHops) this.#nextHops.remove(id)
    return undefined
  }

  // Tenants that go, and VNIs, keys and remotes that those which stay give up. Nobody may send for them any more.
  #release(batch: FibBatch): void {
    const named = new Map(batch.tenants.map((spec) => [spec.id, spec]))
    const gone = batch.snapshot ? [...this.#tenants.keys()].filter((id) => !named.has(id)) : batch.removedTenants
    for (const id of gone) this.#removeTenant(id)
    for (const [id, tenant] of this.#tenants) {
      const spec = named.get(id)
      if (spec) tenant.release(spec)
    }
  }

  #applyTenants(specs: readonly FibTenant[]): string | undefined {
    for (const spec of specs) {
      const held = this.#tenants.get(spec.id) ?? this.#openTenant(spec)
      if (!held) return `tenant ${spec.name}: no more than ${this.#rows - FIRST_TENANT} tenants fit`
      const looked = held.looks()
      const failed = held.update(spec, this.#localSlot)
      if (failed !== undefined) return `tenant ${spec.name}: ${failed}`
      if (held.looks() !== looked) this.#nextHops.relay(spec.id)
    }
    return undefined
  }

  #openTenant(spec: FibTenant): TenantState | undefined {
    const row = this.#freeRows.pop() ?? (this.#nextRow < this.#rows ? this.#nextRow++ : undefined)
    if (row === undefined) return undefined
    this.#counters.reset(row)
    const tenant = new TenantState(this.#parts, spec, row)
    this.#tenants.set(spec.id, tenant)
    return tenant
  }

  // Groups name others: they come after what they name.
  #applyNextHops(batch: FibBatch): string | undefined {
    const groupsLast = [...batch.nextHops].sort((a, b) => Number(a.kind === 'group') - Number(b.kind === 'group'))
    for (const spec of groupsLast) {
      const failed = this.#nextHops.set(spec)
      if (failed !== undefined) return failed
    }
    return undefined
  }

  #applyRoutes4(routes: RouteColumns): string | undefined {
    for (let i = 0; i < routes.tables.length; i++) {
      const vrf = this.#tenants.get(routes.tables[i]!)?.row
      if (vrf === undefined) return `a route of tenant ${routes.tables[i]}, which is not held`
      const failed = this.#route(routes.nextHops[i]!, (slot) => {
        if (slot === undefined) this.#parts.fib.remove4(vrf, routes.addresses[i]!, routes.lengths[i]!)
        else this.#parts.fib.insert4(vrf, routes.addresses[i]!, routes.lengths[i]!, slot)
      })
      if (failed !== undefined) return failed
    }
    return undefined
  }

  #applyRoutes6(routes: RouteColumns): string | undefined {
    for (let i = 0; i < routes.tables.length; i++) {
      const vrf = this.#tenants.get(routes.tables[i]!)?.row
      if (vrf === undefined) return `a route of tenant ${routes.tables[i]}, which is not held`
      const prefix = { address: addressOf(routes.addresses, i), length: routes.lengths[i]! }
      const failed = this.#route(routes.nextHops[i]!, (slot) => {
        if (slot === undefined) this.#parts.fib.remove(vrf, prefix)
        else this.#parts.fib.insert(vrf, prefix, slot)
      })
      if (failed !== undefined) return failed
    }
    return undefined
  }

  #route(nextHop: number, put: (slot: number | undefined) => void): string | undefined {
    if (nextHop === WITHDRAWN) {
      put(undefined)
      return undefined
    }
    const slot = this.#nextHops.slotOf(nextHop)
    if (slot === undefined) return `a route by next hop ${nextHop}, which is not held`
    put(slot)
    return undefined
  }

  // A snapshot says all: what it does not name is gone. Routes of tenants that stay are compared one by one.
  #removeStale(batch: FibBatch): void {
    this.#removeStaleRoutes(batch)
    const nextHops = new Set(batch.nextHops.map(({ id }) => id))
    for (const id of [...this.#nextHops.ids()]) if (!nextHops.has(id)) this.#nextHops.remove(id)
  }

  // What the node found out by itself (neighbours, link-local addresses) is not the control module's to take away.
  #removeStaleRoutes(batch: FibBatch): void {
    const { routes4, routes6 } = batch
    const named = new Set<string>()
    for (let i = 0; i < routes4.tables.length; i++)
      named.add(`${routes4.tables[i]} ${routes4.addresses[i]}/${routes4.lengths[i]}`)
    for (let i = 0; i < routes6.tables.length; i++)
      named.add(`${routes6.tables[i]} ${addressOf(routes6.addresses, i).join('.')}/${routes6.lengths[i]}`)
    const slots = new Set([...this.#nextHops.ids()].map((id) => this.#nextHops.slotOf(id)))
    for (const tenant of this.#tenants.values()) {
      for (const { prefix, slot } of [...this.#parts.fib.routes(tenant.row)]) {
        const { address, length } = prefix
        const text = address.length === 4 ? ipv4Number(address) : address.join('.')
        if (slots.has(slot) && !named.has(`${tenant.id} ${text}/${length}`)) this.#parts.fib.remove(tenant.row, prefix)
      }
    }
  }

  #removeTenant(id: number): void {
    const tenant = this.#tenants.get(id)
    if (!tenant) return
    this.#parts.fib.clear(tenant.row)
    this.#nextHops.removeAllOf(id)
    tenant.close()
    this.#tenants.delete(id)
    this.#qsbr.retire(() => void this.#freeRows.push(tenant.row))
  }
}

function addressOf(words: Uint32Array, row: number): Uint8Array {
  const address = new Uint8Array(16)
  const view = new DataView(address.buffer)
  for (let i = 0; i < 4; i++) view.setUint32(i * 4, words[row * 4 + i]!)
  return address
}
