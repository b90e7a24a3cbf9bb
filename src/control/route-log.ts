/**
 * Published routes, as durable as the bus: sources append batches to a stream, and now and then all that came of them
 * is written to a second one, so that the first may forget what is old. What is taken over is what was stored.
 *
 * The first may have forgotten what was never read, if there was no control module for long. Withdrawals may be among
 * it, so every origin is in doubt then: it is asked to say all of it again, and its routes go if it has not in time. So it is
 * when the first has lost its end: what was taken over is kept, and nobody knows what else was there.
 */

import { crc32 } from 'node:zlib'
import { z } from 'zod'
import type { Events } from '../agent/events.ts'
import { ROUTES_LIMITS as LIMITS, ROUTES_STREAM, ROUTES_SUBJECT } from '../agent/names.ts'
import type { Clock, Timer } from '../base/clock.ts'
import type { Logger } from '../base/log.ts'
import { type Bus, BusError, PAYLOAD_BYTES_MAX, type Stream } from '../bus/bus.ts'
import { RouteColumnsBuilder } from '../wire/control/columns.ts'
import { type RouteBatch, routeBatch, routeNews } from '../wire/control/route.ts'
import { encodeRoutes } from '../wire/control/split-routes.ts'
import type { PublishedRoutes, Touched } from './published-routes.ts'

const KEPT_STREAM = 'routes-kept'
/**
 * A checkpoint costs as much as all routes: it is due when as many bytes have come since the last one, and this many.
 */
const CHECKPOINT_AFTER_BYTES = 16 * 1024 * 1024

/** As long as graceful restart (RFC 4724) is commonly set to wait for a speaker that starts again. */
const REPLACE_WITHIN_MS = 120_000
const IN_DOUBT = 'batches are lost: it is asked to say its routes again'

/** Of so many batches it is known where a stream that has lost its end still is the one that was read. */
const TAKEN_KEPT = 4096
const RECONNECT_WITHIN_MS = 60_000
const LOOK_AGAIN: ReadonlySet<string> = new Set(['wrong-sequence', 'disconnected', 'timeout'])

/** A plain publish may be lost, and a source may be on its way. */
const ASK_EVERY_MS = 10_000

const checkpoint = z.object({
  first: z.int(),
  last: z.int(),
  position: z.int(),
  /** Of the batch there: a stream that has lost its end may have another one in its place. */
  crc: z.int().optional(),
  doubted: z.array(z.string()).default([]),
})

export interface RouteLogOptions {
  readonly bus: Bus
  readonly routes: PublishedRoutes
  readonly clock: Clock
  readonly log: Logger
  /** Is told of an origin that has said all of its routes. */
  readonly replaced?: (origin: string) => void
  readonly checkpointAfter_bytes?: number
  readonly events?: Pick<Events, 'tell'>
}

export class RouteLog {
  readonly #bus: Bus
  readonly #clock: Clock
  readonly #log: Logger
  readonly #routes: PublishedRoutes
  readonly #checkpointAfter_bytes: number
  readonly #replaced: (origin: string) => void
  readonly #events: Pick<Events, 'tell'> | undefined
  /** Origins that have not replaced their routes since batches were lost. */
  readonly #doubted = new Set<string>()
  #doubtedUntil_us = 0
  #asking: Timer | undefined
  /** Up to here the stream has been taken over. */
  #position = 0
  /** Of the latest batches, by their place in the stream: what was there. */
  readonly #taken = new Map<number, number>()
  #bytesSince = 0
  #checkpointBytes = 0
  /** What the checkpoint is where we know it: whoever changes it has taken our place. */
  #noted = 0
  #keptLast = 0
  #isReplaced = false
  #wake = (): void => {}

  constructor({ bus, routes, clock, log, ...options }: RouteLogOptions) {
    const { replaced = () => {}, checkpointAfter_bytes = CHECKPOINT_AFTER_BYTES } = options
    this.#replaced = replaced
    this.#events = options.events
    this.#bus = bus
    this.#clock = clock
    this.#routes = routes
    this.#log = log
    this.#checkpointAfter_bytes = checkpointAfter_bytes
  }

  /** Takes over all that is stored. */
  async load(): Promise<void> {
    const entry = await this.#bus.bucket('control').get('routes')
    const found = entry && checkpoint.parse(JSON.parse(Buffer.from(entry.value).toString()))
    const stream = this.#bus.stream(ROUTES_STREAM, LIMITS)
    const { last } = await stream.bounds()
    const kept = this.#bus.stream(KEPT_STREAM, LIMITS)
    this.#noted = entry?.revision ?? 0
    this.#keptLast = (await kept.bounds()).last
    const batches = found && (await readWhole(kept, found))
    if (found && !batches) {
      this.#log.error(
        { checkpoint: found },
        'the checkpoint of routes is damaged: what is left in their stream is read',
      )
    }
    if (found && batches) {
      for (const batch of batches) this.#take(batch)
      this.#position = found.position
      for (const origin of found.doubted) this.#doubted.add(origin)
      if (found.position > last) this.#goBack(last)
      else if (!(await isAsFound(stream, found))) this.#goBack((await stream.bounds()).first - 1)
    }
    while (this.#position < last) {
      for (const { sequence, payload } of await stream.read(this.#position + 1)) this.#takeEntry(sequence, payload)
    }
  }

  /** Hands over what batches touched, as they come, until the signal. */
  async follow(touch: (touched: Touched) => void, signal: AbortSignal): Promise<void> {
    const stream = this.#bus.stream(ROUTES_STREAM, LIMITS)
    this.#asking = this.#clock.every(ASK_EVERY_MS, () => this.#ask(touch))
    if (this.#doubted.size > 0) this.#doubt()
    try {
      while (!signal.aborted) {
        const lost = new AbortController()
        const stopConnection = this.#bus.onConnection((connected) => connected && lost.abort())
        try {
          this.#wake = () => lost.abort()
          await this.#findEnd(stream)
          if (this.#bytesSince === Number.POSITIVE_INFINITY && !this.#routes.isWaiting()) await this.#checkpoint()
          await this.#consume(stream, touch, AbortSignal.any([signal, lost.signal]))
        } catch (error) {
          // It ends before where we are, or the bus is away again: it is looked at anew.
          if (signal.aborted) return
          if (this.#isReplaced || !(error instanceof BusError && LOOK_AGAIN.has(error.code))) throw error
          await this.#bus.whenConnected(RECONNECT_WITHIN_MS).catch(() => {})
        } finally {
          stopConnection()
        }
      }
    } finally {
      this.#asking.cancel()
    }
  }

  async #consume(stream: Stream, touch: (touched: Touched) => void, signal: AbortSignal): Promise<void> {
    for await (const { sequence, payload } of stream.consume(this.#position + 1, { signal })) {
      const touched = this.#takeEntry(sequence, payload)
      if (touched) touch(touched)
      const isDue = this.#bytesSince > Math.max(this.#checkpointBytes, this.#checkpointAfter_bytes)
      // Parts that wait for others are nowhere but in the stream.
      if (isDue && !this.#routes.isWaiting()) await this.#checkpoint()
    }
  }

  /** A bus that was away may have lost the end of the stream, and have something else there by now. */
  async #findEnd(stream: Stream): Promise<void> {
    const { first, last } = await stream.bounds()
    let position = Math.min(this.#position, last)
    while (position >= first) {
      const known = this.#taken.get(position)
      if (known === undefined) break
      const [entry] = await stream.read(position)
      if (entry?.sequence === position && crc32(entry.payload) === known) break
      position--
    }
    if (position < this.#position && position >= first - 1) this.#goBack(position)
  }

  /** The stream is as we know it up to here only. */
  #goBack(position: number): void {
    this.#log.error({ from: position + 1, to: this.#position }, 'the stream of routes has lost its end')
    for (let lost = position + 1; lost <= this.#position; lost++) this.#taken.delete(lost)
    this.#position = position
    for (const origin of this.#routes.origins) this.#doubted.add(origin)
    // What was taken over is to be written down where it lasts.
    this.#bytesSince = Number.POSITIVE_INFINITY
    this.#doubt()
  }

  /** The origin will not say its routes again: they go. */
  withdraw(origin: string): Touched {
    const touched = this.#routes.take(nothingOf(origin))
    this.#doubted.delete(origin)
    // Until it is written down a control module that starts would find them there again.
    this.#bytesSince = Number.POSITIVE_INFINITY
    this.#wake()
    return typeof touched === 'string' ? new Map() : touched
  }

  #doubt(): void {
    if (this.#asking) for (const origin of this.#doubted) this.#events?.tell('origin-in-doubt', origin, IN_DOUBT)
    this.#doubtedUntil_us = this.#clock.now_us() + REPLACE_WITHIN_MS * 1000
    this.#tell({ origin: undefined, refused: undefined })
  }

  /** Those in doubt again; when their time is over their routes go. */
  #ask(touch: (touched: Touched) => void): void {
    if (this.#doubted.size === 0) return
    if (this.#clock.now_us() < this.#doubtedUntil_us) {
      for (const origin of this.#doubted) this.#tell({ origin, refused: undefined })
      return
    }
    this.#log.error({ origins: [...this.#doubted] }, 'routes are withdrawn: their origins did not say them again')
    for (const origin of [...this.#doubted]) {
      this.#events?.tell('origin-withdrawn', origin, 'its batches were lost, and it did not say its routes again')
      touch(this.withdraw(origin))
    }
  }

  /** What is read again from before we followed is no news. */
  #tell(news: { origin: string | undefined; refused: string | undefined }): void {
    if (this.#asking) this.#bus.publish(ROUTES_SUBJECT, routeNews.encode(news))
  }

  #takeEntry(sequence: number, payload: Uint8Array): Touched | undefined {
    if (sequence !== this.#position + 1) {
      this.#log.error({ from: this.#position + 1, to: sequence - 1 }, 'route batches are gone before they were read')
      for (const origin of this.#routes.origins) this.#doubted.add(origin)
      this.#doubt()
    }
    this.#position = sequence
    this.#taken.set(sequence, crc32(payload))
    this.#taken.delete(sequence - TAKEN_KEPT)
    this.#bytesSince += payload.length
    return this.#take(payload)
  }

  #take(payload: Uint8Array): Touched | undefined {
    const decoded = routeBatch.decode(payload)
    if (!decoded.ok) {
      this.#log.error({ reason: decoded.message }, 'a route batch cannot be read')
      if (this.#asking) this.#events?.tell('batch-refused', 'unknown', decoded.message)
      return undefined
    }
    const { origin, replaces, part } = decoded.value
    const isFurther = part === 'middle' || part === 'last'
    // The parts before it are gone from the stream: that what it belongs to replaces everything is not so.
    const isOrphan = isFurther && !this.#routes.isWaiting(origin)
    const touched = this.#routes.take(decoded.value)
    if (typeof touched === 'string') {
      this.#log.error({ origin, reason: touched }, 'a route batch is refused')
      this.#tell({ origin, refused: touched })
      if (this.#asking) this.#events?.tell('batch-refused', origin, touched)
      return undefined
    }
    if (isOrphan) {
      this.#doubted.add(origin)
      this.#doubt()
    } else if ((replaces || part === 'last') && !this.#routes.isWaiting(origin)) {
      this.#doubted.delete(origin)
      this.#replaced(origin)
    }
    return touched
  }

  async #checkpoint(): Promise<void> {
    const kept = this.#bus.stream(KEPT_STREAM, LIMITS)
    const position = this.#position
    const crc = this.#taken.get(position)
    // While this is written down, origins may come into doubt or lose their routes.
    const doubted = [...this.#doubted]
    const bytesBefore = this.#bytesSince
    this.#bytesSince = 0
    try {
      let first = 0
      let last = 0
      let bytes = 0
      for (const batch of this.#routes.snapshot()) {
        for (const message of encodeRoutes(batch, PAYLOAD_BYTES_MAX)) {
          this.#keptLast = await kept.append(message, { expectLast: this.#keptLast })
          last = this.#keptLast
          first ||= last
          bytes += message.length
        }
      }
      const bounds = first === 0 ? { first: 1, last: 0 } : { first, last }
      const note = { ...bounds, position, crc, doubted }
      const text = Buffer.from(JSON.stringify(note))
      this.#noted = await this.#bus.bucket('control').put('routes', text, { revision: this.#noted })
      this.#checkpointBytes = bytes
    } catch (error) {
      // Nothing is lost: the stream still has all of it, and the next batch tries again. Unless somebody else leads.
      if (!(error instanceof BusError)) throw error
      this.#isReplaced = error.code === 'wrong-sequence' || error.code === 'wrong-revision'
      if (this.#isReplaced) throw error
      this.#bytesSince += bytesBefore
      this.#log.warn({ error: error.message }, 'routes could not be checkpointed')
    }
  }
}

async function isAsFound(stream: Stream, { position, crc }: { position: number; crc?: number | undefined }) {
  if (crc === undefined) return true
  const [entry] = await stream.read(position)
  // What the stream has forgotten by now is no sign of anything.
  return entry?.sequence !== position || crc32(entry.payload) === crc
}

/** Undefined if some of them are not there. */
async function readWhole(stream: Stream, { first, last }: { first: number; last: number }) {
  const bounds = await stream.bounds()
  if (last > bounds.last || (first <= last && first < bounds.first)) return undefined
  const payloads: Uint8Array[] = []
  while (first + payloads.length <= last) {
    for (const { sequence, payload } of await stream.read(first + payloads.length)) {
      if (sequence !== first + payloads.length && sequence <= last) return undefined
      if (sequence <= last) payloads.push(payload)
    }
  }
  return payloads
}

function nothingOf(origin: string): RouteBatch {
  const routes4 = new RouteColumnsBuilder(1).build()
  const routes6 = new RouteColumnsBuilder(4).build()
  return { origin, preference: 0, replaces: true, tenants: [], gateways: [], routes4, routes6 }
}
