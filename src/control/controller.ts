/**
 * The control module while it leads: the site and the published routes in, batches for clusters, switches and hosts
 * out. All that it tells goes through one loop, so what is told last is what holds. What it must remember is on the
 * bus: the feeds say what was told, and so where tenants were; a new leader reads them and goes on.
 */

import type { Events } from '../agent/events.ts'
import { LiveSpeakers } from '../agent/live-speakers.ts'
import { BUCKET, fibFeed, switchFeed } from '../agent/names.ts'
import { getSite, watchSite } from '../agent/site-store.ts'
import type { Clock } from '../base/clock.ts'
import type { Logger } from '../base/log.ts'
import { aborted } from '../base/signal.ts'
import type { Bus } from '../bus/bus.ts'
import { describeDifference, diffSites } from '../config/difference.ts'
import type { Site } from '../config/site.ts'
import { hostBatch } from '../wire/control/switch.ts'
import { Acks } from './acks.ts'
import { ClusterFeed } from './cluster-feed.ts'
import { Connections } from './connections.ts'
import { Digests } from './digests.ts'
import { hostBatchesOf, switchBatchOf } from './edge.ts'
import type { HeldFib, Numbering } from './held-fib.ts'
import { Ids } from './ids.ts'
import { Moves } from './moves.ts'
import { indexSite, networkOf, type SiteIndex } from './network.ts'
import { PathMemory } from './path-memory.ts'
import { type Feeds, Placement, type Progress } from './placement.ts'
import { PublishedRoutes, type Touched } from './published-routes.ts'
import { recoverPlaces } from './recover.ts'
import { RouteLog } from './route-log.ts'
import { StaleOrigins } from './stale-origins.ts'
import { Steering } from './steering.ts'
import { SwitchFeed } from './switch-feed.ts'
import { type TenantChanges, TenantFib } from './tenant-fib.ts'
import { Tracks } from './tracks.ts'

/** While tenants move: how often to see whether a drain is over or a node too late. */
const MOVE_CHECK_MS = 100

/** How often to see whether routes are stale for too long. */
const STALE_CHECK_MS = 1000

export interface ControllerOptions {
  readonly bus: Bus
  readonly clock: Clock
  readonly log: Logger
  /** The leader's lease: feeds carry it, and readers refuse lower ones. */
  readonly epoch: number
  /** A name that no feed had before. */
  newIncarnation(): string
  readonly events: Events
  /** As the route log's. */
  readonly checkpointAfter_bytes?: number
}

export class Controller implements Feeds {
  readonly #options: ControllerOptions
  readonly #numbering: Numbering = { tenants: new Ids(), segments: new Ids(), hops: new Ids() }
  readonly #published = new PublishedRoutes()
  readonly #placement = new Placement()
  readonly #tenants = new Map<string, TenantFib>()
  readonly #clusters = new Map<string, ClusterFeed>()
  readonly #switchFeeds = new Map<string, SwitchFeed>()
  /** What is on the bus for each host, and which revision it has: who else writes there has taken our place. */
  readonly #hosts = new Map<string, { readonly bytes: Buffer; readonly revision: number }>()
  #hostsRead = false
  readonly #touched: Touched = new Map()
  /** By cluster: the tenants that it holds, each with the address that its nodes send from. */
  readonly #wanted = new Map<string, Map<TenantFib, string>>()
  readonly #acks: Acks
  readonly #digests: Digests
  readonly #connections: Connections
  readonly #speakers: LiveSpeakers
  readonly #stale: StaleOrigins
  readonly #moves: Moves
  readonly #routes: RouteLog
  /** The routing nodes that sessions are spread over now. */
  #live = ''
  #site: Site
  #siteChanged = false
  #hasReconnected = false
  /** Another set of routing nodes lives. */
  #speakersChanged = false
  /** Things that static routes are tied to, and that are down now, or not any more. */
  readonly #turned = new Set<string>()
  readonly #tracks: Tracks
  readonly #steering = new Steering()
  readonly #paths: PathMemory
  /** Tenants whose paths are in another order now. */
  readonly #steered = new Set<string>()
  #placesChanged = true
  #wake = (): void => {}

  private constructor(options: ControllerOptions, site: Site) {
    this.#options = options
    this.#site = site
    this.#acks = new Acks(options.bus, (feed, { module, generation, error }) => {
      if (error !== undefined) {
        options.log.error({ feed, module, generation, error }, 'a batch was not taken over')
        options.events.tell('not-applied', module, `generation ${generation} of ${feed}: ${error}`)
      }
      this.#wake()
    })
    this.#digests = new Digests({
      ...options,
      cluster: (name) => this.#clusters.get(name),
      repair: () => this.#wake(),
    })
    this.#stale = new StaleOrigins(options.clock, (name) => options.events.tell('origin-stale', name))
    this.#moves = new Moves(options.events)
    const replaced = (origin: string): void => this.#stale.replaced(origin)
    this.#routes = new RouteLog({ ...options, routes: this.#published, replaced })
    this.#speakers = new LiveSpeakers(options.bus, (name, epoch) => this.#speaker(name, epoch))
    this.#paths = new PathMemory(options.bus, options.log)
    const turned = (names: ReadonlySet<string>): void => {
      this.#connections.turned(names)
      for (const name of names) this.#turned.add(name)
      this.#wake()
    }
    this.#connections = new Connections({ ...options, down: () => this.#tracks.down })
    this.#tracks = new Tracks(options.bus, turned, () => this.#steer())
  }

  /** Leads until the signal. Rejects with what the bus says, 'wrong-sequence' if somebody else leads. */
  static async lead(
    options: ControllerOptions,
    signal: AbortSignal,
    ready: (controller: Controller) => void,
  ): Promise<void> {
    const changed = Promise.withResolvers<void>()
    const first = watchSite(options.bus, changed.resolve)
    await Promise.race([changed.promise, aborted(signal)])
    first.close()
    const site = signal.aborted ? undefined : await getSite(options.bus)
    if (!site) return
    const controller = new Controller(options, site)
    const watch = watchSite(options.bus, () => {
      controller.#siteChanged = true
      controller.#wake()
    })
    const stopConnection = options.bus.onConnection((connected) => {
      controller.#hasReconnected ||= connected
      controller.#wake()
    })
    const stale = options.clock.every(STALE_CHECK_MS, () => {
      controller.#withdrawStale()
      controller.#steer()
    })
    const routes = controller.#routes
    try {
      await routes.load()
      await Promise.all([controller.#speakers.follow(speakersOf(site)), controller.#tracks.ready])
      controller.#steering.goOnWith(await controller.#paths.load())
      await controller.#connections.load()
      controller.#connections.setSite(site)
      await controller.#takeOver()
      ready(controller)
      const follow = routes.follow((touched) => controller.#touch(touched), signal)
      await Promise.race([controller.#run(signal), follow.then(() => aborted(signal))])
    } finally {
      stopConnection()
      stale.cancel()
      watch.close()
      controller.#speakers.close()
      controller.#tracks.close()
      controller.#acks.close()
      controller.#digests.close()
      controller.#connections.close()
    }
  }

  get site(): Site {
    return this.#site
  }

  get tenants(): ReadonlyMap<string, TenantFib> {
    return this.#tenants
  }

  get placement(): Placement {
    return this.#placement
  }

  get steering(): Steering {
    return this.#steering
  }

  get connections(): Connections {
    return this.#connections
  }

  get digests(): Digests {
    return this.#digests
  }

  get switches(): string[] {
    return [...this.#switchFeeds.keys()]
  }

  cluster(name: string): Progress {
    const feed = this.#clusters.get(name)
    const nodes = this.#site.clusters.find((cluster) => cluster.name === name)?.nodes ?? []
    return this.#progress(
      fibFeed(name),
      feed,
      nodes.map((node) => node.name),
    )
  }

  /** Of one node. */
  progressOf(cluster: string, node: string): { published: number; acked: number } {
    const { published, ackedByAll } = this.#progress(fibFeed(cluster), this.#clusters.get(cluster), [node])
    return { published, acked: ackedByAll }
  }

  switch(name: string): Progress {
    return this.#progress(switchFeed(name), this.#switchFeeds.get(name), [name])
  }

  #progress(feed: string, writer: ClusterFeed | SwitchFeed | undefined, readers: readonly string[]): Progress {
    if (!writer) return { published: 0, ackedByAll: 0, ackedByOne: 0 }
    const acked = readers.map((reader) => this.#acks.generationOf(feed, writer.incarnation, reader))
    return { published: writer.generation, ackedByAll: Math.min(...acked), ackedByOne: Math.max(...acked) }
  }

  /** From what the feeds say to what the site wants. */
  async #takeOver(): Promise<void> {
    this.#placement.setSite(this.#site)
    const held = new Map<string, HeldFib>()
    for (const { name } of this.#site.clusters) held.set(name, await this.#openCluster(name))
    for (const before of held.values()) before.teach(this.#numbering)
    for (const { name } of this.#site.switches) await this.#openSwitch(name)
    const told = Array.from(this.#switchFeeds.values(), ({ last }) => last)
    recoverPlaces(this.#site, told, held, this.#placement)
    this.#buildTenants()
    for (const fib of this.#tenants.values()) fib.takeChanges()
    this.#place()
    for (const feed of this.#clusters.values()) await feed.takeOver(held.get(feed.name)!, this.#wantedBy(feed))
    await this.#tellEdges()
    this.#placesChanged = false
    this.#placement.published(this.#options.clock.now_us(), this)
  }

  async #run(signal: AbortSignal): Promise<void> {
    const { clock } = this.#options
    while (!signal.aborted) {
      const woken = Promise.withResolvers<void>()
      this.#wake = woken.resolve
      await this.#step()
      const hasNews =
        this.#hasReconnected || this.#siteChanged || this.#speakersChanged || this.#turned.size + this.#steered.size > 0
      const isIdle = !hasNews && this.#touched.size === 0
      const timer = isIdle && this.#placement.isMoving ? clock.after(MOVE_CHECK_MS, woken.resolve) : undefined
      if (isIdle) await Promise.race([woken.promise, aborted(signal)])
      timer?.cancel()
    }
  }

  /** Takes in what has come, and tells what follows from it. */
  async #step(): Promise<void> {
    const { clock } = this.#options
    if (this.#hasReconnected) await this.#verify()
    if (this.#siteChanged) await this.#reload()
    if (this.#speakersChanged) this.#buildTenants()
    if (this.#turned.size + this.#steered.size > 0) this.#takeTurned()
    this.#takeTouched()
    if (this.#placement.advance(clock.now_us(), this)) this.#placesChanged = true
    await this.#tell()
    this.#placement.published(clock.now_us(), this)
    this.#moves.look(this.#placement)
  }

  /** A bus that was away may have lost the end of what it had: then all is read again. */
  async #verify(): Promise<void> {
    this.#hasReconnected = false
    for (const feed of [...this.#clusters.values(), ...this.#switchFeeds.values()]) await feed.verify()
  }

  async #reload(): Promise<void> {
    const { bus, log } = this.#options
    this.#siteChanged = false
    const site = await getSite(bus)
    if (!site) return
    const difference = describeDifference(diffSites(this.#site, site))
    if (difference.length === 0) return
    log.info({ difference }, 'the site changed')
    const before = this.#site
    this.#site = site
    this.#forgetSpeakers(before)
    this.#placesChanged = true
    for (const { name } of site.clusters) {
      if (this.#clusters.has(name)) continue
      const held = await this.#openCluster(name)
      await this.#clusters.get(name)!.takeOver(held, new Map())
    }
    for (const { name } of site.switches) if (!this.#switchFeeds.has(name)) await this.#openSwitch(name)
    keepOnly(this.#clusters, site.clusters)
    keepOnly(this.#switchFeeds, site.switches)
    this.#placement.setSite(site)
    this.#connections.setSite(site)
    await this.#speakers.follow(speakersOf(site))
    this.#buildTenants()
  }

  /** The site's tenants, with all that is published for them. */
  #buildTenants(): void {
    this.#speakersChanged = false
    this.#turned.clear()
    this.#steered.clear()
    const steered = this.#steering.setSite(this.#site, this.#tracks.things, this.#options.clock.now_us())
    this.#keepPaths(steered)
    const index = this.#index()
    const wanted = new Set(this.#site.tenants.map(({ name }) => name))
    for (const name of this.#tenants.keys()) {
      if (wanted.has(name)) continue
      this.#tenants.delete(name)
      this.#numbering.tenants.forget(name)
    }
    for (const tenant of this.#site.tenants) {
      const network = networkOf(tenant, index, this.#numbering.segments)
      const known = this.#tenants.get(tenant.name)
      if (known) known.setNetwork(network)
      else
        this.#addTenant(
          new TenantFib(tenant.name, this.#numbering.tenants.of(tenant.name), network, this.#numbering.hops),
        )
    }
  }

  #index(): SiteIndex {
    return indexSite(this.#site, this.#speakers.live, this.#tracks.down, this.#steering.orders)
  }

  /** Puts the paths of tenants in order, by what is known of them now. */
  #steer(): void {
    const tenants = this.#steering.take(this.#tracks.things, this.#options.clock.now_us())
    for (const name of tenants) {
      this.#steered.add(name)
      this.#options.log.info(
        { tenant: name, paths: this.#steering.orders.get(name)!.show() },
        'paths have another order',
      )
    }
    this.#keepPaths(tenants)
    if (tenants.length > 0) this.#wake()
  }

  #keepPaths(tenants: readonly string[]): void {
    for (const name of tenants) this.#paths.keep(name, this.#steering.orders.get(name)!.known)
  }

  /** Of tenants with static routes that are tied to what has turned, or with paths in another order. */
  #takeTurned(): void {
    const turned = new Set(this.#turned)
    const steered = new Set(this.#steered)
    this.#turned.clear()
    this.#steered.clear()
    const tied = this.#site.tenants.filter(
      ({ name, routes }) => steered.has(name) || routes.some(({ track }) => track !== undefined && turned.has(track)),
    )
    if (tied.length === 0) return
    const index = this.#index()
    for (const tenant of tied)
      this.#tenants.get(tenant.name)?.setNetwork(networkOf(tenant, index, this.#numbering.segments))
  }

  #addTenant(fib: TenantFib): void {
    const published = this.#published.of(fib.name)
    fib.setPublished(
      published,
      published.flatMap(({ routes }) => [...routes.keys()]),
    )
    this.#tenants.set(fib.name, fib)
  }

  #speaker(name: string, epoch: number | undefined): void {
    this.#stale.speaker(name, epoch)
    const live = [...this.#speakers.live].sort().join(' ')
    if (live === this.#live) return
    this.#live = live
    this.#speakersChanged = true
    this.#wake()
  }

  #withdrawStale(): void {
    for (const origin of this.#stale.takeExpired(this.#site.control.stale_routes_s)) {
      this.#options.log.warn({ origin }, 'routes are withdrawn: their routing node has been away for too long')
      this.#options.events.tell('origin-withdrawn', origin, 'its routing node has been away for too long')
      this.#touch(this.#routes.withdraw(origin))
    }
  }

  /** Routing nodes of the site as it was that are none of the site any more take their routes with them. */
  #forgetSpeakers(before: Site): void {
    const names = new Set(speakersOf(this.#site))
    for (const name of speakersOf(before)) {
      if (names.has(name)) continue
      this.#stale.forget(name)
      this.#touch(this.#routes.withdraw(name))
    }
  }

  #touch(touched: Touched): void {
    for (const [tenant, keys] of touched) {
      const known = this.#touched.get(tenant)
      if (known) for (const key of keys) known.push(key)
      else this.#touched.set(tenant, keys)
    }
    this.#wake()
  }

  #takeTouched(): void {
    for (const [tenant, keys] of this.#touched) {
      this.#tenants.get(tenant)?.setPublished(this.#published.of(tenant), keys)
    }
    this.#touched.clear()
  }

  /** Every change is told to every cluster that holds the tenant; which clusters do is part of it. */
  async #tell(): Promise<void> {
    if (this.#placesChanged) this.#place()
    const gone = new Map<TenantFib, readonly number[]>()
    if (this.#placesChanged) {
      for (const feed of this.#clusters.values()) {
        for (const fib of feed.tenants.keys()) if (!this.#wantedBy(feed).has(fib)) gone.set(fib, [...fib.hops.told])
      }
    }
    const changes = new Map<TenantFib, TenantChanges>()
    for (const fib of this.#tenants.values()) {
      const changed = fib.takeChanges()
      if (changed) changes.set(fib, changed)
    }
    const needsRepair = [...this.#clusters.values()].some((feed) => feed.needsRepair)
    if (changes.size > 0 || this.#placesChanged || needsRepair) {
      await Promise.all([...this.#clusters.values()].map((feed) => feed.update(this.#wantedBy(feed), changes, gone)))
    }
    if (this.#placesChanged) await this.#tellEdges()
    this.#placesChanged = false
  }

  #wantedBy(feed: ClusterFeed): ReadonlyMap<TenantFib, string> {
    return this.#wanted.get(feed.name) ?? new Map()
  }

  /** Works out which clusters hold which tenants, each with the address that the cluster's nodes send from. */
  #place(): void {
    const addresses = new Map(this.#site.vips.map(({ name, address }) => [name, address]))
    this.#wanted.clear()
    for (const fib of this.#tenants.values()) {
      for (const [cluster, vip] of this.#placement.holdersOf(fib.name)) {
        const wanted = this.#wanted.get(cluster) ?? new Map<TenantFib, string>()
        this.#wanted.set(cluster, wanted)
        wanted.set(fib, addresses.get(vip)!)
      }
    }
  }

  async #tellEdges(): Promise<void> {
    const { bus, epoch } = this.#options
    for (const one of this.#site.switches) {
      await this.#switchFeeds.get(one.name)!.tell(switchBatchOf(this.#site, one, this.#placement))
    }
    const bucket = bus.bucket(BUCKET.hosts)
    const batches = hostBatchesOf(this.#site, this.#placement)
    // Those of before too: a host may have gone while nobody led.
    if (!this.#hostsRead)
      for (const { key, value, revision } of await bucket.entries('*'))
        this.#hosts.set(key, { bytes: Buffer.from(value), revision })
    this.#hostsRead = true
    for (const [name, { revision }] of this.#hosts) {
      if (batches.has(name)) continue
      await bucket.delete(name, { revision })
      this.#hosts.delete(name)
    }
    for (const [name, batch] of batches) {
      const bytes = Buffer.from(hostBatch.encode({ ...batch, epoch }))
      const known = this.#hosts.get(name)
      if (known?.bytes.equals(bytes)) continue
      const revision = await bucket.put(name, bytes, { revision: known?.revision ?? 0 })
      this.#hosts.set(name, { bytes, revision })
    }
  }

  async #openCluster(name: string): Promise<HeldFib> {
    const { bus, epoch, log, newIncarnation } = this.#options
    const { feed, before } = await ClusterFeed.open(bus, name, newIncarnation(), epoch, log)
    this.#clusters.set(name, feed)
    return before
  }

  async #openSwitch(name: string): Promise<void> {
    const { bus, epoch, log, newIncarnation } = this.#options
    this.#switchFeeds.set(name, await SwitchFeed.open(bus, name, newIncarnation(), epoch, log))
  }
}

function speakersOf({ routing }: Site): string[] {
  return (routing?.nodes ?? []).map(({ name }) => name)
}

function keepOnly(feeds: Map<string, unknown>, wanted: readonly { readonly name: string }[]): void {
  const names = new Set(wanted.map(({ name }) => name))
  for (const name of feeds.keys()) if (!names.has(name)) feeds.delete(name)
}
