/**
 * The FIB's next hops as slots. Each next hop that the control module names becomes a slot with a finished action; what only
 * packets can tell (a neighbour's MAC address) and what only the kernel knows (the underlay) is filled in when it is known,
 * and the slot says "unresolved" until then.
 */

import { isDeepStrictEqual } from 'node:util'
import type { Slices } from '../base/slices.ts'
import type { Action } from '../dataplane/action.ts'
import { Drop } from '../dataplane/drop.ts'
import type { Adjacency } from '../dataplane/template.ts'
import { isGroup, membersOf, type NextHop } from '../wire/control/fib.ts'
import { ForeignHops } from './foreign-hops.ts'
import { HopGroups } from './hop-groups.ts'
import type { NodeParts } from './node-parts.ts'
import { prefixAt, ROWS_AT_ONCE } from './route-rows.ts'
import type { SegmentState } from './segment-state.ts'
import type { TenantState } from './tenant-state.ts'
import { actionOf, needsMac, type Tunnelled, tunnelOf } from './tunnelled.ts'

interface Held {
  readonly slot: number
  spec: NextHop
  close(): void
  relay(): void
  /** As that of a group. */
  follow?(spec: NextHop): boolean
}

export class NextHops {
  readonly #parts: NodeParts
  readonly #tenants: ReadonlyMap<number, TenantState>
  readonly #held = new Map<number, Held>()
  readonly #groups: HopGroups
  readonly #foreign: ForeignHops
  readonly #idsBySlot = new Map<number, number>()
  readonly #idsByTenant = new Map<number, Set<number>>()

  constructor(parts: NodeParts, tenants: ReadonlyMap<number, TenantState>) {
    this.#parts = parts
    this.#tenants = tenants
    this.#groups = new HopGroups({ ...parts, hop: (id) => this.#held.get(id) })
    this.#foreign = new ForeignHops(parts.actions, tenants, (spec, segment) => this.#tunnelled(spec, segment))
  }

  /** Undefined for a next hop that is not held. */
  slotOf(id: number): number | undefined {
    return this.#held.get(id)?.slot
  }

  /** Undefined for a slot that is no next hop of the control module's. */
  idAt(slot: number): number | undefined {
    return this.#idsBySlot.get(slot)
  }

  /** The next hops of a tenant, as they were told. */
  *of(tenant: number): Iterable<NextHop> {
    for (const id of this.#idsByTenant.get(tenant) ?? []) yield this.#held.get(id)!.spec
  }

  /** Takes a next hop over, replacing what the id stood for; returns why it could not. Its members are held already. */
  *set(spec: NextHop): Slices<string | undefined> {
    const before = this.#held.get(spec.id)
    if (before && (isDeepStrictEqual(before.spec, spec) || before.follow?.(spec))) return undefined
    return yield* this.#renew(spec)
  }

  *#renew(spec: NextHop): Slices<string | undefined> {
    const before = this.#held.get(spec.id)
    const opened = this.#open(spec)
    if (typeof opened === 'string') return opened
    if (before) this.#forget(spec.id, before)
    this.#held.set(spec.id, opened)
    this.#idsBySlot.set(opened.slot, spec.id)
    const ofTenant = this.#idsByTenant.get(spec.tenant) ?? new Set()
    this.#idsByTenant.set(spec.tenant, ofTenant.add(spec.id))
    if (before) yield* this.#replace(before, opened)
    return undefined
  }

  remove(id: number): void {
    const held = this.#held.get(id)
    if (!held) return
    held.close()
    this.#held.delete(id)
    this.#forget(id, held)
  }

  removeAllOf(tenant: number): void {
    for (const id of [...(this.#idsByTenant.get(tenant) ?? [])]) this.remove(id)
  }

  /** The tenant's VIP has changed. */
  relay(tenant: number): void {
    for (const held of this.#held.values()) if (held.spec.tenant === tenant) held.relay()
  }

  /** The tenant came, went, or is another one now: next hops of others that lead to it follow. */
  tenantChanged(tenant: number): void {
    this.#foreign.changed(tenant)
  }

  /** Of these segments, by VNI, other ways are broken now. False where a group had no room to follow. */
  pathsChanged(vnis: Iterable<number>): boolean {
    return this.#groups.refresh(vnis)
  }

  #forget(id: number, { slot, spec }: Held): void {
    this.#idsBySlot.delete(slot)
    const ofTenant = this.#idsByTenant.get(spec.tenant)
    ofTenant?.delete(id)
    if (ofTenant?.size === 0) this.#idsByTenant.delete(spec.tenant)
  }

  // Whatever led to the old slot leads to the new one before the old one goes: routes, and groups that it is a member of.
  *#replace(before: Held, after: Held): Slices<void> {
    const { id, tenant } = after.spec
    const row = this.#tenants.get(tenant)!.row
    for (const family of [4, 6] as const) {
      const routes = this.#parts.fib.columns(row, family)
      for (let i = 0; i < routes.count; i++) {
        if (i % ROWS_AT_ONCE === 0) yield
        if (routes.slots[i] === before.slot) this.#parts.fib.insert(row, prefixAt(routes, i, family), after.slot)
      }
    }
    for (const { spec } of [...this.#held.values()])
      if (isGroup(spec) && membersOf(spec).includes(id)) yield* this.#renew(spec)
    before.close()
  }

  #open(spec: NextHop): Held | string {
    const tenant = this.#tenants.get(spec.tenant)
    if (!tenant) return `next hop ${spec.id} is of tenant ${spec.tenant}, which is not held`
    if (isGroup(spec)) return this.#groups.open(spec)
    if (spec.kind === 'vrf') return this.#foreign.openVrf(spec)
    if (spec.kind === 'public') return this.#foreign.openPublic(spec)
    if (spec.kind === 'discard') return this.#fixed(spec, { kind: 'drop', reason: Drop['discard-route'] })
    const segment = tenant.segment(spec.segment)
    if (!segment) return `next hop ${spec.id} is on segment ${spec.segment}, which is not held`
    if (spec.kind === 'local') return this.#fixed(spec, { kind: 'local', segment: segment.number })
    return this.#tunnelled(spec, segment)
  }

  #fixed(spec: NextHop, action: Action): Held | string {
    const slot = this.#parts.actions.allocate()
    if (slot === undefined) return 'slots are exhausted'
    const held = { slot, spec, relay() {}, close: () => this.#parts.actions.release(slot) }
    if (this.#parts.actions.set(slot, action)) return held
    held.close()
    return 'actions are exhausted'
  }

  #tunnelled(spec: Tunnelled, segment: SegmentState): Held | string {
    let mac = 'mac' in spec ? spec.mac : undefined
    const address = 'address' in spec ? spec.address : undefined
    const gleaner =
      needsMac(spec) && !mac && !address ? this.#parts.gleaners.open(this.#parts, spec, segment) : undefined
    const make = (adjacency: Adjacency) => actionOf(spec, segment, adjacency, mac, gleaner?.number)
    const way = this.#parts.ways.open(spec.remote, make)
    if (!way) return 'slots are exhausted'
    const wanted =
      needsMac(spec) && !mac && address
        ? this.#parts.neighbours.want({
            segment: segment.number,
            address,
            ask: () => segment.ask(address, spec.remote, tunnelOf(spec)),
            resolved: (found) => {
              mac = found
              way.lay()
            },
          })
        : undefined
    if (gleaner && segment.spec.kind === 'connection') {
      segment.connected = gleaner
      gleaner.keep(segment.spec.peers)
    }
    return {
      slot: way.slot,
      spec,
      relay: () => way.lay(),
      close: () => {
        wanted?.close()
        gleaner?.close()
        if (segment.connected === gleaner) segment.connected = undefined
        way.close()
      },
    }
  }
}
