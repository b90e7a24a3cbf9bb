/**
 * The first stage: what is this frame? Outer headers and inner IP header are checked here, once; what later stages need to
 * know of them is written into columns. Also finds the inner flow, so that the dispatcher can hand the frame on.
 *
 *   Ethernet | IPv4 or IPv6 | UDP, VXLAN | Ethernet | packet
 *   Ethernet | IPv4 or IPv6 | GRE        | Ethernet | packet
 *   Ethernet | IPv4 or IPv6 | GRE        | packet
 *                                        ^l2        ^l3
 */

import { BATCH_MAX, type Batch, FORWARD } from '../dataplane/batch.ts'
import { Drop } from '../dataplane/drop.ts'
import { flowHash4, flowHash6, flowHashEthernet } from '../dataplane/flow.ts'
import { CHUNK_BYTES, type FramePool, type Frames } from '../dataplane/frames.ts'
import { trim } from '../dataplane/trim.ts'
import { checkArp } from '../wire/arp.ts'
import { pseudoHeader4, pseudoHeader6 } from '../wire/checksum.ts'
import { checkEthernet, ETHERTYPE, ethernet } from '../wire/ethernet.ts'
import { Fault } from '../wire/fault.ts'
import { checkGre, checkGreHeader, GRE_FLAG, gre, greHeaderBytes, greKey } from '../wire/gre.ts'
import { checkIpv4, ipv4, ipv4HeaderBytes, isIpv4Fragment, PROTOCOL } from '../wire/ipv4.ts'
import { checkIpv6, FRAGMENT, ipv6, ipv6End, ipv6Walk, trafficClass, walkIpv6 } from '../wire/ipv6.ts'
import { checkUdp, UDP_PORT, udp, udpChecksumHolds } from '../wire/udp.ts'
import { checkVxlan, vxlan } from '../wire/vxlan.ts'
import { TunnelKind } from './segments.ts'

/**
 * All headers of a tunnel packet that are looked at lie within this many bytes: outer (IPv4 with all options, GRE with all
 * fields) and inner Ethernet, IPv4 with options and TCP with options: 14 + 60 + 16 + 14 + 60 + 60. The head of a chain is
 * larger, whatever device cut it.
 */
const HEADERS_MAX = 224

/** What is learnt of a frame here, a row a frame. */
export class Columns {
  /** TunnelKind. */
  readonly kind = new Uint8Array(BATCH_MAX)
  /** VNI or GRE key. */
  readonly id = new Uint32Array(BATCH_MAX)
  /** Where the outer source address is, and its length. */
  readonly source = new Uint32Array(BATCH_MAX)
  readonly sourceBytes = new Uint8Array(BATCH_MAX)
  readonly outerTos = new Uint8Array(BATCH_MAX)
  /** The inner Ethernet header, 0 where there is none. */
  readonly l2 = new Uint32Array(BATCH_MAX)
  readonly etherType = new Uint16Array(BATCH_MAX)
  /** Where the inner packet ends; beyond the head in a chained frame. */
  readonly end = new Uint32Array(BATCH_MAX)
  /** Up to where the inner packet may be read: the end of the packet or of the head. */
  readonly readable = new Uint32Array(BATCH_MAX)
  /** The slot that leads back to the sender, for whole Ethernet frames; known once admitted. */
  readonly replySlot = new Uint32Array(BATCH_MAX)
  /** 1 where the sender is a routing node. */
  readonly speaker = new Uint8Array(BATCH_MAX)
  /** 1 where the gateway of another site sent it. */
  readonly fromSite = new Uint8Array(BATCH_MAX)
  /** What the FIB says of the inner destination; see `lookup.ts`. */
  readonly slot = new Uint32Array(BATCH_MAX)
}

const walk = ipv6Walk()

export class Classifier {
  readonly #frames: Frames
  readonly #pool: FramePool
  readonly #columns: Columns

  constructor(frames: Frames, pool: FramePool, columns: Columns) {
    this.#frames = frames
    this.#pool = pool
    this.#columns = columns
  }

  classify(batch: Batch): void {
    for (let row = 0; row < batch.count; row++)
      if (batch.verdict[row] === FORWARD) batch.verdict[row] = this.#outer(batch, row)
  }

  #outer(batch: Batch, row: number): number {
    const view = this.#frames.view
    const at = batch.address[row]!
    const length = batch.length[row]!
    // A chained frame goes on in other chunks: lengths are held against the whole, and headers must lie in the head.
    const end = at + batch.total[row]!
    if (end > at + length && length < HEADERS_MAX) return Drop['head-too-short']
    if (at + ethernet.BYTES > end) return Fault.truncated
    const etherType = ethernet.etherType.get(view, at)
    if (etherType === ETHERTYPE.ipv4) return this.#outer4(batch, row, at + ethernet.BYTES, end)
    if (etherType === ETHERTYPE.ipv6) return this.#outer6(batch, row, at + ethernet.BYTES, end)
    return Drop['not-ip']
  }

  #outer4(batch: Batch, row: number, ip: number, end: number): number {
    const view = this.#frames.view
    const fault = checkIpv4(view, ip, end)
    if (fault !== Fault.none) return fault
    if (isIpv4Fragment(view, ip)) return Drop['outer-fragment']
    const columns = this.#columns
    columns.source[row] = ip + ipv4.source.offset
    columns.sourceBytes[row] = 4
    columns.outerTos[row] = ipv4.tos.get(view, ip)
    columns.end[row] = ip + ipv4.totalLength.get(view, ip)
    return this.#tunnel(batch, row, ip, ipv4.protocol.get(view, ip), ip + ipv4HeaderBytes(view, ip))
  }

  #outer6(batch: Batch, row: number, ip: number, end: number): number {
    const view = this.#frames.view
    const fault = checkIpv6(view, ip, end) || walkIpv6(view, ip, Math.min(end, ip + HEADERS_MAX), walk)
    if (fault !== Fault.none) return fault
    if (walk.fragment !== FRAGMENT.none) return Drop['outer-fragment']
    const columns = this.#columns
    columns.source[row] = ip + ipv6.source.offset
    columns.sourceBytes[row] = 16
    columns.outerTos[row] = trafficClass(view, ip)
    columns.end[row] = ipv6End(view, ip)
    return this.#tunnel(batch, row, ip, walk.protocol, walk.at)
  }

  #tunnel(batch: Batch, row: number, ip: number, protocol: number, l4: number): number {
    if (protocol === PROTOCOL.udp) return this.#vxlan(batch, row, ip, l4)
    if (protocol === PROTOCOL.gre) return this.#gre(batch, row, l4)
    return Drop['not-a-tunnel']
  }

  #vxlan(batch: Batch, row: number, ip: number, l4: number): number {
    const view = this.#frames.view
    const columns = this.#columns
    const end = columns.end[row]!
    const fault = checkUdp(view, l4, end)
    if (fault !== Fault.none) return fault
    if (udp.destinationPort.get(view, l4) !== UDP_PORT.vxlan) return Drop['not-a-tunnel']
    if (udp.checksum.get(view, l4) !== 0 && !this.#udpHolds(batch, row, ip, l4)) return Fault['bad-checksum']
    columns.end[row] = l4 + udp.length.get(view, l4)
    const header = l4 + udp.BYTES
    const wrong = checkVxlan(view, header, columns.end[row]!)
    if (wrong !== Fault.none) return wrong
    columns.kind[row] = TunnelKind.vxlan
    columns.id[row] = vxlan.vni.get(view, header)
    return this.#innerEthernet(batch, row, header + vxlan.BYTES)
  }

  // RFC 7348 section 4.1: a checksum that is there may be verified. Over a chain it would cost a walk; TCP inside has its own.
  #udpHolds(batch: Batch, row: number, ip: number, l4: number): boolean {
    if (batch.total[row] !== batch.length[row]) return true
    const view = this.#frames.view
    const bytes = udp.length.get(view, l4)
    const pseudo =
      this.#columns.sourceBytes[row] === 4
        ? pseudoHeader4(view, ip, PROTOCOL.udp, bytes)
        : pseudoHeader6(view, ip, PROTOCOL.udp, bytes)
    return udpChecksumHolds(view, l4, pseudo)
  }

  #gre(batch: Batch, row: number, l4: number): number {
    const view = this.#frames.view
    const columns = this.#columns
    const chained = batch.total[row] !== batch.length[row]
    const fault = chained ? checkGreHeader(view, l4, columns.end[row]!) : checkGre(view, l4, columns.end[row]!)
    if (fault !== Fault.none) return fault
    const flags = gre.flagsVersion.get(view, l4)
    if ((flags & GRE_FLAG.key) === 0) return Drop['unknown-key']
    columns.kind[row] = TunnelKind.gre
    columns.id[row] = greKey(view, l4)
    const protocol = gre.protocol.get(view, l4)
    const inner = l4 + greHeaderBytes(flags)
    if (protocol === ETHERTYPE.bridgedEthernet) return this.#innerEthernet(batch, row, inner)
    columns.l2[row] = 0
    return this.#innerPacket(batch, row, inner, protocol)
  }

  #innerEthernet(batch: Batch, row: number, l2: number): number {
    const view = this.#frames.view
    const fault = checkEthernet(view, l2, this.#columns.end[row]!)
    if (fault !== Fault.none) return fault
    this.#columns.l2[row] = l2
    return this.#innerPacket(batch, row, l2 + ethernet.BYTES, ethernet.etherType.get(view, l2))
  }

  #innerPacket(batch: Batch, row: number, l3: number, etherType: number): number {
    const view = this.#frames.view
    const columns = this.#columns
    const end = columns.end[row]!
    const headEnd = batch.address[row]! + batch.length[row]!
    columns.etherType[row] = etherType
    batch.l3[row] = l3
    let fault: number
    if (etherType === ETHERTYPE.ipv4) {
      fault = checkIpv4(view, l3, end)
      if (fault !== Fault.none) return fault
      columns.readable[row] = this.#trim(batch, row, l3 + ipv4.totalLength.get(view, l3))
      batch.hash[row] = flowHash4(view, l3, columns.readable[row]!)
      return FORWARD
    }
    if (etherType === ETHERTYPE.ipv6) {
      fault = checkIpv6(view, l3, end)
      if (fault !== Fault.none) return fault
      columns.readable[row] = this.#trim(batch, row, ipv6End(view, l3))
      batch.hash[row] = flowHash6(view, l3, columns.readable[row]!)
      return FORWARD
    }
    if (etherType === ETHERTYPE.vlan || etherType === ETHERTYPE.serviceVlan) return Drop['inner-vlan']
    if (etherType !== ETHERTYPE.arp || columns.l2[row] === 0) return Drop['unknown-ethertype']
    fault = checkArp(view, l3, Math.min(end, headEnd))
    if (fault !== Fault.none) return fault
    columns.readable[row] = Math.min(end, headEnd)
    batch.hash[row] = flowHashEthernet(view, l3 - ethernet.BYTES)
    return FORWARD
  }

  #trim(batch: Batch, row: number, end: number): number {
    this.#columns.end[row] = end
    return trim(this.#pool, batch, row, end)
  }
}

/** The last byte that a head can reach in its chunk; what is appended in place must stay before it. */
export function chunkEnd(address: number): number {
  return (address & ~(CHUNK_BYTES - 1)) + CHUNK_BYTES
}
