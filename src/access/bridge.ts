/**
 * The tenants' side of the switch. A frame from a customer's port goes to its tenant's gateway in VXLAN, or to another
 * attachment of the same VNI here; a VXLAN packet to our tunnel endpoint goes to the attachments of its VNI. With one
 * attachment a VNI, as nearly always, no address is learnt: there is only one way. With several it is a learning bridge
 * (IEEE 802.1Q clause 8), whose further port is the tunnel; nothing that came out of the tunnel goes back into it.
 *
 * A frame that is too big for its way is dropped and counted. No ICMP error can come from a bridge; the gateway clamps
 * MSS and answers for the whole path.
 */

import { mix32 } from '../base/hash.ts'
import { ActionKind } from '../dataplane/action.ts'
import { type Batch, FORWARD } from '../dataplane/batch.ts'
import { Drop } from '../dataplane/drop.ts'
import { encapsulate } from '../dataplane/encapsulate.ts'
import { NO_FRAME } from '../dataplane/frames.ts'
import { pseudoHeader4, pseudoHeader6 } from '../wire/checksum.ts'
import { decapsulatedTos } from '../wire/ecn.ts'
import { ETHERTYPE, ethernet, isGroupAddressed, vlanTag } from '../wire/ethernet.ts'
import { Fault } from '../wire/fault.ts'
import { ipv4, PROTOCOL, setTos } from '../wire/ipv4.ts'
import { ipv6, setTrafficClass, trafficClass } from '../wire/ipv6.ts'
import { udp, udpChecksumHolds } from '../wire/udp.ts'
import { vxlan } from '../wire/vxlan.ts'
import { NO_ATTACHMENT } from './attachments.ts'
import { BEHIND_TUNNEL } from './mac-table.ts'
import { rowOfAttachment, type Shared, Vrf } from './shared.ts'

/** IEEE 802.1Q table 8-1: 01-80-C2-00-00-00 to -0F are the link's own (spanning tree, LACP, LLDP, pause). */
const LINK_CONTROL_HIGH = 0x0180
const LINK_CONTROL_LOW = 0xc2000000
const LINK_CONTROL_COUNT = 16

/** Both addresses of an Ethernet header. */
const ADDRESSES_BYTES = ethernet.etherType.offset

export class Bridge {
  readonly #shared: Shared

  constructor(shared: Shared) {
    this.#shared = shared
  }

  /** A frame from a customer's port, of the attachment in `segment`. */
  fromCustomer(batch: Batch, row: number): number {
    const { attachments, frames, macs } = this.#shared.views
    const view = frames.view
    const attachment = batch.segment[row]!
    if (isLinkControl(view, this.#shared.columns.l2[row]!)) return Drop['link-control']
    if (isGroupAddressed(view, this.#shared.columns.l2[row]! + ethernet.source.offset)) return Fault['bad-field']
    const l2 = this.#untag(batch, row)
    if (attachments.isAlone(attachment)) return this.#intoTunnel(batch, row, attachment)

    const vni = attachments.vni(attachment)
    macs.learn(vni, view, l2, attachment)
    const where = isGroupAddressed(view, l2) ? NO_ATTACHMENT : this.#find(vni, l2)
    if (where === attachment) return Drop['same-port']
    if (where === BEHIND_TUNNEL) return this.#intoTunnel(batch, row, attachment)
    if (where !== NO_ATTACHMENT) return this.#toAttachment(batch, row, where)
    for (let other = attachments.first(vni); other !== NO_ATTACHMENT; other = attachments.next(other))
      if (other !== attachment) this.#copyTo(batch, row, other)
    return this.#intoTunnel(batch, row, attachment)
  }

  /** A packet to our tunnel endpoint: whose is it, and may the sender send it? Writes `segment` and `tenant`. */
  admit(batch: Batch, row: number): number {
    const { attachments, frames } = this.#shared.views
    const { columns } = this.#shared
    if (columns.tunnelFault[row] !== Fault.none) return columns.tunnelFault[row]!
    const first = attachments.first(vxlan.vni.get(frames.view, columns.udp[row]! + udp.BYTES))
    if (first === NO_ATTACHMENT) return Drop['no-attachment']
    batch.segment[row] = first
    batch.tenant[row] = rowOfAttachment(first)
    return this.#isBelieved(batch, row) ? FORWARD : Drop['unknown-remote']
  }

  /** Such a packet, admitted: out of the tunnel and to the attachments of its VNI. */
  fromTunnel(batch: Batch, row: number): number {
    const { attachments, frames, macs } = this.#shared.views
    const view = frames.view
    if (!this.#checksumHolds(batch, row)) return Fault['bad-checksum']
    const fault = this.#combineEcn(batch, row)
    if (fault !== FORWARD) return fault
    const first = batch.segment[row]!
    const vni = attachments.vni(first)
    const l2 = this.#takeOut(batch, row)
    if (attachments.next(first) === NO_ATTACHMENT) return this.#toAttachment(batch, row, first)

    macs.learn(vni, view, l2, BEHIND_TUNNEL)
    const where = isGroupAddressed(view, l2) ? NO_ATTACHMENT : this.#find(vni, l2)
    if (where === BEHIND_TUNNEL) return Drop['same-port']
    if (where !== NO_ATTACHMENT) return this.#toAttachment(batch, row, where)
    for (let other = attachments.next(first); other !== NO_ATTACHMENT; other = attachments.next(other))
      this.#copyTo(batch, row, other)
    return this.#toAttachment(batch, row, first)
  }

  // An attachment that has gone may still be in the table, and its number may be another tenant's by now.
  #find(vni: number, l2: number): number {
    const { attachments, frames, macs } = this.#shared.views
    const where = macs.find(vni, frames.view, l2)
    if (where === NO_ATTACHMENT || where === BEHIND_TUNNEL) return where
    for (let other = attachments.first(vni); other !== NO_ATTACHMENT; other = attachments.next(other))
      if (other === where) return where
    return NO_ATTACHMENT
  }

  // ---- into the tunnel

  #intoTunnel(batch: Batch, row: number, attachment: number): number {
    const { actions, attachments, frames, pathSalt } = this.#shared.views
    const { columns } = this.#shared
    const words = actions.words
    let at = actions.resolve(attachments.tunnel(attachment), mix32(columns.pathHash[row]! ^ pathSalt))
    // The gateway's nodes are behind this very switch.
    if (words[at] === ActionKind.local) at = this.#shared.chooseNode(words[at + 6]!, batch.hash[row]!)
    if (words[at] !== ActionKind.send) return words[at] === ActionKind.drop ? words[at + 6]! : Drop['unknown-vip']
    if (batch.total[row]! > words[at + 4]!) return Drop['too-big']
    const l2 = batch.address[row]!
    batch.hash[row] = columns.pathHash[row]!
    encapsulate(frames, actions, batch, row, at, l2, this.#innerTos(row), 0)
    vxlan.vni.set(frames.view, l2 - vxlan.BYTES, attachments.vni(attachment))
    return FORWARD
  }

  /** DSCP and ECN of the tenant's packet, 0 for what is not IP. */
  #innerTos(row: number): number {
    const { innerType, inner } = this.#shared.columns
    const view = this.#shared.views.frames.view
    if (innerType[row] === ETHERTYPE.ipv4) return ipv4.tos.get(view, inner[row]!)
    return innerType[row] === ETHERTYPE.ipv6 ? trafficClass(view, inner[row]!) : 0
  }

  /** Takes the tag out, by moving the addresses towards it. Returns where the frame begins now. */
  #untag(batch: Batch, row: number): number {
    const tag = this.#shared.columns.tag[row]!
    const l2 = batch.address[row]!
    if (tag === 0) return l2
    this.#shared.views.frames.bytes.copyWithin(l2 + tag, l2, l2 + ADDRESSES_BYTES)
    cut(batch, row, tag)
    return l2 + tag
  }

  // ---- out of the tunnel

  /** Is the sender one of the gateway's tunnel endpoints? */
  #isBelieved(batch: Batch, row: number): boolean {
    const { fib, frames } = this.#shared.views
    const l3 = batch.l3[row]!
    if (this.#shared.columns.etherType[row] === ETHERTYPE.ipv4)
      return fib.lookup4(Vrf.remotes, ipv4.source.get(frames.view, l3)) !== 0
    return fib.lookup6(Vrf.remotes, frames.view, l3 + ipv6.source.offset) !== 0
  }

  // RFC 7348 section 4.1: a checksum that is there may be verified. Over a chain it would cost a walk; TCP inside has
  // its own.
  #checksumHolds(batch: Batch, row: number): boolean {
    const view = this.#shared.views.frames.view
    const at = this.#shared.columns.udp[row]!
    if (udp.checksum.get(view, at) === 0 || batch.total[row] !== batch.length[row]) return true
    const bytes = udp.length.get(view, at)
    const l3 = batch.l3[row]!
    const isIpv4 = this.#shared.columns.etherType[row] === ETHERTYPE.ipv4
    const pseudo = isIpv4 ? pseudoHeader4(view, l3, PROTOCOL.udp, bytes) : pseudoHeader6(view, l3, PROTOCOL.udp, bytes)
    return udpChecksumHolds(view, at, pseudo)
  }

  // RFC 6040 section 4.2.
  #combineEcn(batch: Batch, row: number): number {
    const view = this.#shared.views.frames.view
    const { columns } = this.#shared
    const l3 = batch.l3[row]!
    const outer = columns.etherType[row] === ETHERTYPE.ipv4 ? ipv4.tos.get(view, l3) : trafficClass(view, l3)
    if ((outer & 3) === 0 || columns.innerType[row] === 0) return FORWARD
    const before = this.#innerTos(row)
    const tos = decapsulatedTos(before, outer)
    if (tos < 0) return Drop['ecn-mismatch']
    if (tos === before) return FORWARD
    if (columns.innerType[row] === ETHERTYPE.ipv4) setTos(view, columns.inner[row]!, tos)
    else setTrafficClass(view, columns.inner[row]!, tos)
    return FORWARD
  }

  /**
   * Cuts off everything before the tenant's frame, and what the UDP datagram does not contain. Returns where it begins.
   */
  #takeOut(batch: Batch, row: number): number {
    const { columns } = this.#shared
    const l2 = columns.l2[row]!
    if (batch.total[row] === batch.length[row]) {
      const end = columns.udp[row]! + udp.length.get(this.#shared.views.frames.view, columns.udp[row]!)
      batch.length[row] = end - batch.address[row]!
      batch.total[row] = batch.length[row]!
    }
    cut(batch, row, l2 - batch.address[row]!)
    return l2
  }

  // ---- to a customer's port

  #toAttachment(batch: Batch, row: number, attachment: number): number {
    const { attachments, ports } = this.#shared.views
    const port = attachments.port(attachment)
    if (!ports.isUp(port)) return Drop['port-down']
    if (batch.total[row]! - ethernet.BYTES > attachments.mtu(attachment)) return Drop['too-big']
    const vlan = attachments.vlan(attachment)
    if (vlan !== 0) this.#tag(batch, row, vlan)
    batch.out[row] = port
    return FORWARD
  }

  /** Puts a tag in, by moving the addresses away from it. */
  #tag(batch: Batch, row: number, vlan: number): void {
    const { frames } = this.#shared.views
    const from = batch.address[row]!
    const to = from - vlanTag.BYTES
    frames.bytes.copyWithin(to, from, from + ADDRESSES_BYTES)
    vlanTag.tagProtocol.set(frames.view, to + ADDRESSES_BYTES, ETHERTYPE.vlan)
    vlanTag.control.set(frames.view, to + ADDRESSES_BYTES, vlan)
    cut(batch, row, -vlanTag.BYTES)
  }

  /** Sends a copy of the frame, which is untagged and decapsulated by now, to the attachment. */
  #copyTo(batch: Batch, row: number, attachment: number): void {
    const { originated } = this.#shared
    const { ledger } = this.#shared.views
    const tenant = rowOfAttachment(attachment)
    const address = this.#shared.copy(batch.address[row]!, batch.length[row]!, batch.total[row]!)
    if (address === NO_FRAME) {
      ledger.notOriginated(tenant, Drop['no-frames'])
      return
    }
    this.#shared.flushOriginated()
    const copy = originated.push(batch.port[row]!, address, batch.length[row]!, batch.total[row]!)
    originated.tenant[copy] = tenant
    ledger.originated(tenant)
    originated.verdict[copy] = this.#toAttachment(originated, copy, attachment)
  }
}

/** Takes bytes off the front of a frame, or adds them. */
function cut(batch: Batch, row: number, bytes: number): void {
  batch.address[row] = batch.address[row]! + bytes
  batch.length[row] = batch.length[row]! - bytes
  batch.total[row] = batch.total[row]! - bytes
}

function isLinkControl(view: DataView, l2: number): boolean {
  if (view.getUint16(l2) !== LINK_CONTROL_HIGH) return false
  return (view.getUint32(l2 + 2) - LINK_CONTROL_LOW) >>> 0 < LINK_CONTROL_COUNT
}
