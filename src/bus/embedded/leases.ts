/**
 * The leases of the embedded bus: each is an entry of one bucket, the holder's name with its time to live as the value
 * and the entry's revision as the epoch. Taking a lease waits for the disk, so an epoch never returns, not even after a
 * power cut. Renewals touch memory only: a server that starts gives every lease that it finds its whole time again,
 * which can end a lease late but never early.
 */

import type { Clock, Timer } from '../../base/clock.ts'
import { BusError } from '../bus.ts'

/** The bucket's name is none that a client could write to. */
export const LEASES = '$leases'

/** Below, a stall of the server's event loop would end leases. */
const TTL_MIN_ms = 100
const TTL_MAX_ms = 3_600_000
const LEASES_MAX = 65_536

interface Held {
  readonly holder: string
  readonly epoch: number
  readonly ttl_ms: number
  deadline_us: number
  timer: Timer
}

/** Writes an entry of the bucket, null to delete it, and tells those who watch. Returns the revision. */
export type WriteLease = (name: string, value: Uint8Array | null) => number

export class Leases {
  readonly #clock: Clock
  readonly #write: WriteLease
  readonly #onError: (error: unknown) => void
  readonly #held = new Map<string, Held>()

  /** `onError` hears when the end of a lease could not be written; it is tried again after its time to live. */
  constructor(clock: Clock, write: WriteLease, onError: (error: unknown) => void) {
    this.#clock = clock
    this.#write = write
    this.#onError = onError
  }

  /** For each lease that the bucket has when the server starts. */
  resume(name: string, epoch: number, value: Uint8Array): void {
    const { holder, ttl_ms } = decodeHolder(value)
    this.#hold(name, holder, ttl_ms, epoch)
  }

  /** Returns the epoch. Throws 'lease-held', 'too-many' or what writing throws. */
  acquire(name: string, holder: string, wanted_ms: number): number {
    const present = this.#held.get(name)
    if (present && present.holder !== holder) throw new BusError('lease-held', `${present.holder} holds ${name}`)
    if (!present && this.#held.size >= LEASES_MAX) throw new BusError('too-many', `${LEASES_MAX} leases are held`)
    const ttl_ms = Math.min(Math.max(wanted_ms, TTL_MIN_ms), TTL_MAX_ms)
    const epoch = this.#write(name, encodeHolder(holder, ttl_ms))
    present?.timer.cancel()
    this.#hold(name, holder, ttl_ms, epoch)
    return epoch
  }

  /** Throws 'lease-lost'. */
  renew(name: string, epoch: number): void {
    const held = this.#holdOf(name, epoch)
    held.deadline_us = this.#clock.now_us() + held.ttl_ms * 1000
  }

  /** Throws 'lease-lost' or what writing throws. */
  release(name: string, epoch: number): void {
    const held = this.#holdOf(name, epoch)
    this.#write(name, null)
    held.timer.cancel()
    this.#held.delete(name)
  }

  close(): void {
    for (const { timer } of this.#held.values()) timer.cancel()
    this.#held.clear()
  }

  #holdOf(name: string, epoch: number): Held {
    const held = this.#held.get(name)
    if (held?.epoch !== epoch) throw new BusError('lease-lost', `${name} of epoch ${epoch} is not held any more`)
    return held
  }

  #hold(name: string, holder: string, ttl_ms: number, epoch: number): void {
    const deadline_us = this.#clock.now_us() + ttl_ms * 1000
    const timer = this.#clock.after(ttl_ms, () => this.#due(name))
    this.#held.set(name, { holder, epoch, ttl_ms, deadline_us, timer })
  }

  #due(name: string): void {
    const held = this.#held.get(name)!
    const left_ms = (held.deadline_us - this.#clock.now_us()) / 1000
    if (left_ms <= 0) {
      try {
        this.release(name, held.epoch)
        return
      } catch (error) {
        this.#onError(error)
      }
    }
    held.timer = this.#clock.after(left_ms > 0 ? left_ms : held.ttl_ms, () => this.#due(name))
  }
}

function encodeHolder(holder: string, ttl_ms: number): Uint8Array {
  const value = Buffer.alloc(4 + Buffer.byteLength(holder))
  value.writeUInt32BE(ttl_ms)
  value.write(holder, 4)
  return value
}

export function decodeHolder(value: Uint8Array): { holder: string; ttl_ms: number } {
  const bytes = Buffer.from(value.buffer, value.byteOffset, value.length)
  return { holder: bytes.toString('utf8', 4), ttl_ms: bytes.readUInt32BE(0) }
}
