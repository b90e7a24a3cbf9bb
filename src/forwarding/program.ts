/**
 * The forwarding node's stages, as a worker runs them (design of DSR section 4.1.2: a short pipeline, one lookup):
 *
 *   classify -> (dispatcher) -> admit -> lookup -> route -> rewrite
 *
 * Each is a loop over the batch. Whatever is not plain forwarding (ARP, neighbour discovery, packets for the gateway, tenants'
 * BGP, ICMP errors, fragmentation) branches off in `route` to files of its own.
 */

import { ActionKind, NO_LISTENER_AT, VRF_LOOP_AT } from '../dataplane/action.ts'
import { type Batch, FORWARD } from '../dataplane/batch.ts'
import { Drop } from '../dataplane/drop.ts'
import { NO_FRAME } from '../dataplane/frames.ts'
import { isGroupOrBad4, isGroupOrBad6 } from '../dataplane/icmp-error.ts'
import { UNKNOWN_TENANT } from '../dataplane/ledger.ts'
import type { Program } from '../dataplane/program.ts'
import { decapsulatedTos } from '../wire/ecn.ts'
import { ETHERTYPE, ethernet, isGroupAddressed } from '../wire/ethernet.ts'
import { Fault } from '../wire/fault.ts'
import {
  decrementTtl,
  hasDontFragment,
  ipv4,
  ipv4FragmentOffset,
  ipv4HeaderBytes,
  isSourceRouted,
  PROTOCOL,
  setTos,
} from '../wire/ipv4.ts'
import { FRAGMENT, IPV6_MTU_MIN, ipv6, ipv6Walk, setTrafficClass, trafficClass, walkIpv6 } from '../wire/ipv6.ts'
import { isLinkLocal6 } from '../wire/neighbour-discovery.ts'
import { checkTcp, clampMss, TCP_FLAG, tcp } from '../wire/tcp.ts'
import { Answers } from './answers.ts'
import { Classifier } from './classify.ts'
import { Fragmenter } from './fragment.ts'
import { Lookup } from './lookup.ts'
import { type NeighbourReport, Neighbours } from './neighbours.ts'
import { Policed } from './policed.ts'
import { RoutingTraffic } from './routing-traffic.ts'
import { SenderRole, TunnelKind } from './segments.ts'
import { type NodeViews, REWRITTEN, Shared } from './shared.ts'

/** Bytes of IP and TCP headers without options: what the MTU loses to the MSS (RFC 9293 section 3.7.1). */
const MSS_OVERHEAD4 = 40
const MSS_OVERHEAD6 = 60

/** The first byte of every IPv6 group address (RFC 4291 section 2.7). */
const IPV6_GROUP = 0xff

const walk = ipv6Walk()

/** From the agent to a worker: a whole frame to be sent as it is. */
export interface SendFrame {
  readonly kind: 'send'
  readonly port: number
  readonly tenant: number
  readonly frame: Uint8Array
}

export class ForwardingProgram implements Program {
  readonly originated: Batch
  readonly #shared: Shared
  readonly #classifier: Classifier
  readonly #lookup: Lookup
  readonly #neighbours: Neighbours
  readonly #answers: Answers
  readonly #fragmenter: Fragmenter
  readonly #policed: Policed
  readonly #routingTraffic: RoutingTraffic

  constructor(views: NodeViews, report: (report: NeighbourReport) => void) {
    this.#shared = new Shared(views)
    this.originated = this.#shared.originated
    this.#classifier = new Classifier(views.frames, views.pool, this.#shared.columns)
    this.#lookup = new Lookup(this.#shared)
    this.#neighbours = new Neighbours(this.#shared, report)
    this.#answers = new Answers(this.#shared)
    this.#fragmenter = new Fragmenter(this.#shared)
    this.#policed = new Policed(this.#shared, views.policies)
    this.#routingTraffic = new RoutingTraffic(this.#shared, this.#answers)
  }

  classify(batch: Batch): void {
    this.#classifier.classify(batch)
  }

  process(batch: Batch): void {
    for (let row = 0; row < batch.count; row++) {
      batch.tenant[row] = UNKNOWN_TENANT
      if (batch.verdict[row] === FORWARD) batch.verdict[row] = this.#admit(batch, row)
    }
    this.#shared.ledger.admitted(batch)
    this.#lookup.run(batch)
    for (let row = 0; row < batch.count; row++)
      if (batch.verdict[row] === FORWARD) batch.verdict[row] = this.#route(batch, row)
    for (let row = 0; row < batch.count; row++)
      if (batch.verdict[row] === FORWARD && batch.action[row] !== REWRITTEN)
        this.#shared.rewrite(batch, row, this.#shared.columns.etherType[row]!)
  }

  housekeeping(now_us: number): void {
    this.#shared.now_us = now_us
  }

  message(message: unknown): void {
    const { port, tenant, frame } = message as SendFrame
    const { frames, ledger } = this.#shared
    const to = this.#shared.takeChunk()
    if (to === NO_FRAME) {
      ledger.notOriginated(tenant, Drop['no-frames'])
      return
    }
    frames.bytes.set(frame, to)
    this.#shared.originateFrame(tenant, to, frame.length, port)
  }

  // Whose packet is it, may the sender send it, and is it for the gateway to route?
  #admit(batch: Batch, row: number): number {
    const { segments, columns, frames } = this.#shared
    const view = frames.view
    const kind = columns.kind[row]!
    const id = columns.id[row]!
    const entry = segments.find(kind, id, view, columns.source[row]!, columns.sourceBytes[row]!)
    if (entry < 0) {
      if (segments.isKnown(kind, id)) return Drop['unknown-remote']
      return kind === TunnelKind.vxlan ? Drop['unknown-vni'] : Drop['unknown-key']
    }
    const segment = segments.segmentOf(entry)
    batch.segment[row] = segment
    batch.tenant[row] = segments.tenantOf(segment)
    columns.replySlot[row] = segments.replySlotOf(entry)
    const role = segments.roleOf(entry)
    columns.speaker[row] = role === SenderRole.speaker ? 1 : 0
    columns.fromSite[row] = role === SenderRole.site ? 1 : 0
    const l2 = columns.l2[row]!
    if (l2 !== 0 && !segments.isGatewayMac(segment, view, l2 + ethernet.destination.offset)) {
      const verdict = this.#admitOther(batch, row, l2)
      if (verdict !== FORWARD) return verdict
    }
    return (columns.outerTos[row]! & 3) === 0 ? FORWARD : this.#combineEcn(batch, row)
  }

  // A frame that is not to the gateway's MAC address. A routing node's is to the neighbour that the packet is for.
  #admitOther(batch: Batch, row: number, l2: number): number {
    const { columns, frames } = this.#shared
    if (!isGroupAddressed(frames.view, l2)) return columns.speaker[row] === 0 ? Drop['not-for-gateway'] : FORWARD
    if (columns.etherType[row] === ETHERTYPE.ipv4) return Drop.multicast
    // A packet to one address within a frame to many: nobody's router, or everybody's (RFC 4443 section 2.4 e).
    const toGroup = frames.view.getUint8(batch.l3[row]! + ipv6.destination.offset) === IPV6_GROUP
    return columns.etherType[row] === ETHERTYPE.ipv6 && !toGroup ? Drop.multicast : FORWARD
  }

  #combineEcn(batch: Batch, row: number): number {
    const view = this.#shared.frames.view
    const etherType = this.#shared.columns.etherType[row]!
    if (etherType === ETHERTYPE.arp) return FORWARD
    const l3 = batch.l3[row]!
    const before = etherType === ETHERTYPE.ipv4 ? ipv4.tos.get(view, l3) : trafficClass(view, l3)
    const tos = decapsulatedTos(before, this.#shared.columns.outerTos[row]!)
    if (tos < 0) return Drop['ecn-mismatch']
    if (tos === before) return FORWARD
    if (etherType === ETHERTYPE.ipv4) setTos(view, l3, tos)
    else setTrafficClass(view, l3, tos)
    return FORWARD
  }

  #route(batch: Batch, row: number): number {
    const etherType = this.#shared.columns.etherType[row]!
    if (etherType === ETHERTYPE.ipv4) return this.#route4(batch, row)
    if (etherType === ETHERTYPE.arp) return this.#neighbours.arp(batch, row)
    if (this.#neighbours.isDiscovery(batch, row)) return this.#neighbours.discovery(batch, row)
    return this.#route6(batch, row)
  }

  #route4(batch: Batch, row: number): number {
    const { frames, columns } = this.#shared
    const view = frames.view
    const l3 = batch.l3[row]!
    if (isGroupOrBad4(ipv4.source.get(view, l3))) return Drop['martian-source']
    if (isGroupOrBad4(ipv4.destination.get(view, l3))) return Drop.multicast
    if (isSourceRouted(view, l3)) return Fault['bad-option']
    const verdict = this.#choose(batch, row, ETHERTYPE.ipv4, ipv4.ttl.get(view, l3))
    if (verdict !== FORWARD || batch.action[row] === REWRITTEN) return verdict
    if (columns.speaker[row] !== 0) return this.#routingTraffic.fromSpeaker(batch, row, ETHERTYPE.ipv4)
    const mtu = this.#shared.actions.words[batch.action[row]! + 4]!
    if (columns.end[row]! - l3 > mtu) return this.#tooBig4(batch, row, mtu)
    decrementTtl(view, l3)
    if (ipv4.protocol.get(view, l3) === PROTOCOL.tcp && ipv4FragmentOffset(view, l3) === 0)
      this.#clamp(batch, row, l3 + ipv4HeaderBytes(view, l3), mtu, MSS_OVERHEAD4)
    return FORWARD
  }

  #tooBig4(batch: Batch, row: number, mtu: number): number {
    const view = this.#shared.frames.view
    if (hasDontFragment(view, batch.l3[row]!)) {
      this.#answers.tooBig(batch, row, ETHERTYPE.ipv4, mtu)
      return Drop['too-big']
    }
    decrementTtl(view, batch.l3[row]!)
    return this.#fragmenter.fragment(batch, row, mtu)
  }

  #route6(batch: Batch, row: number): number {
    const { frames, columns } = this.#shared
    const view = frames.view
    const l3 = batch.l3[row]!
    if (isGroupOrBad6(view, l3 + ipv6.source.offset)) return Drop['martian-source']
    if (isGroupOrBad6(view, l3 + ipv6.destination.offset)) return Drop.multicast
    const verdict = this.#choose(batch, row, ETHERTYPE.ipv6, ipv6.hopLimit.get(view, l3))
    if (verdict !== FORWARD || batch.action[row] === REWRITTEN) return verdict
    if (columns.speaker[row] !== 0) return this.#routingTraffic.fromSpeaker(batch, row, ETHERTYPE.ipv6)
    if (isLinkLocal6(view, l3 + ipv6.source.offset)) return Drop['link-local']
    const mtu = this.#shared.actions.words[batch.action[row]! + 4]!
    const bytes = columns.end[row]! - l3
    if (bytes > mtu && bytes > IPV6_MTU_MIN) {
      this.#answers.tooBig(batch, row, ETHERTYPE.ipv6, Math.max(mtu, IPV6_MTU_MIN))
      return Drop['too-big']
    }
    ipv6.hopLimit.set(view, l3, ipv6.hopLimit.get(view, l3) - 1)
    if (ipv6.nextHeader.get(view, l3) === PROTOCOL.tcp) this.#clamp(batch, row, l3 + ipv6.BYTES, mtu, MSS_OVERHEAD6)
    else if (walkIpv6(view, l3, columns.readable[row]!, walk) === Fault.none && walk.fragment !== FRAGMENT.later)
      if (walk.protocol === PROTOCOL.tcp) this.#clamp(batch, row, walk.at, mtu, MSS_OVERHEAD6)
    return bytes > mtu ? this.#inPieces(batch, row) : FORWARD
  }

  #inPieces(batch: Batch, row: number): number {
    const verdict = this.#shared.rewriteInPieces(batch, row, ETHERTYPE.ipv6)
    batch.action[row] = REWRITTEN
    return verdict
  }

  // What the slot says, and what the TTL has to say. Writes `action`.
  #choose(batch: Batch, row: number, etherType: number, ttl: number): number {
    const words = this.#shared.actions.words
    let at = this.#shared.follow(row, this.#shared.columns.slot[row]!, batch.hash[row]!)
    if (words[at]! > ActionKind.send) at = this.#further(batch, row, etherType, at)
    const kind = words[at]!
    batch.action[row] = at
    if (kind === ActionKind.local) return this.#toGateway(batch, row, etherType)
    if (kind === ActionKind.drop) return this.#undeliverable(batch, row, etherType, at)
    if (ttl > 1 || this.#shared.columns.speaker[row] !== 0) return FORWARD
    this.#answers.timeExceeded(batch, row, etherType)
    return Drop['ttl-exceeded']
  }

  // Into another VRF, once; and past policies, which are those of the VRF that the packet leaves by.
  #further(batch: Batch, row: number, etherType: number, from: number): number {
    const { actions, columns } = this.#shared
    const words = actions.words
    let at = from
    let vrf = batch.tenant[row]!
    if (words[at] === ActionKind.vrf) {
      vrf = words[at + 6]!
      columns.slot[row] = this.#shared.slotIn(vrf, batch, row, etherType)
      at = this.#shared.follow(row, columns.slot[row]!, batch.hash[row]!)
      if (words[at] === ActionKind.vrf) return VRF_LOOP_AT
      if (words[at] === ActionKind.local) return NO_LISTENER_AT
    }
    if (words[at] !== ActionKind.policy) return at
    // What a routing node sends goes where its neighbour is, whatever policies say.
    if (columns.speaker[row] !== 0) return actions.resolve(actions.ordinarySlot(at), batch.hash[row]!)
    return this.#policed.choose(vrf, batch, row, etherType, at)
  }

  // A reply to a ping has its action already: it is rewritten here, past the checks for packets in transit but for its size.
  #toGateway(batch: Batch, row: number, etherType: number): number {
    if (this.#shared.columns.speaker[row] !== 0) return Drop['no-listener']
    if (this.#routingTraffic.takes(batch, row, etherType)) return batch.verdict[row]!
    const verdict = this.#answers.toGateway(batch, row, etherType)
    if (verdict !== FORWARD || batch.action[row] === REWRITTEN) return verdict
    const mtu = this.#shared.actions.words[batch.action[row]! + 4]!
    const bytes = this.#shared.columns.end[row]! - batch.l3[row]!
    if (bytes > mtu && etherType === ETHERTYPE.ipv6)
      return bytes > IPV6_MTU_MIN ? Drop['too-big'] : this.#inPieces(batch, row)
    if (bytes > mtu) {
      const cut = hasDontFragment(this.#shared.frames.view, batch.l3[row]!)
        ? Drop['too-big']
        : this.#fragmenter.fragment(batch, row, mtu)
      if (cut !== FORWARD) return cut
    }
    this.#shared.rewrite(batch, row, etherType)
    batch.action[row] = REWRITTEN
    return FORWARD
  }

  #undeliverable(batch: Batch, row: number, etherType: number, at: number): number {
    const reason = this.#shared.actions.words[at + 6]!
    const miss = this.#shared.actions.words[at + 7]!
    const destination = etherType === ETHERTYPE.ipv4 ? ipv4.destination : ipv6.destination
    if (miss !== 0) this.#neighbours.missed(batch.tenant[row]!, miss, destination, batch.l3[row]!)
    // An ICMP error about a routing node's packet would be one to ourselves.
    if (this.#shared.columns.speaker[row] !== 0) return reason
    if (reason === Drop['no-route']) this.#answers.noRoute(batch, row, etherType)
    else if (isUnreachable(reason)) this.#answers.hostUnreachable(batch, row, etherType)
    return reason
  }

  // The MSS in a SYN bounds what comes back, and what goes there is mostly as large: the smaller of both ways counts.
  #clamp(batch: Batch, row: number, l4: number, mtu: number, overhead: number): void {
    const { frames, columns } = this.#shared
    const view = frames.view
    if (checkTcp(view, l4, columns.readable[row]!) !== Fault.none) return
    if ((tcp.flags.get(view, l4) & TCP_FLAG.syn) === 0) return
    clampMss(view, l4, Math.min(mtu, this.#shared.mtuBack(batch, row)) - overhead)
  }
}

/** The route is there and what it leads to is not. */
function isUnreachable(reason: number): boolean {
  return (
    reason === Drop['neighbour-unresolved'] ||
    reason === Drop['underlay-unresolved'] ||
    reason === Drop['group-empty'] ||
    reason === Drop['policy-no-way']
  )
}
