/**
 * The writing end of a feed: messages into a stream of the bus, in pieces, with a note of where the latest snapshot
 * starts. There is one writer. Each piece is appended only behind the last one that the writer knows of, so of two
 * control modules that both believe to lead the older one fails here and not at the nodes. So it is with the note.
 */

import { type Bus, BusError, PAYLOAD_BYTES_MAX, type Stream, type StreamLimits } from '../bus/bus.ts'
import type { Decoded } from '../wire/control/codec.ts'
import { cut, Joiner } from '../wire/control/pieces.ts'
import { feedStart } from '../wire/control/report.ts'
import { FEED_LIMITS } from './follower.ts'
import { BUCKET } from './names.ts'

/**
 * A new snapshot is due when the differences since the last one are as large as it, and at least this large. It is due
 * as well when it and they take up half of the stream's entries: differences may be small and many.
 */
const SNAPSHOT_AFTER_BYTES = 1024 * 1024
const RECONNECT_WITHIN_MS = 60_000

/**
 * What is on a feed was written by a newer version, as after an upgrade that was taken back. It is no corruption to be
 * written over: whoever finds it does not lead.
 */
class NewerFeedError extends Error {
  override readonly name = 'NewerFeedError'
}

/** Throws where the feed's last writer knew more than we do. */
export function refuseNewer(feed: string, decoded: Decoded<unknown> | undefined): void {
  if (!decoded || decoded.ok || decoded.failure !== 'newer-version') return
  const advice = 'this version does not lead and leaves it as it is: run the newer one'
  throw new NewerFeedError(`feed ${feed} was written by a newer version (${decoded.message}); ${advice}`)
}

export class FeedWriter {
  readonly #bus: Bus
  readonly #name: string
  readonly #stream: Stream
  #incarnation: string
  #last: number
  readonly #limits: StreamLimits
  /** Of the note of where the latest snapshot starts; 0: there is none. */
  #noted = 0
  #snapshotBytes = 0
  #bytesSince = 0
  /** The snapshot's own pieces, and those of what followed. */
  #entries = 0

  /**
   * Answers the writer and what is on the feed since its latest snapshot; nothing if the feed starts over, and then the
   * first message has to be a snapshot. `fresh` is the name of a feed that starts over.
   */
  static async open(
    bus: Bus,
    name: string,
    fresh: string,
    limits = FEED_LIMITS,
  ): Promise<{ writer: FeedWriter; messages: Uint8Array[] }> {
    const stream = bus.stream(name, limits)
    const { first, last } = await stream.bounds()
    const entry = await bus.bucket(BUCKET.feeds).get(name)
    const start = entry && feedStart.decode(entry.value)
    refuseNewer(name, start)
    if (!start?.ok || start.value.sequence < first || start.value.sequence > last) {
      const writer = new FeedWriter(bus, name, stream, limits, fresh, last)
      writer.#noted = entry?.revision ?? 0
      return { writer, messages: [] }
    }
    const writer = new FeedWriter(bus, name, stream, limits, start.value.incarnation, last)
    writer.#noted = entry!.revision
    const messages = await writer.#read(start.value.sequence)
    const [snapshot, ...since] = messages.map(({ length }) => length)
    writer.#snapshotBytes = snapshot ?? 0
    writer.#bytesSince = since.reduce((sum, bytes) => sum + bytes, 0)
    writer.#entries = last + 1 - start.value.sequence
    return { writer, messages }
  }

  private constructor(bus: Bus, name: string, stream: Stream, limits: StreamLimits, incarnation: string, last: number) {
    this.#bus = bus
    this.#name = name
    this.#stream = stream
    this.#limits = limits
    this.#incarnation = incarnation
    this.#last = last
  }

  get incarnation(): string {
    return this.#incarnation
  }

  /** What is on the feed is of no use: the next message is a snapshot, and readers forget what they had. */
  startOver(fresh: string): void {
    this.#incarnation = fresh
  }

  /** The bus may have lost what it had stored, or everything. Rejects with 'wrong-sequence' then. */
  async verify(): Promise<void> {
    await this.#persist(async () => {
      const { last } = await this.#stream.bounds()
      if (last !== this.#last) throw new BusError('wrong-sequence', `${this.#name} ends at ${last}, not ${this.#last}`)
    })
  }

  get isSnapshotDue(): boolean {
    const isLarge = this.#bytesSince > Math.max(this.#snapshotBytes, SNAPSHOT_AFTER_BYTES)
    return isLarge || this.#entries > this.#limits.entriesMax / 2
  }

  /**
   * Waits for a connection if there is none. Rejects with 'wrong-sequence' or 'wrong-revision' if somebody else writes, or
   * with 'closed'.
   */
  async append(message: Uint8Array, isSnapshot: boolean): Promise<void> {
    const sequence = this.#last + 1
    const pieces = cut(message, PAYLOAD_BYTES_MAX)
    for (const piece of pieces) await this.#appendPiece(piece)
    this.#bytesSince += message.length
    this.#entries += pieces.length
    if (!isSnapshot) return
    this.#entries = pieces.length
    this.#snapshotBytes = message.length
    this.#bytesSince = 0
    const start = feedStart.encode({ incarnation: this.#incarnation, sequence })
    await this.#note(start)
  }

  async #note(start: Uint8Array): Promise<void> {
    const bucket = this.#bus.bucket(BUCKET.feeds)
    let isUncertain = false
    await this.#persist(async () => {
      try {
        this.#noted = await bucket.put(this.#name, start, { revision: this.#noted })
      } catch (error) {
        if (!(error instanceof BusError)) throw error
        if (error.code !== 'wrong-revision' || !isUncertain) {
          isUncertain = true
          throw error
        }
        const stored = await bucket.get(this.#name)
        if (!stored || Buffer.compare(stored.value, start) !== 0) throw error
        this.#noted = stored.revision
      }
    })
  }

  async #read(from: number): Promise<Uint8Array[]> {
    const joiner = new Joiner()
    const messages: Uint8Array[] = []
    while (from <= this.#last) {
      for (const { sequence, payload } of await this.#stream.read(from)) {
        const { message } = joiner.push(payload)
        if (message) messages.push(message)
        from = sequence + 1
      }
    }
    return messages
  }

  async #appendPiece(piece: Uint8Array): Promise<void> {
    let isUncertain = false
    await this.#persist(async () => {
      try {
        await this.#stream.append(piece, { expectLast: this.#last })
      } catch (error) {
        if (!(error instanceof BusError)) throw error
        if (error.code !== 'wrong-sequence' || !isUncertain) {
          isUncertain = true
          throw error
        }
        // An attempt whose outcome was unknown may have been stored after all.
        const [stored] = await this.#stream.read(this.#last + 1)
        if (!stored || Buffer.compare(stored.payload, piece) !== 0) throw error
      }
    })
    this.#last++
  }

  /** Tries until there is an answer. */
  async #persist(attempt: () => Promise<unknown>): Promise<void> {
    for (;;) {
      try {
        await attempt()
        return
      } catch (error) {
        if (!(error instanceof BusError) || (error.code !== 'timeout' && error.code !== 'disconnected')) throw error
        await this.#bus.whenConnected(RECONNECT_WITHIN_MS).catch(() => {})
      }
    }
  }
}
