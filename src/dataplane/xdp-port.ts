/**
 * A port over AF_XDP: one queue of a network device. Frames pass between the device's rings and the batch as
 * descriptors; nothing is copied and nothing allocated. The rings are `linux/xdp-ring.ts`'s, and this is the one place
 * that runs along them for every packet, so it reads and writes their words itself.
 *
 *   pool --> fill ring --> kernel --> rx ring --> batch          receive: a chain of descriptors becomes one frame
 *   pool <-- completion ring <-- kernel <-- tx ring <-- batch    send: one frame becomes a chain of descriptors
 *
 * A link that is down or a device that was removed is no error here: nothing comes, the tx ring fills up and refuses,
 * and the ledger counts what was refused. Linux, Documentation/networking/af_xdp.rst.
 */

import { XDP_PKT_CONTD } from '../linux/xdp-ring.ts'
import type { XdpSocket } from '../linux/xdp-socket.ts'
import { BATCH_MAX, type Batch } from './batch.ts'
import { Drop } from './drop.ts'
import { CHAIN_MAX, type FramePool, type Frames } from './frames.ts'
import type { KernelDrops, Port } from './port.ts'

/** Chunks that stay in the pool whatever the fill ring wants: replies of our own are made while the rings are full. */
export const POOL_RESERVE = BATCH_MAX

/** The fill ring is topped up when this many are missing: one store for a quarter of a batch, of rings of thousands. */
const FILL_MIN = 16

/**
 * Kicks a flush. One empties the ring unless the completion ring filled up meanwhile; then it is emptied and kicked
 * again.
 */
const KICKS_MAX = 4

const INCOMPLETE = -1

export class XdpPort implements Port {
  readonly name: string
  readonly fds: readonly number[]
  readonly pending = false
  /** The kernel left some in the ring: the device's queue is full, or it was short of memory. */
  unsent = false
  readonly #socket: XdpSocket
  readonly #frames: Frames
  readonly #pool: FramePool
  /** Where the next descriptor goes; the kernel learns of it at the flush. */
  #sendAt: number
  #published: number
  #sendRoom: number
  #held = 0
  #isOpen = true

  /** The socket is this port's alone from now on, and was opened in this thread. */
  constructor(name: string, socket: XdpSocket, frames: Frames, pool: FramePool) {
    this.name = name
    this.fds = [socket.fd]
    this.#socket = socket
    this.#frames = frames
    this.#pool = pool
    this.#sendAt = socket.tx.producer[0]!
    this.#published = this.#sendAt
    this.#sendRoom = socket.tx.free()
    this.#fill()
  }

  receive(batch: Batch, index: number, max: number): void {
    const { producer, consumer, entries, mask } = this.#socket.rx
    const start = consumer[0]!
    const end = Atomics.load(producer, 0)
    let at = start
    for (let room = Math.min(max, batch.room); room > 0 && at !== end; room--) {
      const entry = (at & mask) << 2
      if ((entries[entry + 3]! & XDP_PKT_CONTD) === 0) {
        const length = entries[entry + 2]!
        batch.push(index, entries[entry]!, length, length)
        at = (at + 1) >>> 0
      } else {
        const behind = this.#receiveChain(batch, index, at, end)
        if (behind === INCOMPLETE) break
        at = behind
      }
    }
    if (at === start) return
    Atomics.store(consumer, 0, at)
    this.#held -= (at - start) >>> 0
  }

  /** Returns the place behind the chain that starts at `at`. */
  #receiveChain(batch: Batch, index: number, start: number, end: number): number {
    const { entries, mask } = this.#socket.rx
    const first = (start & mask) << 2
    const head = entries[first]!
    let total = entries[first + 2]!
    let chunks = 1
    let before = head
    let at = start
    for (let more = true; more; chunks++) {
      at = (at + 1) >>> 0
      if (at === end) return INCOMPLETE
      const entry = (at & mask) << 2
      const address = entries[entry]!
      const length = entries[entry + 2]!
      this.#frames.link(before, address, length)
      before = address
      total += length
      more = (entries[entry + 3]! & XDP_PKT_CONTD) !== 0
    }
    const row = batch.push(index, head, entries[first + 2]!, total)
    if (chunks > CHAIN_MAX) batch.verdict[row] = Drop['chain-too-long']
    return (at + 1) >>> 0
  }

  send(address: number, length: number, total: number): boolean {
    const chunks = length === total ? 1 : this.#frames.chunksOf(address, length, total)
    if (this.#sendRoom < chunks) {
      const { size, consumer } = this.#socket.tx
      this.#sendRoom = size - ((this.#sendAt - Atomics.load(consumer, 0)) >>> 0)
      if (this.#sendRoom < chunks) return false
    }
    this.#describe(address, length, chunks > 1 ? XDP_PKT_CONTD : 0)
    if (chunks > 1) this.#describeChain(address, chunks - 1)
    this.#sendRoom -= chunks
    this.#held += chunks
    return true
  }

  #describe(address: number, length: number, options: number): void {
    const { entries, mask } = this.#socket.tx
    const entry = (this.#sendAt & mask) << 2
    entries[entry] = address
    entries[entry + 2] = length
    entries[entry + 3] = options
    this.#sendAt = (this.#sendAt + 1) >>> 0
  }

  #describeChain(head: number, count: number): void {
    let at = head
    for (let rest = count; rest > 0; rest--) {
      const next = this.#frames.nextAddress(at)
      this.#describe(next, this.#frames.nextLength(at), rest > 1 ? XDP_PKT_CONTD : 0)
      at = next
    }
  }

  flush(): void {
    const socket = this.#socket
    if (this.#published !== this.#sendAt) {
      Atomics.store(socket.tx.producer, 0, this.#sendAt)
      this.#published = this.#sendAt
    }
    let collected = this.#collect()
    for (let kicks = 0; kicks < KICKS_MAX && socket.needsKick(); kicks++) {
      const left = socket.kick()
      collected = this.#collect()
      if (left === 0 || collected === 0) break
    }
    this.unsent = socket.tx.pending() > 0 && !socket.isDown
    this.#fill()
  }

  /** Chunks whose frames are out go back to the pool; returns how many. */
  #collect(): number {
    const { producer, consumer, entries, mask } = this.#socket.completionRing
    const start = consumer[0]!
    const end = Atomics.load(producer, 0)
    for (let at = start; at !== end; at = (at + 1) >>> 0) this.#pool.give(entries[(at & mask) << 1]!)
    const count = (end - start) >>> 0
    if (count === 0) return 0
    Atomics.store(consumer, 0, end)
    this.#held -= count
    return count
  }

  #fill(): void {
    const { producer, consumer, entries, mask, size } = this.#socket.fillRing
    const start = producer[0]!
    const missing = size - ((start - Atomics.load(consumer, 0)) >>> 0)
    const count = Math.min(missing, this.#pool.free - POOL_RESERVE)
    if (count < FILL_MIN) return
    for (let i = 0; i < count; i++) entries[((start + i) & mask) << 1] = this.#pool.take()
    Atomics.store(producer, 0, start + count)
    this.#held += count
    this.#socket.wakeFill()
  }

  /** In the four rings and between them, in the kernel. A device that was removed keeps what it had. */
  get holds(): number {
    return this.#held
  }

  kernelDrops(): KernelDrops {
    const seen = this.#socket.statistics()
    return {
      received: seen.receiveDropped + seen.receiveRingFull,
      invalid: seen.receiveInvalid + seen.sendInvalid,
    }
  }

  /** What the kernel had is not given back: which of it was still on its way is not known any more. */
  close(): void {
    if (this.#isOpen) this.#socket.close()
    this.#isOpen = false
  }
}
