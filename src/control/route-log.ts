/**
 * Published routes, as durable as the bus: sources append batches to a stream, and now and then all that came of them
 * is written to a second one, so that the first may forget what is old. What is taken over is what was stored.
 */

import { z } from 'zod'
import { ROUTES_STREAM } from '../agent/names.ts'
import type { Logger } from '../base/log.ts'
import { type Bus, BusError, PAYLOAD_BYTES_MAX } from '../bus/bus.ts'
import { routeBatch } from '../wire/control/route.ts'
import { encodeRoutes } from '../wire/control/split-routes.ts'
import type { PublishedRoutes, Touched } from './published-routes.ts'

const LIMITS = { entriesMax: 1_000_000, bytesMax: 512 * 1024 * 1024 }
const KEPT_STREAM = 'routes-kept'
/**
 * A checkpoint costs as much as all routes: it is due when as many bytes have come since the last one, and this many.
 */
const CHECKPOINT_AFTER_BYTES = 16 * 1024 * 1024

const checkpoint = z.object({ first: z.int(), last: z.int(), position: z.int() })

export class RouteLog {
  readonly #bus: Bus
  readonly #log: Logger
  readonly #routes: PublishedRoutes
  /** Up to here the stream has been taken over. */
  #position = 0
  #bytesSince = 0
  #checkpointBytes = 0

  constructor(bus: Bus, routes: PublishedRoutes, log: Logger) {
    this.#bus = bus
    this.#routes = routes
    this.#log = log
  }

  /** Takes over all that is stored. */
  async load(): Promise<void> {
    const entry = await this.#bus.bucket('control').get('routes')
    const found = entry && checkpoint.parse(JSON.parse(Buffer.from(entry.value).toString()))
    const stream = this.#bus.stream(ROUTES_STREAM, LIMITS)
    const { last } = await stream.bounds()
    if (found && found.position <= last) {
      const kept = this.#bus.stream(KEPT_STREAM, LIMITS)
      let next = found.first
      while (next <= found.last) {
        for (const { sequence, payload } of await kept.read(next)) {
          if (sequence <= found.last) this.#take(payload)
          next = sequence + 1
        }
      }
      this.#position = found.position
    }
    while (this.#position < last) {
      for (const { sequence, payload } of await stream.read(this.#position + 1)) this.#takeEntry(sequence, payload)
    }
  }

  /** Hands over what batches touched, as they come, until the signal. */
  async follow(touch: (touched: Touched) => void, signal: AbortSignal): Promise<void> {
    const stream = this.#bus.stream(ROUTES_STREAM, LIMITS)
    for await (const { sequence, payload } of stream.consume(this.#position + 1, { signal })) {
      const touched = this.#takeEntry(sequence, payload)
      if (touched) touch(touched)
      if (this.#bytesSince > Math.max(this.#checkpointBytes, CHECKPOINT_AFTER_BYTES)) await this.#checkpoint()
    }
  }

  #takeEntry(sequence: number, payload: Uint8Array): Touched | undefined {
    if (sequence !== this.#position + 1)
      this.#log.error({ from: this.#position + 1, to: sequence - 1 }, 'route batches are gone before they were read')
    this.#position = sequence
    this.#bytesSince += payload.length
    return this.#take(payload)
  }

  #take(payload: Uint8Array): Touched | undefined {
    const decoded = routeBatch.decode(payload)
    if (!decoded.ok) {
      this.#log.error({ reason: decoded.message }, 'a route batch cannot be read')
      return undefined
    }
    const touched = this.#routes.take(decoded.value)
    if (typeof touched !== 'string') return touched
    this.#log.error({ origin: decoded.value.origin, reason: touched }, 'a route batch is refused')
    return undefined
  }

  async #checkpoint(): Promise<void> {
    const kept = this.#bus.stream(KEPT_STREAM, LIMITS)
    const position = this.#position
    try {
      let first = 0
      let last = 0
      let bytes = 0
      for (const batch of this.#routes.snapshot()) {
        for (const message of encodeRoutes(batch, PAYLOAD_BYTES_MAX)) {
          last = await kept.append(message)
          first ||= last
          bytes += message.length
        }
      }
      const note = first === 0 ? { first: 1, last: 0, position } : { first, last, position }
      await this.#bus.bucket('control').put('routes', Buffer.from(JSON.stringify(note)))
      this.#checkpointBytes = bytes
      this.#bytesSince = 0
    } catch (error) {
      // Nothing is lost: the stream still has all of it, and the next batch tries again.
      if (!(error instanceof BusError)) throw error
      this.#log.warn({ error: error.message }, 'routes could not be checkpointed')
    }
  }
}
