/**
 * The sites that an orchestrator looks after: a connection to each one's bus, kept up by itself, and what the site
 * consists of now. Sites fail apart: one whose bus is away holds up nobody, and keeps the contents that were read last.
 *
 * What the other parts of the orchestrator may rely on: `all` and `get` are the same objects for as long as this one is
 * open; `bus` is open from the first moment on, connected or not; `contents` is replaced whole, never changed; a handler of
 * `onChange` is called after each change of either, for the site that it is about, and once for each site whose contents
 * are read for the first time. Nothing here writes to a site.
 */

import { type SiteContents, siteContents, watchSite } from '../agent/site-store.ts'
import type { Clock } from '../base/clock.ts'
import type { Logger } from '../base/log.ts'
import type { Random } from '../base/random.ts'
import { pause } from '../base/signal.ts'
import { type Bus, BusError } from '../bus/bus.ts'
import { type BusPlace, openBus } from '../bus/place.ts'

/** What could not be read is read again after this time, and when the site changes. */
const TRY_AGAIN_ms = 1000

export interface SitesOptions {
  /** The orchestrator's, by which buses know their client. */
  readonly name: string
  readonly sites: readonly { readonly name: string; readonly place: BusPlace }[]
  readonly clock: Clock
  readonly random: Random
  readonly log: Logger
}

export interface SiteState {
  readonly site: string
  readonly connected: boolean
  /** Wall clock, in milliseconds: since when it is, or is not. */
  readonly since_ms: number
  /** Why not, or why there are no contents. */
  readonly failure?: string
}

type Changed = (site: ConnectedSite) => void

export class Sites {
  readonly #sites: ReadonlyMap<string, ConnectedSite>
  readonly #handlers = new Set<Changed>()

  /** Returns at once, whatever is connected by then. */
  static async open(options: SitesOptions): Promise<Sites> {
    const { name, clock, random } = options
    const buses = options.sites.map(({ place }) => openBus(place, { name: `orchestrator.${name}`, clock, random }))
    return new Sites(options, await Promise.all(buses))
  }

  private constructor({ sites, clock, log }: SitesOptions, buses: readonly Bus[]) {
    const changed: Changed = (site) => {
      for (const handler of this.#handlers) handler(site)
    }
    const connected = sites.map(({ name }, i) => new ConnectedSite(name, { bus: buses[i]!, clock, log, changed }))
    this.#sites = new Map(connected.map((site) => [site.name, site]))
  }

  /** In the order of the orchestrator's file. */
  get all(): readonly ConnectedSite[] {
    return [...this.#sites.values()]
  }

  get(name: string): ConnectedSite | undefined {
    return this.#sites.get(name)
  }

  /** Returns what ends it. */
  onChange(handler: Changed): () => void {
    this.#handlers.add(handler)
    return () => void this.#handlers.delete(handler)
  }

  async close(): Promise<void> {
    this.#handlers.clear()
    await Promise.all(this.all.map((site) => site.close()))
  }
}

interface Surroundings {
  readonly bus: Bus
  readonly clock: Clock
  readonly log: Logger
  readonly changed: Changed
}

export class ConnectedSite {
  readonly name: string
  readonly bus: Bus
  readonly #options: Surroundings
  readonly #closing = new AbortController()
  readonly #closers: (() => void)[]
  #contents: SiteContents | undefined
  #since_ms: number
  #failure: string | undefined
  #isStale = false
  #reading: Promise<void> | undefined

  constructor(name: string, options: Surroundings) {
    const { bus, clock, changed } = options
    this.name = name
    this.bus = bus
    this.#options = options
    this.#since_ms = clock.wall_ms()
    const stop = bus.onConnection(() => {
      this.#since_ms = clock.wall_ms()
      changed(this)
    })
    const watch = watchSite(bus, () => void this.refresh())
    watch.ready.catch(() => {})
    this.#closers = [stop, () => watch.close()]
  }

  /** As read last; undefined before that, and of a site that has none yet. */
  get contents(): SiteContents | undefined {
    return this.#contents
  }

  get state(): SiteState {
    const failure = this.bus.connected ? this.#failure : 'its bus cannot be reached'
    const state = { site: this.name, connected: this.bus.connected, since_ms: this.#since_ms }
    return failure === undefined ? state : { ...state, failure }
  }

  /** Resolves once what is there now has been read, or could not be. */
  refresh(): Promise<void> {
    this.#isStale = true
    this.#reading ??= this.#read().finally(() => {
      this.#reading = undefined
    })
    return this.#reading
  }

  async close(): Promise<void> {
    this.#closing.abort()
    for (const close of this.#closers) close()
    await this.bus.close()
    await this.#reading
  }

  async #read(): Promise<void> {
    const { bus, changed, clock } = this.#options
    while (this.#isStale && !this.#closing.signal.aborted) {
      this.#isStale = false
      try {
        this.#take(await siteContents(bus))
      } catch (error) {
        if (this.#closing.signal.aborted) return
        this.#fail((error as Error).message)
        // A site that another release has written is not taken, and one whose bus is away is read when it is back.
        if (!(error instanceof BusError)) return
        void pause(clock, TRY_AGAIN_ms, this.#closing.signal).then(() => {
          if (bus.connected) void this.refresh()
        })
        return
      }
      changed(this)
    }
  }

  #take(contents: SiteContents | undefined): void {
    const found = contents?.site.site
    if (found === undefined) this.#fail('there is no site on its bus yet')
    else if (found !== this.name) this.#fail(`its bus is that of site ${found}`)
    else {
      if (!this.#contents) this.#options.log.info({ site: this.name }, 'a site is read')
      this.#failure = undefined
      this.#contents = contents
      return
    }
    this.#contents = undefined
  }

  #fail(failure: string): void {
    if (this.#failure !== failure) this.#options.log.warn({ site: this.name, failure }, 'a site cannot be read')
    this.#failure = failure
  }
}
