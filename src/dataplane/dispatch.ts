/**
 * The dispatcher (DSR section 4.1.2). A device spreads frames over its queues by the outer header, which says little
 * about the flows inside of a tunnel, and nothing under GRE. So the worker that received a frame looks inside and hands
 * it to the worker that the inner flow belongs to: a packet of a flow always meets the same worker, and in the order of
 * its arrival.
 *
 *   worker 0  --- ring 0>1: frame descriptors --->  worker 1
 *             <-- ring 1>0: empty chunks, one for one --
 *
 * A full frame is traded for an empty one, so that no pool runs dry. Every ring has one producer and one consumer.
 */

import { bucketOf, mix32 } from '../base/hash.ts'
import { BATCH_MAX, type Batch, FORWARD, MOVED } from './batch.ts'
import { Drop } from './drop.ts'
import { EXCHANGE_WORDS, FrameBorrower, FrameLender } from './exchange.ts'
import type { FramePool, Frames } from './frames.ts'

/** Must differ from the switches' choice among nodes, see `flow.ts`. */
const SALT = 0x5bd1e995

/**
 * Of a batch, what other workers may fill: the rest is for this worker's own ports, so that neither keeps the other
 * out.
 */
const TAKEN_OVER_MAX = BATCH_MAX / 2

export function createDispatchMemory(workers: number): SharedArrayBuffer {
  return new SharedArrayBuffer(workers * workers * EXCHANGE_WORDS * 4)
}

export class Dispatcher {
  readonly #worker: number
  readonly #workers: number
  readonly #wake: (worker: number) => void
  readonly #to: FrameLender[] = []
  readonly #from: FrameBorrower[] = []
  #first = 0

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
    this.#wake = wake
    for (let other = 0; other < workers; other++) {
      this.#to.push(new FrameLender(memory, worker * workers + other, frames, pool))
      this.#from.push(new FrameBorrower(memory, other * workers + worker, frames, pool))
    }
  }

  /** Appends frames that other workers handed over, and pays for each with an empty one. */
  receive(batch: Batch): void {
    this.#first = this.#first + 1 < this.#workers ? this.#first + 1 : 0
    for (let i = 0; i < this.#workers; i++) {
      const other = this.#first + i < this.#workers ? this.#first + i : this.#first + i - this.#workers
      if (other === this.#worker) continue
      const from = this.#from[other]!
      while (batch.count < TAKEN_OVER_MAX && from.look()) {
        batch.push(from.port, from.address, from.length, from.total)
        from.take()
      }
      from.settle()
      this.#to[other]!.collect()
    }
  }

  /** Is anything waiting? Asked once more between saying that one sleeps and sleeping. */
  pending(): boolean {
    for (let other = 0; other < this.#workers; other++)
      if (other !== this.#worker && this.#from[other]!.pending()) return true
    return false
  }

  /** Stage: rows `from` on whose flow belongs to another worker are handed over. */
  spread(batch: Batch, from: number): void {
    for (let row = from; row < batch.count; row++) {
      if (batch.verdict[row] !== FORWARD) continue
      const owner = bucketOf(mix32(batch.hash[row]! ^ SALT), this.#workers)
      if (owner !== this.#worker) batch.verdict[row] = this.#handOver(batch, row, owner)
    }
    for (let owner = 0; owner < this.#workers; owner++) if (this.#to[owner]!.publish()) this.#wake(owner)
  }

  /** Chunks that other workers have of this one, less those that it has of them: part of what is conserved. */
  get balance(): number {
    let balance = 0
    for (let other = 0; other < this.#workers; other++) balance += this.#to[other]!.lent - this.#from[other]!.owed
    return balance
  }

  #handOver(batch: Batch, row: number, owner: number): number {
    const { address, length, total, port } = batch
    const isLent = this.#to[owner]!.lend(address[row]!, length[row]!, total[row]!, port[row]!)
    return isLent ? MOVED : Drop['dispatch-full']
  }
}
