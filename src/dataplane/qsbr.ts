/**
 * Quiescent-state-based reclamation (QSBR; DSR section 4.1.2): how a writer knows that no worker holds on to what it has
 * taken out of a shared structure. A worker never waits and takes no lock; once a batch it says that it holds nothing, in a
 * cache line of its own.
 *
 *   writer: unlink, retire --> the epoch moves on (reclaim) --> free what every worker has left behind
 *   worker: look up ... look up, quiescent() = "what was unlinked before this epoch I cannot have any more"
 *
 *   word 0          the epoch
 *   word 16 (w + 1) the epoch that worker w saw when it last held nothing; 0 while it is offline, when none is waited for
 *
 * Not a lock and not a garbage collector: what is never retired is never freed, and a worker that neither passes a quiescent
 * point nor goes offline keeps everything. Epochs are compared by their difference, so the counter may wrap.
 */

import { assert } from '../base/assert.ts'
import type { Clock, Timer } from '../base/clock.ts'

const EPOCH = 0
const OFFLINE = 0
const FIRST_EPOCH = 1
/** One cache line a worker: no worker's store takes another's line away. */
const LINE_WORDS = 16

/** Entries that have run and are not cleared away yet, at least. */
const DEFERRED_SLACK = 1024

/** The shared part, made by the agent and handed to the workers. All of them start offline. */
export function createQsbrMemory(workers: number): SharedArrayBuffer {
  const memory = new SharedArrayBuffer((workers + 1) * LINE_WORDS * 4)
  new Int32Array(memory)[EPOCH] = FIRST_EPOCH
  return memory
}

/** A worker's side. */
export class QsbrReader {
  readonly #words: Int32Array
  readonly #mine: number

  constructor(memory: SharedArrayBuffer, worker: number) {
    this.#words = new Int32Array(memory)
    this.#mine = (worker + 1) * LINE_WORDS
    assert(this.#mine < this.#words.length, 'a worker without a line of its own')
  }

  /** The worker holds no reference into shared structures. Once a batch. */
  quiescent(): void {
    // Who has seen an epoch sees also all that was unlinked before it: plain loads will do for the lookups that follow.
    Atomics.store(this.#words, this.#mine, Atomics.load(this.#words, EPOCH))
  }

  /** Before it sleeps: nobody is to wait for it. It may not look anything up until it is online again. */
  offline(): void {
    Atomics.store(this.#words, this.#mine, OFFLINE)
  }

  online(): void {
    this.quiescent()
    // Keeps the lookups that follow behind the store, on processors that would let them overtake it.
    Atomics.load(this.#words, this.#mine)
  }
}

/** The agent's side: exactly one, shared by everything that the agent retires. */
export class QsbrWriter {
  readonly #words: Int32Array
  readonly #queues: RetireQueue[] = []
  // In the order of #turns, which is a queue of the same length.
  readonly #deferred: (() => void)[] = []
  #firstDeferred = 0
  readonly #turns: RetireQueue
  #epoch: number
  #retired = (): void => {}

  constructor(memory: SharedArrayBuffer) {
    this.#words = new Int32Array(memory)
    this.#epoch = Atomics.load(this.#words, EPOCH)
    this.#turns = this.queue(() => this.#runNext())
  }

  /** Runs `free` from a later reclaim(), once no worker can hold what has been unlinked before this call. */
  retire(free: () => void): void {
    this.#deferred.push(free)
    this.#turns.push(0)
  }

  // shift() moves everything behind it: with 100 K items that is a second on the thread that answers BFD.
  #runNext(): void {
    const run = this.#deferred[this.#firstDeferred++]!
    if (this.#firstDeferred > DEFERRED_SLACK && this.#firstDeferred * 2 > this.#deferred.length) {
      this.#deferred.splice(0, this.#firstDeferred)
      this.#firstDeferred = 0
    }
    run()
  }

  /** The same for what is named by a 32-bit number and comes in large numbers: one function, no closure an item. */
  queue(free: (item: number) => void): RetireQueue {
    const queue = new RetireQueue(
      free,
      () => this.#epoch,
      () => this.#retired(),
    )
    this.#queues.push(queue)
    return queue
  }

  /** Has what is retired freed without being asked, this often while there is something: idle costs nothing. */
  reclaimEvery(interval_ms: number, clock: Clock): Timer {
    let timer: Timer | undefined
    this.#retired = () => {
      timer ??= clock.after(interval_ms, () => {
        timer = undefined
        this.reclaim()
        if (this.#isWaiting()) this.#retired()
      })
    }
    if (this.#isWaiting()) this.#retired()
    return {
      cancel: () => {
        this.#retired = () => {}
        timer?.cancel()
      },
    }
  }

  #isWaiting(): boolean {
    return this.#queues.some((queue) => queue.length > 0)
  }

  /** Moves the epoch on and frees what all workers have left behind. Returns how many things were freed. */
  reclaim(): number {
    if (!this.#isWaiting()) return 0
    this.#epoch = next(this.#epoch)
    Atomics.store(this.#words, EPOCH, this.#epoch)
    const left = this.#leftByAll()
    let freed = 0
    for (const queue of this.#queues) freed += queue.freeUntil(left)
    return freed
  }

  // The latest epoch that every worker online has seen.
  #leftByAll(): number {
    let left = this.#epoch
    for (let at = LINE_WORDS; at < this.#words.length; at += LINE_WORDS) {
      const seen = Atomics.load(this.#words, at)
      if (seen !== OFFLINE && isBefore(seen, left)) left = seen
    }
    return left
  }
}

/** What waits for the workers, first in, first out: two columns, the item and the epoch that must have been seen. */
export class RetireQueue {
  readonly #free: (item: number) => void
  readonly #epochNow: () => number
  readonly #began: () => void
  #items = new Int32Array(64)
  #epochs = new Int32Array(64)
  #head = 0
  #count = 0

  /** `began` is called whenever the first item waits. */
  constructor(free: (item: number) => void, epochNow: () => number, began: () => void) {
    this.#free = free
    this.#epochNow = epochNow
    this.#began = began
  }

  get length(): number {
    return this.#count
  }

  push(item: number): void {
    if (this.#count === this.#items.length) this.#grow()
    const at = (this.#head + this.#count) & (this.#items.length - 1)
    this.#items[at] = item
    this.#epochs[at] = next(this.#epochNow())
    if (this.#count++ === 0) this.#began()
  }

  /** Frees from the front what was retired before the epoch `left` began. */
  freeUntil(left: number): number {
    let freed = 0
    while (this.#count > 0 && !isBefore(left, this.#epochs[this.#head]!)) {
      const item = this.#items[this.#head]!
      this.#head = (this.#head + 1) & (this.#items.length - 1)
      this.#count--
      freed++
      this.#free(item)
    }
    return freed
  }

  #grow(): void {
    const unrolled = (column: Int32Array): Int32Array<ArrayBuffer> => {
      const out = new Int32Array(column.length * 2)
      out.set(column.subarray(this.#head))
      out.set(column.subarray(0, this.#head), column.length - this.#head)
      return out
    }
    this.#items = unrolled(this.#items)
    this.#epochs = unrolled(this.#epochs)
    this.#head = 0
  }
}

function next(epoch: number): number {
  const after = (epoch + 1) | 0
  return after === OFFLINE ? FIRST_EPOCH : after
}

function isBefore(epoch: number, other: number): boolean {
  return ((epoch - other) | 0) < 0
}
