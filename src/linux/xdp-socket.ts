/**
 * AF_XDP: packets between a queue of a network interface and our own memory, past the kernel's stack. All sockets of a
 * process share one UMEM, a SharedArrayBuffer cut into chunks, so a frame that came in at one port leaves by another as
 * a descriptor and is never copied. The first socket registers the UMEM; the others, in any thread, name that socket's
 * descriptor. Each socket has its own four rings (see xdp-ring.ts) and belongs to one thread.
 *
 *   fill        we give the kernel free chunks                    rx   it gives them back with a frame in each
 *   tx          we give it frames                        completion    it gives their chunks back, sent
 *
 * The batch methods move plain numbers between rings and typed arrays and allocate nothing. Addresses are UMEM
 * addresses: byte 0 is at `umem.base` in the buffer. Linux, Documentation/networking/af_xdp.rst.
 */

import { assert } from '../base/assert.ts'
import { LinuxError } from './error.ts'
import { closeDescriptor, errno, libc, must } from './libc.ts'
import { addressOf, excludeFromFork, firstPageIn } from './memory.ts'
import { getOption, SOL_SOCKET, setOption } from './option.ts'
import { struct, u16, u32, u64 } from './struct.ts'
import { ADDRESS_WORDS, DESCRIPTOR_WORDS, ringOffset, XdpRing } from './xdp-ring.ts'

const AF_XDP = 44
const SOCK_RAW_CLOEXEC = 3 | 0o2000000
const SOL_XDP = 283
const SO_SNDBUFFORCE = 32
const MSG_DONTWAIT = 0x40

/** linux/if_xdp.h: socket options and, in bytes, where mmap finds each ring. */
const Option = {
  mmapOffsets: 1,
  rx: 2,
  tx: 3,
  umem: 4,
  fill: 5,
  completion: 6,
  statistics: 7,
  options: 8,
  sendBudget: 9,
}
const Page = { rx: 0, tx: 0x80000000, fill: 0x100000000, completion: 0x180000000 }
const BindFlag = { shared: 1, copy: 2, zeroCopy: 4, needWakeup: 8, multiBuffer: 16 }
const ZERO_COPY_IN_USE = 1

/** Frames that one kick moves in copy mode; the kernel's own default of 32 costs a call for every 32 frames. */
const SEND_BUDGET = 256

/** In copy mode a frame on its way is charged to the socket, some 800 bytes each; the default holds 270 of them. */
const SEND_BUFFER_BYTES = 8 << 20

const umemReg = struct('struct xdp_umem_reg', {
  address: u64,
  bytes: u64,
  chunkBytes: u32,
  headroom: u32,
  flags: u32,
  meta: u32,
})
const sockaddrXdp = struct('struct sockaddr_xdp', {
  family: u16,
  flags: u16,
  interfaceIndex: u32,
  queue: u32,
  sharedFd: u32,
})
const oneOffset = struct('struct xdp_ring_offset', ringOffset)
const xdpStatistics = struct('struct xdp_statistics', {
  receiveDropped: u64,
  receiveInvalid: u64,
  sendInvalid: u64,
  receiveRingFull: u64,
  fillRingEmpty: u64,
  sendRingEmpty: u64,
})

/** Frames that the kernel counted at a socket since it was opened; the first, fourth and fifth never reached us. */
export type XdpStatistics = ReturnType<typeof xdpStatistics.read>

export class Umem {
  readonly memory: SharedArrayBuffer
  readonly chunkBytes: number
  readonly headroom: number
  /** The byte offset of UMEM address 0 in the buffer: its first page boundary. */
  readonly base: number
  readonly bytes: number

  /** chunkBytes is 2,048 or 4,096. A received frame starts `headroom` and the kernel's 256 bytes into its chunk. */
  constructor(memory: SharedArrayBuffer, { chunkBytes, headroom = 0 }: { chunkBytes: 2048 | 4096; headroom?: number }) {
    this.memory = memory
    this.chunkBytes = chunkBytes
    this.headroom = headroom
    this.base = firstPageIn(memory)
    this.bytes = Math.floor((memory.byteLength - this.base) / chunkBytes) * chunkBytes
    assert(this.bytes > 0 && this.bytes < 2 ** 32, 'a UMEM is between one chunk and 4 GB')
  }
}

export interface XdpSocketOptions {
  umem: Umem
  interfaceIndex: number
  queue: number
  /** The descriptor of the socket that registered this UMEM. Without it, this one does. */
  registeredBy?: number
  /** Entries of the rings, powers of two. */
  receiveSize: number
  sendSize: number
  fillSize: number
  completionSize: number
  /** Frames of several chunks, as jumbo frames are; since Linux 6.6. Decided by the socket that registers. */
  multiBuffer?: boolean
  /** Never zero-copy. Without it, zero-copy where the device can. Decided by the socket that registers. */
  copy?: boolean
}

/** The kernel writes into a UMEM as long as its sockets are open: until then no memory of theirs may be collected. */
const alive = new Map<XdpSocket, Umem>()

export class XdpSocket {
  readonly fd: number
  readonly mode: 'zero-copy' | 'copy'
  /** The last kick was refused for more than a moment: the device is down or gone. */
  isDown = false
  rx: XdpRing
  tx: XdpRing
  fillRing: XdpRing
  completionRing: XdpRing

  static open(options: XdpSocketOptions): XdpSocket {
    const fd = must('socket(AF_XDP)', libc.socket(AF_XDP, SOCK_RAW_CLOEXEC, 0))
    try {
      return new XdpSocket(fd, options)
    } catch (error) {
      closeDescriptor(fd)
      throw error
    }
  }

  private constructor(fd: number, options: XdpSocketOptions) {
    this.fd = fd
    const { umem, receiveSize, sendSize, fillSize, completionSize } = options
    if (options.registeredBy === undefined) registerUmem(fd, umem)
    setOption(fd, SOL_XDP, Option.fill, fillSize)
    setOption(fd, SOL_XDP, Option.completion, completionSize)
    setOption(fd, SOL_XDP, Option.rx, receiveSize)
    setOption(fd, SOL_XDP, Option.tx, sendSize)
    libc.setsockopt(fd, SOL_XDP, Option.sendBudget, Uint32Array.of(SEND_BUDGET), 4) // Linux 6.17; older kernels lack it
    setOption(fd, SOL_SOCKET, SO_SNDBUFFORCE, SEND_BUFFER_BYTES)

    const offsets = getOption(fd, SOL_XDP, Option.mmapOffsets, oneOffset.BYTES * 4)
    const map = (i: number, page: number, size: number, words: number): XdpRing =>
      XdpRing.map(fd, page, size, words, oneOffset.read(offsets, i * oneOffset.BYTES))
    this.rx = map(0, Page.rx, receiveSize, DESCRIPTOR_WORDS)
    this.tx = map(1, Page.tx, sendSize, DESCRIPTOR_WORDS)
    this.fillRing = map(2, Page.fill, fillSize, ADDRESS_WORDS)
    this.completionRing = map(3, Page.completion, completionSize, ADDRESS_WORDS)
    try {
      bind(fd, options)
    } catch (error) {
      this.#unmap()
      throw error
    }
    const inUse = getOption(fd, SOL_XDP, Option.options, 4)[0]!
    this.mode = inUse & ZERO_COPY_IN_USE ? 'zero-copy' : 'copy'
    alive.set(this, umem)
  }

  /** Takes at most `max` received descriptors into the three arrays, from index `from`; returns how many. */
  receive(addresses: Uint32Array, lengths: Uint32Array, options: Uint32Array, from: number, max: number): number {
    const { producer, consumer, entries, mask } = this.rx
    const start = consumer[0]!
    const available = (Atomics.load(producer, 0) - start) >>> 0
    const count = Math.min(available, max)
    for (let i = 0; i < count; i++) {
      const at = ((start + i) & mask) << 2
      addresses[from + i] = entries[at]!
      lengths[from + i] = entries[at + 2]!
      options[from + i] = entries[at + 3]!
    }
    if (count > 0) Atomics.store(consumer, 0, start + count)
    return count
  }

  /**
   * Puts descriptors into the tx ring, as many as fit; returns how many. A frame's descriptors must all fit: see
   * tx.free().
   */
  send(addresses: Uint32Array, lengths: Uint32Array, options: Uint32Array, from: number, count: number): number {
    const { producer, entries, mask } = this.tx
    const start = producer[0]!
    const free = this.tx.free()
    const placed = Math.min(count, free)
    for (let i = 0; i < placed; i++) {
      const at = ((start + i) & mask) << 2
      entries[at] = addresses[from + i]!
      entries[at + 2] = lengths[from + i]!
      entries[at + 3] = options[from + i]!
    }
    if (placed > 0) Atomics.store(producer, 0, start + placed)
    return placed
  }

  /** Gives free chunks to the kernel, as many as fit; returns how many. Any address in a chunk stands for the chunk. */
  fill(addresses: Uint32Array, from: number, count: number): number {
    const { producer, entries, mask } = this.fillRing
    const start = producer[0]!
    const free = this.fillRing.free()
    const placed = Math.min(count, free)
    for (let i = 0; i < placed; i++) entries[((start + i) & mask) << 1] = addresses[from + i]!
    if (placed > 0) Atomics.store(producer, 0, start + placed)
    return placed
  }

  /**
   * Takes back at most `max` chunks whose frames were sent; returns how many. The addresses are those that send() gave.
   */
  complete(addresses: Uint32Array, from: number, max: number): number {
    const { producer, consumer, entries, mask } = this.completionRing
    const start = consumer[0]!
    const available = (Atomics.load(producer, 0) - start) >>> 0
    const count = Math.min(available, max)
    for (let i = 0; i < count; i++) addresses[from + i] = entries[((start + i) & mask) << 1]!
    if (count > 0) Atomics.store(consumer, 0, start + count)
    return count
  }

  needsKick(): boolean {
    return this.tx.needsWakeup() && this.tx.pending() > 0
  }

  /**
   * Has the kernel send what is in the tx ring, until it is empty or a call moves nothing; returns how many descriptors
   * are left. A call moves a bounded number of frames and then says EAGAIN, so one is not enough. What is left goes
   * with a later kick: the completion ring is full, the device's queue is, or it is down.
   */
  kick(): number {
    let pending = this.tx.pending()
    while (pending > 0) {
      this.isDown = libc.sendto(this.fd, null, 0, MSG_DONTWAIT, null, 0) < 0 && !passing(errno())
      const left = this.tx.pending()
      if (this.isDown || left === pending) return left
      pending = left
    }
    return 0
  }

  /** For zero-copy drivers that stopped for want of chunks: tells them that fill() has brought some. */
  wakeFill(): void {
    if (this.fillRing.needsWakeup()) libc.recvfrom(this.fd, null, 0, MSG_DONTWAIT, null, null)
  }

  statistics(): XdpStatistics {
    return statisticsOf(this.fd)
  }

  /**
   * Chunks that are in the kernel's hands are free again afterwards. Views that were taken of the rings are not safe to
   * touch.
   */
  close(): void {
    if (!alive.delete(this)) return
    this.#unmap()
    closeDescriptor(this.fd)
  }

  #unmap(): void {
    for (const ring of [this.rx, this.tx, this.fillRing, this.completionRing]) ring.unmap()
    this.rx = this.tx = this.fillRing = this.completionRing = XdpRing.none()
  }
}

/**
 * Opens with multi-buffer, or without it on kernels before Linux 6.6: they refuse the flag as they refuse any they do
 * not know.
 */
export function withMultiBufferIfKnown<T>(open: (multiBuffer: boolean) => T): T {
  try {
    return open(true)
  } catch (error) {
    if (!(error instanceof LinuxError) || error.code !== 'EINVAL') throw error
    return open(false)
  }
}

/** For threads that know a socket by its descriptor alone. */
export function statisticsOf(fd: number): XdpStatistics {
  return xdpStatistics.read(getOption(fd, SOL_XDP, Option.statistics, xdpStatistics.BYTES))
}

const PASSING = new Set(['EAGAIN', 'EBUSY', 'ENOBUFS', 'EINTR'].map((name) => LinuxError.numberOf(name)))

function passing(error: number): boolean {
  return PASSING.has(error)
}

function registerUmem(fd: number, umem: Umem): void {
  const { bytes, chunkBytes, headroom } = umem
  excludeFromFork(umem.memory)
  const address = addressOf(umem.memory) + umem.base
  setOption(fd, SOL_XDP, Option.umem, umemReg.make({ address, bytes, chunkBytes, headroom }))
}

function bind(fd: number, options: XdpSocketOptions): void {
  const { interfaceIndex, queue, registeredBy, multiBuffer = false, copy = false } = options
  // Neither copy nor zero-copy: the kernel tries zero-copy and falls back. Sharing sockets inherit and may not say.
  const own = BindFlag.needWakeup | (multiBuffer ? BindFlag.multiBuffer : 0) | (copy ? BindFlag.copy : 0)
  const flags = registeredBy === undefined ? own : BindFlag.shared
  const address = sockaddrXdp.make({ family: AF_XDP, flags, interfaceIndex, queue, sharedFd: registeredBy ?? 0 })
  must('bind(AF_XDP)', libc.bind(fd, address, address.length), {
    EINVAL: `interface ${interfaceIndex} has no queue ${queue}, or cannot take AF_XDP sockets`,
    EBUSY: `queue ${queue} of interface ${interfaceIndex} has an AF_XDP socket already`,
    EOPNOTSUPP: 'the UMEM is in zero-copy mode and this device cannot do it: register it with copy: true',
  })
}
