/**
 * The FIB of one tenant, the same on every node that holds it: route choice prefix by prefix, and what changed since
 * the FIBs were last told. A route of the site file comes before any that was published; of those the most preferred
 * origin's whose next hops can be reached, with the next one's as its backup.
 */

import { isDeepStrictEqual } from 'node:util'
import type { FibSegment, NextHop } from '../wire/control/fib.ts'
import { failoverOf, type Hop } from './hop.ts'
import { HopTable } from './hop-table.ts'
import type { Ids } from './ids.ts'
import type { TenantNetwork } from './network.ts'
import type { PrefixKey } from './prefix-key.ts'
import type { GatewaySet, OriginRoutes } from './published-routes.ts'

export interface TenantChanges {
  readonly segments: boolean
  readonly put: readonly NextHop[]
  readonly removed: readonly number[]
  /** Next hop 0: the prefix has no route any more. */
  readonly routes: ReadonlyMap<PrefixKey, number>
}

export class TenantFib {
  readonly id: number
  readonly name: string
  readonly #hops: HopTable
  readonly #routes = new Map<PrefixKey, number>()
  #changed = new Map<PrefixKey, number>()
  /** Numbers of the file's next hops, and of sets' with the sets behind them, each held once. */
  #file = new Map<PrefixKey, number>()
  #sets = new Map<GatewaySet, Map<GatewaySet | undefined, number>>()
  #resolved = new Map<GatewaySet, Hop | undefined>()
  #network: TenantNetwork
  #published: readonly OriginRoutes[] = []
  #segmentsChanged = true
  #mayHaveChanged = true

  constructor(name: string, id: number, network: TenantNetwork, hops: Ids) {
    this.id = id
    this.name = name
    this.#network = network
    this.#hops = new HopTable(id, hops)
    this.setNetwork(network)
  }

  get segments(): readonly FibSegment[] {
    return this.#network.segments
  }

  get routes(): ReadonlyMap<PrefixKey, number> {
    return this.#routes
  }

  get hops(): HopTable {
    return this.#hops
  }

  /** Published routes that are not in the FIB, because their next hops cannot be reached. */
  get unreachable(): number {
    let count = 0
    const reachable = new Map<GatewaySet, boolean>()
    for (const { routes } of this.#published) {
      for (const set of routes.values()) {
        const known = reachable.get(set) ?? this.#network.resolve(set.gateways) !== undefined
        reachable.set(set, known)
        if (!known) count++
      }
    }
    return count
  }

  /** The tenant's part of the site file. */
  setNetwork(network: TenantNetwork): void {
    this.#segmentsChanged ||= !isDeepStrictEqual(network.segments, this.#network.segments)
    this.#mayHaveChanged = true
    const before = this.#file
    this.#network = network
    this.#file = new Map()
    const held = new Map<Hop, number>()
    for (const [key, hop] of network.routes) {
      const known = held.get(hop)
      if (known !== undefined) this.#hops.use(known)
      const id = known ?? this.#hops.hold(hop)
      held.set(hop, id)
      this.#file.set(key, id)
    }
    this.#forgetSets()
    for (const key of new Set([...before.keys(), ...this.#file.keys()])) this.#choose(key)
    for (const { routes } of this.#published) for (const key of routes.keys()) this.#choose(key)
    for (const id of before.values()) this.#hops.release(id)
  }

  /** What sources have published, of which `touched` may have changed. */
  setPublished(published: readonly OriginRoutes[], touched: Iterable<PrefixKey>): void {
    this.#published = published
    this.#mayHaveChanged = true
    for (const key of touched) this.#choose(key)
  }

  /** What changed since the last time, or undefined if nothing did. Asked of all tenants whenever one has changed. */
  takeChanges(): TenantChanges | undefined {
    if (!this.#mayHaveChanged) return undefined
    this.#mayHaveChanged = false
    this.#forgetSets()
    const { put, removed } = this.#hops.takeChanges()
    const routes = this.#changed
    const segments = this.#segmentsChanged
    this.#changed = new Map()
    this.#segmentsChanged = false
    if (!segments && put.length + removed.length + routes.size === 0) return undefined
    return { segments, put, removed, routes }
  }

  #choose(key: PrefixKey): void {
    const chosen = this.#file.get(key) ?? this.#publishedHop(key)
    const before = this.#routes.get(key) ?? 0
    if (chosen === before) return
    if (chosen === 0) this.#routes.delete(key)
    else {
      this.#routes.set(key, chosen)
      this.#hops.use(chosen)
    }
    if (before !== 0) this.#hops.release(before)
    this.#changed.set(key, chosen)
  }

  /** The best origin's that can be reached; what the next one says is its backup. */
  #publishedHop(key: PrefixKey): number {
    let best: GatewaySet | undefined
    for (const { routes } of this.#published) {
      const set = routes.get(key)
      if (!set || !this.#resolve(set)) continue
      if (best) return this.#setHop(best, set)
      best = set
    }
    return best ? this.#setHop(best, undefined) : 0
  }

  #resolve(set: GatewaySet): Hop | undefined {
    if (this.#resolved.has(set)) return this.#resolved.get(set)
    const hop = this.#network.resolve(set.gateways)
    this.#resolved.set(set, hop)
    return hop
  }

  #setHop(best: GatewaySet, backup: GatewaySet | undefined): number {
    const ofBest = this.#sets.get(best) ?? new Map<GatewaySet | undefined, number>()
    this.#sets.set(best, ofBest)
    const known = ofBest.get(backup)
    if (known !== undefined) return known
    const id = this.#hops.hold(failoverOf([this.#resolve(best), backup && this.#resolve(backup)])!)
    ofBest.set(backup, id)
    return id
  }

  /** What sets hold is a convenience of choosing many routes at once; between batches only routes hold hops. */
  #forgetSets(): void {
    const before = this.#sets
    this.#sets = new Map()
    this.#resolved = new Map()
    for (const ofBest of before.values()) for (const id of ofBest.values()) this.#hops.release(id)
  }
}
