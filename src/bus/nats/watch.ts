/**
 * A watch on a bucket: what is stored, and what is stored from then on. A bucket keeps the last change of each key, the
 * mark of a deletion too, so after a lost connection or a consumer that fell silent whatever stands behind the last
 * revision seen is what changed meanwhile. If the bucket is not the one that it was, everything is read anew and
 * compared with the keys that were known.
 */

import { type BucketChange, BusError, type Subscription } from '../bus.ts'
import type { Delivered } from './consumer.ts'
import { follow } from './follow.ts'
import type { Link } from './link.ts'
import type { NatsBucket } from './nats-bucket.ts'

export class Watch implements Subscription {
  readonly ready: Promise<void>
  readonly #link: Link
  readonly #bucket: NatsBucket
  readonly #pattern: string
  readonly #handler: (change: BucketChange) => void
  readonly #abort = new AbortController()
  readonly #settle: { resolve(): void; reject(error: Error): void }
  /** Keys that are there, as far as has been told, with their revisions. */
  readonly #known = new Map<string, number>()
  /** While everything is read anew: the keys found so far. */
  #found: Set<string> | undefined = new Set()
  /** Which bucket it is, by when it was made. */
  #created = ''
  /** The last change that there was when the reading began. */
  #last = 0

  constructor(link: Link, bucket: NatsBucket, pattern: string, handler: (change: BucketChange) => void) {
    this.#link = link
    this.#bucket = bucket
    this.#pattern = pattern
    this.#handler = handler
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    this.ready = promise
    this.#settle = { resolve, reject }
    // Whoever does not look at `ready` need not handle it.
    promise.catch(() => {})
    void this.#run()
  }

  close(): void {
    this.#abort.abort()
  }

  async #run(): Promise<void> {
    const source = this.#bucket.source(this.#pattern)
    const options = { signal: this.#abort.signal, ends: [] }
    for await (const found of follow(this.#link, source, (next) => this.#position(next), options)) {
      for (const one of found) this.#take(one)
      if (found.at(-1)!.sequence >= this.#last) this.#caughtUp()
    }
    this.#settle.reject(new BusError('closed', `the watch on ${this.#pattern} was closed`))
  }

  async #position(next: number): Promise<number> {
    try {
      await this.#bucket.open()
      const { created, last } = await this.#bucket.identity()
      const isTheSame = created === this.#created && next <= last + 1
      if (!isTheSame) this.#startOver(created)
      const from = isTheSame ? next : 0
      this.#last = await this.#bucket.lastRevision(this.#pattern)
      if (this.#last < from || this.#last === 0) this.#caughtUp()
      return from
    } catch (error) {
      // It is tried again, but whoever waits for the first time should know.
      if (error instanceof BusError && error.code === 'unauthorized') this.#settle.reject(error)
      throw error
    }
  }

  #startOver(created: string): void {
    // Revisions of another bucket mean nothing: every key found there is news.
    if (created !== this.#created) for (const key of this.#known.keys()) this.#known.set(key, 0)
    this.#created = created
    this.#found = new Set()
  }

  #caughtUp(): void {
    const found = this.#found
    this.#found = undefined
    if (found) {
      const gone = [...this.#known.keys()].filter((key) => !found.has(key))
      for (const key of gone) this.#tell(key, undefined, this.#last)
    }
    this.#settle.resolve()
  }

  #take({ subject, sequence, payload, present }: Delivered): void {
    const key = this.#bucket.keyOf(subject)
    if (present) this.#found?.add(key)
    else this.#found?.delete(key)
    if (this.#known.get(key) !== sequence) this.#tell(key, present ? payload : undefined, sequence)
  }

  #tell(key: string, value: Uint8Array | undefined, revision: number): void {
    if (this.#abort.signal.aborted) return
    if (value) this.#known.set(key, revision)
    else if (!this.#known.delete(key)) return
    this.#handler({ key, value, revision })
  }
}
