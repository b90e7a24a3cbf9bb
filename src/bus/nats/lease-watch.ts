/**
 * Watches a lease on NATS: hears of what is written, and counts the time of what is not. That a lease is over is told
 * only after its leader was asked whether it still stands as it was seen, so a watch that hears nothing does not mistake
 * its own silence for the holder's.
 */

import type { Clock, Timer } from '../../base/clock.ts'
import { type BucketChange, BusError, type LeaseHolder, type Subscription } from '../bus.ts'
import { decodeRecord } from './lease-record.ts'

/** Whom to ask again that could not be asked. */
const RETRY_ms = 200

export interface LeaseSource {
  watch(tell: (change: BucketChange) => void): Subscription
  /** How much of its time a revision has left since it was first seen here. */
  left_ms(revision: number, ttl_ms: number): number
  /** The one that stands now. */
  revision(): Promise<number | undefined>
}

export class LeaseWatch implements Subscription {
  readonly ready: Promise<void>
  readonly #clock: Clock
  readonly #handler: (holder: LeaseHolder | undefined) => void
  readonly #source: LeaseSource
  readonly #watch: Subscription
  #timer: Timer | undefined
  /** The revision heard of last. */
  #latest = 0
  /** What was told last; null: nothing yet. */
  #told: number | undefined | null = null
  #closed = false

  constructor(clock: Clock, handler: (holder: LeaseHolder | undefined) => void, source: LeaseSource) {
    this.#clock = clock
    this.#handler = handler
    this.#source = source
    this.#watch = source.watch((change) => this.#changed(change))
    this.ready = this.#watch.ready
    this.ready.then(
      () => this.#told === null && this.#tell(undefined),
      () => this.#timer?.cancel(),
    )
  }

  close(): void {
    this.#closed = true
    this.#timer?.cancel()
    this.#watch.close()
  }

  #changed({ revision, value }: BucketChange): void {
    this.#timer?.cancel()
    this.#latest = revision
    const record = value && decodeRecord(value)
    if (record) {
      this.#tell({ holder: record.holder, epoch: record.epoch ?? revision })
      this.#await(revision, record.ttl_ms)
    } else if (!value) {
      this.#tell(undefined)
    }
  }

  #await(revision: number, ttl_ms: number): void {
    const left_ms = this.#source.left_ms(revision, ttl_ms)
    if (left_ms > 0) this.#timer = this.#clock.after(left_ms, () => this.#await(revision, ttl_ms))
    else void this.#verify(revision, ttl_ms)
  }

  async #verify(revision: number, ttl_ms: number): Promise<void> {
    const present = await this.#present()
    // A change that arrived meanwhile has its own timer.
    if (this.#closed || this.#latest !== revision) return
    if (present === revision) this.#tell(undefined)
    // What stands there is on its way to us.
    else this.#timer = this.#clock.after(RETRY_ms, () => void this.#verify(revision, ttl_ms))
  }

  async #present(): Promise<number | undefined> {
    try {
      return await this.#source.revision()
    } catch (error) {
      if (!(error instanceof BusError)) throw error
      return undefined
    }
  }

  #tell(holder: LeaseHolder | undefined): void {
    if (this.#closed || this.#told === holder?.epoch) return
    this.#told = holder?.epoch
    this.#handler(holder)
  }
}
