/**
 * Leases on NATS: a key each in one bucket, which its holder writes anew every third of its time. No server ends them
 * (2.9.10 has no time to live of a key): everybody who wants one, or watches it, counts by its own clock how long it has
 * stood unchanged, and may take it after its whole time with a write that counts only if it still stands unchanged. The
 * holder counts from before it sent what they see, so its time is over first. Who comes late has seen nothing yet and
 * waits for a whole time.
 */

import { BusError, type LeaseHolder, type LeaseOptions, type Subscription } from '../bus.ts'
import { HeldLease } from '../held-lease.ts'
import { decodeRecord, encodeRecord, type LeaseRecord } from './lease-record.ts'
import { LeaseWatch } from './lease-watch.ts'
import type { CallOptions, Link } from './link.ts'
import type { Place } from './names.ts'
import { type Found, isOvertaken, NatsBucket } from './nats-bucket.ts'

/** Leases of others that we have looked at. A site has some dozens. */
const SIGHTINGS_MAX = 65_536
/** A holder that comes back and its former self that renews get in each other's way so often at most. */
const ATTEMPTS_MAX = 5

/** Other calls wait longer for a new leader. Whoever wants a lease asks again, and then meets it sooner. */
const ATTEMPT: CallOptions = { timeout_ms: 1000 }

interface Sighting {
  readonly revision: number
  readonly since_us: number
}

export class Leases {
  readonly #link: Link
  readonly #bucket: NatsBucket
  readonly #sightings = new Map<string, Sighting>()
  readonly #held = new Set<HeldLease>()

  constructor(link: Link, place: Place) {
    this.#link = link
    this.#bucket = new NatsBucket(link, place)
  }

  /** One attempt. Rejects with 'lease-held'. */
  async acquire(name: string, options: LeaseOptions): Promise<HeldLease> {
    for (let attempt = 1; ; attempt++) {
      const found = await this.#bucket.find(name, ATTEMPT)
      this.#checkFree(name, options.holder, found)
      const sent_us = this.#link.clock.now_us()
      try {
        const record = encodeRecord({ ...options, epoch: undefined })
        const epoch = await this.#bucket.write(name, record, found?.revision ?? 0, ATTEMPT)
        return this.#hold(name, options, epoch, sent_us)
      } catch (error) {
        if (!isOvertaken(error)) throw error
        if (attempt === ATTEMPTS_MAX) throw new BusError('lease-held', `others are quicker to write ${name}`)
      }
    }
  }

  watch(name: string, handler: (holder: LeaseHolder | undefined) => void): Subscription {
    return new LeaseWatch(this.#link.clock, handler, {
      watch: (tell) => this.#bucket.watch(name, tell),
      left_ms: (revision, ttl_ms) => this.#left_ms(name, revision, ttl_ms),
      revision: async () => (await this.#bucket.find(name, ATTEMPT))?.revision,
    })
  }

  /** At once, when a lost connection is back. */
  renewAll(): void {
    for (const lease of this.#held) void lease.renew()
  }

  loseAll(): void {
    for (const lease of this.#held) lease.lose()
  }

  #checkFree(name: string, holder: string, found: Found | undefined): void {
    if (!found?.value) return
    const present = decodeRecord(found.value)
    if (!present) throw new BusError('malformed', `the lease ${name} is written in a way that we do not know`)
    if (present.holder === holder || this.#left_ms(name, found.revision, present.ttl_ms) <= 0) return
    throw new BusError('lease-held', `${present.holder} holds ${name}`)
  }

  /** Until whoever wrote this revision has had its whole time since we first saw it. */
  #left_ms(name: string, revision: number, ttl_ms: number): number {
    const now_us = this.#link.clock.now_us()
    let seen = this.#sightings.get(name)
    if (seen?.revision !== revision) {
      if (this.#sightings.size >= SIGHTINGS_MAX) this.#sightings.clear()
      seen = { revision, since_us: now_us }
      this.#sightings.set(name, seen)
    }
    return ttl_ms - (now_us - seen.since_us) / 1000
  }

  #hold(name: string, { holder, ttl_ms }: LeaseOptions, epoch: number, sent_us: number): HeldLease {
    const record: LeaseRecord = { holder, ttl_ms, epoch }
    const standing = new Standing(this.#bucket, name, record)
    const lease = new HeldLease(
      { name, holder, epoch, ttl_ms, sent_us },
      {
        clock: this.#link.clock,
        renew: (timeout_ms) => standing.write(encodeRecord(record), timeout_ms),
        release: () => standing.write(undefined),
        onEnd: (over) => void this.#held.delete(over),
      },
    )
    this.#held.add(lease)
    return lease
  }
}

/** The entry of a lease that we hold: each write says which one it follows. */
class Standing {
  readonly #bucket: NatsBucket
  readonly #name: string
  readonly #epoch: number
  #revision: number

  constructor(bucket: NatsBucket, name: string, { epoch }: LeaseRecord) {
    this.#bucket = bucket
    this.#name = name
    this.#epoch = epoch!
    this.#revision = epoch!
  }

  /** Undefined deletes. Rejects with 'lease-lost'. */
  async write(value: Uint8Array | undefined, timeout_ms?: number): Promise<void> {
    const options = timeout_ms === undefined ? {} : { timeout_ms }
    try {
      this.#revision = await this.#bucket.write(this.#name, value, this.#revision, options)
    } catch (error) {
      if (!isOvertaken(error)) throw error
      // It may be our own write before this one, whose answer was lost.
      await this.#lookAgain()
      this.#revision = await this.#bucket.write(this.#name, value, this.#revision, options)
    }
  }

  async #lookAgain(): Promise<void> {
    const found = await this.#bucket.find(this.#name)
    const record = found?.value && decodeRecord(found.value)
    if (record?.epoch === this.#epoch || found?.revision === this.#epoch) this.#revision = found!.revision
    else throw new BusError('lease-lost', `${this.#name} of epoch ${this.#epoch} is not held any more`)
  }
}
