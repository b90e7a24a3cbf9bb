/**
 * The numbered next hops of one tenant, each there for as long as a route or a group uses it. Collects what a FIB has
 * to be told: hops that are new or say something else now, and hops that nobody uses any more.
 */

import { isDeepStrictEqual } from 'node:util'
import { assert } from '../base/assert.ts'
import { type GroupNextHop, isGroup, membersOf, type NextHop } from '../wire/control/fib.ts'
import { type Hop, identityOf, identityOfNumbered, type SingleHop } from './hop.ts'
import type { Ids } from './ids.ts'

interface Entry {
  hop: NextHop
  readonly identity: string
  uses: number
}

export class HopTable {
  readonly #tenant: number
  readonly #ids: Ids
  readonly #entries = new Map<number, Entry>()
  readonly #changed = new Set<number>()
  /** Whether a FIB has it: what came and went between two changes is never told. */
  readonly #told = new Set<number>()
  readonly #unused = new Set<number>()

  constructor(tenant: number, ids: Ids) {
    this.#tenant = tenant
    this.#ids = ids
  }

  /** The hop's number, with one more use of it. Whoever holds a hop that is known brings it up to date. */
  hold(hop: Hop): number {
    if (hop.kind === 'group') {
      const members = hop.members.map((member) => ({ nextHop: this.hold(member.hop), weight: member.weight }))
      return this.#holdGroup({ kind: 'group', id: 0, tenant: this.#tenant, members })
    }
    if (hop.kind === 'failover') {
      const members = Uint32Array.from(hop.members, (member) => this.hold(member))
      return this.#holdGroup({ kind: 'failover', id: 0, tenant: this.#tenant, members, choice: hop.choice })
    }
    return this.#hold(this.#thing(identityOf(hop)), (id) => this.#numbered(id, hop))
  }

  /** The number of what a tenant's policies choose from, with one more use of it. `ordinary` is held. */
  holdPolicy(ordinary: number, ways: readonly { readonly way: number; readonly hop: Hop }[], choice: string): number {
    this.use(ordinary)
    const numbered = ways.map(({ way, hop }) => ({ way, nextHop: this.hold(hop) }))
    const policy = { kind: 'policy', id: 0, tenant: this.#tenant, ordinary, ways: numbered, choice } as const
    return this.#holdGroup(policy)
  }

  /** One more use of a hop that is held. */
  use(id: number): void {
    this.#entries.get(id)!.uses++
  }

  release(id: number): void {
    const entry = this.#entries.get(id)
    assert(entry !== undefined && entry.uses > 0, `next hop ${id} is released more often than it is used`)
    entry.uses--
    if (entry.uses === 0) this.#unused.add(id)
  }

  get(id: number): NextHop | undefined {
    return this.#entries.get(id)?.hop
  }

  /** The hops that FIBs have, as of the changes that were taken last. */
  get told(): Iterable<number> {
    return this.#told
  }

  all(): NextHop[] {
    return Array.from(this.#entries.values(), ({ hop }) => hop)
  }

  /** What changed since the last time, in no order. */
  takeChanges(): { put: NextHop[]; removed: number[] } {
    const removed: number[] = []
    // A set that grows while it is walked: the members of a group that goes may go with it.
    for (const id of this.#unused) {
      this.#unused.delete(id)
      const entry = this.#entries.get(id)!
      if (entry.uses > 0) continue
      if (isGroup(entry.hop)) for (const member of membersOf(entry.hop)) this.release(member)
      this.#entries.delete(id)
      this.#changed.delete(id)
      this.#ids.forget(entry.identity)
      if (this.#told.delete(id)) removed.push(id)
    }
    const put = Array.from(this.#changed, (id) => this.#entries.get(id)!.hop)
    for (const id of this.#changed) this.#told.add(id)
    this.#changed.clear()
    return { put, removed }
  }

  /** Its members are held. */
  #holdGroup(group: GroupNextHop): number {
    const thing = this.#thing(identityOfNumbered(group))
    const before = this.#entries.get(this.#ids.of(thing))?.hop
    const id = this.#hold(thing, (number) => ({ ...group, id: number }))
    // The group itself uses its members, once: those that it has now, and not those that it had.
    if (before && isGroup(before)) for (const member of membersOf(before)) this.release(member)
    return id
  }

  #thing(identity: string): string {
    return hopThing(this.#tenant, identity)
  }

  #hold(thing: string, make: (id: number) => NextHop): number {
    const id = this.#ids.of(thing)
    const entry = this.#entries.get(id)
    if (!entry) {
      this.#entries.set(id, { hop: make(id), identity: thing, uses: 1 })
      this.#changed.add(id)
      return id
    }
    entry.uses++
    const hop = make(id)
    if (!isDeepStrictEqual(hop, entry.hop)) {
      entry.hop = hop
      this.#changed.add(id)
    }
    return id
  }

  #numbered(id: number, hop: SingleHop): NextHop {
    return { ...hop, id, tenant: this.#tenant } as NextHop
  }
}

/** What a hop is known as to `Ids`. */
export function hopThing(tenant: number, identity: string): string {
  return `${tenant} ${identity}`
}
