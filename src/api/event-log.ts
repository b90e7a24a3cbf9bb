/**
 * The events of all sites, as they come: each site's stream is followed, and what it holds is kept in memory, so that those
 * who ask and those who listen cost the buses nothing. An event's place is its site and its sequence there.
 */

import { EVENTS_LIMITS } from '../agent/events.ts'
import { EVENTS_STREAM } from '../agent/names.ts'
import type { Clock } from '../base/clock.ts'
import { pause } from '../base/signal.ts'
import { BusError, type Stream } from '../bus/bus.ts'
import type { ConnectedSite, Sites } from '../orchestrator/sites.ts'
import { type Event, event } from '../wire/control/event.ts'

const TRY_AGAIN_ms = 1000
/** Somebody waits for it. */
const CATCH_UP_ms = 1000

export interface SiteEvent extends Event {
  readonly site: string
  readonly sequence: number
}

/** By site: the last sequence that somebody has seen. */
export type Position = ReadonlyMap<string, number>

export class EventLog {
  readonly #sites: Sites
  readonly #clock: Clock
  readonly #closing = new AbortController()
  readonly #logs = new Map<string, SiteEvent[]>()
  readonly #listeners = new Set<(event: SiteEvent) => void>()
  readonly #following: Promise<void>[]

  constructor(sites: Sites, clock: Clock) {
    this.#sites = sites
    this.#clock = clock
    for (const { name } of sites.all) this.#logs.set(name, [])
    this.#following = sites.all.map((site) => this.#follow(site))
  }

  /** All that there are behind the position, each site's in order, and over all sites by time. */
  after(position: Position): SiteEvent[] {
    const found = Array.from(this.#logs, ([site, log]) => {
      // A stream that was lost begins anew: what it has is news.
      const last = log.at(-1)?.sequence ?? 0
      const from = position.get(site) ?? 0
      return from > last ? log : log.filter(({ sequence }) => sequence > from)
    })
    return found.flat().sort((a, b) => a.at_ms - b.at_ms)
  }

  get end(): Position {
    return new Map(Array.from(this.#logs, ([site, log]) => [site, log.at(-1)?.sequence ?? 0]))
  }

  /** Resolves once all is here that was told before, by sites that can be reached, or after a while. */
  async caughtUp(): Promise<void> {
    const late = new AbortController()
    const all = Promise.all(this.#sites.all.map((site) => this.#untilEnd(site, late.signal)))
    await Promise.race([all, pause(this.#clock, CATCH_UP_ms, late.signal)])
    late.abort()
  }

  async #untilEnd({ name, bus, state }: ConnectedSite, signal: AbortSignal): Promise<void> {
    if (!state.connected) return
    try {
      const { last } = await bus.stream(EVENTS_STREAM, EVENTS_LIMITS).bounds()
      const reached = Promise.withResolvers<void>()
      const look = (): void => {
        if ((this.#logs.get(name)!.at(-1)?.sequence ?? 0) >= last || signal.aborted) reached.resolve()
      }
      const stop = this.listen(look)
      signal.addEventListener('abort', look)
      look()
      await reached.promise
      stop()
    } catch (error) {
      if (!(error instanceof BusError)) throw error
    }
  }

  /** Returns what ends it. */
  listen(listener: (event: SiteEvent) => void): () => void {
    this.#listeners.add(listener)
    return () => void this.#listeners.delete(listener)
  }

  async close(): Promise<void> {
    this.#closing.abort()
    await Promise.all(this.#following)
  }

  async #follow(site: ConnectedSite): Promise<void> {
    const { signal } = this.#closing
    const stream = site.bus.stream(EVENTS_STREAM, EVENTS_LIMITS)
    while (!signal.aborted) {
      try {
        await this.#consume(site.name, stream, signal)
      } catch (error) {
        if (!(error instanceof BusError)) throw error
        if (error.code === 'closed') return
        if (error.code === 'wrong-sequence') this.#logs.set(site.name, [])
        await pause(this.#clock, TRY_AGAIN_ms, signal)
      }
    }
  }

  async #consume(site: string, stream: Stream, signal: AbortSignal): Promise<void> {
    const { first } = await stream.bounds()
    const from = Math.max(first, (this.#logs.get(site)!.at(-1)?.sequence ?? 0) + 1)
    for await (const { sequence, payload } of stream.consume(from, { signal })) {
      const decoded = event.decode(payload)
      if (decoded.ok) this.#take({ ...decoded.value, site, sequence })
    }
  }

  #take(one: SiteEvent): void {
    const log = this.#logs.get(one.site)!
    log.push(one)
    if (log.length > EVENTS_LIMITS.entriesMax) log.shift()
    for (const listener of this.#listeners) listener(one)
  }
}
