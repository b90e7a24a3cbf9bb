/**
 * A bucket of the bus as a key-value bucket of JetStream (NATS's ADR-8, so that its own tools show it): a stream with a
 * subject a key that keeps the last message of each, the sequence as the revision, and a mark where a key was deleted.
 * Reads ask the stream's leader, which knows every write that it acknowledged; replicas may be behind it.
 */

import { DiscardPolicy, RetentionPolicy, StorageType } from '@nats-io/jetstream'
import { headers } from '@nats-io/transport-node'
import { type Bucket, type BucketChange, type BucketEntry, BusError, checkSize, type Subscription } from '../bus.ts'
import { checkName } from '../subject.ts'
import type { Delivered, Source } from './consumer.ts'
import { follow } from './follow.ts'
import type { CallOptions, Link, Wire } from './link.ts'
import type { Place } from './names.ts'
import { Watch } from './watch.ts'

/** So many writers of other keys may come in between. */
const ATTEMPTS_MAX = 100
const CROWDED_ms = 5
/** A busy machine takes its time, and one key is read at a time. */
const READ_AGAIN_ms = 1000
/** What is asked by the thousand is not repeated. */
const ONCE: CallOptions = {}

interface Expectation {
  readonly lastSequence?: number
  readonly lastSubjectSequence?: number
}

/** What `get` finds: an entry, or where one was. */
export interface Found {
  readonly revision: number
  /** Undefined: the key was deleted. */
  readonly value: Uint8Array | undefined
}

export class NatsBucket implements Bucket {
  readonly #link: Link
  readonly #place: Place

  constructor(link: Link, place: Place) {
    this.#link = link
    this.#place = place
  }

  async get(key: string): Promise<BucketEntry | undefined> {
    checkName('key', key)
    const found = await this.find(key)
    return found?.value && { key, value: found.value, revision: found.revision }
  }

  async put(key: string, value: Uint8Array, { revision }: { revision?: number } = {}): Promise<number> {
    checkName('key', key)
    const copy = new Uint8Array(checkSize(value))
    if (revision !== 0) return this.write(key, copy, revision)
    try {
      return await this.write(key, copy, 0)
    } catch (error) {
      // The mark of a deleted key has a revision too.
      if (!isOvertaken(error)) throw error
      const found = await this.find(key)
      if (!found || found.value) throw error
      return this.write(key, copy, found.revision)
    }
  }

  async delete(key: string, { revision }: { revision?: number } = {}): Promise<void> {
    checkName('key', key)
    if (revision) {
      await this.write(key, undefined, revision)
      return
    }
    const isThere = (await this.find(key, ONCE))?.value !== undefined
    if (isThere && revision === 0) throw new BusError('wrong-revision', `${key} is there`)
    if (isThere) await this.write(key, undefined)
  }

  async entries(pattern: string): Promise<BucketEntry[]> {
    checkName('pattern', pattern)
    await this.open()
    const last = await this.lastRevision(pattern)
    if (last === 0) return []
    return this.#link.within(`reading ${pattern}`, (signal) => this.#entriesUntil(last, pattern, signal))
  }

  watch(pattern: string, handler: (change: BucketChange) => void): Subscription {
    checkName('pattern', pattern)
    return new Watch(this.#link, this, pattern, handler)
  }

  /** What is there under the key, or the mark of its deletion; undefined if there never was anything. */
  async find(key: string, options?: CallOptions): Promise<Found | undefined> {
    await this.open()
    const stored = await this.#last(key, options)
    if (!stored) return undefined
    return { revision: stored.seq, value: stored.header.has('KV-Operation') ? undefined : stored.data }
  }

  /** Undefined deletes. Rejects with 'wrong-revision' if the key's last one, a mark of deletion too, is another. */
  async write(key: string, value: Uint8Array | undefined, revision?: number, options: CallOptions = {}) {
    await this.open()
    if (revision === undefined) return this.#publish(key, value, {}, options)
    if (this.#link.replicas > 1) return this.#compareAndSet(key, value, revision, options)
    return this.#publish(key, value, { lastSubjectSequence: revision }, options)
  }

  /**
   * Among several servers (2.9.10) the leader compares a key's revision with what is stored and not with what is on its way, and
   * lets two writers in. The stream's last sequence it compares when it stores. So that is expected as well, and whoever only
   * met a writer of another key tries again.
   */
  async #compareAndSet(key: string, value: Uint8Array | undefined, revision: number, options: CallOptions) {
    const { stream } = this.#place
    for (let attempt = 1; ; attempt++) {
      const info = await this.#link.call(`writing ${key}`, ({ manager }) => manager.streams.info(stream), options)
      const expect = { lastSequence: info.state.last_seq, lastSubjectSequence: revision }
      try {
        return await this.#publish(key, value, expect, options)
      } catch (error) {
        if (!isOvertaken(error) || attempt === ATTEMPTS_MAX) throw error
        if (((await this.#last(key, options))?.seq ?? 0) !== revision) throw error
      }
      await this.#link.pause(CROWDED_ms)
    }
  }

  async #publish(key: string, value: Uint8Array | undefined, expect: Expectation, options: CallOptions) {
    const marks = headers()
    if (!value) marks.set('KV-Operation', 'DEL')
    const subject = `${this.#place.subject}${key}`
    try {
      const { seq } = await this.#link.call(
        `writing ${key}`,
        ({ jetStream }, timeout) =>
          jetStream.publish(subject, value ?? new Uint8Array(0), { timeout, expect, headers: marks }),
        { bytes: value?.length ?? 0, ...options },
      )
      return seq
    } catch (error) {
      if (!(error instanceof BusError && error.code === 'wrong-sequence')) throw error
      throw new BusError('wrong-revision', error.detail)
    }
  }

  /** The revision of the last change of what matches, 0 if there never was one. As the leader knows it. */
  async lastRevision(pattern: string): Promise<number> {
    return (await this.#last(pattern))?.seq ?? 0
  }

  /** When the bucket was made, which tells it from another one of its name; and its last revision. */
  async identity(): Promise<{ created: string; last: number }> {
    const { stream } = this.#place
    const looking = `looking at ${stream}`
    const { created, state } = await this.#link.callAgain(looking, ({ manager }) => manager.streams.info(stream))
    return { created, last: state.last_seq }
  }

  source(pattern: string): Source {
    return { stream: this.#place.stream, filter: `${this.#place.subject}${pattern}` }
  }

  keyOf(subject: string): string {
    return subject.slice(this.#place.subject.length)
  }

  open(): Promise<void> {
    return this.#link.open({
      name: this.#place.stream,
      subjects: [`${this.#place.subject}>`],
      max_msgs_per_subject: 1,
      allow_rollup_hdrs: true,
      deny_delete: true,
      retention: RetentionPolicy.Limits,
      discard: DiscardPolicy.New,
      storage: StorageType.File,
      num_replicas: this.#link.replicas,
    })
  }

  #last(pattern: string, options?: CallOptions) {
    const query = { last_by_subj: `${this.#place.subject}${pattern}` }
    const { stream } = this.#place
    const read = ({ manager }: Wire) => manager.streams.getMessage(stream, query)
    const what = `reading ${pattern}`
    return options ? this.#link.call(what, read, options) : this.#link.callAgain(what, read, READ_AGAIN_ms)
  }

  async #entriesUntil(last: number, pattern: string, signal: AbortSignal): Promise<BucketEntry[]> {
    const found = new Map<string, BucketEntry>()
    const options = { signal, ends: ENDS_OF_A_CALL }
    for await (const delivered of follow(this.#link, this.source(pattern), async (next) => next, options)) {
      for (const one of delivered) this.#gather(found, one)
      if (delivered.at(-1)!.sequence >= last) return [...found.values()]
    }
    throw new BusError('disconnected', `reading ${pattern} was stopped`)
  }

  // A key that changes while its bucket is read is handed out twice; the later one counts, and its place in the order.
  #gather(found: Map<string, BucketEntry>, { subject, sequence, payload, present }: Delivered): void {
    const key = this.keyOf(subject)
    found.delete(key)
    if (present) found.set(key, { key, value: payload, revision: sequence })
  }
}

const ENDS_OF_A_CALL = ['disconnected', 'timeout', 'unauthorized', 'incompatible', 'storage', 'failed'] as const

export function isOvertaken(error: unknown): boolean {
  return error instanceof BusError && error.code === 'wrong-revision'
}
