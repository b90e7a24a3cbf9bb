/**
 * Ways to tunnel endpoints. A way is a slot whose action is made from where the underlay leads at the moment: one adjacency,
 * several (a group over them), or none (a drop). When the kernel's routes, neighbours or links change, or a path's MTU is
 * learnt, every way to that endpoint is laid anew, each by the store of its slot.
 */

import { formatAddress, type IpAddress } from '../base/address.ts'
import type { Action, ActionWriter } from './action.ts'
import { Drop } from './drop.ts'
import type { Adjacency } from './template.ts'

/** What `underlay.ts` says of a destination. */
export interface Underlay {
  /** Empty while unresolved. */
  adjacencies(destination: IpAddress): readonly Adjacency[]
  watch(destination: IpAddress, changed: () => void): { close(): void }
}

/** Of the outer path, where something smaller than the link was learnt; undefined otherwise. */
export type PathMtu = (remote: IpAddress) => number | undefined

interface Endpoint {
  readonly remote: IpAddress
  readonly ways: Set<Way>
  readonly watch: { close(): void }
}

export class Ways {
  readonly #writer: ActionWriter
  readonly #underlay: Underlay
  readonly #pathMtu: PathMtu
  readonly #endpoints = new Map<string, Endpoint>()

  constructor(writer: ActionWriter, underlay: Underlay, pathMtu: PathMtu) {
    this.#writer = writer
    this.#underlay = underlay
    this.#pathMtu = pathMtu
  }

  /** Undefined when slots are exhausted. `make` is called again whenever the underlay changes. */
  open(remote: IpAddress, make: (adjacency: Adjacency) => Action): Way | undefined {
    const slot = this.#writer.allocate()
    if (slot === undefined) return undefined
    const endpoint = this.#endpoint(remote)
    const way: Way = new Way(this.#writer, slot, make, {
      adjacencies: () => this.#adjacencies(remote),
      closed: () => this.#leave(endpoint, way),
    })
    endpoint.ways.add(way)
    way.lay()
    return way
  }

  /** Lays the ways to the endpoint anew: its path MTU has changed. */
  changed(remote: IpAddress): void {
    for (const way of this.#endpoints.get(formatAddress(remote))?.ways ?? []) way.lay()
  }

  /** Does anything lead there? */
  has(remote: IpAddress): boolean {
    return this.#endpoints.has(formatAddress(remote))
  }

  adjacencies(remote: IpAddress): readonly Adjacency[] {
    return this.#adjacencies(remote)
  }

  #adjacencies(remote: IpAddress): readonly Adjacency[] {
    const learnt = this.#pathMtu(remote)
    const adjacencies = this.#underlay.adjacencies(remote)
    if (learnt === undefined) return adjacencies
    return adjacencies.map((adjacency) => ({ ...adjacency, mtu: Math.min(adjacency.mtu, learnt) }))
  }

  #endpoint(remote: IpAddress): Endpoint {
    const key = formatAddress(remote)
    const known = this.#endpoints.get(key)
    if (known) return known
    const watch = this.#underlay.watch(remote, () => this.changed(remote))
    const endpoint: Endpoint = { remote, ways: new Set(), watch }
    this.#endpoints.set(key, endpoint)
    return endpoint
  }

  #leave(endpoint: Endpoint, way: Way): void {
    endpoint.ways.delete(way)
    if (endpoint.ways.size > 0) return
    endpoint.watch.close()
    this.#endpoints.delete(formatAddress(endpoint.remote))
  }
}

interface Members {
  readonly first: number
  readonly places: number
  readonly slots: readonly number[]
}

interface Environment {
  adjacencies(): readonly Adjacency[]
  closed(): void
}

export class Way {
  readonly slot: number
  readonly #writer: ActionWriter
  readonly #environment: Environment
  #make: (adjacency: Adjacency) => Action
  #members: Members | undefined

  constructor(writer: ActionWriter, slot: number, make: (adjacency: Adjacency) => Action, environment: Environment) {
    this.#writer = writer
    this.slot = slot
    this.#make = make
    this.#environment = environment
  }

  /** Makes the action anew, by another recipe if one is given. */
  lay(make: (adjacency: Adjacency) => Action = this.#make): void {
    this.#make = make
    const actions = this.#environment.adjacencies().map(make)
    const before = this.#members
    this.#members = undefined
    if (actions.length < 2 || !this.#laySeveral(actions))
      this.#writer.set(this.slot, actions[0] ?? { kind: 'drop', reason: Drop['underlay-unresolved'] })
    this.#releaseMembers(before)
  }

  close(): void {
    this.#environment.closed()
    this.#writer.release(this.slot)
    this.#releaseMembers(this.#members)
    this.#members = undefined
  }

  // False when slots are exhausted: then one path has to do. Nothing leads to the members before all are laid.
  #laySeveral(actions: readonly Action[]): boolean {
    const first = this.#writer.allocateMembers(actions.length)
    if (first === undefined) return false
    const members = { first, places: actions.length, slots: this.#laySlots(actions) }
    for (const [i, slot] of members.slots.entries()) this.#writer.setMember(first + i, slot)
    const isWhole = members.slots.length === actions.length
    if (isWhole && this.#writer.set(this.slot, { kind: 'select', first, members: actions.length })) {
      this.#members = members
      return true
    }
    this.#releaseMembers(members)
    return false
  }

  // As many as there is room for, each in a slot of its own.
  #laySlots(actions: readonly Action[]): number[] {
    const slots: number[] = []
    for (const action of actions) {
      const slot = this.#writer.allocate()
      if (slot === undefined) break
      this.#writer.set(slot, action)
      slots.push(slot)
    }
    return slots
  }

  #releaseMembers(members: Members | undefined): void {
    if (!members) return
    this.#writer.releaseMembers(members.first, members.places)
    for (const slot of members.slots) this.#writer.release(slot)
  }
}
