/**
 * Tells the control module of tenants' routes: what the speaker says is appended to the stream of routes, in its order.
 * While the bus is away a batch waits, and with it the speaker, which keeps the state of each prefix for later and no more.
 * A batch of unknown outcome is appended again: said twice in a row it means the same.
 *
 * A speaker that starts says first that it knows nothing. Better than that is what it said in its life before, until its
 * peers have had the time to say it again: batches replace nothing until they are settled.
 */

import { ROUTES_LIMITS, ROUTES_STREAM } from '../../agent/names.ts'
import type { Clock } from '../../base/clock.ts'
import type { Logger } from '../../base/log.ts'
import { pause } from '../../base/signal.ts'
import { type Bus, BusError, PAYLOAD_BYTES_MAX } from '../../bus/bus.ts'
import { routeBatch } from '../../wire/control/route.ts'
import { encodeRoutes } from '../../wire/control/split-routes.ts'

const TRY_AGAIN_ms = 500

export interface RoutePublisherOptions {
  readonly bus: Bus
  readonly clock: Clock
  readonly log: Logger
  readonly payload_bytes?: number
}

export class RoutePublisher {
  readonly #options: RoutePublisherOptions
  readonly #closing = new AbortController()
  #isSettled = false
  #said_us: number

  constructor(options: RoutePublisherOptions) {
    this.#options = options
    this.#said_us = options.clock.now_us()
  }

  /** When the speaker last had something to say. */
  get said_us(): number {
    return this.#said_us
  }

  get isSettled(): boolean {
    return this.#isSettled
  }

  /** The speaker knows what its peers say: what it says from now on may replace what it said before. */
  settle(): void {
    this.#isSettled = true
  }

  /** Resolves when it is stored, or when nothing is to be told any more. */
  async publish(batch: Uint8Array): Promise<void> {
    this.#said_us = this.#options.clock.now_us()
    for (const piece of this.#pieces(batch)) await this.#append(piece)
  }

  close(): void {
    this.#closing.abort()
  }

  #pieces(batch: Uint8Array): Uint8Array[] {
    const { log, payload_bytes = PAYLOAD_BYTES_MAX } = this.#options
    if (this.#isSettled && batch.length <= payload_bytes) return [batch]
    const decoded = routeBatch.decode(batch)
    if (!decoded.ok) {
      log.error({ reason: decoded.message }, 'a batch of routes is none')
      return []
    }
    const replaces = decoded.value.replaces && this.#isSettled
    const { routes4, routes6 } = decoded.value
    if (!replaces && routes4.lengths.length + routes6.lengths.length === 0) return []
    return encodeRoutes({ ...decoded.value, replaces }, payload_bytes)
  }

  async #append(piece: Uint8Array): Promise<void> {
    const { bus, clock, log } = this.#options
    const { signal } = this.#closing
    for (let tries = 0; !signal.aborted; tries++) {
      try {
        await bus.stream(ROUTES_STREAM, ROUTES_LIMITS).append(piece)
        return
      } catch (error) {
        if (!(error instanceof BusError)) throw error
        if (error.code === 'closed') return
        if (tries === 0) log.warn({ error: error.message }, 'routes wait for the bus')
        await pause(clock, TRY_AGAIN_ms, signal)
      }
    }
  }
}
