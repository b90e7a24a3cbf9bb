/**
 * How frames pass from one worker to another: descriptors one way, and for every chunk that went an empty one back, so
 * that no pool runs dry. Two rings in shared memory, each with one producer and one consumer, and nobody waits.
 *
 *   lender  --- ring of descriptors: address, length, total, port --->  borrower
 *           <-- ring of empty chunks ---------------------------------
 */

import { CHUNK_BYTES, type FramePool, type Frames, NO_FRAME } from './frames.ts'

/** Descriptors a ring: eight batches, the backlog of a worker that was off its core for a quarter of a millisecond. */
const RING_FRAMES = 512
const DESCRIPTOR_WORDS = 4
/** Empty chunks on their way back: every frame of a full ring may be a chain. */
const RING_CHUNKS = RING_FRAMES * 4

/** Words before a ring's entries, on cache lines of their own: where the producer is, where the consumer is. */
const PRODUCER = 0
const CONSUMER = 16
const ENTRIES = 32
const CHUNKS_AT = ENTRIES + RING_FRAMES * DESCRIPTOR_WORDS
export const EXCHANGE_WORDS = CHUNKS_AT + ENTRIES + RING_CHUNKS

/** A single-producer, single-consumer ring of fixed entries over shared words. Its indices may wrap. */
class Ring {
  readonly words: Int32Array
  readonly #mask: number
  readonly #size: number
  #mine = 0
  #theirs = 0

  constructor(memory: SharedArrayBuffer, fromWord: number, entryWords: number, entries: number) {
    this.words = new Int32Array(memory, fromWord * 4, ENTRIES + entryWords * entries)
    this.#mask = entries - 1
    this.#size = entries
  }

  /** Producer: entries that fit, with one look at the consumer only when it seems full. */
  room(): number {
    if (((this.#mine - this.#theirs) | 0) === this.#size) this.#theirs = Atomics.load(this.words, CONSUMER)
    return this.#size - ((this.#mine - this.#theirs) | 0)
  }

  /** Consumer: entries that are there. */
  available(): number {
    if (this.#theirs === this.#mine) this.#theirs = Atomics.load(this.words, PRODUCER)
    return (this.#theirs - this.#mine) | 0
  }

  /** Index of the next entry, for both sides; the caller has looked at `room` or `available`. */
  get index(): number {
    return this.#mine & this.#mask
  }

  advance(): void {
    this.#mine = (this.#mine + 1) | 0
  }

  publish(): void {
    Atomics.store(this.words, PRODUCER, this.#mine)
  }

  consumed(): void {
    Atomics.store(this.words, CONSUMER, this.#mine)
  }
}

/** The side that frames leave. */
export class FrameLender {
  readonly #frames: Frames
  readonly #pool: FramePool
  readonly #descriptors: Ring
  readonly #chunks: Ring
  #isDirty = false
  #lent = 0

  /** `index` tells the exchanges in one memory apart. */
  constructor(memory: SharedArrayBuffer, index: number, frames: Frames, pool: FramePool) {
    const at = index * EXCHANGE_WORDS
    this.#frames = frames
    this.#pool = pool
    this.#descriptors = new Ring(memory, at, DESCRIPTOR_WORDS, RING_FRAMES)
    this.#chunks = new Ring(memory, at + CHUNKS_AT, 1, RING_CHUNKS)
  }

  /** False when there is no room; the frame is still the caller's then. */
  lend(address: number, length: number, total: number, port: number): boolean {
    const ring = this.#descriptors
    if (ring.room() === 0) return false
    const at = ENTRIES + ring.index * DESCRIPTOR_WORDS
    ring.words[at] = address
    ring.words[at + 1] = length
    ring.words[at + 2] = total
    ring.words[at + 3] = port
    ring.advance()
    this.#lent += this.#frames.chunksOf(address, length, total)
    this.#isDirty = true
    return true
  }

  /** Lets the borrower see what was lent; false when there was nothing new. */
  publish(): boolean {
    if (!this.#isDirty) return false
    this.#isDirty = false
    this.#descriptors.publish()
    return true
  }

  /** Takes what has come back into the pool. */
  collect(): void {
    const ring = this.#chunks
    const count = ring.available()
    if (count === 0) return
    for (let i = 0; i < count; i++) {
      this.#pool.give(ring.words[ENTRIES + ring.index]! * CHUNK_BYTES)
      ring.advance()
    }
    ring.consumed()
    this.#lent -= count
  }

  /** Chunks that have not come back. */
  get lent(): number {
    return this.#lent
  }
}

/** The side that frames come to. A frame is looked at, and taken only if there is a place for it. */
export class FrameBorrower {
  readonly #frames: Frames
  readonly #pool: FramePool
  readonly #descriptors: Ring
  readonly #chunks: Ring
  address = 0
  length = 0
  total = 0
  port = 0
  #owed = 0
  #hasTaken = false

  constructor(memory: SharedArrayBuffer, index: number, frames: Frames, pool: FramePool) {
    const at = index * EXCHANGE_WORDS
    this.#frames = frames
    this.#pool = pool
    this.#descriptors = new Ring(memory, at, DESCRIPTOR_WORDS, RING_FRAMES)
    this.#chunks = new Ring(memory, at + CHUNKS_AT, 1, RING_CHUNKS)
  }

  /** Is a frame there that was not taken? */
  pending(): boolean {
    return this.#descriptors.available() > 0
  }

  /** Puts the next frame into the fields; false when there is none. The same one again until it is taken. */
  look(): boolean {
    const ring = this.#descriptors
    if (ring.available() === 0) return false
    const at = ENTRIES + ring.index * DESCRIPTOR_WORDS
    this.address = ring.words[at]! >>> 0
    this.length = ring.words[at + 1]!
    this.total = ring.words[at + 2]!
    this.port = ring.words[at + 3]!
    return true
  }

  /** The frame that was looked at is the caller's now, who owes its chunks. */
  take(): void {
    this.#descriptors.advance()
    this.#hasTaken = true
    this.#owed += this.#frames.chunksOf(this.address, this.length, this.total)
  }

  /** Makes room for the lender and pays. What cannot be paid now, for want of chunks, is paid later. */
  settle(): void {
    if (this.#hasTaken) this.#descriptors.consumed()
    this.#hasTaken = false
    if (this.#owed === 0) return
    const ring = this.#chunks
    while (this.#owed > 0 && ring.room() > 0) {
      const chunk = this.#pool.take()
      if (chunk === NO_FRAME) break
      ring.words[ENTRIES + ring.index] = chunk / CHUNK_BYTES
      ring.advance()
      this.#owed--
    }
    ring.publish()
  }

  /** Chunks to be paid; they lie in this worker's pool or ports meanwhile. */
  get owed(): number {
    return this.#owed
  }
}
