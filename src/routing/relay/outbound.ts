/**
 * From the kernel to peers: a packet out of the TUN device becomes one frame, or a train of segments with one header as
 * many as were left to be cut (linux/tun.ts). Each gets the tenant's addresses, the TTL that its neighbour expects, what the
 * kernel left of its checksum, and a signature where there is a password.
 *
 *   | virtio | IP | TCP | data data data |   -->   | IP | TCP (+ 20) | data |   | IP | TCP (+ 20) | data |  ...
 *
 * FIN and RST go to the peer only when the session means them: whatever else becomes of our sockets, a peer is not told.
 */

import { mix32 } from '../../base/hash.ts'
import { virtioHeader } from '../../linux/tun.ts'
import { BGP_PORT } from '../../wire/bgp/message.ts'
import { checksum } from '../../wire/checksum.ts'
import { IPV4_PLAIN, ipv4, PROTOCOL, writeIpv4Checksum } from '../../wire/ipv4.ts'
import { ipv6, trafficClass } from '../../wire/ipv6.ts'
import { clampMss, TCP_FLAG, tcp, tcpHeaderBytes } from '../../wire/tcp.ts'
import { udp, writeUdpChecksum } from '../../wire/udp.ts'
import { etherTypeOf, type FrameWriter } from './frame-writer.ts'
import { isBfd, mssFor } from './inbound.ts'
import { innerNumber } from './inner-address.ts'
import type { NeighbourAnswers } from './neighbour-answers.ts'
import type { PeerMemory } from './peer-memory.ts'
import type { Peer, PeerTable } from './peer-table.ts'
import { Refusal, type RelayCounters } from './refusal.ts'
import type { Segment } from './segment.ts'
import { sign } from './signature.ts'
import type { Targets } from './targets.ts'
import { blankOption, SIGNED_BYTES, TIMESTAMPS, widenForSignature } from './tcp-options.ts'
import { addressesAt, pseudoHeader, setTtl, translate } from './translate.ts'

/** Of a packet on the device, whose MTU is no more: a longer connection has room for it. */
export const DEVICE_MTU = 1500
/** What a frame has to have room for: the signature is put in where the MSS has left room for it. */
export const PACKET_BYTES_MAX = DEVICE_MTU + SIGNED_BYTES
const TCP_BYTES_MAX = 60
/** virtio_net_hdr's `flags`. */
const NEEDS_CHECKSUM = 1
const HEADER = virtioHeader.BYTES

export interface OutboundParts {
  readonly segments: ReadonlyMap<number, Segment>
  readonly peers: PeerTable
  readonly targets: Targets
  readonly memory: PeerMemory
  readonly answers: NeighbourAnswers
  readonly writer: FrameWriter
  readonly counters: RelayCounters
}

/** A packet that is being sent: one object for all of them. */
interface Packet {
  bytes: Uint8Array
  view: DataView
  /** Where IP's header begins, how long it and TCP's are, and where the packet ends. */
  ip: number
  ipBytes: number
  tcpBytes: number
  end: number
  addressBytes: number
  isUnfinished: boolean
}

export class Outbound {
  readonly #parts: OutboundParts
  readonly #packet: Packet = {
    bytes: new Uint8Array(0),
    view: new DataView(new ArrayBuffer(0)),
    ip: HEADER,
    ipBytes: 0,
    tcpBytes: 0,
    end: 0,
    addressBytes: 0,
    isUnfinished: false,
  }
  /** How many of BFD's went. */
  #datagrams = 0

  constructor(parts: OutboundParts) {
    this.#parts = parts
  }

  /** A packet of the device, its virtio header first. */
  packet(bytes: Uint8Array): void {
    const { counters } = this.#parts
    counters.taken++
    const refusal = this.#take(bytes)
    if (refusal !== Refusal.none) counters.refuse(refusal)
  }

  /** One that has waited for its peer's MAC address, and was counted when it came. */
  again(bytes: Uint8Array): void {
    const refusal = this.#take(bytes)
    if (refusal !== Refusal.none) this.#parts.counters.refuse(refusal)
  }

  #take(bytes: Uint8Array): number {
    const packet = this.#packet
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
    packet.bytes = bytes
    packet.view = view
    packet.end = bytes.length
    packet.isUnfinished = bytes.length > HEADER && (view.getUint8(0) & NEEDS_CHECKSUM) !== 0
    const protocol = readIp(packet)
    if (protocol === PROTOCOL.none) return Refusal['kernel-noise']
    const isTrain = protocol === PROTOCOL.tcp && view.getUint8(1) !== 0
    if (!isTrain && packet.end - packet.ip > DEVICE_MTU) return Refusal['kernel-noise']
    const destination = addressesAt(packet.ip, packet.addressBytes) + packet.addressBytes
    const number = innerNumber(view, destination, packet.addressBytes)
    const target = this.#parts.targets.table.numbered(number)
    if (target?.remote.length === packet.addressBytes) return this.#question(packet, target, protocol)
    const peer = this.#parts.peers.numbered(number)
    if (!peer || peer.remote.length !== packet.addressBytes) return Refusal['kernel-noise']
    if (protocol === PROTOCOL.tcp) return this.#tcp(packet, peer)
    // A socket of whoever is on this host may send to the device: what a neighbour is to get is a session's.
    const isOurs = protocol === PROTOCOL.udp && isBfd(udp.destinationPort.get(view, packet.ip + packet.ipBytes))
    if (!isOurs) return Refusal['kernel-noise']
    // DSR section 5.1: BFD of one session goes over all paths, packet by packet. By a counter, for the kernel's packets have
    // no IDs: it sends them with DF, and IPv6 has none.
    this.#datagrams = (this.#datagrams + 1) & 0xffff
    return this.#datagram(packet, peer, protocol, this.#datagrams)
  }

  // ---- probes

  /** Goes as it is, like the packets of any connection: what a probe is to measure is the way that those have. */
  #question(packet: Packet, target: Peer, protocol: number): number {
    const { answers, targets } = this.#parts
    const { view, ip, ipBytes } = packet
    const at = ip + ipBytes
    if (protocol === PROTOCOL.tcp && !measureTcp(packet)) return Refusal['kernel-noise']
    if (!targets.asks(target, view, protocol, at)) return Refusal['kernel-noise']
    if (protocol !== PROTOCOL.tcp) return this.#datagram(packet, target, protocol, 0)
    if (target.mac === 0) {
      answers.wait(target, packet.bytes)
      return Refusal.none
    }
    if ((tcp.flags.get(view, at) & TCP_FLAG.syn) !== 0) this.#prepareSyn(packet, at, target)
    this.#segments(packet, target)
    return Refusal.none
  }

  // ---- BFD and probes

  /** As the kernel made it, its TTL too, with the tenant's addresses. `spread`: which way of its flow's. */
  #datagram(packet: Packet, peer: Peer, protocol: number, spread: number): number {
    const { writer, answers } = this.#parts
    const { ip, ipBytes, end, addressBytes, isUnfinished } = packet
    const isWhole = protocol !== PROTOCOL.udp || udp.length.get(packet.view, ip + ipBytes) === end - ip - ipBytes
    if (!isWhole) return Refusal['kernel-noise']
    if (peer.mac === 0) {
      answers.wait(peer, packet.bytes)
      return Refusal.none
    }
    const at = writer.begin()
    writer.bytes.set(packet.bytes.subarray(ip, end), at)
    const upper = at + ipBytes
    const { tenantSum, innerSum, way, remote } = peer
    const isAnew = isUnfinished && protocol === PROTOCOL.udp
    translate(writer.view, at, protocol, isAnew ? 0 : upper, way.local, remote, innerSum, tenantSum)
    const packetEnd = at + end - ip
    if (isAnew) {
      const pseudo = pseudoHeader(writer.view, at, addressBytes, PROTOCOL.udp, packetEnd - upper)
      writeUdpChecksum(writer.view, upper, pseudo)
    }
    const flow = protocol === PROTOCOL.udp ? portsAt(writer.view, upper) : 0
    this.#send(peer, at, packetEnd, flow ^ spread)
    return Refusal.none
  }

  // ---- TCP

  #tcp(packet: Packet, peer: Peer): number {
    const { answers, memory } = this.#parts
    const { view, ip, ipBytes } = packet
    const at = ip + ipBytes
    if (!measureTcp(packet)) return Refusal['kernel-noise']
    const isBgp = tcp.sourcePort.get(view, at) === BGP_PORT || tcp.destinationPort.get(view, at) === peer.way.port
    if (!isBgp) return Refusal['kernel-noise']
    const flags = tcp.flags.get(view, at)
    if ((flags & (TCP_FLAG.fin | TCP_FLAG.rst)) !== 0) {
      const isMeant = memory.isMeant(peer.number, tcp.sourcePort.get(view, at), tcp.destinationPort.get(view, at))
      if (!isMeant) return Refusal['end-not-meant']
    }
    if (peer.mac === 0) {
      answers.wait(peer, packet.bytes)
      return Refusal.none
    }
    if ((flags & TCP_FLAG.syn) !== 0) this.#prepareSyn(packet, at, peer)
    this.#segments(packet, peer)
    return Refusal.none
  }

  #prepareSyn({ view, addressBytes, isUnfinished }: Packet, at: number, peer: Peer): void {
    const segment = this.#parts.segments.get(peer.way.vni)!
    clampMss(view, at, mssFor(peer, segment, addressBytes))
    if (peer.key) blankOption(view, at, TIMESTAMPS, !isUnfinished)
  }

  /** A connection that has agreed on longer segments than fit into the tunnel by now has its own cut smaller. */
  #segments(packet: Packet, peer: Peer): void {
    const { view, ip, ipBytes, tcpBytes, end } = packet
    const from = ip + ipBytes + tcpBytes
    const isTrain = view.getUint8(1) !== 0
    const { packetMax } = this.#parts.segments.get(peer.way.vni)!
    const fits = packetMax - ipBytes - tcpBytes - (peer.key ? SIGNED_BYTES : 0)
    const wanted = isTrain ? view.getUint16(4, true) : end - from
    const segmentBytes = Math.max(1, Math.min(wanted, fits, PACKET_BYTES_MAX - ipBytes - TCP_BYTES_MAX))
    let [first, index] = [from, 0]
    do {
      const last = Math.min(end, first + segmentBytes)
      this.#segment(packet, peer, from, first, last, index++)
      first = last
    } while (first < end)
  }

  /** The data from `first` up to `last`, as the `index`-th segment of the packet whose data begins at `from`. */
  #segment(packet: Packet, peer: Peer, from: number, first: number, last: number, index: number): void {
    const { writer } = this.#parts
    const { view } = writer
    const { bytes, ip, ipBytes, end, addressBytes } = packet
    const at = writer.begin()
    const upper = at + ipBytes
    writer.bytes.set(bytes.subarray(ip, from), at)
    const headerBytes = peer.key ? widenForSignature(view, upper) : packet.tcpBytes
    writer.bytes.set(bytes.subarray(first, last), upper + headerBytes)
    const packetEnd = upper + headerBytes + last - first
    if (first > from) {
      tcp.sequence.set(view, upper, (tcp.sequence.get(view, upper) + first - from) >>> 0)
      tcp.flags.set(view, upper, tcp.flags.get(view, upper) & ~TCP_FLAG.cwr)
    }
    if (last < end) tcp.flags.set(view, upper, tcp.flags.get(view, upper) & ~(TCP_FLAG.fin | TCP_FLAG.psh))
    const isAnew = packet.isUnfinished || peer.key !== undefined || last - first < end - from
    this.#readdress(at, upper, packetEnd, addressBytes, peer, index, isAnew)
    if (isAnew) this.#finishTcp(at, upper, packetEnd, addressBytes, peer)
    this.#send(peer, at, packetEnd, portsAt(view, upper))
  }

  #readdress(
    at: number,
    upper: number,
    end: number,
    addressBytes: number,
    { way, remote, innerSum, tenantSum }: Peer,
    index: number,
    isAnew: boolean,
  ): void {
    const { view } = this.#parts.writer
    translate(view, at, PROTOCOL.tcp, isAnew ? 0 : upper, way.local, remote, innerSum, tenantSum)
    setTtl(view, at, addressBytes, way.ttl)
    if (!isAnew) return
    if (addressBytes === 16) {
      ipv6.payloadLength.set(view, at, end - upper)
      return
    }
    ipv4.totalLength.set(view, at, end - at)
    ipv4.id.set(view, at, (ipv4.id.get(view, at) + index) & 0xffff)
    writeIpv4Checksum(view, at)
  }

  #finishTcp(at: number, upper: number, end: number, addressBytes: number, { key }: Peer): void {
    const { view } = this.#parts.writer
    if (key) sign(view, addressesAt(at, addressBytes), addressBytes, upper, end, key)
    const pseudo = pseudoHeader(view, at, addressBytes, PROTOCOL.tcp, end - upper)
    tcp.checksum.set(view, upper, 0)
    tcp.checksum.set(view, upper, checksum(view, upper, end, pseudo))
  }

  #send(peer: Peer, at: number, end: number, flow: number): void {
    const { writer, segments } = this.#parts
    const { tunnel } = segments.get(peer.way.vni)!
    const tos = peer.remote.length === 4 ? ipv4.tos.get(writer.view, at) : trafficClass(writer.view, at)
    writer.send(tunnel, at, end, peer.mac, etherTypeOf(peer.remote), tos, mix32(peer.entropy ^ flow))
  }
}

/** Where things stand in a packet of our own kernel's, which makes no options; returns the protocol, NONE for other ones. */
function readIp(packet: Packet): number {
  const { view, ip, end } = packet
  if (ip + ipv4.BYTES > end) return PROTOCOL.none
  if (view.getUint8(ip) === IPV4_PLAIN) {
    packet.addressBytes = 4
    packet.ipBytes = ipv4.BYTES
    packet.end = Math.min(end, ip + ipv4.totalLength.get(view, ip))
    return ip + ipv4.BYTES + udp.BYTES <= packet.end ? ipv4.protocol.get(view, ip) : PROTOCOL.none
  }
  if (view.getUint8(ip) >>> 4 !== 6 || ip + ipv6.BYTES + udp.BYTES > end) return PROTOCOL.none
  packet.addressBytes = 16
  packet.ipBytes = ipv6.BYTES
  return ipv6.nextHeader.get(view, ip)
}

/** How long TCP's header is; false when it is none. */
function measureTcp(packet: Packet): boolean {
  const { view, ip, ipBytes, end } = packet
  const at = ip + ipBytes
  packet.tcpBytes = at + tcp.BYTES <= end ? tcpHeaderBytes(view, at) : 0
  return packet.tcpBytes >= tcp.BYTES && at + packet.tcpBytes <= end
}

function portsAt(view: DataView, upper: number): number {
  return view.getUint32(upper)
}
