/**
 * The control module while it leads: the site and the published routes in, batches for clusters, switches and hosts
 * out. All that it tells goes through one loop, so what is told last is what holds. What it must remember is on the
 * bus: the feeds say what was told, and so where tenants were; a new leader reads them and goes on.
 */

import type { Events } from '../agent/events.ts'
import { LiveSpeakers } from '../agent/live-speakers.ts'
import { getSite, watchSite } from '../agent/site-store.ts'
import type { Clock } from '../base/clock.ts'
import type { Logger } from '../base/log.ts'
import { aborted } from '../base/signal.ts'
import type { Bus } from '../bus/bus.ts'
import { describeDifference, diffSites } from '../config/difference.ts'
import type { Site } from '../config/site.ts'
import type { Tenant } from '../config/tenant.ts'
import { Acks } from './acks.ts'
import { Connections } from './connections.ts'
import { Digests } from './digests.ts'
import { Moves } from './moves.ts'
import { indexSite, type SiteIndex } from './network.ts'
import { Offers } from './offers.ts'
import { PathMemory } from './path-memory.ts'
import { Placement } from './placement.ts'
import { PublishedRoutes, type Touched } from './published-routes.ts'
import { recoverPlaces } from './recover.ts'
import { RemoteSites } from './remote-sites.ts'
import { RouteLog } from './route-log.ts'
import { SiteFeeds } from './site-feeds.ts'
import { StaleOrigins } from './stale-origins.ts'
import { Steering } from './steering.ts'
import type { TenantFib } from './tenant-fib.ts'
import { Tenants } from './tenants.ts'
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

export class Controller {
  readonly #options: ControllerOptions
  readonly #tenants: Tenants
  readonly #placement = new Placement()
  readonly #acks: Acks
  readonly #feeds: SiteFeeds
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
  readonly #steering: Steering
  readonly #remotes: RemoteSites
  readonly #offers: Offers
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
    this.#feeds = new SiteFeeds(options, this.#acks, site)
    const published = new PublishedRoutes()
    this.#remotes = new RemoteSites({ ...options, changed: (touched, moved) => this.#remoteChanged(touched, moved) })
    this.#steering = new Steering((tenant) => this.#remotes.of(tenant))
    this.#tenants = new Tenants(published, (tenant) => this.#remotes.routesOf(tenant))
    this.#offers = new Offers(
      {
        ...options,
        vipOf: (tenant) => this.#placement.vipOf(tenant),
        pathsOf: (tenant) => {
          const isUp = (connection: string): boolean => this.#connections.isUp(tenant.name, connection)
          return this.#steering.offered(tenant, this.#tracks.things, isUp)
        },
      },
      site,
      this.#tenants.fibs,
    )
    this.#digests = new Digests({
      ...options,
      cluster: (name) => this.#feeds.clusterFeed(name),
      repair: () => this.#wake(),
    })
    this.#stale = new StaleOrigins(options.clock, (name) => options.events.tell('origin-stale', name))
    this.#moves = new Moves(options.events)
    const replaced = (origin: string): void => this.#stale.replaced(origin)
    this.#routes = new RouteLog({ ...options, routes: published, replaced })
    this.#speakers = new LiveSpeakers(options.bus, (name, epoch) => this.#speaker(name, epoch))
    this.#paths = new PathMemory(options.bus, options.log)
    const turned = (names: ReadonlySet<string>): void => {
      this.#connections.turned(names)
      for (const name of names) this.#turned.add(name)
      this.#wake()
    }
    this.#connections = new Connections({
      ...options,
      down: () => this.#tracks.down,
      changed: () => this.#offers.look() && this.#wake(),
    })
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
      await controller.#remotes.setSite(site)
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
      await controller.#remotes.close()
    }
  }

  get site(): Site {
    return this.#site
  }

  get tenants(): ReadonlyMap<string, TenantFib> {
    return this.#tenants.fibs
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

  get feeds(): SiteFeeds {
    return this.#feeds
  }

  /** From what the feeds say to what the site wants. */
  async #takeOver(): Promise<void> {
    this.#placement.setSite(this.#site)
    const { clusters, switches } = await this.#feeds.open()
    for (const before of clusters.values()) before.teach(this.#tenants.numbering)
    recoverPlaces(this.#site, switches, clusters, this.#placement)
    this.#buildTenants()
    this.#tenants.takeChanges()
    this.#feeds.place(this.#tenants.fibs.values(), this.#placement)
    await this.#feeds.takeOver(clusters)
    await this.#offers.tell(new Map())
    await this.#feeds.tellEdges(this.#placement)
    this.#placesChanged = false
    this.#placement.published(this.#options.clock.now_us(), this.#feeds)
  }

  async #run(signal: AbortSignal): Promise<void> {
    const { clock } = this.#options
    while (!signal.aborted) {
      const woken = Promise.withResolvers<void>()
      this.#wake = woken.resolve
      await this.#step()
      const hasNews =
        this.#hasReconnected || this.#siteChanged || this.#speakersChanged || this.#turned.size + this.#steered.size > 0
      const isIdle = !hasNews && !this.#tenants.isTouched
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
    this.#tenants.takeTouched()
    if (this.#placement.advance(clock.now_us(), this.#feeds)) this.#placesChanged = true
    await this.#tell()
    this.#placement.published(clock.now_us(), this.#feeds)
    this.#moves.look(this.#placement)
  }

  async #verify(): Promise<void> {
    this.#hasReconnected = false
    await this.#feeds.verify()
    await this.#offers.verify()
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
    await this.#feeds.setSite(site)
    this.#placement.setSite(site)
    this.#connections.setSite(site)
    this.#offers.setSite(site)
    await this.#speakers.follow(speakersOf(site))
    await this.#remotes.setSite(site)
    this.#buildTenants()
  }

  /** The site's tenants, with all that is published for them. */
  #buildTenants(): void {
    this.#speakersChanged = false
    this.#turned.clear()
    this.#steered.clear()
    const steered = this.#steering.setSite(this.#site, this.#tracks.things, this.#options.clock.now_us())
    this.#keepPaths(steered)
    this.#tenants.build(this.#site, this.#index())
  }

  #index(): SiteIndex {
    const remotes = (tenant: Tenant) => this.#remotes.of(tenant)
    return indexSite(this.#site, this.#speakers.live, this.#tracks.down, this.#steering.orders, remotes)
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
    if (this.#offers.look() || tenants.length > 0) this.#wake()
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
    if (tied.length > 0) this.#tenants.rebuild(tied, this.#index())
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
    this.#tenants.touch(touched)
    this.#wake()
  }

  /** Ways by another site that are others now, or better or worse. */
  #remoteChanged(touched: Touched, moved: ReadonlySet<string>): void {
    for (const name of moved) this.#steered.add(name)
    this.#touch(touched)
    this.#steer()
  }

  /** Every change is told to every cluster that holds the tenant; which clusters do is part of it. */
  async #tell(): Promise<void> {
    if (this.#placesChanged) this.#feeds.place(this.#tenants.fibs.values(), this.#placement)
    const gone = this.#placesChanged ? this.#feeds.gone() : new Map<TenantFib, readonly number[]>()
    const changes = this.#tenants.takeChanges()
    if (changes.size > 0 || this.#placesChanged || this.#feeds.needsRepair)
      await this.#feeds.tellClusters(changes, gone)
    if (this.#placesChanged) await this.#feeds.tellEdges(this.#placement)
    // Where tenants have moved their packets are to be sent to other VIPs.
    if (this.#placesChanged) this.#offers.look()
    await this.#offers.tell(changes)
    this.#placesChanged = false
  }
}

function speakersOf({ routing }: Site): string[] {
  return (routing?.nodes ?? []).map(({ name }) => name)
}
