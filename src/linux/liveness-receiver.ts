/**
 * A UDP socket that many small packets come to, from anybody, for BFD: as many as wait are received by one call
 * (recvmmsg(2)), and of each is read in place what tells whether to believe it, which is its hop count and the address that
 * it was sent to (ip(7), ipv6(7)). socket.ts does the same a packet at a time, and with more of it.
 */

import type { IpAddress } from '../base/address.ts'
import { closeDescriptor, errno, libc, must } from './libc.ts'
import { addressOf } from './memory.ts'
import { iovec, mmsghdr, passing } from './message.ts'
import { SOL_SOCKET, setOption } from './option.ts'
import { AF_INET, type Endpoint, familyOf, SOCKADDR_BYTES, sockaddr } from './socket-address.ts'

const SOCK_DGRAM_CLOEXEC_NONBLOCK = 2 | 0o2004000
const IPPROTO_IP = 0
const IPPROTO_UDP = 17
const IPPROTO_IPV6 = 41
const SO_REUSEADDR = 2
const SO_RCVBUFFORCE = 33
const ip4 = { ttl: 2, packetInfo: 8, receiveTtl: 12 } as const
const ip6 = { only: 26, receivePacketInfo: 49, packetInfo: 50, receiveHops: 51, hopLimit: 52 } as const

/** What a thousand sessions of 300 ms send within 10 ms. */
const SLOTS = 32
const DATA_BYTES = 256
/** Two control messages: a number, and struct in_pktinfo or in6_pktinfo. */
const CONTROL_BYTES = 96
const CMSG_BYTES = 16
/** In struct in_pktinfo, the address that it was sent to; struct in6_pktinfo begins with it. */
const PKTINFO_SPECIFIC_AT = 4
const PKTINFO_ADDRESS_AT = 8

/** `to` is undefined for a group or all of a link. Everything is valid during the call. */
export type TakePacket = (bytes: Uint8Array, from: IpAddress, to: IpAddress | undefined, ttl: number) => void

export class LivenessReceiver {
  readonly fd: number
  readonly #is4: boolean
  readonly #data = new Uint8Array(new SharedArrayBuffer(SLOTS * DATA_BYTES))
  readonly #names = new Uint8Array(new SharedArrayBuffer(SLOTS * SOCKADDR_BYTES))
  readonly #control = new Uint8Array(new SharedArrayBuffer(SLOTS * CONTROL_BYTES))
  readonly #controlView = new DataView(this.#control.buffer)
  readonly #parts = new Uint8Array(new SharedArrayBuffer(SLOTS * iovec.BYTES))
  readonly #headers = new Uint8Array(new SharedArrayBuffer(SLOTS * mmsghdr.BYTES))
  readonly #headersView = new DataView(this.#headers.buffer)
  /** As they are to be before each call, which changes the lengths in them. */
  readonly #fresh: Uint8Array

  constructor(local: Endpoint, receiveBufferBytes: number) {
    const family = familyOf(local.address)
    this.#is4 = family === AF_INET
    this.fd = must('socket', libc.socket(family, SOCK_DGRAM_CLOEXEC_NONBLOCK, IPPROTO_UDP))
    this.#fresh = this.#describe()
    try {
      setOption(this.fd, SOL_SOCKET, SO_RCVBUFFORCE, receiveBufferBytes)
      setOption(this.fd, SOL_SOCKET, SO_REUSEADDR, 1)
      if (this.#is4) for (const option of [ip4.receiveTtl, ip4.packetInfo]) setOption(this.fd, IPPROTO_IP, option, 1)
      else
        for (const option of [ip6.only, ip6.receiveHops, ip6.receivePacketInfo])
          setOption(this.fd, IPPROTO_IPV6, option, 1)
      const address = sockaddr(local)
      must('bind', libc.bind(this.fd, address, address.length))
    } catch (error) {
      this.close()
      throw error
    }
  }

  /** All that wait, in order. */
  receive(take: TakePacket): void {
    let count = SLOTS
    while (count === SLOTS) {
      this.#headers.set(this.#fresh)
      count = libc.recvmmsg(this.fd, this.#headers, SLOTS, 0, null)
      if (count < 0) {
        if (passing.has(errno())) return
        must('recvmmsg', count)
      }
      for (let i = 0; i < count; i++) this.#hand(i, take)
    }
  }

  close(): void {
    closeDescriptor(this.fd)
  }

  #describe(): Uint8Array {
    const fresh = new Uint8Array(this.#headers.length)
    for (let i = 0; i < SLOTS; i++) {
      const data = addressOf(this.#data.buffer) + i * DATA_BYTES
      this.#parts.set(iovec.make({ base: data, bytes: DATA_BYTES }), i * iovec.BYTES)
      const header = {
        ...{ name: addressOf(this.#names.buffer) + i * SOCKADDR_BYTES, nameBytes: SOCKADDR_BYTES },
        ...{ parts: addressOf(this.#parts.buffer) + i * iovec.BYTES, partCount: 1 },
        ...{ control: addressOf(this.#control.buffer) + i * CONTROL_BYTES, controlBytes: CONTROL_BYTES },
      }
      fresh.set(mmsghdr.make(header), i * mmsghdr.BYTES)
    }
    return fresh
  }

  #hand(i: number, take: TakePacket): void {
    const header = i * mmsghdr.BYTES
    const name = i * SOCKADDR_BYTES
    const from = this.#is4 ? this.#names.subarray(name + 4, name + 8) : this.#names.subarray(name + 8, name + 24)
    const bytes = this.#headersView.getUint32(header + mmsghdr.offset.bytes, true)
    const begin = i * CONTROL_BYTES
    const end = begin + this.#headersView.getUint32(header + mmsghdr.offset.controlBytes, true)
    let ttl = 0
    let to: IpAddress | undefined
    for (let at = begin; at + CMSG_BYTES <= end; ) {
      const length = this.#controlView.getUint32(at, true)
      const type = this.#controlView.getInt32(at + 12, true)
      if (type === (this.#is4 ? ip4.ttl : ip6.hopLimit)) ttl = this.#controlView.getInt32(at + CMSG_BYTES, true)
      else if (type === (this.#is4 ? ip4.packetInfo : ip6.packetInfo)) to = this.#sentTo(at + CMSG_BYTES)
      at += Math.max(CMSG_BYTES, (length + 7) & ~7)
    }
    take(this.#data.subarray(i * DATA_BYTES, i * DATA_BYTES + Math.min(bytes, DATA_BYTES)), from, to, ttl)
  }

  /** For IPv4 both addresses are told; where they differ it was sent to all of the link. */
  #sentTo(at: number): IpAddress | undefined {
    if (!this.#is4) return this.#control[at] === 0xff ? undefined : this.#control.subarray(at, at + 16)
    const view = this.#controlView
    const isOurs = view.getUint32(at + PKTINFO_SPECIFIC_AT) === view.getUint32(at + PKTINFO_ADDRESS_AT)
    return isOurs ? this.#control.subarray(at + PKTINFO_ADDRESS_AT, at + PKTINFO_ADDRESS_AT + 4) : undefined
  }
}
