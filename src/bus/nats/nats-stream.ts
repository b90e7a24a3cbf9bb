/** A stream of the bus as a stream of JetStream: one subject, entries in files, the oldest removed by the limits. */

import { DiscardPolicy, RetentionPolicy, StorageType, type StreamInfo } from '@nats-io/jetstream'
import { BusError, checkSize, type Stream, type StreamEntry, type StreamLimits } from '../bus.ts'
import { follow } from './follow.ts'
import type { Link } from './link.ts'
import type { Place } from './names.ts'

/** A page of `read`. */
const PAGE_ENTRIES = 512
const PAGE_BYTES = 1024 * 1024
/** What JetStream counts beside payload and subject: its record's frame, and the header of an expected sequence. */
const ENTRY_OVERHEAD_BYTES = 128
/** A new leader may know the last entries a little later than the one before did. */
const PATIENCE_attempts = 10
/** What ends a reader. All else passes. */
const ENDS = ['wrong-sequence', 'unauthorized', 'incompatible', 'bad-name'] as const

export class NatsStream implements Stream {
  readonly #link: Link
  readonly #place: Place
  readonly #limits: StreamLimits

  constructor(link: Link, place: Place, limits: StreamLimits) {
    this.#link = link
    this.#place = place
    this.#limits = limits
  }

  async append(payload: Uint8Array, { expectLast }: { expectLast?: number } = {}): Promise<number> {
    const copy = new Uint8Array(checkSize(payload))
    this.#checkRoom(copy.length)
    await this.#open()
    return this.#link.call(
      `appending to ${this.#place.stream}`,
      async ({ jetStream }, timeout) => {
        const expect = expectLast === undefined ? {} : { lastSequence: expectLast }
        const { seq } = await jetStream.publish(this.#place.subject, copy, { timeout, expect })
        return seq
      },
      { bytes: copy.length },
    )
  }

  async read(from: number): Promise<StreamEntry[]> {
    const { last } = await this.bounds()
    this.#check(from, last)
    if (from > last) return []
    return this.#link.within(`reading ${this.#place.stream}`, (signal) => this.#page(from, last, signal))
  }

  async *consume(from: number, { signal }: { signal: AbortSignal }): AsyncGenerator<StreamEntry, void> {
    const found: Whereabouts = { from, created: undefined, attempts: 0 }
    const options = { signal, ends: ENDS }
    for await (const entries of follow(this.#link, this.#place, (next) => this.#position(next, found), options)) {
      found.attempts = 0
      for (const { sequence, payload } of entries) {
        if (signal.aborted) return
        yield { sequence, payload }
      }
    }
  }

  async bounds(): Promise<{ first: number; last: number }> {
    await this.#open()
    const { state } = await this.#info()
    return { first: Math.max(state.first_seq, 1), last: state.last_seq }
  }

  async #page(from: number, last: number, signal: AbortSignal): Promise<StreamEntry[]> {
    const entries: StreamEntry[] = []
    let bytes = 0
    const options = { signal, ends: [...ENDS, 'disconnected', 'timeout'] as const }
    for await (const found of follow(this.#link, this.#place, async (next) => next || from, options)) {
      for (const { sequence, payload } of found) {
        bytes += payload.length
        if (entries.length > 0 && bytes > PAGE_BYTES) return entries
        entries.push({ sequence, payload })
        if (sequence >= last || entries.length === PAGE_ENTRIES) return entries
      }
    }
    throw new BusError('disconnected', `reading ${this.#place.stream} was stopped`)
  }

  /** Where a consumer goes on, of a stream that must still be the one that it began with. */
  async #position(next: number, found: Whereabouts): Promise<number> {
    await this.#open()
    const { created, state } = await this.#info()
    found.created ??= created
    if (found.created !== created) {
      throw new BusError('wrong-sequence', `${this.#place.stream} was replaced by another one`)
    }
    const from = next || found.from
    if (next > state.last_seq + 1 && found.attempts++ < PATIENCE_attempts) {
      throw new BusError('timeout', `${this.#place.stream} does not know all of its entries yet`)
    }
    this.#check(from, state.last_seq)
    return from
  }

  #check(from: number, last: number): void {
    if (from <= last + 1) return
    throw new BusError('wrong-sequence', `${this.#place.stream} ends at ${last}, and ${from} was asked for`)
  }

  /** JetStream would take the entry and remove it at once. */
  #checkRoom(bytes: number): void {
    const stored = bytes + this.#place.subject.length + ENTRY_OVERHEAD_BYTES
    if (stored <= this.#limits.bytesMax) return
    throw new BusError('too-large', `an entry of ${bytes} bytes in a stream of at most ${this.#limits.bytesMax}`)
  }

  #info(): Promise<StreamInfo> {
    const { stream } = this.#place
    return this.#link.callAgain(`looking at ${stream}`, ({ manager }) => manager.streams.info(stream))
  }

  #open(): Promise<void> {
    return this.#link.open({
      name: this.#place.stream,
      subjects: [this.#place.subject],
      max_msgs: this.#limits.entriesMax,
      max_bytes: this.#limits.bytesMax,
      retention: RetentionPolicy.Limits,
      discard: DiscardPolicy.Old,
      storage: StorageType.File,
      num_replicas: this.#link.replicas,
    })
  }
}

/** What a consumer knows of its stream. */
interface Whereabouts {
  readonly from: number
  created: string | undefined
  attempts: number
}
