/**
 * Tenants' BGP and BFD, which the routing module speaks for the gateway (DSR section 3.2.2). What a neighbour sends to a
 * gateway address of its segment goes on to the routing node that has its sessions, the whole Ethernet frame as it came, in
 * VXLAN with the segment's VNI. What a routing node sends comes as from any remote of the segment and goes where the FIB
 * leads, but is nobody's packet in transit: it keeps its TTL, by which both ends tell how far away they are (RFC 5082, RFC
 * 5881 section 5), and its MSS.
 *
 *   neighbour --(edge switch, VNI)--> forwarding node --(VNI)--> routing node
 *
 * BFD's echo packets over IPv4 are addressed to whom they come from (RFC 5881 section 4), and so for the FIB lead nowhere. They
 * travel between nodes and routing nodes as if they were to and from the neighbour. A node makes them what the neighbour is to
 * send back, with the neighbour's address at their end, where it is found again when they return.
 *
 * Routing nodes probe addresses of tenants too (IP SLA). What such an address answers goes on in the same way, and the routing
 * node knows what it has asked.
 *
 * A tenant's limits keep what it sends, were it a flood of SYNs to port 179, from being the other tenants' trouble.
 */

import { mix32 } from '../base/hash.ts'
import { RateLimits } from '../base/rate-limit.ts'
import { ActionKind } from '../dataplane/action.ts'
import { type Batch, FORWARD } from '../dataplane/batch.ts'
import { Drop } from '../dataplane/drop.ts'
import { encapsulate } from '../dataplane/encapsulate.ts'
import { BGP_PORT } from '../wire/bgp/message.ts'
import { ETHERTYPE, ethernet } from '../wire/ethernet.ts'
import { Fault } from '../wire/fault.ts'
import { ICMP_TYPE, icmpEcho } from '../wire/icmp.ts'
import { ICMPV6_TYPE } from '../wire/icmpv6.ts'
import { ipv4, ipv4HeaderBytes, isIpv4Fragment, PROTOCOL, writeIpv4Checksum } from '../wire/ipv4.ts'
import { FRAGMENT, ipv6, ipv6Walk, trafficClass, walkIpv6 } from '../wire/ipv6.ts'
import { checkTcp, TCP_FLAG, tcp } from '../wire/tcp.ts'
import { UDP_PORT, udp } from '../wire/udp.ts'
import type { Answers } from './answers.ts'
import { REWRITTEN, type Shared } from './shared.ts'

const IPV4_BYTES = 4
const IPV6_BYTES = 16

/** What a packet is, as far as a routing node is concerned. */
const Kind = { none: 0, opening: 1, bgp: 2, bfd: 3, answer: 4 } as const

/** Echo packets are as small as control packets, give or take what a vendor puts in. */
const ECHO_BYTES_MAX = 512

/** Of an echo packet that has not been anywhere (RFC 5881 section 4 leaves it open; what comes back has less). */
const FRESH_TTL = 255

/**
 * Of a tenant and worker. Openings: routers try once in seconds, a segment of many after a failure all at once. The others:
 * a table of a million routes as fast as BIRD sends it, 17,000 packets in a second, or two hundred BFD sessions of 10 ms.
 */
const OPENINGS_PER_S = 50
const OPENINGS_BURST = 200
const PACKETS_PER_S = 20_000
const PACKETS_BURST = 5000

const walk = ipv6Walk()

export class RoutingTraffic {
  readonly #shared: Shared
  readonly #answers: Answers
  readonly #openings: RateLimits
  readonly #packets: RateLimits
  #counter = 0

  constructor(shared: Shared, answers: Answers) {
    this.#shared = shared
    this.#answers = answers
    this.#openings = new RateLimits(shared.tenants, OPENINGS_PER_S, OPENINGS_BURST)
    this.#packets = new RateLimits(shared.tenants, PACKETS_PER_S, PACKETS_BURST)
  }

  /** Takes a packet to an address of the gateway that is a routing node's. False: it is not, and nothing was done. */
  takes(batch: Batch, row: number, etherType: number): boolean {
    const { segments, columns, frames, actions } = this.#shared
    const segment = batch.segment[row]!
    if (columns.l2[row] === 0 || actions.words[batch.action[row]! + 6] !== segment) return false
    const kind = this.#kindOf(batch, row, etherType)
    if (kind === Kind.none) return false
    const isIpv4 = etherType === ETHERTYPE.ipv4
    if (isIpv4 && kind === Kind.bfd && this.#isToItsSender(batch, row)) {
      batch.verdict[row] = this.#carryReturned(batch, row)
      return true
    }
    const source = batch.l3[row]! + (isIpv4 ? ipv4.source.offset : ipv6.source.offset)
    const addressBytes = isIpv4 ? IPV4_BYTES : IPV6_BYTES
    const slot =
      kind === Kind.answer
        ? segments.probeSlot(segment, frames.view, source, addressBytes)
        : segments.speakerSlot(segment, frames.view, source, addressBytes)
    if (slot === 0) return false
    batch.verdict[row] = this.#carry(batch, row, etherType, kind, slot)
    return true
  }

  /** A routing node's packet that has found its action: the verdict, with its TTL and its MSS as they are. */
  fromSpeaker(batch: Batch, row: number, etherType: number): number {
    const { columns, actions } = this.#shared
    const bytes = columns.end[row]! - batch.l3[row]!
    if (bytes > actions.words[batch.action[row]! + 4]!) return Drop['too-big']
    if (this.#kindOf(batch, row, etherType) === Kind.bfd) {
      this.#spread(batch, row)
      batch.action[row] = actions.resolveOrdinary(columns.slot[row]!, batch.hash[row]!)
      if (actions.words[batch.action[row]!] !== ActionKind.send) return Drop['underlay-unresolved']
      if (etherType === ETHERTYPE.ipv4 && this.#isFreshEcho(batch, row)) this.#addressToSender(batch, row)
    }
    return FORWARD
  }

  // ---- echo packets over IPv4

  #isFreshEcho(batch: Batch, row: number): boolean {
    return ipv4.ttl.get(this.#shared.frames.view, batch.l3[row]!) === FRESH_TTL && this.#isEcho(batch, row)
  }

  #isToItsSender(batch: Batch, row: number): boolean {
    const view = this.#shared.frames.view
    const l3 = batch.l3[row]!
    return ipv4.source.get(view, l3) === ipv4.destination.get(view, l3)
  }

  /** Is from the neighbour from now on, whose address is at its end. */
  #carryReturned(batch: Batch, row: number): number {
    const { segments, columns, frames } = this.#shared
    if (!this.#isEcho(batch, row)) return Drop['no-listener']
    const neighbour = columns.end[row]! - IPV4_BYTES
    const slot = segments.speakerSlot(batch.segment[row]!, frames.view, neighbour, IPV4_BYTES)
    if (slot === 0) return Drop['no-listener']
    this.#readdress(batch, row, ipv4.source, frames.view.getUint32(neighbour))
    return this.#carry(batch, row, ETHERTYPE.ipv4, Kind.bfd, slot)
  }

  /** With room for an address at its end, and not more than a tunnel has room for, wherever that leads. */
  #isEcho(batch: Batch, row: number): boolean {
    const { frames, columns } = this.#shared
    const l4 = batch.l3[row]! + ipv4HeaderBytes(frames.view, batch.l3[row]!)
    if (udp.destinationPort.get(frames.view, l4) !== UDP_PORT.bfdEcho) return false
    const bytes = columns.end[row]! - l4
    return columns.end[row]! <= columns.readable[row]! && bytes >= udp.BYTES + IPV4_BYTES && bytes <= ECHO_BYTES_MAX
  }

  #addressToSender(batch: Batch, row: number): void {
    const view = this.#shared.frames.view
    const l3 = batch.l3[row]!
    view.setUint32(this.#shared.columns.end[row]! - IPV4_BYTES, ipv4.destination.get(view, l3))
    this.#readdress(batch, row, ipv4.destination, ipv4.source.get(view, l3))
  }

  // No checksum (RFC 768): the sender knows what comes back by a secret.
  #readdress(batch: Batch, row: number, end: typeof ipv4.source, address: number): void {
    const view = this.#shared.frames.view
    const l3 = batch.l3[row]!
    end.set(view, l3, address)
    writeIpv4Checksum(view, l3)
    udp.checksum.set(view, l3 + ipv4HeaderBytes(view, l3), 0)
  }

  #carry(batch: Batch, row: number, etherType: number, kind: number, slot: number): number {
    const { actions, columns, frames, now_us } = this.#shared
    const limits = kind === Kind.opening ? this.#openings : this.#packets
    if (!limits.take(batch.tenant[row]!, now_us)) return Drop['routing-rate']
    if (kind === Kind.bfd) this.#spread(batch, row)
    const at = actions.resolve(slot, batch.hash[row]!)
    if (actions.words[at] !== ActionKind.send) return Drop['underlay-unresolved']
    const l2 = columns.l2[row]!
    const most = actions.words[at + 4]!
    if (columns.end[row]! - l2 > most) {
      this.#answers.tooBig(batch, row, etherType, most - ethernet.BYTES)
      return Drop['too-big']
    }
    const l3 = batch.l3[row]!
    const tos = etherType === ETHERTYPE.ipv4 ? ipv4.tos.get(frames.view, l3) : trafficClass(frames.view, l3)
    encapsulate(frames, actions, batch, row, at, l2, tos, ETHERTYPE.bridgedEthernet)
    batch.action[row] = REWRITTEN
    return FORWARD
  }

  // DSR section 5.1: packets of one BFD session take all paths, so that a path that fails loses some of them and not all.
  #spread(batch: Batch, row: number): void {
    this.#counter = (this.#counter + 1) & 0xffff
    batch.hash[row] = mix32(batch.hash[row]! + this.#counter)
  }

  #kindOf(batch: Batch, row: number, etherType: number): number {
    const view = this.#shared.frames.view
    const l3 = batch.l3[row]!
    const readable = this.#shared.columns.readable[row]!
    if (etherType === ETHERTYPE.ipv4) {
      if (isIpv4Fragment(view, l3)) return Kind.none
      return kindOfTransport(view, ipv4.protocol.get(view, l3), l3 + ipv4HeaderBytes(view, l3), readable)
    }
    if (walkIpv6(view, l3, readable, walk) !== Fault.none || walk.fragment !== FRAGMENT.none) return Kind.none
    return kindOfTransport(view, walk.protocol, walk.at, readable)
  }
}

function kindOfTransport(view: DataView, protocol: number, l4: number, readable: number): number {
  if (protocol === PROTOCOL.icmp || protocol === PROTOCOL.icmpv6) {
    const reply = protocol === PROTOCOL.icmp ? ICMP_TYPE.echoReply : ICMPV6_TYPE.echoReply
    return l4 + icmpEcho.BYTES <= readable && icmpEcho.type.get(view, l4) === reply ? Kind.answer : Kind.none
  }
  if (protocol === PROTOCOL.udp) {
    if (l4 + udp.BYTES > readable) return Kind.none
    return isBfd(view, l4) ? Kind.bfd : Kind.answer
  }
  if (protocol !== PROTOCOL.tcp || checkTcp(view, l4, readable) !== Fault.none) return Kind.none
  if (tcp.destinationPort.get(view, l4) !== BGP_PORT && tcp.sourcePort.get(view, l4) !== BGP_PORT) return Kind.answer
  return (tcp.flags.get(view, l4) & (TCP_FLAG.syn | TCP_FLAG.ack)) === TCP_FLAG.syn ? Kind.opening : Kind.bgp
}

function isBfd(view: DataView, l4: number): boolean {
  const port = udp.destinationPort.get(view, l4)
  return port === UDP_PORT.bfdSingleHop || port === UDP_PORT.bfdEcho || port === UDP_PORT.bfdMultiHop
}
