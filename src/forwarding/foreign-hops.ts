/**
 * Next hops that lead to another tenant: into its VRF, where the packet's destination is looked up once more, or to a machine of
 * its VPC by a finished action. The other tenant may come and go: while it is not held here, nothing leads to it.
 */

import { type ActionWriter, EMPTY_SLOT } from '../dataplane/action.ts'
import { Drop } from '../dataplane/drop.ts'
import { FailoverGroup } from '../dataplane/group.ts'
import type { NextHop } from '../wire/control/fib.ts'
import type { SegmentState } from './segment-state.ts'
import type { TenantState } from './tenant-state.ts'
import type { Tunnelled } from './tunnelled.ts'

type Foreign<Kind extends 'vrf' | 'public'> = Extract<NextHop, { kind: Kind }>

export interface HeldForeign {
  readonly slot: number
  readonly spec: NextHop
  close(): void
  relay(): void
}

type OpenHost = (spec: Tunnelled, segment: SegmentState) => { readonly slot: number; close(): void } | string

export class ForeignHops {
  readonly #actions: ActionWriter
  readonly #tenants: ReadonlyMap<number, TenantState>
  readonly #openHost: OpenHost
  /** By the other tenant: what lays the next hop anew. */
  readonly #into = new Map<number, Set<() => void>>()

  constructor(actions: ActionWriter, tenants: ReadonlyMap<number, TenantState>, openHost: OpenHost) {
    this.#actions = actions
    this.#tenants = tenants
    this.#openHost = openHost
  }

  /** The tenant came, went, or is another one now. */
  changed(tenant: number): void {
    for (const lay of this.#into.get(tenant) ?? []) lay()
  }

  openVrf(spec: Foreign<'vrf'>): HeldForeign | string {
    const slot = this.#actions.allocate()
    if (slot === undefined) return 'slots are exhausted'
    return this.#follow(spec, spec.into, {
      slot,
      lay: () => {
        const vrf = this.#tenants.get(spec.into)?.row
        this.#actions.set(slot, vrf === undefined ? { kind: 'drop', reason: Drop['no-route'] } : { kind: 'vrf', vrf })
      },
      close: () => this.#actions.release(slot),
    })
  }

  openPublic(spec: Foreign<'public'>): HeldForeign | string {
    const group = FailoverGroup.open(this.#actions, [EMPTY_SLOT])
    if (!group) return 'slots, actions or members of groups are exhausted'
    let way: { readonly slot: number; close(): void } | undefined
    const lay = (): void => {
      const segment = this.#tenants.get(spec.owner)?.segment(spec.segment)
      const opened = segment && this.#openHost({ ...spec, kind: 'host', tenant: spec.owner }, segment)
      const before = way
      way = typeof opened === 'object' ? opened : undefined
      group.reorder([way?.slot ?? EMPTY_SLOT])
      before?.close()
    }
    const close = (): void => {
      group.close()
      way?.close()
    }
    return this.#follow(spec, spec.owner, { slot: group.slot, lay, close })
  }

  #follow(spec: NextHop, other: number, hop: { slot: number; lay(): void; close(): void }): HeldForeign {
    const lays = this.#into.get(other) ?? new Set()
    this.#into.set(other, lays.add(hop.lay))
    hop.lay()
    return {
      slot: hop.slot,
      spec,
      relay: hop.lay,
      close: () => {
        lays.delete(hop.lay)
        if (lays.size === 0) this.#into.delete(other)
        hop.close()
      },
    }
  }
}
