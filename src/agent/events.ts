/**
 * What happens in a site, as its operator asks for it later: a bounded stream of the bus. Nobody waits for an event to be
 * stored: those that the bus does not take yet wait for it, and if there are too many of them they are lost, which is an
 * event too.
 */

import type { Clock } from '../base/clock.ts'
import { pause } from '../base/signal.ts'
import { type Bus, BusError } from '../bus/bus.ts'
import { type Event, event } from '../wire/control/event.ts'
import { EVENTS_STREAM } from './names.ts'

/** A month of a restless site; 2 MB. */
export const EVENTS_LIMITS = { entriesMax: 10_000, bytesMax: 8 * 1024 * 1024 }
/** While there is no bus. */
const WAITING_MAX = 1000
const TRY_AGAIN_MS = 1000
/** Of the text for people. */
const DETAIL_LENGTH_MAX = 500

export interface EventsOptions {
  readonly bus: Bus
  readonly clock: Clock
  readonly module: string
}

export class Events {
  readonly #options: EventsOptions
  readonly #waiting: Event[] = []
  readonly #closing = new AbortController()
  /** Under which events are told: that of the lease. */
  epoch = 0
  #lost = 0
  #sending: Promise<void> | undefined

  constructor(options: EventsOptions) {
    this.#options = options
  }

  tell(what: string, about: string, detail = ''): void {
    const { clock, module } = this.#options
    if (this.#waiting.length >= WAITING_MAX) {
      this.#lost++
      return
    }
    const at_ms = Math.round(clock.wall_ms())
    this.#waiting.push({ at_ms, module, epoch: this.epoch, what, about, detail: detail.slice(0, DETAIL_LENGTH_MAX) })
    this.#sending ??= this.#send().finally(() => {
      this.#sending = undefined
    })
  }

  /** What the bus has not taken by now is lost. */
  async close(): Promise<void> {
    this.#closing.abort()
    await this.#sending
  }

  async #send(): Promise<void> {
    const { bus, clock } = this.#options
    const { signal } = this.#closing
    while (this.#waiting.length > 0) {
      try {
        await bus.stream(EVENTS_STREAM, EVENTS_LIMITS).append(event.encode(this.#waiting[0]!))
        this.#waiting.shift()
        if (this.#waiting.length === 0 && this.#lost > 0) this.#tellLost()
      } catch (error) {
        if (!(error instanceof BusError)) throw error
        if (error.code === 'closed' || signal.aborted) return
        await pause(clock, TRY_AGAIN_MS, signal)
      }
    }
  }

  #tellLost(): void {
    const lost = this.#lost
    this.#lost = 0
    this.tell('events-lost', this.#options.module, `${lost} events were lost while the bus did not take them`)
  }
}

/** All that are still there, the oldest first. */
export async function eventsOf(bus: Bus): Promise<Event[]> {
  const stream = bus.stream(EVENTS_STREAM, EVENTS_LIMITS)
  const { first, last } = await stream.bounds()
  const events: Event[] = []
  for (let next = first; next <= last; ) {
    for (const { sequence, payload } of await stream.read(next)) {
      const decoded = event.decode(payload)
      if (decoded.ok) events.push(decoded.value)
      next = sequence + 1
    }
  }
  return events
}
