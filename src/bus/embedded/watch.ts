/**
 * A watch on a bucket, from the client's side: a scan for what changed behind the last revision seen, again and again,
 * the server answering when there is something. Nothing is pushed, so a slow watcher holds up nobody and only misses
 * the values between. A lost connection is one more reason to ask again from the same revision; when the server cannot
 * say any more what was deleted since, everything is read anew and compared with the keys that were known.
 */

import { type BucketChange, BusError, type Subscription } from '../bus.ts'
import type { Link } from './link.ts'
import type { Item } from './protocol.ts'

/** The server refuses a watch only for want of room. */
const RETRY_ms = 1000

export class Watch implements Subscription {
  readonly ready: Promise<void>
  readonly #link: Link
  readonly #bucket: string
  readonly #pattern: string
  readonly #handler: (change: BucketChange) => void
  readonly #abort = new AbortController()
  readonly #settle: { resolve(): void; reject(error: Error): void }
  /** Keys that are there, as far as has been told, with their revisions. */
  readonly #known = new Map<string, number>()
  /** While everything is read anew: the keys found so far. */
  #found: Set<string> | undefined
  #store = ''
  #after = 0
  #since = 0

  constructor(link: Link, bucket: string, pattern: string, handler: (change: BucketChange) => void) {
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
    const { signal } = this.#abort
    let caughtUp = false
    while (!signal.aborted && !this.#link.closed) {
      await this.#link.untilConnected(signal)
      if (!this.#link.connected) continue
      if (this.#link.store !== this.#store) this.#startOver()
      const page = await this.#scan(caughtUp)
      caughtUp = page !== undefined && this.#take(page)
      if (caughtUp) this.#settle.resolve()
    }
    this.#settle.reject(new BusError('closed', `the watch on ${this.#bucket} was closed`))
  }

  /** Undefined: ask again. */
  async #scan(waits: boolean): Promise<{ items: readonly Item[]; first: number; last: number } | undefined> {
    const { signal } = this.#abort
    const which = { bucket: this.#bucket, pattern: this.#pattern, after: this.#after, since: this.#since }
    try {
      const timeout_ms = waits ? 'never' : undefined
      return await this.#link.call('page', { type: 'scan', ...which, waits: waits ? 1 : 0 }, { signal, timeout_ms })
    } catch (error) {
      if (!(error instanceof BusError)) throw error
      if (error.code === 'wrong-revision') {
        this.#startOver()
      } else if (this.#link.connected && !signal.aborted) {
        this.#settle.reject(error)
        await new Promise<void>((resolve) => this.#link.clock.after(RETRY_ms, resolve))
      }
      return undefined
    }
  }

  #startOver(): void {
    // Revisions of another store mean nothing: every key found there is news.
    if (this.#link.store !== this.#store) for (const key of this.#known.keys()) this.#known.set(key, 0)
    this.#store = this.#link.store
    this.#found = new Set()
    this.#after = 0
    this.#since = 0
  }

  /** True if this was all that there is at the moment. */
  #take(page: { items: readonly Item[]; first: number; last: number }): boolean {
    for (const item of page.items) this.#tell(item)
    this.#after = page.first
    this.#since = page.last
    if (this.#after !== this.#since) return false
    if (this.#found) {
      for (const key of [...this.#known.keys()]) {
        if (!this.#found.has(key)) this.#tell({ key, number: this.#after, deleted: true, payload: new Uint8Array(0) })
      }
      this.#found = undefined
    }
    return true
  }

  #tell({ key, number, deleted, payload }: Item): void {
    if (this.#abort.signal.aborted) return
    const known = this.#known.get(key)
    if (deleted) {
      this.#found?.delete(key)
      if (!this.#known.delete(key)) return
    } else {
      this.#found?.add(key)
      if (known === number) return
      this.#known.set(key, number)
    }
    this.#handler({ key, value: deleted ? undefined : payload, revision: number })
  }
}
