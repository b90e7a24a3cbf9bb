/** A bucket on the embedded bus, from the client's side. */

import { type Bucket, type BucketChange, type BucketEntry, BusError, checkSize, type Subscription } from '../bus.ts'
import { checkName } from '../subject.ts'
import type { Link } from './link.ts'
import { expectation, type Item } from './protocol.ts'
import { Watch } from './watch.ts'

export class RemoteBucket implements Bucket {
  readonly #link: Link
  readonly #name: string

  constructor(link: Link, name: string) {
    this.#link = link
    this.#name = name
  }

  async get(key: string): Promise<BucketEntry | undefined> {
    checkName('key', key)
    const { items } = await this.#link.call('page', { type: 'get', bucket: this.#name, key })
    const item = items[0]
    return item && entryOf(item)
  }

  async put(key: string, value: Uint8Array, options: { revision?: number } = {}): Promise<number> {
    checkName('key', key)
    checkSize(value)
    const which = { bucket: this.#name, key, expectation: expectation(options.revision) }
    const { number } = await this.#link.call('done', { type: 'put', ...which, payload: value })
    return number
  }

  async delete(key: string, options: { revision?: number } = {}): Promise<void> {
    checkName('key', key)
    const which = { bucket: this.#name, key, expectation: expectation(options.revision) }
    await this.#link.call('done', { type: 'delete', ...which })
  }

  async entries(pattern: string): Promise<BucketEntry[]> {
    checkName('pattern', pattern)
    const found = new Map<string, BucketEntry>()
    let after = 0
    let since = -1
    while (after !== since) {
      const position = { after, since: Math.max(since, 0), waits: 0 }
      try {
        const page = await this.#link.call('page', { type: 'scan', bucket: this.#name, pattern, ...position })
        // A key that changed between two pages is in both; the later one counts, and its place in the order with it.
        for (const item of page.items) {
          found.delete(item.key)
          if (!item.deleted) found.set(item.key, entryOf(item))
        }
        after = page.first
        since = page.last
      } catch (error) {
        if (!(error instanceof BusError && error.code === 'wrong-revision')) throw error
        found.clear()
        after = 0
        since = -1
      }
    }
    return [...found.values()]
  }

  watch(pattern: string, handler: (change: BucketChange) => void): Subscription {
    checkName('pattern', pattern)
    return new Watch(this.#link, this.#name, pattern, handler)
  }
}

function entryOf({ key, payload, number }: Item): BucketEntry {
  return { key, value: payload, revision: number }
}
