/**
 * Datagrams by the batch: as many as wait are received by one call (recvmmsg(2)), and what was gathered is sent by one
 * (sendmmsg(2)). Each has a slot of its own in memory that stays where it is, and is read and written there.
 *
 *   receiver   for (let i = receiver.receive(); i > 0; ) look(receiver.view, receiver.at(--i), receiver.end(i))
 *   sender     const at = sender.begin(); write; sender.push(from, end, to); ... sender.flush()
 *
 * The sender's socket is raw and takes whole IP packets (IPPROTO_RAW, raw(7)): a tunnel's end chooses the UDP source port
 * of every packet, for the sake of the paths that it spreads over. The kernel still finds the way, fills in IPv4's ID and
 * checksum, and lets no packet out that is longer than the way takes.
 */

import { LinuxError } from './error.ts'
import { closeDescriptor, errno, libc, must } from './libc.ts'
import { addressOf } from './memory.ts'
import { iovec, misused, mmsghdr, passing } from './message.ts'
import { SOL_SOCKET, setOption } from './option.ts'
import { AF_INET, AF_INET6, type Endpoint, familyOf, SOCKADDR_BYTES, sockaddr } from './socket-address.ts'

const SOCK_DGRAM_CLOEXEC_NONBLOCK = 2 | 0o2004000
const SOCK_RAW_CLOEXEC_NONBLOCK = 3 | 0o2004000
const IPPROTO_UDP = 17
const IPPROTO_IPV6 = 41
const IPPROTO_RAW = 255
const IPV6_V6ONLY = 26
const SO_RCVBUFFORCE = 33
const SO_SNDBUFFORCE = 32
const MSG_TRUNC = 0x20

const EAGAIN = LinuxError.numberOf('EAGAIN')

export interface BatchShape {
  /** Datagrams of one call. */
  readonly slots: number
  /** Of the longest one. */
  readonly slotBytes: number
}

/** Slots, and the kernel's description of each. */
class Slots {
  readonly view: DataView
  readonly bytes: Uint8Array
  readonly names: Uint8Array
  readonly headers: Uint8Array
  readonly #headers: DataView
  readonly #parts: DataView
  readonly #dataAt: number

  constructor({ slots, slotBytes }: BatchShape) {
    const memory = new SharedArrayBuffer(slots * slotBytes)
    const names = new SharedArrayBuffer(slots * SOCKADDR_BYTES)
    const parts = new SharedArrayBuffer(slots * iovec.BYTES)
    this.view = new DataView(memory)
    this.bytes = new Uint8Array(memory)
    this.names = new Uint8Array(names)
    this.headers = new Uint8Array(new SharedArrayBuffer(slots * mmsghdr.BYTES))
    this.#headers = new DataView(this.headers.buffer)
    this.#parts = new DataView(parts)
    this.#dataAt = addressOf(memory)
    for (let i = 0; i < slots; i++) {
      const header = {
        name: addressOf(names) + i * SOCKADDR_BYTES,
        parts: addressOf(parts) + i * iovec.BYTES,
        partCount: 1,
      }
      this.headers.set(mmsghdr.make(header), i * mmsghdr.BYTES)
      this.part(i, i * slotBytes, slotBytes)
    }
  }

  part(i: number, from: number, bytes: number): void {
    const at = i * iovec.BYTES
    const base = this.#dataAt + from
    this.#parts.setUint32(at, base % 2 ** 32, true)
    this.#parts.setUint32(at + 4, Math.floor(base / 2 ** 32), true)
    this.#parts.setUint32(at + 8, bytes, true)
  }

  nameBytes(i: number, bytes: number): void {
    this.#headers.setUint32(i * mmsghdr.BYTES + mmsghdr.offset.nameBytes, bytes, true)
  }

  flags(i: number): number {
    return this.#headers.getInt32(i * mmsghdr.BYTES + mmsghdr.offset.flags, true)
  }

  length(i: number): number {
    return this.#headers.getUint32(i * mmsghdr.BYTES + mmsghdr.offset.bytes, true)
  }
}

export class DatagramReceiver {
  readonly fd: number
  readonly #slots: Slots
  readonly #shape: BatchShape

  /** Bound to a UDP port. `receiveBufferBytes`: the kernel's queue, for bursts. */
  constructor(local: Endpoint, shape: BatchShape, receiveBufferBytes: number) {
    const family = familyOf(local.address)
    this.fd = must('socket', libc.socket(family, SOCK_DGRAM_CLOEXEC_NONBLOCK, IPPROTO_UDP))
    this.#shape = shape
    this.#slots = new Slots(shape)
    try {
      if (family === AF_INET6) setOption(this.fd, IPPROTO_IPV6, IPV6_V6ONLY, 1)
      setOption(this.fd, SOL_SOCKET, SO_RCVBUFFORCE, receiveBufferBytes)
      const address = sockaddr(local)
      must('bind', libc.bind(this.fd, address, address.length))
    } catch (error) {
      this.close()
      throw error
    }
  }

  get view(): DataView {
    return this.#slots.view
  }

  get bytes(): Uint8Array {
    return this.#slots.bytes
  }

  /** How many came, into the slots from 0 on; 0 when none waits. They stay until the next call. */
  receive(): number {
    const { slots } = this.#shape
    for (let i = 0; i < slots; i++) this.#slots.nameBytes(i, SOCKADDR_BYTES)
    const count = libc.recvmmsg(this.fd, this.#slots.headers, slots, 0, null)
    if (count >= 0) return count
    if (!passing.has(errno())) must('recvmmsg', count)
    return 0
  }

  at(i: number): number {
    return i * this.#shape.slotBytes
  }

  end(i: number): number {
    return i * this.#shape.slotBytes + this.#slots.length(i)
  }

  /** It was longer than a slot, and its end is gone. */
  isCut(i: number): boolean {
    return (this.#slots.flags(i) & MSG_TRUNC) !== 0
  }

  /** The sender's address, in place. */
  from(i: number): Uint8Array {
    const name = i * SOCKADDR_BYTES
    return this.#slots.names[name] === AF_INET
      ? this.#slots.names.subarray(name + 4, name + 8)
      : this.#slots.names.subarray(name + 8, name + 24)
  }

  close(): void {
    closeDescriptor(this.fd)
  }
}

/** Where to: made once and used for every packet there. */
export type Destination = Uint8Array

export function destinationOf(address: Uint8Array): Destination {
  return sockaddr({ address, port: 0 })
}

export class PacketSender {
  readonly #fd: number
  readonly #slots: Slots
  readonly #shape: BatchShape
  readonly #gone: (packets: number) => void
  #count = 0

  /** Whole IP packets of one version. `lost` is told how many the kernel did not take. */
  constructor(version: 4 | 6, shape: BatchShape, sendBufferBytes: number, lost: (packets: number) => void) {
    const family = version === 4 ? AF_INET : AF_INET6
    this.#fd = must('socket(SOCK_RAW)', libc.socket(family, SOCK_RAW_CLOEXEC_NONBLOCK, IPPROTO_RAW))
    this.#shape = shape
    this.#slots = new Slots(shape)
    this.#gone = lost
    try {
      setOption(this.#fd, SOL_SOCKET, SO_SNDBUFFORCE, sendBufferBytes)
    } catch (error) {
      this.close()
      throw error
    }
  }

  get view(): DataView {
    return this.#slots.view
  }

  get bytes(): Uint8Array {
    return this.#slots.bytes
  }

  /** Where the next packet's slot begins. Sends first when all are full. */
  begin(): number {
    if (this.#count === this.#shape.slots) this.flush()
    return this.#count * this.#shape.slotBytes
  }

  /** The packet lies within the slot that was begun, from `from` up to `end`. */
  push(from: number, end: number, to: Destination): void {
    this.#slots.part(this.#count, from, end - from)
    this.#slots.names.set(to, this.#count * SOCKADDR_BYTES)
    this.#slots.nameBytes(this.#count, to.length)
    this.#count++
  }

  /** What the kernel does not take is lost: TCP sends it again. */
  flush(): void {
    const { headers } = this.#slots
    let sent = 0
    while (sent < this.#count) {
      const from = sent * mmsghdr.BYTES
      const count = libc.sendmmsg(this.#fd, headers.subarray(from), this.#count - sent, 0)
      if (count > 0) {
        sent += count
        continue
      }
      const error = errno()
      if (misused.has(error)) must('sendmmsg', count)
      // The socket's buffer is full: the rest has no room either. Anything else is this one packet's alone.
      const lost = error === EAGAIN ? this.#count - sent : 1
      this.#gone(lost)
      sent += lost
    }
    this.#count = 0
  }

  close(): void {
    closeDescriptor(this.#fd)
  }
}
