/**
 * Where tenants are: which VIP their packets are sent to, which clusters a VIP's packets are spread over, and so which
 * clusters hold which tenants (DSR section 4.1.1, figure 5). A move is made before the old place is broken:
 *
 *   make     the clusters of the new place get the tenant, beside the old ones
 *   switch   all their nodes have acknowledged it: switches and hosts send to the new place
 *   drain    the switches have acknowledged that: what is still on its way arrives at the old place
 *   break    the old place drops the tenant
 *
 * A node that is down must not hold up a move: after a while those that answered are enough. Nothing here talks to
 * anybody; the controller reports progress and asks where things are.
 */

import type { Site } from '../config/site.ts'

/** Twice what a node takes for a large batch at worst (10 M routes: 2 s); one that is silent for longer is down. */
const ANSWER_WITHIN_US = 5_000_000

/** How far a feed has come. Generations only grow. */
export interface Progress {
  readonly published: number
  /** What all of its readers have acknowledged, and what at least one has. */
  readonly ackedByAll: number
  readonly ackedByOne: number
}

export interface Feeds {
  cluster(name: string): Progress
  readonly switches: readonly string[]
  switch(name: string): Progress
}

/** What must be acknowledged before the next step, by feed; undefined until it has been published. */
interface Wait {
  need: ReadonlyMap<string, number> | undefined
  since_us: number
}

interface Drain {
  readonly place: string
  wait: Wait | undefined
  until_us: number
}

/** A thing that is at places and moves to others: a tenant at a VIP, a VIP at clusters. */
interface Mover {
  readonly kind: 'tenant' | 'vip'
  active: Set<string>
  target: readonly string[]
  making: Wait | undefined
  draining: Drain[]
}

export class Placement {
  readonly #tenants = new Map<string, Mover>()
  readonly #vips = new Map<string, Mover>()
  /** Those that are not settled: mostly none of thousands of tenants. */
  #moving = new Set<Mover>()
  #drain_us = 0

  /** The site as it is wanted. Tenants, VIPs and clusters that it does not have are gone at once. */
  setSite(site: Site): void {
    this.#drain_us = site.control.drain_ms * 1000
    const spread = new Map(site.vips.map(({ name }) => [name, [] as string[]]))
    for (const { name, vips } of site.clusters) for (const vip of vips) spread.get(vip)?.push(name)
    retarget('vip', this.#vips, spread, new Set(site.clusters.map(({ name }) => name)))
    // With nobody there yet to lose, a VIP is spread at once: its nodes are probed before they hold anything.
    for (const vip of this.#vips.values()) if (vip.active.size === 0) arrive(vip)
    const wanted = new Map(site.tenants.map(({ name, vip }) => [name, [vip]]))
    retarget('tenant', this.#tenants, wanted, new Set(spread.keys()))
    this.#moving = new Set([...this.#vips.values(), ...this.#tenants.values()].filter(isMoving))
  }

  /** Where the control module before this one had the VIP or tenant. After `setSite`. */
  recoverVip(vip: string, clusters: readonly string[]): void {
    this.#recover(this.#vips.get(vip), clusters)
  }

  recoverTenant(tenant: string, vip: string): void {
    this.#recover(this.#tenants.get(tenant), [vip])
  }

  /** A cluster holds the tenant under this VIP: unless it ought to, it is drained. */
  recoverHolder(tenant: string, cluster: string, vip: string): void {
    for (const [mover, place] of [
      [this.#tenants.get(tenant), vip],
      [this.#vips.get(vip), cluster],
    ] as const) {
      if (!mover || placesOf(mover).includes(place)) continue
      mover.draining.push(drainOf(place))
      this.#moving.add(mover)
    }
  }

  #recover(mover: Mover | undefined, places: readonly string[]): void {
    if (!mover || places.length === 0) return
    mover.active = new Set(places)
    mover.making = isSettled(mover) ? undefined : freshWait()
    if (isMoving(mover)) this.#moving.add(mover)
    else this.#moving.delete(mover)
  }

  /** The VIP that the tenant's packets are sent to, once there is one. */
  vipOf(tenant: string): string | undefined {
    return this.#tenants.get(tenant)?.active.values().next().value
  }

  /** All VIPs that the tenant's packets may come from, the one to send to first. */
  vipsOf(tenant: string): string[] {
    return placesOf(this.#tenants.get(tenant))
  }

  /** The clusters that hold the tenant, each with the VIP that its nodes send from. */
  holdersOf(tenant: string): Map<string, string> {
    const holders = new Map<string, string>()
    for (const vip of this.vipsOf(tenant)) {
      for (const cluster of placesOf(this.#vips.get(vip))) if (!holders.has(cluster)) holders.set(cluster, vip)
    }
    return holders
  }

  /** The clusters whose nodes the VIP's packets are spread over. */
  clustersOf(vip: string): ReadonlySet<string> {
    return this.#vips.get(vip)?.active ?? new Set()
  }

  /** Something is on the move: `advance` has to be called again, also when nothing else happens. */
  get isMoving(): boolean {
    return this.#moving.size > 0
  }

  /** Tenants that have left a place, or are about to, with where they go. */
  get movingTenants(): Map<string, string> {
    const moving = new Map<string, string>()
    for (const [name, { active, making, draining, target }] of this.#tenants) {
      if ((making && active.size > 0) || draining.length > 0) moving.set(name, target.join(' '))
    }
    return moving
  }

  /** Takes every step that may be taken. True if any was, and there is something to publish. */
  advance(now_us: number, feeds: Feeds): boolean {
    let moved = false
    for (const mover of this.#moving) {
      const { making, active } = mover
      // Whoever is nowhere yet loses nothing by going where nobody answers.
      if (making && isAnswered(making, now_us, (name) => feeds.cluster(name), active.size > 0)) {
        arrive(mover)
        moved = true
      }
      const before = mover.draining.length
      mover.draining = mover.draining.filter((drain) => !this.#isDrained(drain, now_us, feeds))
      moved ||= mover.draining.length < before
      if (!isMoving(mover)) this.#moving.delete(mover)
    }
    return moved
  }

  /** What there is has been published: from now on answers to it are waited for. */
  published(now_us: number, feeds: Feeds): void {
    for (const { kind, making, target, draining } of this.#moving) {
      const clusters = kind === 'vip' ? target : target.flatMap((vip) => placesOf(this.#vips.get(vip)))
      expectClusters(making, clusters, now_us, feeds)
      for (const { wait } of draining) {
        if (wait && !wait.need) expect(wait, feeds.switches, (name) => feeds.switch(name), now_us)
      }
    }
  }

  #isDrained(drain: Drain, now_us: number, feeds: Feeds): boolean {
    if (drain.wait) {
      if (!isAnswered(drain.wait, now_us, (name) => feeds.switch(name), false)) return false
      drain.wait = undefined
      drain.until_us = now_us + this.#drain_us
    }
    return now_us >= drain.until_us
  }
}

/** Everywhere that it is, is to be, or was a moment ago, in this order. */
function placesOf(mover: Mover | undefined): string[] {
  if (!mover) return []
  return [...new Set([...mover.active, ...mover.target, ...mover.draining.map(({ place }) => place)])]
}

function isMoving({ making, draining }: Mover): boolean {
  return making !== undefined || draining.length > 0
}

function retarget(
  kind: Mover['kind'],
  movers: Map<string, Mover>,
  wanted: ReadonlyMap<string, readonly string[]>,
  known: ReadonlySet<string>,
): void {
  for (const name of movers.keys()) if (!wanted.has(name)) movers.delete(name)
  for (const [name, target] of wanted) {
    const mover = movers.get(name) ?? { kind, active: new Set(), target: [], making: undefined, draining: [] }
    movers.set(name, mover)
    const left = mover.target.filter((place) => !target.includes(place) && !mover.active.has(place))
    mover.draining.push(...left.map(drainOf))
    mover.target = target
    mover.active = mover.active.intersection(known)
    mover.draining = mover.draining.filter(({ place }) => known.has(place) && !target.includes(place))
    mover.making = isSettled(mover) ? undefined : freshWait()
  }
}

/** The step from make to switch. */
function arrive(mover: Mover): void {
  const old = [...mover.active].filter((place) => !mover.target.includes(place))
  mover.draining.push(...old.map(drainOf))
  mover.active = new Set(mover.target)
  mover.making = undefined
}

function isSettled({ active, target }: Mover): boolean {
  return active.size === target.length && target.every((place) => active.has(place))
}

const freshWait = (): Wait => ({ need: undefined, since_us: 0 })

const drainOf = (place: string): Drain => ({ place, wait: freshWait(), until_us: 0 })

function expectClusters(wait: Wait | undefined, clusters: readonly string[], now_us: number, feeds: Feeds): void {
  if (wait && !wait.need) expect(wait, clusters, (name) => feeds.cluster(name), now_us)
}

function expect(wait: Wait, names: readonly string[], progress: (name: string) => Progress, now_us: number): void {
  wait.need = new Map(names.map((name) => [name, progress(name).published]))
  wait.since_us = now_us
}

function isAnswered(wait: Wait, now_us: number, progress: (name: string) => Progress, needsOne: boolean): boolean {
  if (!wait.need) return false
  const needs = [...wait.need]
  if (needs.every(([name, generation]) => progress(name).ackedByAll >= generation)) return true
  if (now_us - wait.since_us < ANSWER_WITHIN_US) return false
  return !needsOne || needs.every(([name, generation]) => progress(name).ackedByOne >= generation)
}
