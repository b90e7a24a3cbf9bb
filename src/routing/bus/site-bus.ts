/**
 * A routing node among the other modules of its site: it holds its place among the routing nodes that live, tells the
 * control module of tenants' routes, takes the site from the bus when that changes, and says what its sessions do to
 * whoever asks. Sessions need none of it: while the bus is away they go on.
 */

import { LiveSpeakers, SPEAKER_LEASE_ms, speakerLease } from '../../agent/live-speakers.ts'
import { ROUTES_SUBJECT } from '../../agent/names.ts'
import { announce } from '../../agent/presence.ts'
import { showing } from '../../agent/show.ts'
import { getSite, watchSite } from '../../agent/site-store.ts'
import type { Clock, Timer } from '../../base/clock.ts'
import type { Logger } from '../../base/log.ts'
import { aborted, pause } from '../../base/signal.ts'
import { type Bus, BusError, campaign } from '../../bus/bus.ts'
import type { Site } from '../../config/site.ts'
import { routeNews } from '../../wire/control/route.ts'
import type { RelayCounts } from '../relay/refusal.ts'
import type { RoutePublisher } from './route-publisher.ts'
import { Settling } from './settling.ts'

const TRY_AGAIN_ms = 1000
/** The control module gives those that it asks two minutes. */
const ASKED_ms = 60_000
/** What was refused once would be refused again. */
const REFUSED_ms = 60_000

export interface SessionShown {
  readonly name: string
  readonly state: string
  /** The site file says that there is none with this neighbour. */
  readonly shutdown?: boolean
}

/** What the bus wants of the speaker. */
export interface BusSpeaker {
  sessions(): Promise<readonly SessionShown[]>
  /** What went through the relay of tenants' sessions, and what was refused there and why; undefined without one. */
  relayed(): Promise<RelayCounts | undefined>
  replay(): Promise<void>
}

export interface SiteBusOptions {
  readonly bus: Bus
  /** The routing node's. */
  readonly name: string
  readonly site: Site
  readonly clock: Clock
  readonly log: Logger
  readonly speaker: BusSpeaker
  readonly publisher: RoutePublisher
  /** The routing nodes that live, whenever they are others. */
  readonly live: (names: readonly string[]) => void
  /** The site as it is now. */
  readonly changed: (site: Site) => Promise<void>
}

export class SiteBus {
  readonly #options: SiteBusOptions
  readonly #closing = new AbortController()
  readonly #closers: { close(): unknown }[] = []
  readonly #speakers: LiveSpeakers
  #settling: Settling | undefined
  #again: Timer | undefined
  #site: Site
  #live = ''
  #taking: Promise<void> = Promise.resolve()
  #place: Promise<void>

  constructor(options: SiteBusOptions) {
    const { bus, name, clock, site } = options
    this.#options = options
    this.#site = site
    this.#speakers = new LiveSpeakers(bus, () => this.#lives())
    this.#follow()
    const asked = bus.subscribe(ROUTES_SUBJECT, ({ payload }) => this.#asked(payload))
    const shown = [
      showing(bus, name, 'sessions', () => options.speaker.sessions()),
      showing(bus, name, 'counters', async () => countersOf(await options.speaker.relayed())),
    ]
    const watch = watchSite(bus, () => {
      this.#taking = this.#taking.then(() => this.#takeSite())
    })
    for (const one of [asked, ...shown, watch]) {
      one.ready.catch(() => {})
      this.#closers.push(one)
    }
    const presence = { role: 'routing', pid: process.pid, ready: true, since: clock.wall_ms() }
    this.#closers.push(announce(bus, name, presence))
    this.#place = this.#holdPlace()
  }

  /** Gives its place up: the control module keeps its routes for a while, and other nodes take its sessions. */
  async close(): Promise<void> {
    this.#closing.abort()
    this.#settling?.close()
    this.#again?.cancel()
    this.#speakers.close()
    await Promise.all(this.#closers.map((one) => one.close()))
    await this.#taking
    await this.#place
  }

  async #holdPlace(): Promise<void> {
    const { bus, name, clock, log } = this.#options
    const { signal } = this.#closing
    while (!signal.aborted) {
      try {
        const lease = await campaign(bus, speakerLease(name), { holder: name, ttl_ms: SPEAKER_LEASE_ms }, signal)
        log.info({ epoch: lease.epoch }, 'has its place among the routing nodes')
        this.#beginSaying()
        await Promise.race([lease.lost, aborted(signal)])
        if (signal.aborted) await lease.release()
      } catch (error) {
        if (!(error instanceof BusError)) throw error
        if (signal.aborted || error.code === 'closed') return
        log.warn({ error: error.message }, 'no place among the routing nodes')
        await pause(clock, TRY_AGAIN_ms, signal)
      }
    }
  }

  // Under a lease of its own each: the control module takes what was said under another one for stale.
  #beginSaying(): void {
    const { clock, publisher, speaker } = this.#options
    if (publisher.isSettled) {
      void speaker.replay()
      return
    }
    this.#settling ??= new Settling({
      clock,
      sessions: async () =>
        (await speaker.sessions()).filter(({ shutdown }) => !shutdown).map(({ state }) => state === 'established'),
      said_us: () => publisher.said_us,
      within_ms: this.#site.control.stale_routes_s * 1000,
      settled: () => this.#settled(),
    })
  }

  #settled(): void {
    const { publisher, speaker, log } = this.#options
    log.info({}, 'knows what its peers say')
    publisher.settle()
    void speaker.replay()
  }

  #asked(payload: Uint8Array): void {
    const { name, log, clock, publisher, speaker } = this.#options
    const news = routeNews.decode(payload)
    if (!news.ok || (news.value.origin !== undefined && news.value.origin !== name)) return
    const { refused } = news.value
    if (refused !== undefined) {
      log.error({ refused }, 'the control module refuses routes')
      this.#again?.cancel()
      this.#again = clock.after(REFUSED_ms, () => void speaker.replay())
    } else if (publisher.isSettled) void speaker.replay()
    else this.#settling?.hurry(ASKED_ms)
  }

  #lives(): void {
    const live = [...this.#speakers.live].sort()
    if (live.join(' ') === this.#live) return
    this.#live = live.join(' ')
    this.#options.live(live)
  }

  #follow(): void {
    const names = (this.#site.routing?.nodes ?? []).map(({ name }) => name)
    this.#speakers.follow(names).catch(() => {})
  }

  async #takeSite(): Promise<void> {
    const { bus, log, changed } = this.#options
    try {
      const site = await getSite(bus)
      if (!site) return
      this.#site = site
      this.#follow()
      await changed(site)
    } catch (error) {
      log.error({ error: String(error) }, 'the site on the bus is not taken')
    }
  }
}

/** As switches and nodes tell theirs. */
function countersOf(counts: RelayCounts | undefined): object[] {
  if (!counts) return []
  const { refused, ...totals } = counts
  return [{ totals: { ...totals, drops: refused } }]
}
