/**
 * How a module takes over what the control module tells it: it follows the feed of its batches, applies each once and
 * in order, acknowledges it, and keeps it on disk. It starts with what is on disk, so it needs neither the bus nor the
 * control module in order to forward; once they are there it goes on from where it was.
 *
 * A feed is a stream of the bus: snapshots, each followed by differences. Where the latest snapshot begins stands in a
 * bucket; whoever is new, came too late or missed something starts there. A batch of an epoch below one that was seen
 * comes from a control module that does not know yet that it was replaced, and is refused.
 */

import { join } from 'node:path'
import type { Clock } from '../base/clock.ts'
import type { Logger } from '../base/log.ts'
import { aborted, pause } from '../base/signal.ts'
import { type Bus, BusError, type Stream, type StreamEntry, type StreamLimits } from '../bus/bus.ts'
import type { Message } from '../wire/control/codec.ts'
import { Joiner } from '../wire/control/pieces.ts'
import { ack, type FeedStart, feedStart } from '../wire/control/report.ts'
import { KeptBatches } from './kept-batches.ts'
import { Latest } from './latest.ts'
import { BUCKET } from './names.ts'

/**
 * Of every feed: the latest snapshot and what follows it always fit, since the next one is written when as many bytes
 * have followed as it has itself (10 M routes are 130 MB), or half of these entries (feed-writer.ts).
 */
export const FEED_LIMITS: StreamLimits = { entriesMax: 100_000, bytesMax: 512 * 1024 * 1024 }

export interface Batch {
  readonly epoch: number
  readonly generation: number
  /** A difference starts from this generation. A batch that has no such field is always whole. */
  readonly base?: number
  readonly snapshot?: boolean
}

export interface FollowerOptions<T extends Batch> {
  readonly bus: Bus
  readonly feed: string
  readonly message: Message<T>
  /** Who acknowledges. */
  readonly module: string
  /** Where to keep batches: the site's state directory. Who cannot do without the bus anyway keeps none. */
  readonly directory?: string
  readonly clock: Clock
  readonly log: Logger
  /** Takes the batch over and answers undefined, or why it could not. A snapshot replaces all that there was. */
  apply(batch: T): string | undefined | Promise<string | undefined>
}

export interface FollowerCounters {
  applied: number
  /** Of an epoch that is over. */
  stale: number
  /** What could not be joined, decoded or applied. */
  failed: number
  /** Starts from a snapshot because differences were missed. */
  restarts: number
}

/**
 * A snapshot that cannot be applied, or does not lead on, is not tried again and again without a breath; the wait
 * doubles. A newer snapshot ends it.
 */
const RESTART_FIRST_MS = 500
const RESTART_LAST_MS = 30_000

class Missed extends Error {}

function isMissed(error: unknown): error is Error {
  return error instanceof Missed || (error instanceof BusError && error.code === 'wrong-sequence')
}

export class BatchFollower<T extends Batch> {
  readonly counters: FollowerCounters = { applied: 0, stale: 0, failed: 0, restarts: 0 }
  /** Resolves once something was taken over, from disk or from the bus. */
  readonly holding: Promise<void>
  /** Resolves once all that was on the feed when it was first reached has been taken over. */
  readonly current: Promise<void>
  readonly #options: FollowerOptions<T>
  readonly #stream: Stream
  readonly #kept: KeptBatches | undefined
  readonly #acks: Latest
  readonly #stop = new AbortController()
  readonly #holding = Promise.withResolvers<void>()
  readonly #current = Promise.withResolvers<void>()
  #run: Promise<void> | undefined
  #incarnation = ''
  #epoch = 0
  /** Undefined: only a snapshot can be applied. */
  #generation: number | undefined
  /** Of all that were taken over since the feed began. */
  #highest = 0
  /** Why the latest batch could not be read, if it could not. */
  #unread: string | undefined
  /** Restarts since anything newer was taken over. */
  #vain = 0
  /** The feed's sequence that comes next; undefined: where its latest snapshot starts. */
  #next: number | undefined
  /** The feed's last sequence when it was first reached. */
  #end: number | undefined
  /** What is on disk is complete up to `next`. */
  #isKeeping = false

  constructor(options: FollowerOptions<T>) {
    this.#options = options
    this.holding = this.#holding.promise
    this.current = this.#current.promise
    this.#stream = options.bus.stream(options.feed, FEED_LIMITS)
    const { directory, feed, module } = options
    this.#kept = directory === undefined ? undefined : new KeptBatches(join(directory, 'batches', `${feed}.${module}`))
    this.#acks = new Latest(options.bus, options.bus.bucket(BUCKET.acks), `${options.feed}.${options.module}`)
  }

  /** Of the feed that is followed; empty before. */
  get incarnation(): string {
    return this.#incarnation
  }

  get epoch(): number {
    return this.#epoch
  }

  /** Of the last batch that was taken over; 0 before. */
  get generation(): number {
    return this.#generation ?? 0
  }

  start(): void {
    this.#run = this.#follow()
  }

  async close(): Promise<void> {
    this.#stop.abort()
    this.#acks.close()
    await this.#run
    await this.#kept?.close()
  }

  async #follow(): Promise<void> {
    await this.#startFromDisk()
    const { bus, feed, clock, log } = this.#options
    const stop = this.#stop.signal
    let start: FeedStart | undefined
    let interrupt = new AbortController()
    let wake = new AbortController()
    const watch = bus.bucket(BUCKET.feeds).watch(feed, ({ value }) => {
      const decoded = value && feedStart.decode(value)
      if (!decoded?.ok) return
      const isOther = decoded.value.incarnation !== start?.incarnation
      start = decoded.value
      wake.abort()
      if (isOther) interrupt.abort()
    })
    watch.ready.catch(() => {})
    while (!stop.aborted) {
      const until = AbortSignal.any([stop, interrupt.signal])
      wake = new AbortController()
      try {
        if (start) await this.#consume(start, until)
        else await aborted(until)
      } catch (error) {
        if (error instanceof BusError && error.code === 'closed' && !until.aborted) break
        if (!until.aborted) {
          if (!isMissed(error)) throw error
          log.warn({ feed, reason: error.message }, 'batches are missing; starting from the latest snapshot')
          await pause(clock, this.#restart(), AbortSignal.any([stop, wake.signal]))
        }
      }
      interrupt = new AbortController()
    }
    watch.close()
  }

  /** From the latest snapshot, after so many milliseconds. */
  #restart(): number {
    this.counters.restarts++
    this.#next = undefined
    // The snapshot may be older than the epoch. What an older control module wrote after a newer one is refused again.
    this.#epoch = 0
    return Math.min(RESTART_FIRST_MS * 2 ** this.#vain++, RESTART_LAST_MS)
  }

  async #startFromDisk(): Promise<void> {
    const { feed, log } = this.#options
    try {
      const kept = await this.#kept?.load()
      if (!kept) return
      this.#incarnation = kept.incarnation
      for (const message of kept.messages) await this.#take(message)
      this.#next = kept.next
      this.#isKeeping = true
      log.info({ feed, generation: this.generation, batches: kept.messages.length }, 'started from disk')
    } catch (error) {
      this.#epoch = 0
      log.warn({ feed, error: String(error) }, 'what is on disk cannot be used')
    }
  }

  async #consume(start: FeedStart, signal: AbortSignal): Promise<void> {
    if (start.incarnation !== this.#incarnation) {
      this.#incarnation = start.incarnation
      this.#epoch = 0
      this.#generation = undefined
      this.#highest = 0
      this.#vain = 0
      this.#next = undefined
    }
    let expected = this.#next ?? start.sequence
    const joiner = new Joiner()
    await this.#markCurrent(expected)
    for await (const entry of this.#stream.consume(expected, { signal })) {
      if (entry.sequence !== expected) throw new Missed(`${entry.sequence} follows ${expected - 1}`)
      expected = entry.sequence + 1
      await this.#push(joiner, entry)
      await this.#markCurrent(expected)
    }
  }

  /** `next` is what comes next: is that behind the end as it first was? */
  async #markCurrent(next: number): Promise<void> {
    try {
      this.#end ??= (await this.#stream.bounds()).last
      if (next > this.#end) this.#current.resolve()
    } catch (error) {
      // Without a connection there is no end to be seen.
      if (!(error instanceof BusError)) throw error
    }
  }

  async #push(joiner: Joiner, entry: StreamEntry): Promise<void> {
    const joined = joiner.push(entry.payload)
    if (joined.error !== undefined) return this.#failed(joined.error)
    if (!joined.message) return
    const taken = await this.#take(joined.message)
    if (taken === 'refused') return
    this.#next = entry.sequence + 1
    await this.#keep(taken === 'snapshot', joined.message)
  }

  /** Forwarding does not depend on the disk: what it refuses is told, and tried again with the next snapshot. */
  async #keep(isSnapshot: boolean, message: Uint8Array): Promise<void> {
    if (!this.#kept || (!isSnapshot && !this.#isKeeping)) return
    try {
      if (isSnapshot) await this.#kept.replace(this.#incarnation, this.#next!, message)
      else await this.#kept.append(this.#next!, message)
      this.#isKeeping = true
    } catch (error) {
      this.#isKeeping = false
      this.#options.log.error({ feed: this.#options.feed, error: String(error) }, 'a batch could not be kept on disk')
    }
  }

  async #take(message: Uint8Array): Promise<'snapshot' | 'difference' | 'refused'> {
    const decoded = this.#options.message.decode(message)
    if (!decoded.ok) {
      this.#failed(decoded.message)
      // Of a release that this one cannot read, most likely: what was taken over before it holds, and control hears why.
      if (this.#unread !== decoded.message)
        this.#acknowledge({ epoch: this.#epoch, generation: this.generation }, decoded.message)
      this.#unread = decoded.message
      return 'refused'
    }
    const batch = decoded.value
    const isWhole = batch.snapshot ?? true
    if (batch.epoch < this.#epoch) {
      this.counters.stale++
      return 'refused'
    }
    // On the way from an old snapshot to where we are already.
    const isPast = this.#generation !== undefined && batch.generation < this.#generation
    if (isPast) return 'refused'
    if (!isWhole && batch.base !== this.#generation) {
      if (batch.generation === this.#generation) return 'refused'
      throw new Missed(`a difference from ${batch.base}, at ${this.#generation ?? 'nothing'}`)
    }
    this.#epoch = batch.epoch
    if (!isWhole || batch.generation !== this.#generation) {
      const error = await this.#options.apply(batch)
      this.#acknowledge(batch, error)
      this.#unread = undefined
      if (error !== undefined) {
        this.#failed(error)
        this.#generation = undefined
        throw new Missed(`generation ${batch.generation} could not be taken over: ${error}`)
      }
      this.counters.applied++
    }
    if (batch.generation > this.#highest) {
      this.#highest = batch.generation
      this.#vain = 0
    }
    this.#generation = batch.generation
    this.#holding.resolve()
    return isWhole ? 'snapshot' : 'difference'
  }

  #acknowledge({ epoch, generation }: Pick<Batch, 'epoch' | 'generation'>, error: string | undefined): void {
    const { module } = this.#options
    this.#acks.put(ack.encode({ module, incarnation: this.#incarnation, epoch, generation, error }))
  }

  #failed(reason: string): void {
    this.counters.failed++
    this.#options.log.error({ feed: this.#options.feed, reason }, 'a batch could not be taken over')
  }
}
