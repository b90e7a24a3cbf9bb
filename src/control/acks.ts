/** How far the readers of feeds have come: the acknowledgements on the bus, seen from the control module. */

import { BUCKET } from '../agent/names.ts'
import type { Bus, Subscription } from '../bus/bus.ts'
import { type Ack, ack } from '../wire/control/report.ts'

export class Acks {
  readonly #watch: Subscription
  readonly #byFeed = new Map<string, Map<string, Ack>>()

  constructor(bus: Bus, heard: (feed: string, value: Ack) => void) {
    this.#watch = bus.bucket(BUCKET.acks).watch('*.*', ({ key, value }) => {
      const decoded = value && ack.decode(value)
      if (!decoded?.ok) return
      const feed = key.slice(0, key.indexOf('.'))
      const readers = this.#byFeed.get(feed) ?? new Map<string, Ack>()
      this.#byFeed.set(feed, readers)
      readers.set(decoded.value.module, decoded.value)
      heard(feed, decoded.value)
    })
    this.#watch.ready.catch(() => {})
  }

  /** What the reader has taken over of this feed, since it started over; 0 for nothing, or if it failed to. */
  generationOf(feed: string, incarnation: string, reader: string): number {
    const last = this.#byFeed.get(feed)?.get(reader)
    return last?.incarnation === incarnation && last.error === undefined ? last.generation : 0
  }

  close(): void {
    this.#watch.close()
  }
}

/**
 * The latest that any reader has taken over of this feed since it started over. If the feed does not have it, it has lost its
 * end, and readers have what nobody else knows of.
 */
export async function latestAcked(bus: Bus, feed: string, incarnation: string): Promise<number> {
  const generations = [0]
  for (const { value } of await bus.bucket(BUCKET.acks).entries(`${feed}.*`)) {
    const decoded = ack.decode(value)
    if (decoded.ok && decoded.value.incarnation === incarnation) generations.push(decoded.value.generation)
  }
  return Math.max(...generations)
}
