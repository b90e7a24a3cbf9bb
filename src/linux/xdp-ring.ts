/**
 * One of an AF_XDP socket's four rings, as it lies in memory that the kernel and this thread share:
 *
 *                    consumer                producer
 *                       |                       |
 *      ... free | free | entry | entry | entry | free | free ...     entries[index & mask]
 *
 * Both indices only ever grow, modulo 2^32. Who fills a ring (the kernel: rx and completion; we: tx and fill) writes
 * entries, then stores the producer; who empties it reads them, then stores the consumer. Each side loads the other's
 * index with Atomics.load and publishes its own with Atomics.store, which orders the entries before it. An entry is a
 * descriptor of four words in rx and tx (address low, address high, length, options), and two words (address low, high)
 * in fill and completion. The high word is always 0: a UMEM is below 4 GB. Linux, Documentation/networking/af_xdp.rst.
 */

import { Mapping } from './memory.ts'
import { type struct, u64 } from './struct.ts'

export const DESCRIPTOR_WORDS = 4
export const ADDRESS_WORDS = 2

/** In a descriptor's options: the frame goes on in the next descriptor. */
export const XDP_PKT_CONTD = 1

const NEED_WAKEUP = 1

/** struct xdp_ring_offset, linux/if_xdp.h. */
export const ringOffset = { producer: u64, consumer: u64, entries: u64, flags: u64 } as const
type RingOffset = ReturnType<ReturnType<typeof struct<typeof ringOffset>>['read']>

export class XdpRing {
  readonly size: number
  readonly mask: number
  readonly producer: Uint32Array<ArrayBuffer>
  readonly consumer: Uint32Array<ArrayBuffer>
  readonly flags: Uint32Array<ArrayBuffer>
  readonly entries: Uint32Array<ArrayBuffer>
  readonly #mapping: Mapping | undefined

  private constructor(size: number, mapping?: Mapping, offset?: RingOffset, entryWords = 0) {
    const words = (at: number | undefined, count: number): Uint32Array<ArrayBuffer> =>
      mapping && at !== undefined ? mapping.words(at, count) : new Uint32Array(count)
    this.size = size
    this.mask = size - 1
    this.producer = words(offset?.producer, 1)
    this.consumer = words(offset?.consumer, 1)
    this.flags = words(offset?.flags, 1)
    this.entries = words(offset?.entries, size * entryWords)
    this.#mapping = mapping
  }

  static map(fd: number, pageOffset: number, size: number, entryWords: number, offset: RingOffset): XdpRing {
    const mapping = new Mapping(fd, pageOffset, offset.entries + size * entryWords * 4)
    return new XdpRing(size, mapping, offset, entryWords)
  }

  /** What a closed socket holds in place of its rings: nothing to receive, no room to send. */
  static none(): XdpRing {
    return new XdpRing(0)
  }

  /** Entries that wait in a ring that the kernel fills. */
  available(): number {
    return (Atomics.load(this.producer, 0) - this.consumer[0]!) >>> 0
  }

  /** Free entries in a ring that we fill. */
  free(): number {
    return this.size - ((this.producer[0]! - Atomics.load(this.consumer, 0)) >>> 0)
  }

  /** Entries of ours that the kernel has not taken. */
  pending(): number {
    return (this.producer[0]! - Atomics.load(this.consumer, 0)) >>> 0
  }

  /** The kernel sleeps on this ring until it is kicked. */
  needsWakeup(): boolean {
    return (Atomics.load(this.flags, 0) & NEED_WAKEUP) !== 0
  }

  unmap(): void {
    this.#mapping?.unmap()
  }
}
