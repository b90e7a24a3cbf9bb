/**
 * A port in memory: what a test, a warm-up or a benchmark puts in comes out of `receive`, and what is sent can be
 * looked at as whole frames. It uses the same frame memory and pool as a device's port, so that a lost chunk shows.
 */

import type { Batch } from './batch.ts'
import { CHUNK_BYTES, type FramePool, type Frames, HEADROOM, NO_FRAME } from './frames.ts'
import { type KernelDrops, noKernelDrops, type Port } from './port.ts'

/** What a device puts into one chunk. */
const ROOM = CHUNK_BYTES - HEADROOM

interface Waiting {
  address: number
  length: number
  total: number
}

export class MemoryPort implements Port {
  readonly name: string
  readonly fds: readonly number[] = []
  readonly unsent: boolean = false
  readonly #frames: Frames
  readonly #pool: FramePool
  readonly #capacity: number
  readonly #waiting: Waiting[] = []
  #holds = 0
  #sent: Uint8Array[] = []
  #queued = 0

  /** `capacity` is how many frames fit between two flushes. */
  constructor(name: string, frames: Frames, pool: FramePool, capacity = 4096) {
    this.name = name
    this.#frames = frames
    this.#pool = pool
    this.#capacity = capacity
  }

  /** Puts a frame in, cut into a chain as a device would; false when there were no free chunks. */
  inject(frame: Uint8Array): boolean {
    const address = copyIn(this.#frames, this.#pool, frame)
    if (address === NO_FRAME) return false
    this.#waiting.push({ address, length: headBytes(frame.length), total: frame.length })
    this.#holds += chunksFor(frame.length)
    return true
  }

  receive(batch: Batch, index: number, max: number): void {
    const count = Math.min(max, this.#waiting.length, batch.room)
    for (const frame of this.#waiting.splice(0, count)) {
      batch.push(index, frame.address, frame.length, frame.total)
      this.#holds -= chunksFor(frame.total)
    }
  }

  send(address: number, length: number, total: number): boolean {
    if (this.#queued === this.#capacity) return false
    this.#queued++
    this.#sent.push(copyOut(this.#frames, address, length, total))
    this.#pool.giveChain(address, length, total)
    return true
  }

  flush(): void {
    this.#queued = 0
  }

  /** What was sent since the last call, in order. */
  sent(): Uint8Array[] {
    const sent = this.#sent
    this.#sent = []
    return sent
  }

  get pending(): boolean {
    return this.#waiting.length > 0
  }

  get holds(): number {
    return this.#holds
  }

  kernelDrops(): KernelDrops {
    return noKernelDrops
  }

  close(): void {
    for (const { address, length, total } of this.#waiting.splice(0)) this.#pool.giveChain(address, length, total)
    this.#holds = 0
  }
}

function chunksFor(bytes: number): number {
  return Math.max(1, Math.ceil(bytes / ROOM))
}

/** Bytes in the head of a frame that `copyIn` made of `total` bytes. */
export function headBytes(total: number): number {
  return Math.min(total, ROOM)
}

/** A frame in chunks of its own, cut as a device would cut it: its address, or NO_FRAME when too few are free. */
export function copyIn(frames: Frames, pool: FramePool, frame: Uint8Array): number {
  if (pool.free < chunksFor(frame.length)) return NO_FRAME
  const head = pool.take() + HEADROOM
  frames.bytes.set(frame.subarray(0, ROOM), head)
  let before = head
  for (let at = ROOM; at < frame.length; at += ROOM) {
    const piece = frame.subarray(at, at + ROOM)
    const address = pool.take() + HEADROOM
    frames.bytes.set(piece, address)
    frames.link(before, address, piece.length)
    before = address
  }
  return head
}

/** A frame's bytes, gathered from its chain. Allocates: for tests, captures and replies of the agent. */
export function copyOut(frames: Frames, address: number, length: number, total: number): Uint8Array {
  const out = new Uint8Array(total)
  out.set(frames.bytes.subarray(address, address + length))
  let at = address
  for (let filled = length; filled < total; ) {
    const next = frames.nextAddress(at)
    const bytes = frames.nextLength(at)
    out.set(frames.bytes.subarray(next, next + bytes), filled)
    filled += bytes
    at = next
  }
  return out
}
