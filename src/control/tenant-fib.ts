/**
 * The FIB of one tenant, the same on every node that holds it: route choice prefix by prefix, and what changed since
 * the FIBs were last told. A route of the site file comes before any that was published; of those the most preferred
 * origin's whose next hops can be reached, with the next one's as its backup. Where the tenant's paths have an order, all
 * origins that are equally preferred stand for one: the path decides.
 */

import { isDeepStrictEqual } from 'node:util'
import { type FibPolicy, type FibSegment, isGroup, membersOf, type NextHop } from '../wire/control/fib.ts'
import type { Hop } from './hop.ts'
import { HopTable } from './hop-table.ts'
import type { Ids } from './ids.ts'
import type { TenantNetwork } from './network.ts'
import type { PrefixKey } from './prefix-key.ts'
import { PrefixMap } from './prefix-map.ts'
import type { GatewaySet, OriginRoutes } from './published-routes.ts'

export interface TenantChanges {
  readonly segments: boolean
  readonly put: readonly NextHop[]
  readonly removed: readonly number[]
  /** Prefixes whose next hop is another now, or that have none any more; some perhaps more than once. */
  readonly changed: readonly PrefixKey[]
}

/** Sets that are equally good: their hop with each that may be behind them, and those of the same and one more. */
interface EqualSets {
  readonly sets: readonly GatewaySet[]
  readonly hops: Map<GatewaySet | undefined, number>
  readonly more: Map<GatewaySet, EqualSets>
}

export class TenantFib {
  readonly id: number
  readonly name: string
  readonly #hops: HopTable
  readonly #routes = new PrefixMap<number>()
  /** Prefixes with another next hop than was told, some perhaps more than once. */
  #changed: PrefixKey[] = []
  /** Numbers of the file's next hops, and of sets' with the sets behind them, each held once. */
  #file = new Map<PrefixKey, number>()
  #sets = equalSets([])
  #resolved = new Map<GatewaySet, Hop | undefined>()
  /** By what policies choose from. */
  #policed = new Map<string, number>()
  readonly #setNumbers = new WeakMap<GatewaySet, number>()
  #nextSet = 1
  #network: TenantNetwork
  #published: readonly OriginRoutes[] = []
  #segmentsChanged = true
  #mayHaveChanged = true
  #revision = 0

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

  get policies(): readonly FibPolicy[] {
    return this.#network.policies
  }

  get routes(): ReadonlyMap<PrefixKey, number> {
    return this.#routes
  }

  get hops(): HopTable {
    return this.#hops
  }

  /** Another number whenever anything in it may be another. */
  get revision(): number {
    return this.#revision
  }

  /** All of it has been taken by `takeChanges`. */
  get isTaken(): boolean {
    return !this.#mayHaveChanged
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

  /** Whose route it is and since when, in seconds since 1970; undefined for the site file's own. */
  learntFrom(key: PrefixKey): { readonly origin: string; readonly since_s: number } | undefined {
    if (this.#file.has(key)) return undefined
    for (const { origin, routes } of this.#published) {
      const set = routes.get(key)
      if (set && this.#resolve(set)) return { origin, since_s: routes.noteOf(key) }
    }
    return undefined
  }

  /** Is there a way of this site's own that other sites may send packets by? */
  isOffered(key: PrefixKey): boolean {
    if (this.#file.has(key)) return this.#network.offered.has(key)
    return this.#published.some(({ isRemote, routes }) => {
      const set = isRemote ? undefined : routes.get(key)
      return set !== undefined && this.#resolve(set) !== undefined
    })
  }

  /** The tenant's part of the site file. */
  setNetwork(network: TenantNetwork): void {
    const { segments, policies } = this.#network
    this.#segmentsChanged ||= !isDeepStrictEqual([network.segments, network.policies], [segments, policies])
    this.#mayHaveChanged = true
    this.#revision++
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
    this.#revision++
    for (const key of touched) this.#choose(key)
  }

  /** What changed since the last time, or undefined if nothing did. Asked of all tenants whenever one has changed. */
  takeChanges(): TenantChanges | undefined {
    if (!this.#mayHaveChanged) return undefined
    this.#mayHaveChanged = false
    this.#forgetSets()
    const { put, removed } = this.#hops.takeChanges()
    const changed = this.#changed
    const segments = this.#segmentsChanged
    this.#changed = []
    this.#segmentsChanged = false
    if (!segments && put.length + removed.length + changed.length === 0) return undefined
    return { segments, put, removed, changed }
  }

  #choose(key: PrefixKey): void {
    const ordinary = this.#file.get(key) ?? this.#publishedHop(key)
    const chosen = this.#network.policies.length > 0 ? this.#policedHop(key, ordinary) : ordinary
    const before = this.#routes.get(key) ?? 0
    if (chosen === before) return
    if (chosen === 0) this.#routes.delete(key)
    else {
      this.#routes.set(key, chosen)
      this.#hops.use(chosen)
    }
    if (before !== 0) this.#hops.release(before)
    this.#changed.push(key)
  }

  /** The best origin's that can be reached, or all that are as good where paths are chosen; behind it the next one's. */
  #publishedHop(key: PrefixKey): number {
    let equals = this.#sets
    let best: OriginRoutes | undefined
    let next: GatewaySet | undefined
    const { isOrdered } = this.#network
    for (const origin of this.#published) {
      const set = origin.routes.get(key)
      if (!set || !this.#resolve(set)) continue
      best ??= origin
      const isEqual = isOrdered && (origin.isRemote || origin.preference === best.preference)
      if (origin !== best && !isEqual) {
        next ??= set
        // Other sites' come last.
        if (!isOrdered) break
        continue
      }
      equals = oneMore(equals, set)
    }
    return best ? (equals.hops.get(next) ?? this.#holdHop(equals, next)) : 0
  }

  // Where the route leads to a connection the tenant's policies choose: from all that leads there, not only from the best.
  #policedHop(key: PrefixKey, ordinary: number): number {
    if (ordinary === 0 || !this.#isTowardsConnection(this.#hops.get(ordinary)!)) return ordinary
    const sets = this.#published.flatMap(({ routes }) => routes.get(key) ?? [])
    const name = `${ordinary} ${this.#file.get(key) ?? 0} ${sets.map((set) => this.#numberOf(set)).join(' ')}`
    const known = this.#policed.get(name)
    if (known !== undefined) return known
    const gateways = sets.map((set) => set.gateways)
    const { ways, choice } = this.#network.policed(this.#network.routes.get(key), gateways)
    const id = this.#hops.holdPolicy(ordinary, ways, `${ordinary}: ${choice}`)
    this.#policed.set(name, id)
    return id
  }

  #isTowardsConnection(hop: NextHop): boolean {
    if (isGroup(hop)) return membersOf(hop).some((id) => this.#isTowardsConnection(this.#hops.get(id)!))
    if (hop.kind !== 'peer' && hop.kind !== 'connected') return false
    return this.segments.find(({ id }) => id === hop.segment)?.kind === 'connection'
  }

  #numberOf(set: GatewaySet): number {
    const number = this.#setNumbers.get(set) ?? this.#nextSet++
    this.#setNumbers.set(set, number)
    return number
  }

  #resolve(set: GatewaySet): Hop | undefined {
    if (this.#resolved.has(set)) return this.#resolved.get(set)
    const hop = this.#network.resolve(set.gateways)
    this.#resolved.set(set, hop)
    return hop
  }

  #holdHop({ sets, hops }: EqualSets, next: GatewaySet | undefined): number {
    const gateways = sets.map((set) => set.gateways)
    const id = this.#hops.hold(this.#network.choose(gateways, next?.gateways)!)
    hops.set(next, id)
    return id
  }

  /** What sets hold is a convenience of choosing many routes at once; between batches only routes hold hops. */
  #forgetSets(): void {
    const waiting = [this.#sets]
    this.#sets = equalSets([])
    this.#resolved = new Map()
    for (const id of this.#policed.values()) this.#hops.release(id)
    this.#policed = new Map()
    for (const { hops, more } of waiting) {
      for (const id of hops.values()) this.#hops.release(id)
      waiting.push(...more.values())
    }
  }
}

function equalSets(sets: readonly GatewaySet[]): EqualSets {
  return { sets, hops: new Map(), more: new Map() }
}

function oneMore({ sets, more }: EqualSets, set: GatewaySet): EqualSets {
  const known = more.get(set) ?? equalSets([...sets, set])
  more.set(set, known)
  return known
}
