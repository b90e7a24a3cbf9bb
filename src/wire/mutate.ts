/**
 * Frames as a clumsy or a hostile sender makes them, for fuzzers, tests and the warm-up: some bytes are changed, the end may
 * be cut off. `repair` makes the checksums right again wherever the headers still say where those are: what a checksum would
 * have refused meets the checks behind it (lengths that lie, options, fragments). `refit` makes the outer lengths true of
 * a frame that was cut, so that it is the packet in the tunnel that is too short.
 */

import type { Random } from '../base/random.ts'
import { checksum, pseudoHeader4, pseudoHeader6 } from './checksum.ts'
import { ETHERTYPE, ethernet, vlanTag } from './ethernet.ts'
import { Fault } from './fault.ts'
import { GRE_FLAG, gre, greHeaderBytes, writeGreChecksum } from './gre.ts'
import { icmp, writeIcmpChecksum } from './icmp.ts'
import { icmpv6, writeIcmpv6Checksum } from './icmpv6.ts'
import { ipv4, ipv4HeaderBytes, isIpv4Fragment, PROTOCOL, writeIpv4Checksum } from './ipv4.ts'
import { FRAGMENT, ipv6, ipv6End, ipv6Walk, walkIpv6 } from './ipv6.ts'
import { tcp } from './tcp.ts'
import { UDP_PORT, udp, writeUdpChecksum } from './udp.ts'
import { vxlan } from './vxlan.ts'

/** Most of what is parsed is in the first bytes: outer IPv6, VXLAN, Ethernet, IPv4 and TCP end here. */
const PARSED_BYTES = 140

/** A mutation of the frame, half of the time with right checksums. With `id` it claims that VNI or key before. */
export function spoilt(random: Random, frame: Uint8Array, id?: number): Uint8Array {
  const out = mutated(random, frame)
  if (id !== undefined) setTunnelId(out, id)
  if (random.chance(0.1)) refit(out)
  else if (random.chance(0.45)) repair(out)
  return out
}

function mutated(random: Random, frame: Uint8Array): Uint8Array {
  const out = frame.slice(0, random.chance(0.2) ? random.below(frame.length) + 1 : frame.length)
  for (let flips = random.below(4); flips > 0; flips--) {
    const at = random.below(random.chance(0.8) ? Math.min(out.length, PARSED_BYTES) : out.length)
    out[at] = random.chance(0.5) ? random.u32() : out[at]! ^ (1 << random.below(8))
  }
  return out
}

export function repair(frame: Uint8Array): void {
  repairFrame(viewOf(frame), 0, frame.length)
}

export function refit(frame: Uint8Array): void {
  const view = viewOf(frame)
  const outer = outerOf(view)
  if (!outer) return
  const { ip, l4, protocol } = outer
  if (ip.version === 4) ipv4.totalLength.set(view, ip.at, frame.length - ip.at)
  else ipv6.payloadLength.set(view, ip.at, frame.length - ip.at - ipv6.BYTES)
  if (protocol === PROTOCOL.udp && l4 + udp.BYTES <= frame.length) udp.length.set(view, l4, frame.length - l4)
  repair(frame)
}

/** The VNI or key that a tunnel packet carries, as far as its headers can be followed. */
export function tunnelId(frame: Uint8Array): number | undefined {
  const view = viewOf(frame)
  const { vni, key } = idPlace(view)
  if (vni !== 0) return view.getUint32(vni) >>> 8
  return key === 0 ? undefined : view.getUint32(key)
}

export function setTunnelId(frame: Uint8Array, id: number): void {
  const view = viewOf(frame)
  const { vni, key } = idPlace(view)
  if (vni !== 0) view.setUint32(vni, id << 8)
  else if (key !== 0) view.setUint32(key, id)
}

interface Ip {
  readonly version: 4 | 6
  readonly at: number
}

const walk = ipv6Walk()

function viewOf(frame: Uint8Array): DataView {
  return new DataView(frame.buffer, frame.byteOffset, frame.length)
}

/** The outer packet's own header and its payload's; undefined where they cannot be followed. */
function outerOf(view: DataView): { ip: Ip; l4: number; protocol: number } | undefined {
  const at = ethernet.BYTES
  if (at > view.byteLength) return undefined
  const etherType = ethernet.etherType.get(view, 0)
  if (etherType === ETHERTYPE.ipv4 && at + ipv4.BYTES <= view.byteLength) {
    const l4 = at + ipv4HeaderBytes(view, at)
    return { ip: { version: 4, at }, l4, protocol: ipv4.protocol.get(view, at) }
  }
  if (etherType !== ETHERTYPE.ipv6 || at + ipv6.BYTES > view.byteLength) return undefined
  if (walkIpv6(view, at, view.byteLength, walk) !== Fault.none) return undefined
  return { ip: { version: 6, at }, l4: walk.at, protocol: walk.protocol }
}

/** Where the four bytes stand whose upper three are the VNI, or the four of the key; 0 for what is not there. */
function idPlace(view: DataView): { vni: number; key: number } {
  const none = { vni: 0, key: 0 }
  const outer = outerOf(view)
  if (!outer) return none
  const { l4, protocol } = outer
  if (protocol === PROTOCOL.udp) {
    const at = l4 + udp.BYTES + vxlan.vni.offset
    return at + 4 <= view.byteLength ? { ...none, vni: at } : none
  }
  if (protocol !== PROTOCOL.gre || l4 + gre.BYTES > view.byteLength) return none
  const flags = gre.flagsVersion.get(view, l4)
  if ((flags & GRE_FLAG.key) === 0) return none
  const at = l4 + gre.BYTES + ((flags & GRE_FLAG.checksum) === 0 ? 0 : 4)
  return at + 4 <= view.byteLength ? { ...none, key: at } : none
}

// ---- checksums, from the inside out: an outer one covers the inner ones

function repairFrame(view: DataView, at: number, end: number): void {
  let type = at + ethernet.etherType.offset
  while (type + 2 <= end && isTag(view.getUint16(type))) type += vlanTag.BYTES
  if (type + 2 <= end) repairPacket(view, view.getUint16(type), type + 2, end)
}

function isTag(etherType: number): boolean {
  return etherType === ETHERTYPE.vlan || etherType === ETHERTYPE.serviceVlan
}

function repairPacket(view: DataView, etherType: number, at: number, end: number): void {
  if (etherType === ETHERTYPE.bridgedEthernet) repairFrame(view, at, end)
  else if (etherType === ETHERTYPE.ipv4) repair4(view, at, end)
  else if (etherType === ETHERTYPE.ipv6) repair6(view, at, end)
}

function repair4(view: DataView, at: number, end: number): void {
  if (at + ipv4.BYTES > end) return
  const l4 = at + ipv4HeaderBytes(view, at)
  if (l4 < at + ipv4.BYTES || l4 > end) return
  writeIpv4Checksum(view, at)
  if (isIpv4Fragment(view, at)) return
  const packetEnd = Math.min(end, at + ipv4.totalLength.get(view, at))
  repairPayload(view, { version: 4, at }, ipv4.protocol.get(view, at), l4, packetEnd)
}

function repair6(view: DataView, at: number, end: number): void {
  if (at + ipv6.BYTES > end) return
  const packetEnd = Math.min(end, ipv6End(view, at))
  if (walkIpv6(view, at, packetEnd, walk) !== Fault.none || walk.fragment !== FRAGMENT.none) return
  repairPayload(view, { version: 6, at }, walk.protocol, walk.at, packetEnd)
}

function repairPayload(view: DataView, ip: Ip, protocol: number, at: number, end: number): void {
  if (protocol === PROTOCOL.udp) repairUdp(view, ip, at, end)
  else if (protocol === PROTOCOL.gre) repairGre(view, at, end)
  else if (protocol === PROTOCOL.tcp && at + tcp.BYTES <= end) {
    tcp.checksum.set(view, at, 0)
    tcp.checksum.set(view, at, checksum(view, at, end, pseudoHeader(view, ip, protocol, end - at)))
  } else if (protocol === PROTOCOL.icmp && at + icmp.BYTES <= end) writeIcmpChecksum(view, at, end)
  else if (protocol === PROTOCOL.icmpv6 && ip.version === 6 && at + icmpv6.BYTES <= end)
    writeIcmpv6Checksum(view, at, end, ip.at)
}

function repairUdp(view: DataView, ip: Ip, at: number, end: number): void {
  if (at + udp.BYTES > end) return
  const bytes = udp.length.get(view, at)
  if (udp.destinationPort.get(view, at) === UDP_PORT.vxlan)
    repairFrame(view, at + udp.BYTES + vxlan.BYTES, Math.min(end, at + bytes))
  // 0 says that there is none.
  if (udp.checksum.get(view, at) === 0 || bytes < udp.BYTES || at + bytes > end) return
  writeUdpChecksum(view, at, pseudoHeader(view, ip, PROTOCOL.udp, bytes))
}

function repairGre(view: DataView, at: number, end: number): void {
  if (at + gre.BYTES > end) return
  const flags = gre.flagsVersion.get(view, at)
  const payload = at + greHeaderBytes(flags)
  if (payload > end) return
  repairPacket(view, gre.protocol.get(view, at), payload, end)
  if ((flags & GRE_FLAG.checksum) !== 0) writeGreChecksum(view, at, end)
}

function pseudoHeader(view: DataView, ip: Ip, protocol: number, bytes: number): number {
  if (ip.version === 4) return pseudoHeader4(view, ip.at, protocol, bytes)
  return pseudoHeader6(view, ip.at, protocol, bytes)
}
