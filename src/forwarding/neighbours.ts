/**
 * ARP (RFC 826) and neighbour discovery (RFC 4861) on tenants' segments, as far as a worker goes: requests for the
 * gateway's addresses are answered in place, and what senders say of themselves is reported to the agent, which knows the
 * next hops and shares the news with the cluster (a reply may meet any node).
 *
 * A routing node asks, too, for neighbours that it has to reach. It speaks for the gateway and the gateway's forwarding
 * nodes know the way, so it gets the gateway's MAC address for whatever is not ours, and is never listened to.
 */

import { mix32 } from '../base/hash.ts'
import { RateLimits } from '../base/rate-limit.ts'
import { ActionKind } from '../dataplane/action.ts'
import { type Batch, DELIVERED } from '../dataplane/batch.ts'
import { Drop } from '../dataplane/drop.ts'
import { ARP_OPERATION, arp } from '../wire/arp.ts'
import { ethernet } from '../wire/ethernet.ts'
import { Fault } from '../wire/fault.ts'
import { bytesOf, type Field } from '../wire/header.ts'
import { checkIcmpv6, ICMPV6_TYPE, icmpv6, writeIcmpv6Checksum } from '../wire/icmpv6.ts'
import { PROTOCOL } from '../wire/ipv4.ts'
import { ipv6 } from '../wire/ipv6.ts'
import {
  checkNeighbourDiscovery,
  linkLayerOption,
  ND_ADVERTISEMENT,
  ND_OPTION,
  neighbourAdvertisement,
  neighbourOption,
  neighbourSolicitation,
} from '../wire/neighbour-discovery.ts'
import { chunkEnd } from './classify.ts'
import { Answer, type Shared } from './shared.ts'

/** From a worker to its agent: somebody on a segment said what its MAC address is. */
export interface NeighbourHeard {
  readonly kind: 'neighbour'
  readonly segment: number
  readonly address: Uint8Array
  readonly mac: Uint8Array
}

/** From a worker to its agent: a packet is for a neighbour whose MAC address nobody knows. `by` names the gleaner. */
export interface NeighbourMissed {
  readonly kind: 'missed'
  readonly by: number
  readonly address: Uint8Array
}

export type NeighbourReport = NeighbourHeard | NeighbourMissed

/**
 * Reports a second to the agent, a tenant and kind, and of a worker in all: a cluster start with 10 K tenants is over in
 * seconds, a scan of a tenant's own subnet leaves the other tenants theirs, and a flood costs the agent a few percent.
 */
const HEARD_PER_S = 100
const HEARD_BURST = 100
const MISSED_PER_S = 50
const MISSED_BURST = 50
const REPORTS_PER_S = 5000
const REPORTS_BURST = 2000

/** What was reported is not said again for a while; direct-mapped, so a collision only says something twice. */
const REMEMBERED = 4096
const REMEMBER_us = 1e6

const ADVERTISEMENT_BYTES = neighbourAdvertisement.BYTES + linkLayerOption.BYTES
const ND_HOP_LIMIT = 255

export class Neighbours {
  readonly #shared: Shared
  readonly #report: (report: NeighbourReport) => void
  readonly #heard: RateLimits
  readonly #missed: RateLimits
  readonly #all = new RateLimits(1, REPORTS_PER_S, REPORTS_BURST)
  readonly #said = new Int32Array(REMEMBERED)
  readonly #saidUntil_us = new Float64Array(REMEMBERED)

  constructor(shared: Shared, report: (report: NeighbourReport) => void) {
    this.#shared = shared
    this.#report = report
    this.#heard = new RateLimits(shared.tenants, HEARD_PER_S, HEARD_BURST)
    this.#missed = new RateLimits(shared.tenants, MISSED_PER_S, MISSED_BURST)
  }

  arp(batch: Batch, row: number): number {
    const { frames, segments, columns } = this.#shared
    const view = frames.view
    const at = batch.l3[row]!
    const segment = batch.segment[row]!
    const isSpeaker = columns.speaker[row] !== 0
    if (!isSpeaker && arp.senderIp.get(view, at) !== 0) this.#hear(segment, at, arp.senderIp, arp.senderMac, at)
    if (arp.operation.get(view, at) === ARP_OPERATION.reply) return DELIVERED
    const target = arp.targetIp.get(view, at)
    if (this.#isOurs(this.#shared.fib.lookup4(batch.tenant[row]!, target), segment) === isSpeaker)
      return Drop['arp-ignored']
    if (!this.#shared.mayAnswer(batch.tenant[row]!, Answer.neighbour)) return Drop['icmp-rate']
    arp.operation.set(view, at, ARP_OPERATION.reply)
    frames.bytes.copyWithin(at + arp.targetMac.offset, at + arp.senderMac.offset, at + arp.targetMac.offset)
    segments.writeGatewayMac(segment, view, at + arp.senderMac.offset)
    arp.senderIp.set(view, at, target)
    columns.end[row] = at + arp.BYTES
    return this.#shared.turnRound(batch, row, arp.targetMac, at)
  }

  /** Is the IPv6 packet neighbour discovery, as far as can be told without walking extension headers? */
  isDiscovery(batch: Batch, row: number): boolean {
    const view = this.#shared.frames.view
    const l3 = batch.l3[row]!
    if (ipv6.nextHeader.get(view, l3) !== PROTOCOL.icmpv6) return false
    const at = l3 + ipv6.BYTES
    if (at >= this.#shared.columns.readable[row]!) return false
    const type = icmpv6.type.get(view, at)
    return type >= ICMPV6_TYPE.routerSolicitation && type <= ICMPV6_TYPE.redirect
  }

  discovery(batch: Batch, row: number): number {
    const { frames, columns, fib } = this.#shared
    const view = frames.view
    const l3 = batch.l3[row]!
    const at = l3 + ipv6.BYTES
    const end = columns.readable[row]!
    if (end !== columns.end[row]) return Drop['nd-ignored']
    const fault = checkIcmpv6(view, at, end, l3) || checkNeighbourDiscovery(view, at, end, l3)
    if (fault !== Fault.none) return fault
    const type = icmpv6.type.get(view, at)
    if (type === ICMPV6_TYPE.neighbourAdvertisement) return this.#heardAdvertisement(batch, row, at, end)
    if (type !== ICMPV6_TYPE.neighbourSolicitation || columns.l2[row] === 0) return Drop['nd-ignored']
    const segment = batch.segment[row]!
    const isSpeaker = columns.speaker[row] !== 0
    const option = neighbourOption(view, at, end, ND_OPTION.sourceLinkLayer)
    if (option !== 0 && !isSpeaker) this.#hear(segment, l3, ipv6.source, linkLayerOption.address, option)
    const target = at + neighbourSolicitation.target.offset
    if (this.#isOurs(fib.lookup6(batch.tenant[row]!, view, target), segment) === isSpeaker) return Drop['nd-ignored']
    if (!this.#shared.mayAnswer(batch.tenant[row]!, Answer.neighbour)) return Drop['icmp-rate']
    return this.#advertise(batch, row, l3)
  }

  #heardAdvertisement(batch: Batch, row: number, at: number, end: number): number {
    const option = neighbourOption(this.#shared.frames.view, at, end, ND_OPTION.targetLinkLayer)
    if (option !== 0 && this.#shared.columns.speaker[row] === 0)
      this.#hear(batch.segment[row]!, at, neighbourAdvertisement.target, linkLayerOption.address, option)
    return DELIVERED
  }

  // RFC 4861 section 7.2.4. The solicitation becomes the advertisement; only duplicate address detection makes it longer.
  #advertise(batch: Batch, row: number, l3: number): number {
    const { frames, segments, columns } = this.#shared
    const { view, bytes } = frames
    const at = l3 + ipv6.BYTES
    const end = at + ADVERTISEMENT_BYTES
    if (end > chunkEnd(l3)) return Drop['nd-ignored']
    const source = l3 + ipv6.source.offset
    const destination = l3 + ipv6.destination.offset
    const anonymous = view.getUint32(source) === 0 && view.getUint32(source + 12) === 0
    if (anonymous) writeAllNodes(view, destination)
    else bytes.copyWithin(destination, source, source + 16)
    const target = at + neighbourSolicitation.target.offset
    bytes.copyWithin(source, target, target + 16)
    ipv6.payloadLength.set(view, l3, ADVERTISEMENT_BYTES)
    ipv6.hopLimit.set(view, l3, ND_HOP_LIMIT)
    neighbourAdvertisement.type.set(view, at, ICMPV6_TYPE.neighbourAdvertisement)
    const flags = ND_ADVERTISEMENT.router | ND_ADVERTISEMENT.override | (anonymous ? 0 : ND_ADVERTISEMENT.solicited)
    neighbourAdvertisement.flags.set(view, at, flags >>> 0)
    const option = at + neighbourAdvertisement.BYTES
    linkLayerOption.type.set(view, option, ND_OPTION.targetLinkLayer)
    linkLayerOption.length.set(view, option, 1)
    segments.writeGatewayMac(batch.segment[row]!, view, option + linkLayerOption.address.offset)
    writeIcmpv6Checksum(view, at, end, l3)
    columns.end[row] = end
    return this.#shared.turnRound(batch, row, ethernet.source, columns.l2[row]!)
  }

  /** A packet met an unresolved next hop. Where that is a neighbour's address of its own, the packet's destination is it. */
  missed(tenant: number, by: number, address: Field, l3: number): void {
    const now_us = this.#shared.now_us
    if (this.#missed.take(tenant, now_us) && this.#all.take(0, now_us))
      this.#report({ kind: 'missed', by, address: bytesOf(address, this.#shared.frames.view, l3) })
  }

  // An address of the gateway on this segment, or on all of them (link-local).
  #isOurs(slot: number, segment: number): boolean {
    const { actions } = this.#shared
    const at = actions.resolve(slot, 0)
    if (actions.words[at] !== ActionKind.local) return false
    const owner = actions.words[at + 6]!
    return owner === 0 || owner === segment
  }

  #hear(segment: number, at: number, address: Field, mac: Field, macAt: number): void {
    const view = this.#shared.frames.view
    const now_us = this.#shared.now_us
    let hash = mix32(segment)
    for (let i = 0; i < address.bytes; i += 4) hash = mix32(hash ^ view.getUint32(at + address.offset + i))
    hash = mix32(hash ^ view.getUint32(macAt + mac.offset)) ^ view.getUint16(macAt + mac.offset + 4)
    const place = hash & (REMEMBERED - 1)
    if (this.#said[place] === (hash | 0) && now_us < this.#saidUntil_us[place]!) return
    if (!this.#heard.take(this.#shared.segments.tenantOf(segment), now_us) || !this.#all.take(0, now_us)) return
    this.#said[place] = hash
    this.#saidUntil_us[place] = now_us + REMEMBER_us
    this.#report({
      kind: 'neighbour',
      segment,
      address: bytesOf(address, view, at),
      mac: bytesOf(mac, view, macAt),
    })
  }
}

function writeAllNodes(view: DataView, at: number): void {
  view.setUint32(at, 0xff020000)
  view.setUint32(at + 4, 0)
  view.setUint32(at + 8, 0)
  view.setUint32(at + 12, 1)
}
