/**
 * The dispatcher (DSR section 4.1.2). A device spreads frames over its queues by the outer header, which says little about
 * the flows inside of a tunnel, and nothing under GRE. So the worker that received a frame looks inside and hands it to the
 * worker that the inner flow belongs to: a packet of a flow always meets the same worker, and in the order of its arrival.
 *
 *   worker 0  --- ring 0>1: frame descriptors --->  worker 1
 *             <-- ring 1>0: empty chunks, one for one --
 *
 * A full frame is traded for an empty one, so that no pool runs dry. Every ring has one producer and one consumer.
 */

import { bucketOf, mix32 } from '../base/hash.ts'
import { type Batch, FORWARD, MOVED } from './batch.ts'
import { Drop } from './drop.ts'
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
const PAIR_WORDS = ENTRIES + RING_FRAMES * DESCRIPTOR_WORDS + ENTRIES + RING_CHUNKS

/** Must differ from the switches' choice among nodes, see `flow.ts`. */
const SALT = 0x5bd1e995

export function createDispatchMemory(workers: number): SharedArrayBuffer {
  return new SharedArrayBuffer(workers * workers * PAIR_WORDS * 4)
}

/** A single-producer, single-consumer ring of fixed entries over shared words. */
class Ring {
  readonly #words: Int32Array
  readonly #mask: number
  readonly size: number
  #mine = 0
  #theirs = 0

  constructor(memory: SharedArrayBuffer, fromWord: number, entryWords: number, entries: number) {
    this.#words = new Int32Array(memory, fromWord * 4, ENTRIES + entryWords * entries)
    this.#mask = entries - 1
    this.size = entries
  }

  /** Producer: entries that fit, with one look at the consumer only when it seems full. */
  room(): number {
    if (((this.#mine - this.#theirs) | 0) === this.size) this.#theirs = Atomics.load(this.#words, CONSUMER)
    return this.size - ((this.#mine - this.#theirs) | 0)
  }

  /** Consumer: entries that are there. */
  available(): number {
    if (this.#theirs === this.#mine) this.#theirs = Atomics.load(this.#words, PRODUCER)
    return (this.#theirs - this.#mine) | 0
  }

  get words(): Int32Array {
    return this.#words
  }

  /** Index of the next entry, for both sides; the caller has looked at `room` or `available`. */
  next(): number {
    const at = this.#mine & this.#mask
    this.#mine = (this.#mine + 1) | 0
    return at
  }

  publish(): void {
    Atomics.store(this.#words, PRODUCER, this.#mine)
  }

  consumed(): void {
    Atomics.store(this.#words, CONSUMER, this.#mine)
  }
}

export class Dispatcher {
  readonly #worker: number
  readonly #workers: number
  readonly #frames: Frames
  readonly #pool: FramePool
  readonly #wake: (worker: number) => void
  readonly #framesTo: Ring[] = []
  readonly #framesFrom: Ring[] = []
  readonly #chunksTo: Ring[] = []
  readonly #chunksFrom: Ring[] = []
  readonly #owed: Int32Array
  readonly #dirty: Uint8Array

  /** `wake` is called for a worker that was sent something; it is that worker's business whether it slept. */
  constructor(
    memory: SharedArrayBuffer,
    worker: number,
    workers: number,
    frames: Frames,
    pool: FramePool,
    wake: (worker: number) => void,
  ) {
    this.#worker = worker
    this.#workers = workers
    this.#frames = frames
    this.#pool = pool
    this.#wake = wake
    this.#owed = new Int32Array(workers)
    this.#dirty = new Uint8Array(workers)
    const descriptors = (from: number, to: number) =>
      new Ring(memory, (from * workers + to) * PAIR_WORDS, DESCRIPTOR_WORDS, RING_FRAMES)
    const chunks = (from: number, to: number) =>
      new Ring(memory, (from * workers + to) * PAIR_WORDS + ENTRIES + RING_FRAMES * DESCRIPTOR_WORDS, 1, RING_CHUNKS)
    for (let other = 0; other < workers; other++) {
      this.#framesTo.push(descriptors(worker, other))
      this.#framesFrom.push(descriptors(other, worker))
      this.#chunksTo.push(chunks(worker, other))
      this.#chunksFrom.push(chunks(other, worker))
    }
  }

  /** Appends frames that other workers handed over, and pays for each with an empty one. */
  receive(batch: Batch): void {
    for (let other = 0; other < this.#workers; other++) {
      if (other === this.#worker) continue
      this.#takeOver(batch, other)
      this.#settle(other)
      this.#collect(other)
    }
  }

  /** Is anything waiting? Asked once more between saying that one sleeps and sleeping. */
  pending(): boolean {
    for (let other = 0; other < this.#workers; other++)
      if (other !== this.#worker && this.#framesFrom[other]!.available() > 0) return true
    return false
  }

  /** Stage: rows `from` on whose flow belongs to another worker are handed over. */
  spread(batch: Batch, from: number): void {
    for (let row = from; row < batch.count; row++) {
      if (batch.verdict[row] !== FORWARD) continue
      const owner = bucketOf(mix32(batch.hash[row]! ^ SALT), this.#workers)
      if (owner !== this.#worker) batch.verdict[row] = this.#handOver(batch, row, owner)
    }
    this.#publish()
  }

  /** Chunks that this worker still owes to others; they lie in its own pool meanwhile. */
  get owed(): number {
    return this.#owed.reduce((sum, count) => sum + count, 0)
  }

  #handOver(batch: Batch, row: number, owner: number): number {
    const ring = this.#framesTo[owner]!
    if (ring.room() === 0) return Drop['dispatch-full']
    const at = ENTRIES + ring.next() * DESCRIPTOR_WORDS
    ring.words[at] = batch.address[row]!
    ring.words[at + 1] = batch.length[row]!
    ring.words[at + 2] = batch.total[row]!
    ring.words[at + 3] = batch.port[row]!
    this.#dirty[owner] = 1
    return MOVED
  }

  #publish(): void {
    for (let owner = 0; owner < this.#workers; owner++) {
      if (this.#dirty[owner] === 0) continue
      this.#dirty[owner] = 0
      this.#framesTo[owner]!.publish()
      this.#wake(owner)
    }
  }

  #takeOver(batch: Batch, other: number): void {
    const ring = this.#framesFrom[other]!
    const count = Math.min(ring.available(), batch.room)
    for (let i = 0; i < count; i++) {
      const at = ENTRIES + ring.next() * DESCRIPTOR_WORDS
      const address = ring.words[at]!
      const length = ring.words[at + 1]!
      const total = ring.words[at + 2]!
      batch.push(ring.words[at + 3]!, address, length, total)
      this.#owed[other]! += this.#frames.chunksOf(address, length, total)
    }
    if (count > 0) ring.consumed()
  }

  // What cannot be paid now, for want of free chunks or of room, is paid later.
  #settle(other: number): void {
    if (this.#owed[other] === 0) return
    const ring = this.#chunksTo[other]!
    while (this.#owed[other]! > 0 && ring.room() > 0) {
      const chunk = this.#pool.take()
      if (chunk === NO_FRAME) break
      ring.words[ENTRIES + ring.next()] = chunk / CHUNK_BYTES
      this.#owed[other]! -= 1
    }
    ring.publish()
  }

  #collect(other: number): void {
    const ring = this.#chunksFrom[other]!
    const count = ring.available()
    for (let i = 0; i < count; i++) this.#pool.give(ring.words[ENTRIES + ring.next()]! * CHUNK_BYTES)
    if (count > 0) ring.consumed()
  }
}
