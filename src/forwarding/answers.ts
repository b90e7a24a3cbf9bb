/**
 * What the gateway says to tenants: ICMP errors about packets that cannot go on, and replies to pings of its own addresses.
 * Every answer takes a token of its tenant, so that no flood of triggers becomes a flood of answers.
 */

import type { Batch } from '../dataplane/batch.ts'
import { Drop } from '../dataplane/drop.ts'
import { NO_FRAME } from '../dataplane/frames.ts'
import { mayReportTo4, mayReportTo6, writeIcmpError, writeIcmpv6Error } from '../dataplane/icmp-error.ts'
import { updated16 } from '../wire/checksum.ts'
import { ETHERTYPE, ethernet } from '../wire/ethernet.ts'
import { Fault } from '../wire/fault.ts'
import { ICMP_TYPE, ICMP_UNREACHABLE, icmp } from '../wire/icmp.ts'
import { ICMPV6_TYPE, ICMPV6_UNREACHABLE, icmpv6 } from '../wire/icmpv6.ts'
import { ipv4, ipv4HeaderBytes, isIpv4Fragment, PROTOCOL, writeIpv4Checksum } from '../wire/ipv4.ts'
import { FRAGMENT, ipv6, ipv6Walk, walkIpv6 } from '../wire/ipv6.ts'
import { isLinkLocal6 } from '../wire/neighbour-discovery.ts'
import { Answer, type Shared } from './shared.ts'

const REPLY_TTL = 64

/** Code of parameter problem, RFC 4443 section 3.4. */
const UNKNOWN_NEXT_HEADER = 1

const walk = ipv6Walk()

export class Answers {
  readonly #shared: Shared

  constructor(shared: Shared) {
    this.#shared = shared
  }

  timeExceeded(batch: Batch, row: number, etherType: number): void {
    if (etherType === ETHERTYPE.ipv4) this.#error4(batch, row, ICMP_TYPE.timeExceeded, 0, 0)
    else this.#error6(batch, row, ICMPV6_TYPE.timeExceeded, 0, 0)
  }

  noRoute(batch: Batch, row: number, etherType: number): void {
    if (etherType === ETHERTYPE.ipv4)
      this.#error4(batch, row, ICMP_TYPE.destinationUnreachable, ICMP_UNREACHABLE.network, 0)
    else this.#error6(batch, row, ICMPV6_TYPE.destinationUnreachable, ICMPV6_UNREACHABLE.noRoute, 0)
  }

  hostUnreachable(batch: Batch, row: number, etherType: number): void {
    if (etherType === ETHERTYPE.ipv4)
      this.#error4(batch, row, ICMP_TYPE.destinationUnreachable, ICMP_UNREACHABLE.host, 0)
    else this.#error6(batch, row, ICMPV6_TYPE.destinationUnreachable, ICMPV6_UNREACHABLE.address, 0)
  }

  /** RFC 1191 section 4, RFC 4443 section 3.2: `mtu` is what fits, in bytes of the tenant's IP packet. */
  tooBig(batch: Batch, row: number, etherType: number, mtu: number): void {
    const { destinationUnreachable } = ICMP_TYPE
    if (etherType === ETHERTYPE.ipv4)
      this.#error4(batch, row, destinationUnreachable, ICMP_UNREACHABLE.fragmentationNeeded, mtu)
    else this.#error6(batch, row, ICMPV6_TYPE.packetTooBig, 0, mtu)
  }

  /** A packet to an address of the gateway: an echo request is turned round in place, all else is told that nobody listens. */
  toGateway(batch: Batch, row: number, etherType: number): number {
    return etherType === ETHERTYPE.ipv4 ? this.#toGateway4(batch, row) : this.#toGateway6(batch, row)
  }

  #toGateway4(batch: Batch, row: number): number {
    const view = this.#shared.frames.view
    const l3 = batch.l3[row]!
    const l4 = l3 + ipv4HeaderBytes(view, l3)
    const protocol = ipv4.protocol.get(view, l3)
    const whole = !isIpv4Fragment(view, l3) && l4 + icmp.BYTES <= this.#shared.columns.readable[row]!
    if (protocol === PROTOCOL.icmp) {
      if (!whole || icmp.type.get(view, l4) !== ICMP_TYPE.echoRequest) return Drop['no-listener']
      if (!this.#shared.mayAnswer(batch.tenant[row]!, Answer.other)) return Drop['icmp-rate']
      const source = ipv4.source.get(view, l3)
      ipv4.source.set(view, l3, ipv4.destination.get(view, l3))
      ipv4.destination.set(view, l3, source)
      ipv4.ttl.set(view, l3, REPLY_TTL)
      writeIpv4Checksum(view, l3)
      icmp.type.set(view, l4, ICMP_TYPE.echoReply)
      icmp.checksum.set(view, l4, updated16(icmp.checksum.get(view, l4), ICMP_TYPE.echoRequest << 8, 0))
      return this.#shared.chooseAction(batch, row, ETHERTYPE.ipv4)
    }
    const code =
      protocol === PROTOCOL.tcp || protocol === PROTOCOL.udp ? ICMP_UNREACHABLE.port : ICMP_UNREACHABLE.protocol
    this.#error4(batch, row, ICMP_TYPE.destinationUnreachable, code, 0)
    return Drop['no-listener']
  }

  #toGateway6(batch: Batch, row: number): number {
    const { frames, columns } = this.#shared
    const view = frames.view
    const l3 = batch.l3[row]!
    const fault = walkIpv6(view, l3, columns.readable[row]!, walk)
    if (fault !== Fault.none) return fault
    if (walk.protocol === PROTOCOL.icmpv6) {
      const whole = walk.fragment === FRAGMENT.none && walk.at + icmpv6.BYTES <= columns.readable[row]!
      if (!whole || icmpv6.type.get(view, walk.at) !== ICMPV6_TYPE.echoRequest) return Drop['no-listener']
      return this.#echo6(batch, row, walk.at - l3 - ipv6.BYTES)
    }
    const { destinationUnreachable, parameterProblem } = ICMPV6_TYPE
    if (walk.protocol === PROTOCOL.tcp || walk.protocol === PROTOCOL.udp)
      this.#error6(batch, row, destinationUnreachable, ICMPV6_UNREACHABLE.port, 0)
    else if (walk.protocol !== PROTOCOL.none)
      this.#error6(batch, row, parameterProblem, UNKNOWN_NEXT_HEADER, walk.namedAt - l3)
    return Drop['no-listener']
  }

  // `extensions` are the bytes of headers before the request, which are not for the reply.
  #echo6(batch: Batch, row: number, extensions: number): number {
    const { frames, columns } = this.#shared
    const { view, bytes } = frames
    if (!this.#shared.mayAnswer(batch.tenant[row]!, Answer.other)) return Drop['icmp-rate']
    if (extensions > 0) this.#dropExtensions(batch, row, extensions)
    const l3 = batch.l3[row]!
    const at = l3 + ipv6.BYTES
    swapAddresses6(view, bytes, l3)
    ipv6.hopLimit.set(view, l3, REPLY_TTL)
    // Both addresses are in the pseudo-header still: only the type changes the sum.
    icmpv6.type.set(view, at, ICMPV6_TYPE.echoReply)
    const sum = icmpv6.checksum.get(view, at)
    icmpv6.checksum.set(view, at, updated16(sum, ICMPV6_TYPE.echoRequest << 8, ICMPV6_TYPE.echoReply << 8))
    // No route leads to a link-local address: the reply goes where the request came from.
    if (isLinkLocal6(view, l3 + ipv6.destination.offset) && columns.l2[row] !== 0)
      return this.#shared.turnRound(batch, row, ethernet.source, columns.l2[row]!)
    return this.#shared.chooseAction(batch, row, ETHERTYPE.ipv6)
  }

  // The headers before them move up; what is in front of those goes when the packet is rewritten.
  #dropExtensions(batch: Batch, row: number, extensions: number): void {
    const { frames, columns } = this.#shared
    const l3 = batch.l3[row]!
    const from = columns.l2[row] === 0 ? l3 : columns.l2[row]!
    ipv6.nextHeader.set(frames.view, l3, PROTOCOL.icmpv6)
    ipv6.payloadLength.set(frames.view, l3, ipv6.payloadLength.get(frames.view, l3) - extensions)
    frames.bytes.copyWithin(from + extensions, from, l3 + ipv6.BYTES)
    batch.l3[row] = l3 + extensions
    if (columns.l2[row] !== 0) columns.l2[row] = from + extensions
  }

  #error4(batch: Batch, row: number, type: number, code: number, mtu: number): void {
    const { frames, segments, columns } = this.#shared
    const tenant = batch.tenant[row]!
    const l3 = batch.l3[row]!
    const readable = columns.readable[row]!
    const source = segments.address4(batch.segment[row]!)
    if (source === 0 || !mayReportTo4(frames.view, l3, readable)) return
    const to = this.#shared.chunkForAnswer(tenant, mtu > 0 ? Answer.tooBig : Answer.other)
    if (to === NO_FRAME) return
    const total = writeIcmpError(frames.bytes, frames.view, to, l3, readable - l3, type, code, mtu, source)
    this.#shared.originate(tenant, batch.hash[row]!, to, total, ETHERTYPE.ipv4)
  }

  #error6(batch: Batch, row: number, type: number, code: number, rest: number): void {
    const { frames, segments, columns } = this.#shared
    const tenant = batch.tenant[row]!
    const segment = batch.segment[row]!
    const l3 = batch.l3[row]!
    const readable = columns.readable[row]!
    if (!segments.hasAddress6(segment)) return
    const isTooBig = type === ICMPV6_TYPE.packetTooBig
    if (!mayReportTo6(frames.view, l3, readable, isTooBig)) return
    const to = this.#shared.chunkForAnswer(tenant, isTooBig ? Answer.tooBig : Answer.other)
    if (to === NO_FRAME) return
    segments.writeAddress6(segment, frames.view, to + ipv6.source.offset)
    const total = writeIcmpv6Error(frames.bytes, frames.view, to, l3, readable - l3, type, code, rest)
    this.#shared.originate(tenant, batch.hash[row]!, to, total, ETHERTYPE.ipv6)
  }
}

function swapAddresses6(view: DataView, bytes: Uint8Array, l3: number): void {
  const source = l3 + ipv6.source.offset
  const destination = l3 + ipv6.destination.offset
  const a = view.getUint32(source)
  const b = view.getUint32(source + 4)
  const c = view.getUint32(source + 8)
  const d = view.getUint32(source + 12)
  bytes.copyWithin(source, destination, destination + 16)
  view.setUint32(destination, a)
  view.setUint32(destination + 4, b)
  view.setUint32(destination + 8, c)
  view.setUint32(destination + 12, d)
}
