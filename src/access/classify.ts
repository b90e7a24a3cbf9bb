/**
 * The switch's first stage: what is this frame, and which flow is it of? It only reads, because the frame may be handed
 * to the worker of its flow, which looks again; what it finds goes into columns.
 *
 *   customer port   Ethernet | (tag) | packet
 *                   ^l2                ^inner
 *   routed port     Ethernet | IPv4 or IPv6 | ...                                to be routed
 *                              ^l3
 *                   Ethernet | IPv4 or IPv6 | UDP, VXLAN | Ethernet | packet     the same, or for our own attachments
 *                              ^l3            ^udp         ^l2        ^inner
 *                   Ethernet | IPv4 or IPv6 | GRE | (Ethernet) | packet          to be routed
 *
 * There are two hashes. `hash` is the inner flow's, the same in both directions: it chooses the node behind a VIP and
 * the worker. `pathHash` is what chooses among paths: on the way into the fabric the same but for BFD, for a packet in
 * transit its outer headers', for that is where whoever encapsulated it has put the entropy (RFC 7348 section 5). GRE
 * has none to offer, so its inner flow serves.
 */

import { mix32 } from '../base/hash.ts'
import { BATCH_MAX, type Batch, FORWARD } from '../dataplane/batch.ts'
import { Drop } from '../dataplane/drop.ts'
import { flowHash4, flowHash6, flowHashEthernet } from '../dataplane/flow.ts'
import type { FramePool, Frames } from '../dataplane/frames.ts'
import { trim } from '../dataplane/trim.ts'
import { ETHERTYPE, ethernet, vlanTag } from '../wire/ethernet.ts'
import { Fault } from '../wire/fault.ts'
import { checkGreHeader, gre, greHeaderBytes } from '../wire/gre.ts'
import { checkIpv4, checkIpv4Header, ipv4, ipv4HeaderBytes, isIpv4Fragment, PROTOCOL } from '../wire/ipv4.ts'
import { checkIpv6, checkIpv6Header, FRAGMENT, ipv6End, ipv6Walk, walkIpv6 } from '../wire/ipv6.ts'
import { checkUdp, UDP_PORT, udp } from '../wire/udp.ts'
import { checkVxlan, vxlan } from '../wire/vxlan.ts'
import { type Attachments, NO_ATTACHMENT } from './attachments.ts'
import type { PortTable } from './port-table.ts'

/**
 * All headers that are looked at lie within this many bytes: outer IPv4 with all options, GRE with all fields, inner
 * Ethernet, IPv4 with options and the ports: 14 + 60 + 16 + 14 + 60 + 4. The head of a chain is larger.
 */
const HEADERS_MAX = 192

/** What is learnt of a frame here, a row a frame. */
export class Columns {
  /** Of the packet to be routed. */
  readonly etherType = new Uint16Array(BATCH_MAX)
  /** Where that packet ends; beyond the head in a chained frame. */
  readonly end = new Uint32Array(BATCH_MAX)
  readonly pathHash = new Uint32Array(BATCH_MAX)
  /** Drop reason, should the packet be for one of our attachments. */
  readonly tunnelFault = new Uint8Array(BATCH_MAX)
  readonly udp = new Uint32Array(BATCH_MAX)
  /** The tenant's Ethernet header; on a customer port the tag, if there is one, still stands in it. */
  readonly l2 = new Uint32Array(BATCH_MAX)
  /** Bytes of the tag. */
  readonly tag = new Uint8Array(BATCH_MAX)
  /** Of the tenant's packet, 0 where it is no sound IP. */
  readonly innerType = new Uint16Array(BATCH_MAX)
  readonly inner = new Uint32Array(BATCH_MAX)
}

const walk = ipv6Walk()

export class Classifier {
  readonly #frames: Frames
  readonly #pool: FramePool
  readonly #columns: Columns
  readonly #attachments: Attachments
  readonly #ports: PortTable
  /** Packets of BFD that had no identification, so that each gets another path. */
  #counter = 0

  constructor(frames: Frames, pool: FramePool, columns: Columns, attachments: Attachments, ports: PortTable) {
    this.#frames = frames
    this.#pool = pool
    this.#columns = columns
    this.#attachments = attachments
    this.#ports = ports
  }

  classify(batch: Batch): void {
    for (let row = 0; row < batch.count; row++)
      if (batch.verdict[row] === FORWARD) batch.verdict[row] = this.#frame(batch, row)
  }

  #frame(batch: Batch, row: number): number {
    const length = batch.length[row]!
    if (batch.total[row]! > length && length < HEADERS_MAX) return Drop['head-too-short']
    if (length < ethernet.BYTES) return Fault.truncated
    return this.#ports.isCustomer(batch.port[row]!) ? this.#customer(batch, row) : this.#routed(batch, row)
  }

  // ---- customer ports

  #customer(batch: Batch, row: number): number {
    const view = this.#frames.view
    const columns = this.#columns
    const l2 = batch.address[row]!
    const end = l2 + batch.total[row]!
    const tagged = ethernet.etherType.get(view, l2) === ETHERTYPE.vlan
    const tagBytes = tagged ? vlanTag.BYTES : 0
    if (l2 + ethernet.BYTES + tagBytes > end) return Fault.truncated
    const vlan = tagged ? vlanTag.control.get(view, l2 + ethernet.etherType.offset) & 0x0fff : 0
    const attachment = this.#attachments.find(batch.port[row]!, vlan)
    if (attachment === NO_ATTACHMENT) return Drop['unknown-vlan']
    // RFC 7348 section 6.1: no tag travels in VXLAN.
    const etherType = ethernet.etherType.get(view, l2 + tagBytes)
    if (isTag(etherType)) return Drop['inner-vlan']
    batch.segment[row] = attachment
    columns.l2[row] = l2
    columns.tag[row] = tagBytes
    const flow = this.#tenantPacket(batch, row, l2, l2 + ethernet.BYTES + tagBytes, etherType, end)
    batch.hash[row] = flow
    columns.pathHash[row] = this.#isBfd(batch, row, end) ? this.#bfdEntropy(row, flow) : flow
    return FORWARD
  }

  /**
   * Finds the flow of the tenant's packet at `inner`, and whether it is IP; what is wrong with it is the receiver's.
   */
  #tenantPacket(batch: Batch, row: number, l2: number, inner: number, etherType: number, end: number): number {
    const view = this.#frames.view
    const columns = this.#columns
    const readable = Math.min(end, batch.address[row]! + batch.length[row]!)
    columns.inner[row] = inner
    columns.innerType[row] = etherType
    if (etherType === ETHERTYPE.ipv4 && checkIpv4(view, inner, end) === Fault.none)
      return flowHash4(view, inner, Math.min(readable, inner + ipv4.totalLength.get(view, inner)))
    if (etherType === ETHERTYPE.ipv6 && checkIpv6(view, inner, end) === Fault.none)
      return flowHash6(view, inner, Math.min(readable, ipv6End(view, inner)))
    columns.innerType[row] = 0
    return flowHashEthernet(view, l2)
  }

  #isBfd(batch: Batch, row: number, end: number): boolean {
    const view = this.#frames.view
    const inner = this.#columns.inner[row]!
    const readable = Math.min(end, batch.address[row]! + batch.length[row]!)
    if (this.#columns.innerType[row] === ETHERTYPE.ipv4) {
      if (ipv4.protocol.get(view, inner) !== PROTOCOL.udp || isIpv4Fragment(view, inner)) return false
      return isBfdPort(view, inner + ipv4HeaderBytes(view, inner), readable)
    }
    if (this.#columns.innerType[row] !== ETHERTYPE.ipv6) return false
    if (walkIpv6(view, inner, readable, walk) !== Fault.none || walk.protocol !== PROTOCOL.udp) return false
    return walk.fragment === FRAGMENT.none && isBfdPort(view, walk.at, readable)
  }

  // DSR section 5.1: packets of one BFD session take all paths, so that a path that fails loses some of them and not
  // all. The identification tells them apart; where there is none (IPv6) or it says nothing (RFC 6864: IPv4 with DF,
  // which many hosts send as 0), a counter does.
  #bfdEntropy(row: number, flow: number): number {
    const inner = this.#columns.inner[row]!
    const isIpv4 = this.#columns.innerType[row] === ETHERTYPE.ipv4
    const id = isIpv4 ? ipv4.id.get(this.#frames.view, inner) : 0
    if (id !== 0) return mix32(flow + id)
    this.#counter = (this.#counter + 1) & 0xffff
    return mix32(flow + this.#counter)
  }

  // ---- routed ports

  #routed(batch: Batch, row: number): number {
    const view = this.#frames.view
    const at = batch.address[row]!
    const l3 = at + ethernet.BYTES
    const frameEnd = at + batch.total[row]!
    const etherType = ethernet.etherType.get(view, at)
    batch.l3[row] = l3
    this.#columns.etherType[row] = etherType
    if (etherType === ETHERTYPE.ipv4) {
      const fault = checkIpv4(view, l3, frameEnd)
      if (fault !== Fault.none) return fault
      const readable = this.#trim(batch, row, l3 + ipv4.totalLength.get(view, l3))
      this.#columns.pathHash[row] = flowHash4(view, l3, readable)
      if (isIpv4Fragment(view, l3)) this.#noTunnel(batch, row, Drop['outer-fragment'])
      else this.#payload(batch, row, ipv4.protocol.get(view, l3), l3 + ipv4HeaderBytes(view, l3), readable)
      return FORWARD
    }
    if (etherType !== ETHERTYPE.ipv6) return Drop['not-ip']
    const fault = checkIpv6(view, l3, frameEnd)
    if (fault !== Fault.none) return fault
    const readable = this.#trim(batch, row, ipv6End(view, l3))
    this.#columns.pathHash[row] = flowHash6(view, l3, readable)
    if (walkIpv6(view, l3, readable, walk) !== Fault.none) this.#noTunnel(batch, row, Drop['not-a-tunnel'])
    else if (walk.fragment !== FRAGMENT.none) this.#noTunnel(batch, row, Drop['outer-fragment'])
    else this.#payload(batch, row, walk.protocol, walk.at, readable)
    return FORWARD
  }

  #trim(batch: Batch, row: number, end: number): number {
    this.#columns.end[row] = end
    return trim(this.#pool, batch, row, end)
  }

  #noTunnel(batch: Batch, row: number, reason: number): void {
    batch.hash[row] = this.#columns.pathHash[row]!
    this.#columns.tunnelFault[row] = reason
  }

  #payload(batch: Batch, row: number, protocol: number, l4: number, readable: number): void {
    const fault = protocol === PROTOCOL.udp ? this.#vxlan(batch, row, l4, readable) : Drop['not-a-tunnel']
    if (fault !== Fault.none) this.#noTunnel(batch, row, fault)
    if (protocol === PROTOCOL.gre) this.#gre(batch, row, l4, readable)
  }

  /** Finds the tenant's frame and its flow, or says why the packet is none that we could take out of its tunnel. */
  #vxlan(batch: Batch, row: number, l4: number, readable: number): number {
    const view = this.#frames.view
    const columns = this.#columns
    if (l4 + udp.BYTES > readable || udp.destinationPort.get(view, l4) !== UDP_PORT.vxlan) return Drop['not-a-tunnel']
    const end = l4 + udp.length.get(view, l4)
    const fault = checkUdp(view, l4, columns.end[row]!) || checkVxlan(view, l4 + udp.BYTES, end)
    if (fault !== Fault.none) return fault
    const l2 = l4 + udp.BYTES + vxlan.BYTES
    if (l2 + ethernet.BYTES > Math.min(end, readable)) return Fault.truncated
    const etherType = ethernet.etherType.get(view, l2)
    if (isTag(etherType)) return Drop['inner-vlan']
    columns.udp[row] = l4
    columns.l2[row] = l2
    columns.tunnelFault[row] = Fault.none
    batch.hash[row] = this.#tenantPacket(batch, row, l2, l2 + ethernet.BYTES, etherType, end)
    return Fault.none
  }

  #gre(batch: Batch, row: number, l4: number, readable: number): void {
    const view = this.#frames.view
    const end = this.#columns.end[row]!
    if (checkGreHeader(view, l4, readable) !== Fault.none) return
    const protocol = gre.protocol.get(view, l4)
    const payload = l4 + greHeaderBytes(gre.flagsVersion.get(view, l4))
    if (protocol === ETHERTYPE.bridgedEthernet) {
      if (payload + ethernet.BYTES > readable) return
      const etherType = ethernet.etherType.get(view, payload)
      batch.hash[row] = this.#tenantPacket(batch, row, payload, payload + ethernet.BYTES, etherType, end)
    } else if (protocol === ETHERTYPE.ipv4 && checkIpv4Header(view, payload, readable) === Fault.none)
      batch.hash[row] = flowHash4(view, payload, readable)
    else if (protocol === ETHERTYPE.ipv6 && checkIpv6Header(view, payload, readable) === Fault.none)
      batch.hash[row] = flowHash6(view, payload, readable)
    this.#columns.pathHash[row] = batch.hash[row]!
  }
}

function isTag(etherType: number): boolean {
  return etherType === ETHERTYPE.vlan || etherType === ETHERTYPE.serviceVlan
}

function isBfdPort(view: DataView, l4: number, readable: number): boolean {
  if (l4 + udp.BYTES > readable) return false
  const port = udp.destinationPort.get(view, l4)
  return port === UDP_PORT.bfdSingleHop || port === UDP_PORT.bfdEcho || port === UDP_PORT.bfdMultiHop
}
