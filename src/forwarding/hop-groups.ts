/**
 * Next hops that stand for others: groups that share packets (ECMP), and primaries with their backups (RFC 5714). Which of
 * the others are up is known here as soon as a switch or a routing node has said so (agent/broken-paths.ts). A change costs
 * a few stores a group, however many routes lead to it; and a way that the underlay has lost is passed over by the workers
 * themselves, for a failover takes the first member that is no drop.
 *
 * Where no member is up they are used as if all were: what is known may be wrong, and nothing is better than it. Not so the
 * ways that a tenant's policies choose from: where none of a way's next hops is up, there is another way to take.
 */

import { isDeepStrictEqual } from 'node:util'
import type { BrokenPathsKnown } from '../agent/broken-paths.ts'
import type { ActionWriter } from '../dataplane/action.ts'
import { FailoverGroup, openSelectGroup } from '../dataplane/group.ts'
import { type ChoiceWay, PolicyChoice } from '../dataplane/policy-choice.ts'
import { type GroupNextHop, isGroup, membersOf, type NextHop } from '../wire/control/fib.ts'

/** A next hop that is held. */
export interface HeldHop {
  readonly slot: number
  readonly spec: NextHop
}

export interface HeldGroup extends HeldHop {
  close(): void
  relay(): void
  /** Takes over what is the same but for the order of its members, at the cost of a few stores; false of anything else. */
  follow?(spec: NextHop): boolean
}

export interface HopGroupParts {
  readonly actions: ActionWriter
  readonly broken: BrokenPathsKnown
  /** Undefined for one that is not held. */
  hop(id: number): HeldHop | undefined
}

type FailoverSpec = Extract<GroupNextHop, { kind: 'failover' }>
type PolicySpec = Extract<GroupNextHop, { kind: 'policy' }>

/** Lays a group's members anew, as they are up now; false where there is no room for it. */
type Refresh = () => boolean

export class HopGroups {
  readonly #parts: HopGroupParts
  /** By the VNI of the segments that members are on. */
  readonly #onSegment = new Map<number, Set<Refresh>>()

  constructor(parts: HopGroupParts) {
    this.#parts = parts
  }

  /** Its members are held already. */
  open(spec: GroupNextHop): HeldGroup | string {
    const missing = membersOf(spec).find((id) => this.#parts.hop(id) === undefined)
    if (missing !== undefined) return `${spec.kind} ${spec.id} names next hop ${missing}, which is not held`
    if (spec.kind === 'group') return this.#openGroup(spec)
    return spec.kind === 'failover' ? this.#openFailover(spec) : this.#openPolicy(spec)
  }

  /** Of these segments something else is known now. False where a group had no room to follow, and stays as it was. */
  refresh(vnis: Iterable<number>): boolean {
    const due = new Set<Refresh>()
    for (const vni of vnis) for (const refresh of this.#onSegment.get(vni) ?? []) due.add(refresh)
    let hasFollowed = true
    for (const refresh of due) if (!refresh()) hasFollowed = false
    return hasFollowed
  }

  // A place a unit of weight: a tenant's few next hops are not worth a table of the resilient kind (16 KB).
  #openGroup(spec: Extract<GroupNextHop, { kind: 'group' }>): HeldGroup | string {
    const group = openSelectGroup(this.#parts.actions, 'modulo')
    if (!group) return 'slots are exhausted'
    const lay = (): boolean => {
      const isAnyUp = this.#isUp(spec)
      const members = spec.members.map(({ nextHop, weight }) => {
        const { slot, spec: member } = this.#parts.hop(nextHop)!
        return { name: String(nextHop), slot, weight, alive: !isAnyUp || this.#isUp(member) }
      })
      return group.update(members)
    }
    const held = this.#held(() => spec, group, lay)
    if (lay()) return held
    held.close()
    return 'members of groups are exhausted'
  }

  #openFailover(spec: FailoverSpec): HeldGroup | string {
    let now = spec
    const inOrder = (): number[] => {
      const members = Array.from(now.members, (id) => this.#parts.hop(id)!)
      const { up = [], down = [] } = Object.groupBy(members, (member) => (this.#isUp(member.spec) ? 'up' : 'down'))
      return [...up, ...down].map(({ slot }) => slot)
    }
    const group = FailoverGroup.open(this.#parts.actions, inOrder())
    if (!group) return 'slots, actions or members of groups are exhausted'
    const lay = (): boolean => {
      group.reorder(inOrder())
      return true
    }
    return this.#held(
      () => now,
      group,
      lay,
      (next) => {
        if (next.kind !== 'failover' || !isReordered(now, next)) return false
        now = next
        return lay()
      },
    )
  }

  #openPolicy(spec: PolicySpec): HeldGroup | string {
    let now = spec
    const ordinary = (): number => this.#parts.hop(now.ordinary)!.slot
    const ways = (): ChoiceWay[] =>
      now.ways.map(({ way, nextHop }) => {
        const { slot, spec: hop } = this.#parts.hop(nextHop)!
        return { way, slot, isUp: this.#isUp(hop) }
      })
    const choice = PolicyChoice.open(this.#parts.actions, ordinary(), ways())
    if (!choice) return 'slots, actions or members of groups are exhausted'
    const lay = (): boolean => choice.update(ordinary(), ways())
    return this.#held(
      () => now,
      choice,
      lay,
      (next) => {
        if (next.kind !== 'policy' || next.tenant !== now.tenant) return false
        const before = now
        now = next
        if (lay()) return true
        now = before
        return false
      },
    )
  }

  /** `follow` takes over what it can; the segments that its members are on may be others then. */
  #held(
    spec: () => GroupNextHop,
    group: { readonly slot: number; close(): void },
    lay: Refresh,
    follow: (next: NextHop) => boolean = () => false,
  ): HeldGroup {
    // Members that are gone already take the group with them in a moment.
    const refresh = (): boolean => membersOf(spec()).some((id) => !this.#parts.hop(id)) || lay()
    let vnis = this.#enter(refresh, this.#segmentsOf(spec()))
    return {
      slot: group.slot,
      get spec() {
        return spec()
      },
      relay() {},
      follow: (next) => {
        if (isGroup(next) && membersOf(next).some((id) => !this.#parts.hop(id))) return false
        if (!follow(next)) return false
        this.#leave(refresh, vnis)
        vnis = this.#enter(refresh, this.#segmentsOf(spec()))
        return true
      },
      close: () => {
        this.#leave(refresh, vnis)
        group.close()
      },
    }
  }

  #enter(refresh: Refresh, vnis: ReadonlySet<number>): ReadonlySet<number> {
    for (const vni of vnis) {
      const here = this.#onSegment.get(vni) ?? new Set()
      this.#onSegment.set(vni, here.add(refresh))
    }
    return vnis
  }

  #leave(refresh: Refresh, vnis: ReadonlySet<number>): void {
    for (const vni of vnis) {
      const here = this.#onSegment.get(vni)
      here?.delete(refresh)
      if (here?.size === 0) this.#onSegment.delete(vni)
    }
  }

  #isUp(spec: NextHop): boolean {
    if (isGroup(spec)) return membersOf(spec).some((id) => this.#isUp(this.#parts.hop(id)!.spec))
    if (spec.kind !== 'peer' && spec.kind !== 'connected') return true
    return !this.#parts.broken.isBroken(spec.vni, spec.remote, spec.kind === 'peer' ? spec.address : undefined)
  }

  #segmentsOf(spec: NextHop): Set<number> {
    if (isGroup(spec)) {
      return new Set(membersOf(spec).flatMap((id) => [...this.#segmentsOf(this.#parts.hop(id)!.spec)]))
    }
    return new Set(spec.kind === 'peer' || spec.kind === 'connected' ? [spec.vni] : [])
  }
}

function isReordered(before: FailoverSpec, after: FailoverSpec): boolean {
  const inOrder = (spec: FailoverSpec) => ({ ...spec, members: spec.members.toSorted() })
  return isDeepStrictEqual(inOrder(before), inOrder(after))
}
