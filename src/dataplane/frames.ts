/**
 * Frame memory: one SharedArrayBuffer (the UMEM of AF_XDP) cut into chunks, seen by all workers and by the kernel.
 *
 *   address           the byte offset of a frame's first byte in the UMEM
 *   chunk             address >>> 12
 *   +--------+---------+--------------------------+------+
 *   | kernel headroom  | frame ...                | free |    one chunk, 4 KB
 *   +--------+---------+--------------------------+------+
 *
 * A frame is a head and a chain of further chunks (a jumbo frame of 9,000 bytes is three). Only the head is parsed and
 * rewritten; `next` says by chunk number where a frame goes on. A frame belongs to exactly one owner at a time: a pool,
 * a ring, a batch. It moves between ports as a descriptor and is never copied.
 */

import { assert } from '../base/assert.ts'

/**
 * AF_XDP takes no chunk above a page, and the smallest that holds a 1,500 byte packet with headroom is better whole.
 */
export const CHUNK_BYTES = 4096
const CHUNK_SHIFT = 12

/**
 * What the kernel keeps free before a received frame (XDP_PACKET_HEADROOM): room for every tunnel header we prepend.
 */
export const HEADROOM = 256

/** A frame of 9,216 bytes with its tunnel header in chunks of 3,840 bytes is three; one more for an unlucky split. */
export const CHAIN_MAX = 4

/** The address of no frame. Chunk 0 is never handed out, so that 0 can mean none. */
export const NO_FRAME = 0

/** Pages of up to 64 KB, as on arm64: somewhere in as much there is a page boundary. */
const PAGE_BYTES_MAX = 65536

/** A chunk whose owner is a pool, to tell a chunk that is given back twice. Nine bytes a chunk: see `Frames`. */
const IN_POOL = 1
const LINK_BYTES = 9

export interface FrameMemory {
  readonly buffer: SharedArrayBuffer
  /** Where in the buffer UMEM address 0 lies: on a page boundary of the process. */
  readonly base: number
  readonly chunks: number
  readonly links: SharedArrayBuffer
}

/** `alignment(buffer)` is the offset of the first page boundary in the buffer; without a kernel to please it is 0. */
export function createFrameMemory(
  chunks: number,
  alignment: (buffer: SharedArrayBuffer) => number = () => 0,
): FrameMemory {
  const buffer = new SharedArrayBuffer(chunks * CHUNK_BYTES + PAGE_BYTES_MAX)
  return { buffer, base: alignment(buffer), chunks, links: new SharedArrayBuffer(chunks * LINK_BYTES) }
}

/** One thread's view of the frame memory. */
export class Frames {
  readonly view: DataView
  readonly bytes: Uint8Array
  readonly #nextAddress: Uint32Array
  readonly #nextLength: Uint32Array
  readonly #owner: Uint8Array

  constructor(memory: FrameMemory) {
    const length = memory.chunks * CHUNK_BYTES
    this.view = new DataView(memory.buffer, memory.base, length)
    this.bytes = new Uint8Array(memory.buffer, memory.base, length)
    this.#nextAddress = new Uint32Array(memory.links, 0, memory.chunks)
    this.#nextLength = new Uint32Array(memory.links, memory.chunks * 4, memory.chunks)
    this.#owner = new Uint8Array(memory.links, memory.chunks * 8, memory.chunks)
  }

  /** Where the frame goes on behind the chunk that `address` lies in; only meaningful within a chain. */
  nextAddress(address: number): number {
    return this.#nextAddress[address >>> CHUNK_SHIFT]!
  }

  nextLength(address: number): number {
    return this.#nextLength[address >>> CHUNK_SHIFT]!
  }

  link(address: number, next: number, length: number): void {
    this.#nextAddress[address >>> CHUNK_SHIFT] = next
    this.#nextLength[address >>> CHUNK_SHIFT] = length
  }

  /** Chunks of a frame whose head holds `length` of its `total` bytes. */
  chunksOf(address: number, length: number, total: number): number {
    let chunks = 1
    let at = address
    for (let rest = total - length; rest > 0; chunks++) {
      const next = this.nextAddress(at)
      rest -= this.nextLength(at)
      at = next
    }
    return chunks
  }

  /**
   * For pools. A chunk with two owners is one tenant's packet written over another's, so this is looked at every time.
   */
  enterPool(address: number): void {
    const chunk = address >>> CHUNK_SHIFT
    assert(this.#owner[chunk] !== IN_POOL, 'a frame was given back twice')
    this.#owner[chunk] = IN_POOL
  }

  leavePool(address: number): void {
    this.#owner[address >>> CHUNK_SHIFT] = 0
  }
}

/** A worker's free chunks: a stack, so that the warmest is used first. Owned by one thread. */
export class FramePool {
  readonly #frames: Frames
  readonly #stack: Uint32Array
  #free = 0

  /** Takes chunks `from` .. `to - 1` for its own; chunk 0 is left out. */
  constructor(frames: Frames, from: number, to: number) {
    this.#frames = frames
    // Other workers' frames come to rest here too: room for all there are.
    this.#stack = new Uint32Array(frames.bytes.length / CHUNK_BYTES)
    for (let chunk = to - 1; chunk >= Math.max(from, 1); chunk--) this.give(chunk * CHUNK_BYTES)
  }

  get free(): number {
    return this.#free
  }

  /** The address of a chunk's first byte, or NO_FRAME. */
  take(): number {
    if (this.#free === 0) return NO_FRAME
    const address = this.#stack[--this.#free]!
    this.#frames.leavePool(address)
    return address
  }

  /** Any address within the chunk will do. */
  give(address: number): void {
    this.#frames.enterPool(address)
    this.#stack[this.#free++] = address & ~(CHUNK_BYTES - 1)
  }

  /**
   * Shortens a frame whose head holds `length` of its `total` bytes to `wanted` bytes, and takes the chunks behind them
   * back. Returns how many bytes are left in the head.
   */
  shorten(address: number, length: number, total: number, wanted: number): number {
    let at = address
    let here = length
    let kept = 0
    while (kept + here < wanted) {
      kept += here
      here = this.#frames.nextLength(at)
      at = this.#frames.nextAddress(at)
    }
    const left = total - kept - here
    if (left > 0) {
      const next = this.#frames.nextAddress(at)
      this.giveChain(next, this.#frames.nextLength(at), left)
    }
    if (at === address) return wanted
    this.#shortenLink(address, at, wanted - kept)
    return length
  }

  // The length of a chunk stands with the chunk before it.
  #shortenLink(head: number, last: number, bytes: number): void {
    let at = head
    while (this.#frames.nextAddress(at) !== last) at = this.#frames.nextAddress(at)
    this.#frames.link(at, last, bytes)
  }

  /** Gives back all chunks of a frame whose head holds `length` of its `total` bytes. */
  giveChain(address: number, length: number, total: number): void {
    let rest = total - length
    let at = address
    while (rest > 0) {
      const next = this.#frames.nextAddress(at)
      rest -= this.#frames.nextLength(at)
      this.give(at)
      at = next
    }
    this.give(at)
  }
}
