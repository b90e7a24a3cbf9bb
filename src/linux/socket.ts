/**
 * Datagram sockets with what Node's do not give: raw ICMP and Ethernet, and for every packet the TTL, the traffic
 * class, the interface and the address that it came in by (recvmsg's control messages, ip(7) and ipv6(7)). Never
 * blocks: `receive` says undefined when nothing is there, `send` false when the packet could not leave now. Pair it
 * with `watch` or a PollSet. For probes and liveness, some thousands of packets a second; tenants' packets go through
 * AF_XDP.
 */

import { equalBytes, type IpAddress } from '../base/address.ts'
import { LinuxError } from './error.ts'
import { closeDescriptor, errno, interfaceIndex, libc, must } from './libc.ts'
import { addressOf } from './memory.ts'
import { iovec, misused, msghdr, passing } from './message.ts'
import { SOL_SOCKET, setOption } from './option.ts'
import { AF_INET, AF_INET6, type Endpoint, endpointOf, familyOf, SOCKADDR_BYTES, sockaddr } from './socket-address.ts'
import { bytes, i32, struct, u8, u16, u16be, u64 } from './struct.ts'

const AF_PACKET = 17
const SOCK_DGRAM = 2
const SOCK_RAW = 3
const SOCK_CLOEXEC_NONBLOCK = 0o2004000
const IPPROTO_ICMP = 1
const IPPROTO_UDP = 17
const IPPROTO_ICMPV6 = 58
const ETH_P_ALL = 3
const SOL_PACKET = 263
const PACKET_IGNORE_OUTGOING = 23

const SO_REUSEADDR = 2
const SO_BINDTODEVICE = 25
const SO_ATTACH_FILTER = 26
const SOCK_FILTER_BYTES = 8
const SO_RCVBUFFORCE = 33
const SO_MAX_PACING_RATE = 47

/** ip(7) and ipv6(7): options that ask for a control message, options that set a field, and the messages' types. */
const IPPROTO_IP = 0
const ip4 = { tos: 1, ttl: 2, packetInfo: 8, receiveTtl: 12, receiveTos: 13 } as const
const IPPROTO_IPV6 = 41
const ip6 = {
  hops: 16,
  only: 26,
  receivePacketInfo: 49,
  packetInfo: 50,
  receiveHops: 51,
  hopLimit: 52,
  receiveClass: 66,
  class: 67,
} as const

const sockaddrLl = struct('struct sockaddr_ll', {
  family: u16,
  protocol: u16be,
  interfaceIndex: i32,
  hardware: u16,
  kind: u8,
  length: u8,
  address: bytes(8),
})
const sockFprog = struct('struct sock_fprog, linux/filter.h', { length: u16, filter: u64 })
const cmsghdr = struct('struct cmsghdr', { bytes: u64, level: i32, type: i32 })
const inPktinfo = struct('struct in_pktinfo', { interfaceIndex: i32, local: bytes(4), destination: bytes(4) })
const in6Pktinfo = struct('struct in6_pktinfo', { destination: bytes(16), interfaceIndex: i32 })

const NAME_BYTES = SOCKADDR_BYTES
const CONTROL_BYTES = 256

export interface Datagram {
  /** Valid until the next receive() of the same socket. */
  readonly bytes: Uint8Array
  readonly from: Endpoint
  readonly ttl: number
  readonly trafficClass: number
  readonly interfaceIndex: number
  /** The address of ours that it was sent to; undefined when it was sent to a group or to all. */
  readonly destination: IpAddress | undefined
}

/** recvmsg into one fixed place, and the reading of what it put there. */
class MessageReader {
  readonly #memory: Uint8Array
  readonly #view: DataView
  readonly #header: Uint8Array
  readonly #dataBytes: number

  constructor(dataBytes: number) {
    // One stable block: header, iovec, name, control, data.
    this.#dataBytes = dataBytes
    this.#memory = new Uint8Array(new SharedArrayBuffer(MessageReader.#data + dataBytes))
    this.#view = new DataView(this.#memory.buffer)
    const at = addressOf(this.#memory.buffer)
    this.#memory.set(iovec.make({ base: at + MessageReader.#data, bytes: dataBytes }), MessageReader.#parts)
    this.#header = msghdr.make({
      name: at + MessageReader.#name,
      nameBytes: NAME_BYTES,
      parts: at + MessageReader.#parts,
      partCount: 1,
      control: at + MessageReader.#control,
      controlBytes: CONTROL_BYTES,
    })
  }

  static readonly #parts = msghdr.BYTES
  static readonly #name = MessageReader.#parts + iovec.BYTES
  static readonly #control = 128
  static readonly #data = MessageReader.#control + CONTROL_BYTES

  receive(fd: number): Datagram | undefined {
    this.#memory.set(this.#header)
    const length = libc.recvmsg(fd, this.#memory, 0)
    if (length < 0) {
      if (passing.has(errno())) return undefined
      must('recvmsg', length)
    }
    const data = this.#memory.subarray(MessageReader.#data, MessageReader.#data + Math.min(length, this.#dataBytes))
    const from = endpointOf(this.#memory.subarray(MessageReader.#name, MessageReader.#name + NAME_BYTES))
    return { bytes: data, from, ...this.#controls() }
  }

  #controls(): Omit<Datagram, 'bytes' | 'from'> {
    const found = { ttl: 0, trafficClass: 0, interfaceIndex: 0, destination: undefined as IpAddress | undefined }
    const end = MessageReader.#control + this.#view.getUint32(msghdr.offset.controlBytes, true)
    for (let at = MessageReader.#control; at + cmsghdr.BYTES <= end; ) {
      const { bytes: length, level, type } = cmsghdr.read(this.#memory, at)
      const value = at + cmsghdr.BYTES
      if (level === IPPROTO_IP && type === ip4.ttl) found.ttl = this.#view.getInt32(value, true)
      else if (level === IPPROTO_IP && type === ip4.tos) found.trafficClass = this.#view.getUint8(value)
      else if (level === IPPROTO_IP && type === ip4.packetInfo)
        Object.assign(found, destinationOf4(inPktinfo.read(this.#memory, value)))
      else if (level === IPPROTO_IPV6 && type === ip6.hopLimit) found.ttl = this.#view.getInt32(value, true)
      else if (level === IPPROTO_IPV6 && type === ip6.class) found.trafficClass = this.#view.getInt32(value, true)
      else if (level === IPPROTO_IPV6 && type === ip6.packetInfo)
        Object.assign(found, destinationOf6(in6Pktinfo.read(this.#memory, value)))
      at += Math.max(cmsghdr.BYTES, (length + 7) & ~7)
    }
    return found
  }
}

function destinationOf4({ local, destination, interfaceIndex }: ReturnType<typeof inPktinfo.read>) {
  return { destination: equalBytes(local, destination) ? destination : undefined, interfaceIndex }
}

function destinationOf6({ destination, interfaceIndex }: ReturnType<typeof in6Pktinfo.read>) {
  return { destination: destination[0] === 0xff ? undefined : destination, interfaceIndex }
}

export interface SocketOptions {
  /** Only packets of this interface, whatever the routes say. */
  device?: string
  /** TTL or hop limit of what is sent; 255 is what GTSM expects (RFC 5082). */
  ttl?: number
  /** The whole byte: DSCP and ECN. */
  trafficClass?: number
  /** The longest packet that is received whole. */
  bytesMax?: number
  /** The kernel's queue for this socket. */
  receiveBufferBytes?: number
}

const BYTES_MAX = 9216

/**
 * Can this host open sockets of the IP version? IPv6 can be switched off at boot (ipv6.disable=1), or not be built in.
 */
export function hasFamily(version: 4 | 6): boolean {
  const fd = libc.socket(version === 4 ? AF_INET : AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC_NONBLOCK, IPPROTO_UDP)
  if (fd < 0 && errno() === LinuxError.numberOf('EAFNOSUPPORT')) return false
  closeDescriptor(must('socket', fd))
  return true
}

abstract class DatagramSocket {
  readonly fd: number
  readonly #reader: MessageReader

  protected constructor(family: number, type: number, protocol: number, options: SocketOptions) {
    this.fd = must('socket', libc.socket(family, type | SOCK_CLOEXEC_NONBLOCK, protocol))
    this.#reader = new MessageReader(options.bytesMax ?? BYTES_MAX)
    try {
      if (options.device !== undefined)
        setOption(this.fd, SOL_SOCKET, SO_BINDTODEVICE, Buffer.from(`${options.device}\0`))
      if (options.receiveBufferBytes) setOption(this.fd, SOL_SOCKET, SO_RCVBUFFORCE, options.receiveBufferBytes)
      if (family === AF_INET) this.#prepare4(options)
      if (family === AF_INET6) this.#prepare6(options)
    } catch (error) {
      this.close()
      throw error
    }
  }

  #prepare4({ ttl, trafficClass }: SocketOptions): void {
    for (const option of [ip4.receiveTtl, ip4.receiveTos, ip4.packetInfo]) setOption(this.fd, IPPROTO_IP, option, 1)
    if (ttl !== undefined) setOption(this.fd, IPPROTO_IP, ip4.ttl, ttl)
    if (trafficClass !== undefined) setOption(this.fd, IPPROTO_IP, ip4.tos, trafficClass)
  }

  #prepare6({ ttl, trafficClass }: SocketOptions): void {
    for (const option of [ip6.receiveHops, ip6.receiveClass, ip6.receivePacketInfo])
      setOption(this.fd, IPPROTO_IPV6, option, 1)
    if (ttl !== undefined) setOption(this.fd, IPPROTO_IPV6, ip6.hops, ttl)
    if (trafficClass !== undefined) setOption(this.fd, IPPROTO_IPV6, ip6.class, trafficClass)
  }

  /** The next packet that waits, or undefined. */
  receive(): Datagram | undefined {
    return this.#reader.receive(this.fd)
  }

  /** Paces what leaves this socket (SO_MAX_PACING_RATE); wants the fq queueing discipline or TCP's own. */
  pace(bytes_per_s: number): void {
    setOption(this.fd, SOL_SOCKET, SO_MAX_PACING_RATE, bytes_per_s)
  }

  close(): void {
    closeDescriptor(this.fd)
  }

  /**
   * False if it did not leave: no buffer, no route, no neighbour, link down. Probes are counted as lost by who misses
   * the answer.
   */
  protected sendRaw(packet: Uint8Array, to: Uint8Array): boolean {
    const sent = libc.sendto(this.fd, packet, packet.length, 0, to, to.length)
    if (sent >= 0) return true
    if (misused.has(errno())) must('sendto', sent)
    return false
  }
}

export class UdpSocket extends DatagramSocket {
  /** Where it last sent to, and that as the kernel wants it. */
  #to: Endpoint | undefined
  #address: Uint8Array = new Uint8Array(0)

  constructor(local: Endpoint, options: SocketOptions = {}) {
    const family = familyOf(local.address)
    super(family, SOCK_DGRAM, IPPROTO_UDP, options)
    try {
      setOption(this.fd, SOL_SOCKET, SO_REUSEADDR, 1)
      if (family === AF_INET6) setOption(this.fd, IPPROTO_IPV6, ip6.only, 1)
      const address = sockaddr(local)
      must('bind', libc.bind(this.fd, address, address.length))
    } catch (error) {
      this.close()
      throw error
    }
  }

  /** The port that the kernel chose when it was bound to port 0. */
  localPort(): number {
    const raw = new Uint8Array(NAME_BYTES)
    must('getsockname', libc.getsockname(this.fd, raw, Uint32Array.of(NAME_BYTES)))
    return endpointOf(raw).port
  }

  send(payload: Uint8Array, to: Endpoint): boolean {
    // Most sockets send to one place for all their lives.
    if (to !== this.#to) this.#address = sockaddr(to)
    this.#to = to
    return this.sendRaw(payload, this.#address)
  }

  /** To what `sockaddr` (socket-address.ts) made of an endpoint: for sockets that send to many in turn. */
  sendTo(payload: Uint8Array, to: Uint8Array): boolean {
    return this.sendRaw(payload, to)
  }
}

/** ICMP messages without the IP header. The sender finishes an ICMP checksum; that of ICMPv6 is the kernel's. */
export class IcmpSocket extends DatagramSocket {
  readonly #version: 4 | 6

  /** `local`: the address of ours that it sends from and is sent to; without it, any. */
  constructor(version: 4 | 6, options: SocketOptions = {}, local?: IpAddress) {
    super(version === 4 ? AF_INET : AF_INET6, SOCK_RAW, version === 4 ? IPPROTO_ICMP : IPPROTO_ICMPV6, options)
    this.#version = version
    if (!local) return
    try {
      const address = sockaddr({ address: local, port: 0 })
      must('bind', libc.bind(this.fd, address, address.length))
    } catch (error) {
      this.close()
      throw error
    }
  }

  /** All ICMP that comes to this host: pick yours by identifier. */
  override receive(): Datagram | undefined {
    const datagram = super.receive()
    if (!datagram || this.#version === 6) return datagram
    const headerBytes = (datagram.bytes[0]! & 0x0f) * 4 // a raw IPv4 socket keeps the header, RFC 791
    return { ...datagram, bytes: datagram.bytes.subarray(headerBytes) }
  }

  send(message: Uint8Array, to: IpAddress): boolean {
    return this.sendRaw(message, sockaddr({ address: to, port: 0 }))
  }
}

export interface PacketSocketOptions extends Omit<SocketOptions, 'device' | 'ttl' | 'trafficClass'> {
  /** Which frames it sees: instructions of classic BPF, struct sock_filter each (linux/filter.h). */
  filter?: Uint8Array
}

/** Whole Ethernet frames of one interface. Sees what others send on it but not what the host itself sends. */
export class PacketSocket extends DatagramSocket {
  readonly #to: Uint8Array

  constructor(device: string, { filter, ...options }: PacketSocketOptions = {}) {
    const index = interfaceIndex(device)
    super(AF_PACKET, SOCK_RAW, 0, options)
    this.#to = sockaddrLl.make({ family: AF_PACKET, protocol: ETH_P_ALL, interfaceIndex: index })
    setOption(this.fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, 1)
    if (filter) attachFilter(this.fd, filter)
    must('bind(AF_PACKET)', libc.bind(this.fd, this.#to, this.#to.length))
  }

  send(frame: Uint8Array): boolean {
    return this.sendRaw(frame, this.#to)
  }
}

function attachFilter(fd: number, filter: Uint8Array): void {
  const program = new Uint8Array(new SharedArrayBuffer(filter.length))
  program.set(filter)
  const length = filter.length / SOCK_FILTER_BYTES
  setOption(fd, SOL_SOCKET, SO_ATTACH_FILTER, sockFprog.make({ length, filter: addressOf(program.buffer) }))
}
