/**
 * ARP (RFC 826) and neighbour discovery (RFC 4861) as a host on each segment has them: answers for our own addresses, asks
 * for peers that something is to be sent to, and learns from what peers say of themselves. Who is no peer is answered, and
 * nothing is kept of it.
 *
 * A MAC address is believed until another one is heard, as on forwarding nodes (decision 0004). A packet that has to wait
 * for one waits in the peer's record, few of them and not for long.
 */

import type { Clock } from '../../base/clock.ts'
import { RateLimits } from '../../base/rate-limit.ts'
import { CONTROL_TRAFFIC_CLASS } from '../../linux/tcp-option.ts'
import { ARP_HARDWARE_ETHERNET, ARP_OPERATION, arp, checkArp } from '../../wire/arp.ts'
import { ETHERTYPE, ethernet } from '../../wire/ethernet.ts'
import { Fault } from '../../wire/fault.ts'
import { checkIcmpv6, ICMPV6_TYPE, icmpv6, writeIcmpv6Checksum } from '../../wire/icmpv6.ts'
import { PROTOCOL } from '../../wire/ipv4.ts'
import { checkIpv6, ipv6, ipv6End } from '../../wire/ipv6.ts'
import {
  checkNeighbourDiscovery,
  linkLayerOption,
  ND_ADVERTISEMENT,
  ND_OPTION,
  neighbourAdvertisement,
  neighbourOption,
  neighbourSolicitation,
} from '../../wire/neighbour-discovery.ts'
import type { FrameWriter } from './frame-writer.ts'
import type { Peer, PeerTable } from './peer-table.ts'
import { Refusal, type RelayCounters } from './refusal.ts'
import type { Segment } from './segment.ts'

/** A segment may ask so often: many times what the hosts on one need. */
const ANSWERS_PER_S = 50
const ANSWERS_BURST = 200
/** RFC 4861 section 10: MAX_MULTICAST_SOLICIT and RETRANS_TIMER. */
const ASKS_MAX = 3
const ASK_EVERY_ms = 1000
/** What waits for one peer: the SYN, and what the kernel sends again meanwhile. */
const WAITING_MAX = 4
const WAITING_BYTES_MAX = 2048

const BROADCAST = 0xffffffffffff
const GROUP_BIT = 2 ** 40
const ALL_NODES_MAC = 0x333300000001
const SOLICITED_MAC = 0x3333ff000000
const HOPS = 255

export interface AnswersParts {
  readonly segments: ReadonlyMap<number, Segment>
  /** Of neighbours, and of those that are probed: one may be both. */
  readonly tables: readonly PeerTable[]
  readonly writer: FrameWriter
  readonly counters: RelayCounters
  readonly clock: Clock
  readonly mac: number
  /** A packet that waited for its peer's MAC address, as it was handed to `wait`. */
  readonly send: (packet: Uint8Array) => void
}

export class NeighbourAnswers {
  readonly #parts: AnswersParts
  #limits = new RateLimits(1, ANSWERS_PER_S, ANSWERS_BURST)
  readonly #asking = new Set<Peer>()
  #isTicking = false

  constructor(parts: AnswersParts) {
    this.#parts = parts
  }

  /** Of whom answers are counted. */
  setSegments(count: number): void {
    this.#limits = new RateLimits(Math.max(1, count), ANSWERS_PER_S, ANSWERS_BURST)
  }

  // ---- what comes

  arp(view: DataView, at: number, end: number, segment: Segment): number {
    if (checkArp(view, at, end) !== Fault.none) return Refusal.malformed
    const mac = arp.senderMac.get(view, at)
    if (!isOnes(mac)) return Refusal.malformed
    const isKnown = this.#hear(segment.vni, view, at + arp.senderIp.offset, 4, mac)
    if (arp.operation.get(view, at) === ARP_OPERATION.reply)
      return isKnown ? Refusal.none : Refusal['not-ours-to-answer']
    if (!segment.isOurs(view, at + arp.targetIp.offset, 4)) return Refusal['not-ours-to-answer']
    if (!this.#mayAnswer(segment)) return Refusal['too-many-questions']
    const { counters } = this.#parts
    const [ours, theirs] = [arp.targetIp.get(view, at), arp.senderIp.get(view, at)]
    this.#sendArp(segment, mac, ARP_OPERATION.reply, ours, mac, theirs)
    counters.answered++
    return Refusal.none
  }

  icmpv6(view: DataView, at: number, end: number, segment: Segment): number {
    if (checkIpv6(view, at, end) !== Fault.none) return Refusal.malformed
    const message = at + ipv6.BYTES
    const messageEnd = ipv6End(view, at)
    if (checkIcmpv6(view, message, messageEnd, at) !== Fault.none) return Refusal.malformed
    const type = icmpv6.type.get(view, message)
    const isQuestion = type === ICMPV6_TYPE.neighbourSolicitation
    if (!isQuestion && type !== ICMPV6_TYPE.neighbourAdvertisement) return Refusal['not-a-session']
    if (checkNeighbourDiscovery(view, message, messageEnd, at) !== Fault.none) return Refusal.malformed
    return isQuestion
      ? this.#solicited(view, at, message, messageEnd, segment)
      : this.#advertised(view, at, message, messageEnd, segment)
  }

  #advertised(view: DataView, ip: number, at: number, end: number, { vni }: Segment): number {
    const mac = macIn(view, ip, at, end, ND_OPTION.targetLinkLayer)
    if (!isOnes(mac)) return Refusal.malformed
    const overrides = (neighbourAdvertisement.flags.get(view, at) & ND_ADVERTISEMENT.override) !== 0
    const isKnown = this.#hear(vni, view, at + neighbourAdvertisement.target.offset, 16, mac, overrides)
    return isKnown ? Refusal.none : Refusal['not-ours-to-answer']
  }

  #solicited(view: DataView, ip: number, at: number, end: number, segment: Segment): number {
    const source = ip + ipv6.source.offset
    const mac = macIn(view, ip, at, end, ND_OPTION.sourceLinkLayer)
    if (!isOnes(mac)) return Refusal.malformed
    this.#hear(segment.vni, view, source, 16, mac)
    const target = at + neighbourSolicitation.target.offset
    if (!segment.isOurs(view, target, 16)) return Refusal['not-ours-to-answer']
    if (!this.#mayAnswer(segment)) return Refusal['too-many-questions']
    const { writer, counters } = this.#parts
    // Who asks without an address of its own wants to know whether ours is taken: all are told (RFC 4861 section 7.2.4).
    const isProbe = view.getUint32(source) === 0 && view.getUint32(source + 12) === 0
    const to = writer.begin()
    const bytes = new Uint8Array(view.buffer, view.byteOffset, view.byteLength)
    const body = this.#ipv6(to, neighbourAdvertisement.BYTES + linkLayerOption.BYTES)
    writer.bytes.set(bytes.subarray(target, target + 16), to + ipv6.source.offset)
    if (isProbe) setAllNodes(writer.view, to + ipv6.destination.offset)
    else writer.bytes.set(bytes.subarray(source, source + 16), to + ipv6.destination.offset)
    icmpv6.type.set(writer.view, body, ICMPV6_TYPE.neighbourAdvertisement)
    const solicited = isProbe ? 0 : ND_ADVERTISEMENT.solicited
    neighbourAdvertisement.flags.set(writer.view, body, ND_ADVERTISEMENT.router + solicited + ND_ADVERTISEMENT.override)
    writer.bytes.set(bytes.subarray(target, target + 16), body + neighbourAdvertisement.target.offset)
    this.#finish(
      segment,
      to,
      body,
      neighbourAdvertisement.BYTES,
      ND_OPTION.targetLinkLayer,
      isProbe ? ALL_NODES_MAC : mac,
    )
    counters.answered++
    return Refusal.none
  }

  #mayAnswer({ row }: Segment): boolean {
    return this.#limits.take(row, this.#parts.clock.now_us())
  }

  /** Whose address is at `at` has this MAC address. False when that is nobody who matters. */
  #hear(vni: number, view: DataView, at: number, length: number, mac: number, overrides = true): boolean {
    const known = this.#parts.tables.flatMap((table) => table.find(vni, view, at, length) ?? [])
    for (const peer of known) this.#learn(peer, mac, overrides)
    return known.length > 0
  }

  #learn(peer: Peer, mac: number, overrides: boolean): void {
    this.#parts.counters.learnt++
    // RFC 4861 section 7.2.5: without the Override flag no other address takes the place of one that is known.
    if (peer.mac !== 0 && !overrides) return
    peer.mac = mac
    peer.asks = 0
    this.#asking.delete(peer)
    const { waiting } = peer
    peer.waiting = []
    for (const packet of waiting) this.#parts.send(packet)
  }

  // ---- what is asked

  /** The packet is kept until the peer's MAC address is known. It is copied. */
  wait(peer: Peer, packet: Uint8Array): void {
    const { counters } = this.#parts
    if (peer.waiting.length >= WAITING_MAX || packet.length > WAITING_BYTES_MAX) counters.refuse(Refusal.unresolved)
    else peer.waiting.push(packet.slice())
    if (this.#asking.has(peer)) return
    this.#asking.add(peer)
    this.#ask(peer)
    if (this.#asking.size > 0) this.#tick()
  }

  #tick(): void {
    if (this.#isTicking) return
    this.#isTicking = true
    this.#parts.clock.after(ASK_EVERY_ms, () => {
      this.#isTicking = false
      for (const peer of this.#asking) {
        if (peer.asks < ASKS_MAX) this.#ask(peer)
        else this.forget(peer)
      }
      this.#parts.writer.flush()
      if (this.#asking.size > 0) this.#tick()
    })
  }

  /** It is not asked for any more, and what waits for it is lost. */
  forget(peer: Peer): void {
    for (const _ of peer.waiting) this.#parts.counters.refuse(Refusal.unresolved)
    peer.waiting = []
    peer.asks = 0
    this.#asking.delete(peer)
  }

  #ask(peer: Peer): void {
    const { segments, counters } = this.#parts
    const segment = segments.get(peer.way.vni)
    if (!segment) {
      this.forget(peer)
      return
    }
    peer.asks++
    counters.asked++
    if (peer.remote.length === 16) this.#solicit(segment, peer)
    else {
      const word = (bytes: Uint8Array): number => new DataView(bytes.buffer, bytes.byteOffset, 4).getUint32(0)
      this.#sendArp(segment, BROADCAST, ARP_OPERATION.request, word(peer.way.local), 0, word(peer.remote))
    }
  }

  #sendArp(
    segment: Segment,
    destination: number,
    operation: number,
    senderIp: number,
    targetMac: number,
    targetIp: number,
  ): void {
    const { writer, mac } = this.#parts
    const { view } = writer
    const at = writer.begin()
    arp.hardwareType.set(view, at, ARP_HARDWARE_ETHERNET)
    arp.protocolType.set(view, at, ETHERTYPE.ipv4)
    arp.hardwareLength.set(view, at, ethernet.source.bytes)
    arp.protocolLength.set(view, at, 4)
    arp.operation.set(view, at, operation)
    arp.senderMac.set(view, at, mac)
    arp.senderIp.set(view, at, senderIp)
    arp.targetMac.set(view, at, targetMac)
    arp.targetIp.set(view, at, targetIp)
    writer.send(segment.tunnel, at, at + arp.BYTES, destination, ETHERTYPE.arp, CONTROL_TRAFFIC_CLASS, segment.vni)
  }

  /** To the group that only who has such an address listens to (RFC 4291 section 2.7.1). */
  #solicit(segment: Segment, { way, remote }: Peer): void {
    const { writer } = this.#parts
    const to = writer.begin()
    const body = this.#ipv6(to, neighbourSolicitation.BYTES + linkLayerOption.BYTES)
    writer.bytes.set(way.local, to + ipv6.source.offset)
    const group = to + ipv6.destination.offset
    writer.view.setUint32(group, 0xff020000)
    writer.view.setUint32(group + 4, 0)
    writer.view.setUint32(group + 8, 1)
    const low = (remote[13]! << 16) | (remote[14]! << 8) | remote[15]!
    writer.view.setUint32(group + 12, (0xff000000 | low) >>> 0)
    icmpv6.type.set(writer.view, body, ICMPV6_TYPE.neighbourSolicitation)
    neighbourSolicitation.reserved.set(writer.view, body, 0)
    writer.bytes.set(remote, body + neighbourSolicitation.target.offset)
    const destination = SOLICITED_MAC + low
    this.#finish(segment, to, body, neighbourSolicitation.BYTES, ND_OPTION.sourceLinkLayer, destination)
  }

  /** The fixed header but for its addresses; returns where the message begins. */
  #ipv6(at: number, messageBytes: number): number {
    const { view } = this.#parts.writer
    ipv6.versionClassFlow.set(view, at, (0x60000000 | (CONTROL_TRAFFIC_CLASS << 20)) >>> 0)
    ipv6.payloadLength.set(view, at, messageBytes)
    ipv6.nextHeader.set(view, at, PROTOCOL.icmpv6)
    ipv6.hopLimit.set(view, at, HOPS)
    return at + ipv6.BYTES
  }

  /** Our own MAC address as the option of a message of so many bytes, the checksum, and out. */
  #finish(segment: Segment, at: number, body: number, bytes: number, option: number, destination: number): void {
    const { writer, mac } = this.#parts
    const { view } = writer
    const end = body + bytes + linkLayerOption.BYTES
    icmpv6.code.set(view, body, 0)
    linkLayerOption.type.set(view, body + bytes, option)
    linkLayerOption.length.set(view, body + bytes, 1)
    linkLayerOption.address.set(view, body + bytes, mac)
    writeIcmpv6Checksum(view, body, end, at)
    writer.send(segment.tunnel, at, end, destination, ETHERTYPE.ipv6, CONTROL_TRAFFIC_CLASS, segment.vni)
  }
}

/** What the message says of its sender's MAC address; where it says nothing, the frame's. */
function macIn(view: DataView, ip: number, at: number, end: number, kind: number): number {
  const option = neighbourOption(view, at, end, kind)
  return option === 0 ? ethernet.source.get(view, ip - ethernet.BYTES) : linkLayerOption.address.get(view, option)
}

/** Whether it can be the MAC address of one host: a group's is not, and none is not. */
function isOnes(mac: number): boolean {
  return mac !== 0 && Math.floor(mac / GROUP_BIT) % 2 === 0
}

/** ff02::1 */
function setAllNodes(view: DataView, at: number): void {
  view.setUint32(at, 0xff020000)
  view.setUint32(at + 4, 0)
  view.setUint32(at + 8, 0)
  view.setUint32(at + 12, 1)
}
