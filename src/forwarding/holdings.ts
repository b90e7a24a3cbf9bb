/**
 * What the node holds: tenants, next hops and routes, as the control module's FIB batches say, laid out in shared memory for
 * the workers. A batch is taken over in an order in which nothing ever names what is not there (tenants, next hops, routes),
 * and in which what is taken from one tenant can be another's in the same batch: what goes away goes first.
 *
 * That may take long, and is done in slices: what the agent hears from workers, other nodes and the kernel in between finds
 * tenants and next hops whole, and of the routes some that are new already and some that are not yet.
 */

import type { Slices } from '../base/slices.ts'
import { FibFullError } from '../dataplane/fib/fib.ts'
import type { CounterReader } from '../dataplane/ledger.ts'
import { FIRST_TENANT } from '../dataplane/ledger.ts'
import type { QsbrWriter } from '../dataplane/qsbr.ts'
import { type RouteColumns, WITHDRAWN } from '../wire/control/columns.ts'
import { Digest, type TenantDigest } from '../wire/control/digest.ts'
import { type FibBatch, type FibTenant, LEVEL_MAX, levelOf } from '../wire/control/fib.ts'
import { NamedRoutes } from './named-routes.ts'
import { NextHops } from './next-hops.ts'
import type { NodeParts } from './node-parts.ts'
import { prefixAt, ROWS_AT_ONCE, type RouteRows } from './route-rows.ts'
import { TenantState } from './tenant-state.ts'

/** As many as take as long to put into a digest as the rows of ROWS_AT_ONCE. */
const HOPS_AT_ONCE = 128

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
  /** How often a batch began or ended to be taken over. */
  #turns = 0
  #asOf: Pick<FibBatch, 'epoch' | 'generation'> | undefined

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
  *take(batch: FibBatch): Slices<string | undefined> {
    this.#turns++
    this.#asOf = undefined
    try {
      const failed = yield* this.#take(batch)
      if (failed === undefined) this.#asOf = { epoch: batch.epoch, generation: batch.generation }
      return failed
    } catch (error) {
      if (error instanceof FibFullError) return error.message
      throw error
    } finally {
      this.#turns++
    }
  }

  /** The batch by which all is as it is; undefined before the first one, while one is taken over, and after one that failed. */
  get asOf(): Pick<FibBatch, 'epoch' | 'generation'> | undefined {
    return this.#asOf
  }

  /**
   * A digest of what is in the FIB's memory of a tenant, and of its next hops and segments. Undefined where it is not held, or
   * where a batch has come in between. What the node found out by itself does not count. To be asked for between batches.
   */
  *digest(id: number): Slices<TenantDigest | undefined> {
    const tenant = this.#tenants.get(id)
    if (!tenant) return undefined
    const turn = this.#turns
    const digest = new Digest()
    digest.addTenant(tenant.spec)
    let count = 0
    for (const hop of [...this.#nextHops.of(id)]) {
      digest.addHop(hop)
      if (++count % HOPS_AT_ONCE !== 0) continue
      yield
      if (this.#turns !== turn) return undefined
    }
    for (const family of [4, 6] as const) {
      const words = family === 4 ? 1 : 4
      const { count: rows, addresses, lengths, slots } = this.#parts.fib.columns(tenant.row, family)
      for (let i = 0; i < rows; i++) {
        if (i % ROWS_AT_ONCE === ROWS_AT_ONCE - 1) {
          yield
          if (this.#turns !== turn) return undefined
        }
        const hop = this.#nextHops.idAt(slots[i]!)
        if (hop !== undefined) digest.addRoute(addresses, i * words, words, lengths[i]!, hop)
      }
    }
    return digest.of(id)
  }

  *#take(batch: FibBatch): Slices<string | undefined> {
    yield* this.#release(batch)
    const failed =
      (yield* this.#takeTenants(batch.tenants)) ??
      (yield* this.#takeNextHops(batch)) ??
      (yield* this.#takeRoutes(batch.routes4, 4)) ??
      (yield* this.#takeRoutes(batch.routes6, 6)) ??
      this.#takePolicies(batch.tenants)
    if (failed !== undefined) return failed
    if (batch.snapshot) yield* this.#removeStale(batch, [...this.#tenants.values()])
    else if (batch.whole && batch.whole.length > 0)
      yield* this.#removeStale(
        batch,
        Array.from(batch.whole, (id) => this.#tenants.get(id)!).filter((tenant) => tenant !== undefined),
      )
    for (const id of batch.removedNextHops) this.#nextHops.remove(id)
    return undefined
  }

  // Tenants that go, and VNIs, keys and remotes that those which stay give up. Nobody may send for them any more.
  *#release(batch: FibBatch): Slices<void> {
    const named = new Map(batch.tenants.map((spec) => [spec.id, spec]))
    const gone = batch.snapshot ? [...this.#tenants.keys()].filter((id) => !named.has(id)) : batch.removedTenants
    for (const id of gone) {
      yield
      this.#removeTenant(id)
    }
    for (const [id, spec] of named) {
      yield
      this.#tenants.get(id)?.release(spec)
    }
  }

  *#takeTenants(specs: readonly FibTenant[]): Slices<string | undefined> {
    for (const spec of specs) {
      yield
      const held = this.#tenants.get(spec.id) ?? this.#openTenant(spec)
      if (!held) return `tenant ${spec.name}: no more than ${this.#rows - FIRST_TENANT} tenants fit`
      const looked = held.looks()
      const failed = held.update(spec, this.#localSlot)
      if (failed !== undefined) return `tenant ${spec.name}: ${failed}`
      if (held.looks() !== looked) this.#nextHops.relay(spec.id)
      this.#nextHops.tenantChanged(spec.id)
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

  // Groups name others, failovers groups, and policies all of them: they come after what they name.
  *#takeNextHops({ nextHops }: FibBatch): Slices<string | undefined> {
    for (let level = 0; level <= LEVEL_MAX; level++) {
      for (const spec of nextHops) {
        if (levelOf(spec) !== level) continue
        yield
        const failed = yield* this.#nextHops.set(spec)
        if (failed !== undefined) return failed
      }
    }
    return undefined
  }

  /** Of these segments, by VNI, other ways are broken now. False where a group had no room to follow. */
  pathsChanged(vnis: Iterable<number>): boolean {
    return this.#nextHops.pathsChanged(vnis)
  }

  // After the routes, which know the ways that they name.
  #takePolicies(specs: readonly FibTenant[]): string | undefined {
    for (const { id, name } of specs) {
      const failed = this.#tenants.get(id)?.takePolicies()
      if (failed !== undefined) return `tenant ${name}: ${failed}`
    }
    return undefined
  }

  *#takeRoutes(routes: RouteColumns, family: 4 | 6): Slices<string | undefined> {
    for (let i = 0; i < routes.tables.length; i++) {
      if (i % ROWS_AT_ONCE === 0) yield
      const vrf = this.#tenants.get(routes.tables[i]!)?.row
      if (vrf === undefined) return `a route of tenant ${routes.tables[i]}, which is not held`
      const nextHop = routes.nextHops[i]!
      const slot = nextHop === WITHDRAWN ? undefined : this.#nextHops.slotOf(nextHop)
      if (slot !== undefined) this.#insert(vrf, routes, i, family, slot)
      else if (nextHop === WITHDRAWN) this.#remove(vrf, routes, i, family)
      else return `a route by next hop ${nextHop}, which is not held`
    }
    return undefined
  }

  #insert(vrf: number, rows: RouteRows, row: number, family: 4 | 6, slot: number): void {
    if (family === 4) this.#parts.fib.insert4(vrf, rows.addresses[row]!, rows.lengths[row]!, slot)
    else this.#parts.fib.insert(vrf, prefixAt(rows, row, 6), slot)
  }

  #remove(vrf: number, rows: RouteRows, row: number, family: 4 | 6): void {
    if (family === 4) this.#parts.fib.remove4(vrf, rows.addresses[row]!, rows.lengths[row]!)
    else this.#parts.fib.remove(vrf, prefixAt(rows, row, 6))
  }

  // Of these tenants the batch says all: what it does not name is gone. Their routes are compared one by one.
  *#removeStale(batch: FibBatch, tenants: readonly TenantState[]): Slices<void> {
    yield* this.#removeStaleRoutes(batch.routes4, 4, tenants)
    yield* this.#removeStaleRoutes(batch.routes6, 6, tenants)
    const nextHops = new Set(batch.nextHops.map(({ id }) => id))
    for (const tenant of tenants) {
      for (const { id } of [...this.#nextHops.of(tenant.id)]) {
        if (nextHops.has(id)) continue
        yield
        this.#nextHops.remove(id)
      }
    }
  }

  // What the node found out by itself (neighbours, link-local addresses) is not the control module's to take away.
  *#removeStaleRoutes(routes: RouteColumns, family: 4 | 6, tenants: readonly TenantState[]): Slices<void> {
    const words = family === 4 ? 1 : 4
    const named = yield* NamedRoutes.of(routes, words, this.#parts.random.u32())
    for (const { id, row: vrf } of tenants) {
      yield
      const held = this.#parts.fib.columns(vrf, family)
      for (let i = 0; i < held.count; i++) {
        if (i % ROWS_AT_ONCE === 0) yield
        const isStale =
          this.#nextHops.idAt(held.slots[i]!) !== undefined &&
          !named.has(id, held.addresses, i * words, held.lengths[i]!)
        if (isStale) this.#remove(vrf, held, i, family)
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
    this.#nextHops.tenantChanged(id)
    this.#qsbr.retire(() => void this.#freeRows.push(tenant.row))
  }
}
