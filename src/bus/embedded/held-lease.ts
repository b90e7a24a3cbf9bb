/**
 * A lease in its holder's hands: renewed every third of its time, and at once when a lost connection is back. The
 * holder counts its time from when it sent the last renewal that was granted, so it never believes longer than the
 * server does.
 */

import type { Timer } from '../../base/clock.ts'
import { BusError, type Lease } from '../bus.ts'
import type { Link } from './link.ts'

export class HeldLease implements Lease {
  readonly name: string
  readonly holder: string
  readonly epoch: number
  readonly lost: Promise<void>
  readonly #link: Link
  readonly #ttl_ms: number
  readonly #renewals: Timer
  readonly #onLost: () => void
  #end: Timer
  #deadline_us: number
  #over = false

  /** `sent_us` is when the server was asked for it. `onEnd` is called once it is over. */
  constructor(
    link: Link,
    lease: { name: string; holder: string; epoch: number; ttl_ms: number; sent_us: number },
    onEnd: (lease: HeldLease) => void,
  ) {
    this.#link = link
    this.name = lease.name
    this.holder = lease.holder
    this.epoch = lease.epoch
    this.#ttl_ms = lease.ttl_ms
    const { promise, resolve } = Promise.withResolvers<void>()
    this.lost = promise
    this.#onLost = () => {
      onEnd(this)
      resolve()
    }
    this.#deadline_us = lease.sent_us + lease.ttl_ms * 1000
    this.#renewals = link.clock.every(lease.ttl_ms / 3, () => void this.renew())
    this.#end = link.clock.after(lease.ttl_ms, () => this.#due())
  }

  get held(): boolean {
    return !this.#over && this.#link.clock.now_us() < this.#deadline_us
  }

  async release(): Promise<void> {
    if (this.#over) return
    this.lose()
    try {
      await this.#link.call('done', { type: 'release', lease: this.name, epoch: this.epoch })
    } catch (error) {
      if (!(error instanceof BusError && error.code === 'lease-lost')) throw error
    }
  }

  async renew(): Promise<void> {
    if (!this.held) return this.lose()
    const sent_us = this.#link.clock.now_us()
    try {
      const options = { timeout_ms: this.#ttl_ms }
      await this.#link.call('done', { type: 'renew', lease: this.name, epoch: this.epoch }, options)
      this.#deadline_us = Math.max(this.#deadline_us, sent_us + this.#ttl_ms * 1000)
    } catch (error) {
      // Anything but the server's own word leaves the lease to its deadline.
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
    const left_ms = (this.#deadline_us - this.#link.clock.now_us()) / 1000
    if (left_ms > 0) this.#end = this.#link.clock.after(left_ms, () => this.#due())
    else this.lose()
  }
}
