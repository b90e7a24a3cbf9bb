/**
 * Draws packets: real frames with right lengths and checksums, from the outside in, as they stand on the wire:
 *
 *   ethernet({ vlan: 7 }, ipv4({ source: '10.0.0.1', ttl: 1 }, udp({ destinationPort: 53 }, text('hello'))))
 *
 * Everything has a default, so that a call names only what matters. For tests, the lab and the corpus that warms a node
 * up; it allocates freely and has no place on the packet path. Addresses are text, and text that is none is our
 * mistake.
 */

import { type IpAddress, parseAddress, parseMac } from '../base/address.ts'
import { assert } from '../base/assert.ts'
import * as arpTable from './arp.ts'
import * as bfdTable from './bfd.ts'
import { checksum, fold, pseudoHeader4, pseudoHeader6 } from './checksum.ts'
import * as ethernetTable from './ethernet.ts'
import * as greTable from './gre.ts'
import { emit } from './header.ts'
import * as icmpTable from './icmp.ts'
import * as icmpv6Table from './icmpv6.ts'
import * as ipv4Table from './ipv4.ts'
import * as ipv6Table from './ipv6.ts'
import * as nd from './neighbour-discovery.ts'
import * as tcpTable from './tcp.ts'
import * as udpTable from './udp.ts'
import * as vxlanTable from './vxlan.ts'

const { PROTOCOL } = ipv4Table
const { ETHERTYPE } = ethernetTable

/** Something that another layer can carry. What has all it needs, an Ethernet frame or plain data, is a Uint8Array. */
export interface Layer {
  readonly bytes: Uint8Array
  /** By which IP announces it. */
  readonly protocol?: number
  /** By which Ethernet and GRE announce it. */
  readonly etherType?: number
  /** Where its checksum is, when that covers IP's pseudo-header and so can only be finished by IP. */
  readonly checksumAt?: number
}

export type Payload = Layer | Uint8Array

function bytesOf(payload: Payload): Uint8Array {
  return payload instanceof Uint8Array ? payload : payload.bytes
}

function announced(payload: Payload): Partial<Layer> {
  return payload instanceof Uint8Array ? {} : payload
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}

function concat(...parts: Uint8Array[]): Uint8Array {
  const out = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0))
  let at = 0
  for (const part of parts) {
    out.set(part, at)
    at += part.length
  }
  return out
}

function macBytes(text: string): Uint8Array {
  const bytes = parseMac(text)
  assert(bytes !== undefined, `not a MAC address: ${text}`)
  return bytes
}

function address(text: string, length: 4 | 16): IpAddress {
  const bytes = parseAddress(text)
  assert(bytes?.length === length, `not an address of IPv${length === 4 ? 4 : 6}: ${text}`)
  return bytes
}

export function text(value: string): Uint8Array {
  return new TextEncoder().encode(value)
}

const NOTHING = new Uint8Array(0)
const MAC_1 = '02:00:00:00:00:01'
const MAC_2 = '02:00:00:00:00:02'

// ---- Ethernet and ARP

export interface EthernetOptions {
  destination?: string
  source?: string
  /** The customer tag. */
  vlan?: number
  /** The service tag outside of it. */
  serviceVlan?: number
  /** For a payload that does not announce itself. */
  etherType?: number
}

export function ethernet(options: EthernetOptions, payload: Payload): Uint8Array {
  const etherType = options.etherType ?? announced(payload).etherType
  assert(etherType !== undefined, 'this payload has no EtherType: name one')
  const tag = (type: number, vlan: number | undefined): Uint8Array =>
    vlan === undefined ? NOTHING : emit(ethernetTable.vlanTag, { tagProtocol: type, control: vlan })
  return concat(
    macBytes(options.destination ?? MAC_2),
    macBytes(options.source ?? MAC_1),
    tag(ETHERTYPE.serviceVlan, options.serviceVlan),
    tag(ETHERTYPE.vlan, options.vlan),
    Uint8Array.of(etherType >>> 8, etherType),
    bytesOf(payload),
  )
}

export interface ArpOptions {
  senderMac?: string
  senderIp: string
  targetMac?: string
  targetIp: string
}

export function arpRequest(options: ArpOptions): Layer {
  return arp(arpTable.ARP_OPERATION.request, { targetMac: '00:00:00:00:00:00', ...options })
}

export function arpReply(options: ArpOptions): Layer {
  return arp(arpTable.ARP_OPERATION.reply, options)
}

function arp(operation: number, options: ArpOptions): Layer {
  const bytes = emit(arpTable.arp, {
    hardwareType: arpTable.ARP_HARDWARE_ETHERNET,
    protocolType: ETHERTYPE.ipv4,
    hardwareLength: 6,
    protocolLength: 4,
    operation,
    senderMac: macBytes(options.senderMac ?? MAC_1),
    senderIp: address(options.senderIp, 4),
    targetMac: macBytes(options.targetMac ?? MAC_2),
    targetIp: address(options.targetIp, 4),
  })
  return { bytes, etherType: ETHERTYPE.arp }
}

// ---- IP

export interface Ipv4Options {
  source?: string
  destination?: string
  ttl?: number
  tos?: number
  id?: number
  dontFragment?: boolean
  moreFragments?: boolean
  /** In bytes, a multiple of 8. */
  fragmentOffset?: number
  /** Header options, padded to whole words here. */
  options?: Uint8Array
  /** For a payload that does not announce itself. */
  protocol?: number
}

export function ipv4(options: Ipv4Options, payload: Payload): Layer {
  const { protocol, checksumAt } = { ...announced(payload), ...(options.protocol && { protocol: options.protocol }) }
  assert(protocol !== undefined, 'this payload has no IP protocol: name one')
  const inner = bytesOf(payload)
  const padded = new Uint8Array(((options.options?.length ?? 0) + 3) & ~3)
  padded.set(options.options ?? NOTHING)
  const headerBytes = ipv4Table.ipv4.BYTES + padded.length
  const flags =
    (options.dontFragment ? ipv4Table.IPV4_DONT_FRAGMENT : 0) |
    (options.moreFragments ? ipv4Table.IPV4_MORE_FRAGMENTS : 0)
  const header = emit(ipv4Table.ipv4, {
    versionIhl: 0x40 | (headerBytes / 4),
    tos: options.tos ?? 0,
    totalLength: headerBytes + inner.length,
    id: options.id ?? 0,
    flagsFragment: flags | ((options.fragmentOffset ?? 0) / 8),
    ttl: options.ttl ?? 64,
    protocol,
    source: address(options.source ?? '10.0.0.1', 4),
    destination: address(options.destination ?? '10.0.0.2', 4),
  })
  const bytes = concat(header, padded, inner)
  const view = viewOf(bytes)
  ipv4Table.writeIpv4Checksum(view, 0)
  if (checksumAt !== undefined) {
    finish(view, headerBytes + checksumAt, protocol, pseudoHeader4(view, 0, protocol, inner.length))
  }
  return { bytes, etherType: ETHERTYPE.ipv4, protocol: PROTOCOL.ipv4 }
}

/** Adds the pseudo-header's sum to a checksum that lacks it. Only UDP has a meaning for 0, RFC 768. */
function finish(view: DataView, at: number, protocol: number, pseudo: number): void {
  const sum = ~fold((~view.getUint16(at) & 0xffff) + pseudo) & 0xffff
  view.setUint16(at, sum === 0 && protocol === PROTOCOL.udp ? 0xffff : sum)
}

export interface Ipv6Options {
  source?: string
  destination?: string
  hopLimit?: number
  trafficClass?: number
  flowLabel?: number
  /** Extension headers in order, from `hopByHop`, `destinationOptions`, `routing`, `fragment6`, `authentication`. */
  extensions?: Layer[]
  /** For a payload that does not announce itself. */
  protocol?: number
}

export function ipv6(options: Ipv6Options, payload: Payload): Layer {
  const { protocol, checksumAt } = { ...announced(payload), ...(options.protocol && { protocol: options.protocol }) }
  assert(protocol !== undefined, 'this payload has no IP protocol: name one')
  const inner = bytesOf(payload)
  const extensions = (options.extensions ?? []).map((extension) => ({ ...extension, bytes: extension.bytes.slice() }))
  for (const [i, extension] of extensions.entries()) extension.bytes[0] = extensions[i + 1]?.protocol ?? protocol
  const chain = concat(...extensions.map((extension) => extension.bytes))
  const header = emit(ipv6Table.ipv6, {
    versionClassFlow: 0x60000000 + (options.trafficClass ?? 0) * 2 ** 20 + (options.flowLabel ?? 0),
    payloadLength: chain.length + inner.length,
    nextHeader: extensions[0]?.protocol ?? protocol,
    hopLimit: options.hopLimit ?? 64,
    source: address(options.source ?? '2001:db8::1', 16),
    destination: address(options.destination ?? '2001:db8::2', 16),
  })
  const bytes = concat(header, chain, inner)
  const view = viewOf(bytes)
  if (checksumAt !== undefined) {
    const at = ipv6Table.ipv6.BYTES + chain.length + checksumAt
    finish(view, at, protocol, pseudoHeader6(view, 0, protocol, inner.length))
  }
  return { bytes, etherType: ETHERTYPE.ipv6, protocol: PROTOCOL.ipv6 }
}

/** Eight bytes, filled with one PadN option. */
export function hopByHop(): Layer {
  return { bytes: Uint8Array.of(0, 0, 1, 4, 0, 0, 0, 0), protocol: PROTOCOL.hopByHop }
}

export function destinationOptions(): Layer {
  return { bytes: Uint8Array.of(0, 0, 1, 4, 0, 0, 0, 0), protocol: PROTOCOL.destinationOptions }
}

/** Used up: no segments left, so the destination is the header's. */
export function routing(): Layer {
  return { bytes: Uint8Array.of(0, 0, 4, 0, 0, 0, 0, 0), protocol: PROTOCOL.routing }
}

export function fragment6(options: { offset: number; more: boolean; id?: number }): Layer {
  const offsetMore = (options.offset & 0xfff8) | Number(options.more)
  return { bytes: emit(ipv6Table.ipv6Fragment, { offsetMore, id: options.id ?? 1 }), protocol: PROTOCOL.fragment }
}

/** With an integrity check value of 12 zero bytes. */
export function authentication(): Layer {
  const head = emit(ipv6Table.authenticationHeader, { payloadLength: 4, spi: 256, sequence: 1 })
  return { bytes: concat(head, new Uint8Array(12)), protocol: PROTOCOL.authentication }
}

// ---- UDP and TCP

export interface UdpOptions {
  sourcePort?: number
  destinationPort?: number
  /** False for none, as tunnels may. */
  checksum?: boolean
}

export function udp(options: UdpOptions, payload: Payload = NOTHING): Layer {
  const inner = bytesOf(payload)
  const header = emit(udpTable.udp, {
    sourcePort: options.sourcePort ?? 1024,
    destinationPort: options.destinationPort ?? 1025,
    length: udpTable.udp.BYTES + inner.length,
  })
  const bytes = concat(header, inner)
  if (options.checksum === false) return { bytes, protocol: PROTOCOL.udp }
  return summed(bytes, udpTable.udp.checksum.offset, PROTOCOL.udp)
}

/** A layer whose checksum covers all of it, and the pseudo-header once IP adds that. */
function summed(bytes: Uint8Array, checksumAt: number, protocol: number): Layer {
  viewOf(bytes).setUint16(checksumAt, checksum(viewOf(bytes), 0, bytes.length))
  return { bytes, protocol, checksumAt }
}

export interface TcpOptions {
  sourcePort?: number
  destinationPort?: number
  sequence?: number
  acknowledgement?: number
  /** Of TCP_FLAG. */
  flags?: number
  window?: number
  mss?: number
  /** Behind the MSS option, padded to whole words here. */
  options?: Uint8Array
}

export function tcp(options: TcpOptions, payload: Payload = NOTHING): Layer {
  const mss = options.mss === undefined ? NOTHING : Uint8Array.of(2, 4, options.mss >>> 8, options.mss)
  const list = concat(mss, options.options ?? NOTHING)
  const padded = new Uint8Array((list.length + 3) & ~3)
  padded.set(list)
  const header = emit(tcpTable.tcp, {
    sourcePort: options.sourcePort ?? 1024,
    destinationPort: options.destinationPort ?? 1025,
    sequence: options.sequence ?? 0,
    acknowledgement: options.acknowledgement ?? 0,
    dataOffset: ((tcpTable.tcp.BYTES + padded.length) / 4) << 4,
    flags: options.flags ?? tcpTable.TCP_FLAG.ack,
    window: options.window ?? 65535,
  })
  return summed(concat(header, padded, bytesOf(payload)), tcpTable.tcp.checksum.offset, PROTOCOL.tcp)
}

// ---- ICMP

export interface EchoOptions {
  reply?: boolean
  identifier?: number
  sequence?: number
}

function echo(type: number, options: EchoOptions, payload: Payload): Uint8Array {
  const { identifier = 1, sequence = 1 } = options
  return concat(emit(icmpTable.icmpEcho, { type, identifier, sequence }), bytesOf(payload))
}

export function icmpEcho(options: EchoOptions = {}, payload: Payload = NOTHING): Layer {
  const type = options.reply ? icmpTable.ICMP_TYPE.echoReply : icmpTable.ICMP_TYPE.echoRequest
  return icmpLayer(echo(type, options, payload))
}

function icmpLayer(bytes: Uint8Array): Layer {
  icmpTable.writeIcmpChecksum(viewOf(bytes), 0, bytes.length)
  return { bytes, protocol: PROTOCOL.icmp }
}

/** An error about a datagram, of which `about` is as much as is quoted, from its IP header on. */
export function icmpError(options: { type: number; code?: number; mtu?: number }, about: Payload): Layer {
  const { type, code, mtu: nextHopMtu } = options
  return icmpLayer(concat(emit(icmpTable.icmpError, { type, code, nextHopMtu }), bytesOf(about)))
}

export function icmpv6Echo(options: EchoOptions = {}, payload: Payload = NOTHING): Layer {
  const type = options.reply ? icmpv6Table.ICMPV6_TYPE.echoReply : icmpv6Table.ICMPV6_TYPE.echoRequest
  return icmpv6Layer(echo(type, options, payload))
}

/** Errors: `rest` is the MTU of packet too big, the pointer of parameter problem; `body` what is quoted. */
export function icmpv6(options: { type: number; code?: number; rest?: number }, body: Payload): Layer {
  return icmpv6Layer(concat(emit(icmpv6Table.icmpv6, options), bytesOf(body)))
}

function icmpv6Layer(bytes: Uint8Array): Layer {
  return summed(bytes, icmpv6Table.icmpv6.checksum.offset, PROTOCOL.icmpv6)
}

/** To be carried with hop limit 255. */
export function neighbourSolicitation(options: { target: string; sourceMac?: string }): Layer {
  const { sourceMac } = options
  const head = emit(nd.neighbourSolicitation, {
    type: icmpv6Table.ICMPV6_TYPE.neighbourSolicitation,
    target: address(options.target, 16),
  })
  return icmpv6Layer(concat(head, linkLayer(nd.ND_OPTION.sourceLinkLayer, sourceMac)))
}

/** To be carried with hop limit 255. `flags` is of ND_ADVERTISEMENT. */
export function neighbourAdvertisement(options: { target: string; flags?: number; targetMac?: string }): Layer {
  const head = emit(nd.neighbourAdvertisement, {
    type: icmpv6Table.ICMPV6_TYPE.neighbourAdvertisement,
    flags: options.flags ?? 0,
    target: address(options.target, 16),
  })
  return icmpv6Layer(concat(head, linkLayer(nd.ND_OPTION.targetLinkLayer, options.targetMac)))
}

function linkLayer(type: number, mac: string | undefined): Uint8Array {
  return mac === undefined ? NOTHING : emit(nd.linkLayerOption, { type, length: 1, address: macBytes(mac) })
}

// ---- tunnels and liveness

/** To be carried by UDP. */
export function vxlan(options: { vni: number }, frame: Uint8Array): Uint8Array {
  return concat(emit(vxlanTable.vxlan, { flags: vxlanTable.VXLAN_FLAG_VNI, vni: options.vni }), frame)
}

export interface GreOptions {
  key?: number
  sequence?: number
  checksum?: boolean
}

/** Around an IP packet, or around an Ethernet frame (a Uint8Array). */
export function gre(options: GreOptions, payload: Payload): Layer {
  const { GRE_FLAG } = greTable
  const word = (value: number | undefined): Uint8Array =>
    value === undefined ? NOTHING : Uint8Array.of(value >>> 24, value >>> 16, value >>> 8, value)
  const flagsVersion =
    (options.checksum ? GRE_FLAG.checksum : 0) |
    (options.key === undefined ? 0 : GRE_FLAG.key) |
    (options.sequence === undefined ? 0 : GRE_FLAG.sequence)
  const protocol = announced(payload).etherType ?? ETHERTYPE.bridgedEthernet
  const bytes = concat(
    emit(greTable.gre, { flagsVersion, protocol }),
    word(options.checksum ? 0 : undefined),
    word(options.key),
    word(options.sequence),
    bytesOf(payload),
  )
  if (options.checksum) greTable.writeGreChecksum(viewOf(bytes), 0, bytes.length)
  return { bytes, protocol: PROTOCOL.gre }
}

export interface BfdOptions {
  /** Of BFD_STATE. */
  state?: number
  /** Of BFD_DIAGNOSTIC. */
  diagnostic?: number
  /** Of BFD_FLAG. */
  flags?: number
  detectMultiplier?: number
  myDiscriminator?: number
  yourDiscriminator?: number
  desiredMinTx_us?: number
  requiredMinRx_us?: number
}

/** To be carried by UDP, the TTL at 255 where the neighbour is one hop away. */
export function bfd(options: BfdOptions = {}): Uint8Array {
  return emit(bfdTable.bfd, {
    versionDiagnostic: (1 << 5) | (options.diagnostic ?? 0),
    stateFlags: ((options.state ?? bfdTable.BFD_STATE.up) << 6) | (options.flags ?? 0),
    detectMultiplier: options.detectMultiplier ?? 3,
    length: bfdTable.bfd.BYTES,
    myDiscriminator: options.myDiscriminator ?? 1,
    yourDiscriminator: options.yourDiscriminator ?? 2,
    desiredMinTx_us: options.desiredMinTx_us ?? 50_000,
    requiredMinRx_us: options.requiredMinRx_us ?? 50_000,
  })
}
