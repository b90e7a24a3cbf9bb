/**
 * From forwarding nodes to the kernel: what a frame has to pass before the kernel's TCP sees a segment of it, in this order,
 * each refusal counted by its reason.
 *
 *   VXLAN, segment, sender -> Ethernet -> ARP, ND (neighbour-answers.ts)
 *                                     -> IP -> an answer to a probe (targets.ts)                          -> translation
 *                                           -> TCP or BFD -> whose it is -> GTSM -> MD5 -> SYNs by rate -> translation
 */

import type { IpAddress } from '../../base/address.ts'
import { equalBytes, formatAddress } from '../../base/address.ts'
import type { Clock } from '../../base/clock.ts'
import { RateLimits } from '../../base/rate-limit.ts'
import { virtioHeader } from '../../linux/tun.ts'
import { BGP_PORT } from '../../wire/bgp/message.ts'
import { ETHERTYPE, ethernet } from '../../wire/ethernet.ts'
import { Fault } from '../../wire/fault.ts'
import { checkIcmp } from '../../wire/icmp.ts'
import { checkIcmpv6, ICMPV6_TYPE, icmpv6 } from '../../wire/icmpv6.ts'
import { checkIpv4, IPV4_PLAIN, ipv4, isIpv4Fragment, PROTOCOL } from '../../wire/ipv4.ts'
import { checkIpv6, ipv6, ipv6End } from '../../wire/ipv6.ts'
import { checkTcp, clampMss, TCP_FLAG, tcp, tcpOption } from '../../wire/tcp.ts'
import { checkUdp, UDP_PORT, udp } from '../../wire/udp.ts'
import { checkVxlan, vxlan } from '../../wire/vxlan.ts'
import type { DynamicPeers } from './dynamic-peers.ts'
import { FIRST_DYNAMIC } from './inner-address.ts'
import type { NeighbourAnswers } from './neighbour-answers.ts'
import { PEER_SLOTS, slotOf } from './peer-memory.ts'
import { isAt, type Peer, type PeerTable } from './peer-table.ts'
import { Refusal, type RelayCounters } from './refusal.ts'
import type { Segment } from './segment.ts'
import { checkSignature, Signed } from './signature.ts'
import type { Targets } from './targets.ts'
import { blankOption, SIGNATURE, SIGNED_BYTES, TIMESTAMPS } from './tcp-options.ts'
import { addressesAt, ipBytesFor, translate, ttlOf } from './translate.ts'
import type { Way } from './ways.ts'

/** The kernel's side: packets with a virtio header before them (linux/tun.ts). */
export interface KernelPort {
  write(packet: Uint8Array): boolean
}

/** A neighbour that connects more often is not let in for a while: ours and its own connection, and some that failed. */
const CONNECTS_PER_S = 5
const CONNECTS_BURST = 10

export interface InboundParts {
  readonly segments: ReadonlyMap<number, Segment>
  readonly peers: PeerTable
  readonly targets: Targets
  readonly dynamic: DynamicPeers
  readonly answers: NeighbourAnswers
  readonly counters: RelayCounters
  readonly kernel: KernelPort
  readonly clock: Clock
  readonly mac: number
  /** Whether this node is to hold a session. */
  readonly isHere: (way: Way) => boolean
}

export class Inbound {
  readonly #parts: InboundParts
  readonly #connects = new RateLimits(PEER_SLOTS, CONNECTS_PER_S, CONNECTS_BURST)
  #nodes: ReadonlySet<string> = new Set()

  constructor(parts: InboundParts) {
    this.#parts = parts
  }

  /** Forwarding nodes. */
  setNodes(nodes: readonly IpAddress[]): void {
    this.#nodes = new Set(nodes.map(formatAddress))
  }

  /** A datagram's payload, from the VXLAN header on, which is changed and may be used again after the call. */
  frame(view: DataView, at: number, end: number, from: IpAddress): void {
    const { counters } = this.#parts
    counters.received++
    const refusal = this.#frame(view, at, end, from)
    if (refusal !== Refusal.none) counters.refuse(refusal)
  }

  #frame(view: DataView, at: number, end: number, from: IpAddress): number {
    const { segments, answers, mac } = this.#parts
    if (checkVxlan(view, at, end) !== Fault.none) return Refusal.malformed
    const segment = segments.get(vxlan.vni.get(view, at))
    if (!segment) return Refusal['unknown-segment']
    if (!equalBytes(segment.tunnel.vip, from) && !this.#nodes.has(formatAddress(from))) return Refusal['unknown-sender']
    const frame = at + vxlan.BYTES
    const packet = frame + ethernet.BYTES
    if (packet > end) return Refusal.malformed
    if ((view.getUint8(frame + ethernet.source.offset) & 1) !== 0) return Refusal.malformed
    const etherType = ethernet.etherType.get(view, frame)
    if (etherType === ETHERTYPE.arp) return answers.arp(view, packet, end, segment)
    if (etherType === ETHERTYPE.ipv6 && ipv6.BYTES <= end - packet) {
      if (isNeighbourDiscovery(view, packet, end)) return answers.icmpv6(view, packet, end, segment)
    }
    if (ethernet.destination.get(view, frame) !== mac) return Refusal['not-for-us']
    if (etherType === ETHERTYPE.ipv4) return this.#ipv4(view, packet, end, segment)
    if (etherType === ETHERTYPE.ipv6) return this.#ipv6(view, packet, end, segment)
    return Refusal['not-a-session']
  }

  #ipv4(view: DataView, at: number, end: number, segment: Segment): number {
    if (checkIpv4(view, at, end) !== Fault.none) return Refusal.malformed
    if (isIpv4Fragment(view, at)) return Refusal.fragment
    if (ipv4.versionIhl.get(view, at) !== IPV4_PLAIN) return Refusal['ip-options']
    const packetEnd = at + ipv4.totalLength.get(view, at)
    return this.#upper(view, at, 4, ipv4.protocol.get(view, at), at + ipv4.BYTES, packetEnd, segment)
  }

  #ipv6(view: DataView, at: number, end: number, segment: Segment): number {
    if (checkIpv6(view, at, end) !== Fault.none) return Refusal.malformed
    const protocol = ipv6.nextHeader.get(view, at)
    if (protocol === PROTOCOL.fragment) return Refusal.fragment
    if (protocol === PROTOCOL.hopByHop || protocol === PROTOCOL.routing || protocol === PROTOCOL.destinationOptions)
      return Refusal['ip-options']
    return this.#upper(view, at, 16, protocol, at + ipv6.BYTES, ipv6End(view, at), segment)
  }

  #upper(
    view: DataView,
    ip: number,
    addressBytes: number,
    protocol: number,
    at: number,
    end: number,
    segment: Segment,
  ): number {
    // Each version of IP has an ICMP of its own, and what is read of the other's is not there.
    if (protocol === (addressBytes === 4 ? PROTOCOL.icmpv6 : PROTOCOL.icmp)) return Refusal['not-a-session']
    if (faultOf(view, protocol, at, end, ip) !== Fault.none) return Refusal.malformed
    const source = addressesAt(ip, addressBytes)
    const target = this.#parts.targets.answering(segment.vni, view, source, addressBytes, protocol, at)
    if (target) return this.#answer(view, ip, addressBytes, protocol, at, end, target, segment)
    if (protocol === PROTOCOL.tcp) return this.#tcp(view, ip, addressBytes, at, end, segment)
    if (protocol !== PROTOCOL.udp) return Refusal['not-a-session']
    const port = udp.destinationPort.get(view, at)
    if (!isBfd(port)) return Refusal['not-a-session']
    const peer = this.#parts.peers.find(segment.vni, view, source, addressBytes)
    if (!peer) return Refusal.stranger
    const refusal = wrongEnd(view, ip, addressBytes, peer)
    // How far BFD may come is BFD's to say (RFC 5881 section 5).
    return refusal === Refusal.none ? this.#deliver(view, ip, protocol, at, end, peer) : refusal
  }

  #answer(
    view: DataView,
    ip: number,
    addressBytes: number,
    protocol: number,
    at: number,
    end: number,
    target: Peer,
    segment: Segment,
  ): number {
    const refusal = wrongEnd(view, ip, addressBytes, target)
    if (refusal !== Refusal.none) return refusal
    if (protocol === PROTOCOL.tcp && (tcp.flags.get(view, at) & TCP_FLAG.syn) !== 0)
      this.#prepareSyn(view, addressBytes, at, target, segment)
    return this.#deliver(view, ip, protocol, at, end, target)
  }

  #tcp(view: DataView, ip: number, addressBytes: number, at: number, end: number, segment: Segment): number {
    const flags = tcp.flags.get(view, at)
    const isSyn = (flags & TCP_FLAG.syn) !== 0
    if (isSyn && (flags & (TCP_FLAG.fin | TCP_FLAG.rst)) !== 0) return Refusal.malformed
    const connects = isSyn && (flags & TCP_FLAG.ack) === 0
    const known = this.#parts.peers.find(segment.vni, view, addressesAt(ip, addressBytes), addressBytes)
    const way = known?.way ?? (connects ? this.#rangeOf(view, ip, addressBytes, segment) : undefined)
    // A peer that connects does so to BGP's port, wherever from: nothing else of this host is there for it.
    const isBgp =
      tcp.destinationPort.get(view, at) === BGP_PORT ||
      (!connects && tcp.sourcePort.get(view, at) === (way?.port ?? BGP_PORT))
    if (!isBgp) return Refusal['not-a-session']
    if (!way) return connects ? Refusal['stranger-connects'] : Refusal.stranger
    if (!isAt(way.local, view, addressesAt(ip, addressBytes) + addressBytes, addressBytes))
      return Refusal['wrong-local-address']
    if (known && !known.isHere) return Refusal.elsewhere
    if (ttlOf(view, ip, addressBytes) < way.ttlMin) return Refusal['too-far']
    const key = known?.key ?? (way.password === undefined ? undefined : Buffer.from(way.password))
    const signed = this.#checkSigned(view, ip, addressBytes, at, end, key)
    if (signed !== Refusal.none) return signed
    const peer = known ?? this.#admit(way, view, ip, addressBytes)
    if (typeof peer === 'number') return peer
    if (connects && !this.#mayConnect(peer)) return Refusal['connects-too-often']
    if (isSyn) this.#prepareSyn(view, addressBytes, at, peer, segment)
    if (key) blankOption(view, at, SIGNATURE, true)
    return this.#deliver(view, ip, PROTOCOL.tcp, at, end, peer)
  }

  #checkSigned(
    view: DataView,
    ip: number,
    addressBytes: number,
    at: number,
    end: number,
    key: Uint8Array | undefined,
  ): number {
    if (!key) return tcpOption(view, at, SIGNATURE) === 0 ? Refusal.none : Refusal['unexpected-signature']
    const signed = checkSignature(view, addressesAt(ip, addressBytes), addressBytes, at, end, key)
    if (signed === Signed.no) return Refusal.unsigned
    return signed === Signed.right ? Refusal.none : Refusal['wrong-signature']
  }

  /** What the kernel is to keep to: segments that fit into the tunnel with a signature, and no options beside that. */
  #prepareSyn(view: DataView, addressBytes: number, at: number, peer: Peer, segment: Segment): void {
    clampMss(view, at, mssFor(peer, segment, addressBytes))
    if (peer.key) blankOption(view, at, TIMESTAMPS, true)
  }

  #mayConnect(peer: Peer): boolean {
    const { dynamic, clock } = this.#parts
    const now_us = clock.now_us()
    if (!this.#connects.take(slotOf(peer.number), now_us)) return false
    if (peer.number >= FIRST_DYNAMIC) dynamic.connects(peer)
    return true
  }

  #rangeOf(view: DataView, ip: number, addressBytes: number, segment: Segment) {
    return segment.hasRanges ? segment.rangeOf(sourceOf(view, ip, addressBytes)) : undefined
  }

  #admit(way: Way, view: DataView, ip: number, addressBytes: number): Peer | number {
    if (!this.#parts.isHere(way)) return Refusal.elsewhere
    return this.#parts.dynamic.admit(way, sourceOf(view, ip, addressBytes)) ?? Refusal['too-many-dynamic']
  }

  /** Translates the packet and gives it to the kernel, with a header that leaves nothing to be finished. */
  #deliver(view: DataView, ip: number, protocol: number, upper: number, end: number, peer: Peer): number {
    const { kernel, counters } = this.#parts
    const { innerRemote, innerLocal, tenantSum, innerSum } = peer
    translate(view, ip, protocol, upper, innerRemote, innerLocal, tenantSum, innerSum)
    const from = ip - virtioHeader.BYTES
    const packet = new Uint8Array(view.buffer, view.byteOffset + from, end - from)
    packet.fill(0, 0, virtioHeader.BYTES)
    if (!kernel.write(packet)) return Refusal['kernel-full']
    counters.delivered++
    return Refusal.none
  }
}

/** The largest payload of a segment to or from the peer. */
export function mssFor({ way, key }: Peer, { packetMax }: Segment, addressBytes: number): number {
  const headers = ipBytesFor(addressBytes) + tcp.BYTES + (key ? SIGNED_BYTES : 0)
  return Math.min(way.mtu, packetMax) - headers
}

function faultOf(view: DataView, protocol: number, at: number, end: number, ip: number): number {
  if (protocol === PROTOCOL.tcp) return checkTcp(view, at, end)
  if (protocol === PROTOCOL.udp) return checkUdp(view, at, end)
  if (protocol === PROTOCOL.icmp) return checkIcmp(view, at, end)
  return protocol === PROTOCOL.icmpv6 ? checkIcmpv6(view, at, end, ip) : Fault.none
}

/** All of ICMPv6 but what a target of probes answers. */
function isNeighbourDiscovery(view: DataView, ip: number, end: number): boolean {
  if (ipv6.nextHeader.get(view, ip) !== PROTOCOL.icmpv6) return false
  const at = ip + ipv6.BYTES
  return at >= end || icmpv6.type.get(view, at) !== ICMPV6_TYPE.echoReply
}

export function isBfd(port: number): boolean {
  return port === UDP_PORT.bfdSingleHop || port === UDP_PORT.bfdMultiHop || port === UDP_PORT.bfdEcho
}

function wrongEnd(view: DataView, ip: number, addressBytes: number, { way, isHere }: Peer): number {
  if (!isAt(way.local, view, addressesAt(ip, addressBytes) + addressBytes, addressBytes))
    return Refusal['wrong-local-address']
  return isHere ? Refusal.none : Refusal.elsewhere
}

function sourceOf(view: DataView, ip: number, addressBytes: number): IpAddress {
  const at = addressesAt(ip, addressBytes)
  return new Uint8Array(view.buffer, view.byteOffset + at, addressBytes).slice()
}
