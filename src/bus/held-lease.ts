/**
 * A lease in its holder's hands, whatever the bus: renewed every third of its time, and at once when a lost connection
 * is back. The holder counts its time from when it sent the last renewal that was granted, so it never believes longer
 * than those do who granted it.
 */

import type { Clock, Timer } from '../base/clock.ts'
import { BusError, type Lease } from './bus.ts'

export interface LeaseGrant {
  readonly name: string
  readonly holder: string
  readonly epoch: number
  readonly ttl_ms: number
  /** When it was asked for. */
  readonly sent_us: number
}

/** How an implementation keeps a lease. Both reject with 'lease-lost' when it is somebody else's, or nobody's. */
export interface LeaseKeeping {
  readonly clock: Clock
  renew(timeout_ms: number): Promise<void>
  release(): Promise<void>
  /** Called once, when it is over. */
  onEnd(lease: HeldLease): void
}

export class HeldLease implements Lease {
  readonly name: string
  readonly holder: string
  readonly epoch: number
  readonly lost: Promise<void>
  readonly #keeping: LeaseKeeping
  readonly #ttl_ms: number
  readonly #renewals: Timer
  readonly #onLost: () => void
  #end: Timer
  #deadline_us: number
  #over = false

  constructor(lease: LeaseGrant, keeping: LeaseKeeping) {
    const { clock } = keeping
    this.#keeping = keeping
    this.name = lease.name
    this.holder = lease.holder
    this.epoch = lease.epoch
    this.#ttl_ms = lease.ttl_ms
    const { promise, resolve } = Promise.withResolvers<void>()
    this.lost = promise
    this.#onLost = () => {
      keeping.onEnd(this)
      resolve()
    }
    this.#deadline_us = lease.sent_us + lease.ttl_ms * 1000
    this.#renewals = clock.every(lease.ttl_ms / 3, () => void this.renew())
    this.#end = clock.after(lease.ttl_ms, () => this.#due())
  }

  get held(): boolean {
    return !this.#over && this.#keeping.clock.now_us() < this.#deadline_us
  }

  async release(): Promise<void> {
    if (this.#over) return
    this.lose()
    try {
      await this.#keeping.release()
    } catch (error) {
      if (!(error instanceof BusError && error.code === 'lease-lost')) throw error
    }
  }

  async renew(): Promise<void> {
    if (!this.held) return this.lose()
    const sent_us = this.#keeping.clock.now_us()
    try {
      await this.#keeping.renew(this.#ttl_ms)
      this.#deadline_us = Math.max(this.#deadline_us, sent_us + this.#ttl_ms * 1000)
    } catch (error) {
      // Anything but the word that it is lost leaves the lease to its deadline.
      if (error instanceof BusError && error.code === 'lease-lost') this.lose()
      else if (!(error instanceof BusError)) throw error
    }
  }

  lose(): void {
    if (this.#over) return
    this.#over = true
    this.#renewals.cancel()
    this.#end.cancel()
    this.#onLost()
  }

  #due(): void {
    const left_ms = (this.#deadline_us - this.#keeping.clock.now_us()) / 1000
    if (left_ms > 0) this.#end = this.#keeping.clock.after(left_ms, () => this.#due())
    else this.lose()
  }
}
