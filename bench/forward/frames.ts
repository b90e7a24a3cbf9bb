/**
 * The generator's frames: tenants' UDP packets in VXLAN, one frame a flow, and what is to have become of them at the receiver.
 * Sizes are those of the inner Ethernet frame. Behind the inner UDP header stand the time of sending and the flow's number;
 * no checksum covers them, so they may be written at any time.
 *
 *   Ethernet | IPv4 | UDP | VXLAN | Ethernet | IPv4 | UDP | time, 4 bytes | flow, 4 bytes | zeros
 */

import { equalBytes, formatAddress, ipv4Bytes } from '../../src/base/address.ts'
import { Random } from '../../src/base/random.ts'
import { ethernet, ipv4, ipv6, type Layer, udp, vxlan } from '../../src/wire/build.ts'
import * as ethernetTable from '../../src/wire/ethernet.ts'
import { Fault } from '../../src/wire/fault.ts'
import { checkGre, greHeaderBytes, greKey, gre as greTable } from '../../src/wire/gre.ts'
import { checkIpv4, ipv4HeaderBytes, ipv4 as ipv4Table, PROTOCOL, writeIpv4Checksum } from '../../src/wire/ipv4.ts'
import { UDP_PORT, udp as udpTable } from '../../src/wire/udp.ts'
import { checkVxlan, vxlan as vxlanTable } from '../../src/wire/vxlan.ts'
import {
  CUSTOMER_MAC,
  DESTINATION6,
  GATEWAY_MAC,
  keyOf,
  prefixesOf,
  type Size,
  type Tunnel,
  tunnelOf,
  vniOf,
} from './site.ts'
import { ADDRESS, MAC } from './wires.ts'

/** Where the time of sending stands in a frame as it is sent, or arrives by VXLAN; and by GRE, which carries bare IP. */
export const SENT_AT: Readonly<Record<Tunnel, number>> = { vxlan: 92, gre: 70 }
const FLOW_BEHIND = 4
const PAYLOAD_AT = ipv4Table.BYTES + udpTable.BYTES
const INNER_HEADERS = 14 + 20 + 8

export interface Flow {
  readonly tenant: number
  /** The inner packet's destination. */
  readonly destination: string
  readonly frame: Uint8Array
}

/** `count` flows to routes all over the FIB that lead away by `tunnel`, in frames of `bytes`. */
export function flowsOf(size: Size, tunnel: Tunnel, bytes: number, count: number): Flow[] {
  const random = new Random(bytes)
  const prefixes = prefixesOf(size)
  return Array.from({ length: count }, (_, flow) => {
    let place = random.below(prefixes.length)
    if (tunnelOf(place) !== tunnel) place ^= 1
    const tenant = 1 + Math.floor(place / size.routesPerTenant)
    const destination = formatAddress(ipv4Bytes(prefixes[place]! + 1 + random.below(254)))
    const source = `10.${random.below(256)}.${random.below(256)}.${1 + random.below(254)}`
    const packet = ipv4({ source, destination }, payloadOf(flow, bytes))
    return { tenant, destination, frame: inTunnel(packet, tenant, flow) }
  })
}

/**
 * What a node may not have met before: IPv6 from a tenant, and a packet that has come too far. The time of sending is written
 * into the former's destination, behind the prefix that is routed.
 */
export type Rare = 'ipv6' | 'ttl'

export function rareFrame(kind: Rare): Uint8Array {
  const packet =
    kind === 'ipv6'
      ? ipv6({ source: '2001:db8:a::1', destination: DESTINATION6 }, payloadOf(0, 64))
      : ipv4({ source: '10.1.1.1', destination: '11.1.1.1', ttl: 1 }, payloadOf(0, 64))
  return inTunnel(packet, 1, 0)
}

function payloadOf(flow: number, bytes: number): Layer {
  const data = new Uint8Array(bytes - INNER_HEADERS)
  new DataView(data.buffer).setUint32(FLOW_BEHIND, flow)
  return udp({ sourcePort: 1024 + flow, destinationPort: 9, checksum: false }, data)
}

function inTunnel(packet: Layer, tenant: number, flow: number): Uint8Array {
  const frame = ethernet({ source: CUSTOMER_MAC, destination: GATEWAY_MAC }, packet)
  const ports = { sourcePort: 49_152 + (flow & 0x3fff), destinationPort: UDP_PORT.vxlan, checksum: false }
  const tunnel = udp(ports, vxlan({ vni: vniOf(tenant) }, frame))
  const ends = { source: ADDRESS.sender, destination: ADDRESS.vip }
  return ethernet({ source: MAC.sender, destination: MAC.in }, ipv4(ends, tunnel))
}

// ---- what arrives

interface Arrived {
  readonly tunnel: Tunnel
  readonly id: number
  readonly to: string
  /** The inner packet. */
  readonly packet: Uint8Array
}

/** Undefined for what is none of ours. */
export function arrived(frame: Uint8Array): Arrived | undefined {
  const view = new DataView(frame.buffer, frame.byteOffset, frame.length)
  const ip = ethernetTable.ethernet.BYTES
  if (checkIpv4(view, ip, frame.length) !== Fault.none) return undefined
  const to = formatAddress(ipv4Bytes(ipv4Table.destination.get(view, ip)))
  const end = ip + ipv4Table.totalLength.get(view, ip)
  const at = ip + ipv4HeaderBytes(view, ip)
  if (ipv4Table.protocol.get(view, ip) === PROTOCOL.gre) {
    if (checkGre(view, at, end) !== Fault.none) return undefined
    const packet = frame.subarray(at + greHeaderBytes(greTable.flagsVersion.get(view, at)), end)
    return { tunnel: 'gre', id: greKey(view, at), to, packet }
  }
  const header = at + udpTable.BYTES
  if (ipv4Table.protocol.get(view, ip) !== PROTOCOL.udp || checkVxlan(view, header, end) !== Fault.none)
    return undefined
  const packet = frame.subarray(header + vxlanTable.BYTES + ethernetTable.ethernet.BYTES, end)
  return { tunnel: 'vxlan', id: vxlanTable.vni.get(view, header), to, packet }
}

/** The number of the flow that a packet belongs to. */
export function flowOf({ packet }: Arrived): number {
  const view = new DataView(packet.buffer, packet.byteOffset, packet.length)
  const at = PAYLOAD_AT + FLOW_BEHIND
  return at + 4 <= packet.length ? view.getUint32(at) : -1
}

/** What a device is to make of the generator's frames: a gateway routes them to `tunnel`, a wire leaves them alone. */
export type Work = { readonly kind: 'route'; readonly tunnel: Tunnel } | { readonly kind: 'pass' }

/** Why what arrived is not what was to become of the flow's frame; undefined when it is. */
export function wrong(flow: Flow, found: Arrived, work: Work): string | undefined {
  const sent = arrived(flow.frame)!
  const expected: Arrived =
    work.kind === 'pass'
      ? sent
      : { tunnel: work.tunnel, id: keyOf(flow.tenant), to: ADDRESS.receiver, packet: oneHopOlder(sent.packet) }
  const { tunnel, id, to, packet } = found
  if (tunnel !== expected.tunnel || id !== expected.id)
    return `by ${tunnel} ${id}, not ${expected.tunnel} ${expected.id}`
  if (to !== expected.to) return `to ${to}, not ${expected.to}`
  if (equalBytes(timeless(packet), expected.packet)) return undefined
  return `as ${hex(packet)}, not ${hex(expected.packet)}`
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex')
}

/** Without the time of sending, as flows' frames are. */
function timeless(packet: Uint8Array): Uint8Array {
  return packet.slice().fill(0, PAYLOAD_AT, PAYLOAD_AT + FLOW_BEHIND)
}

function oneHopOlder(packet: Uint8Array): Uint8Array {
  const older = packet.slice()
  const view = new DataView(older.buffer)
  ipv4Table.ttl.set(view, 0, ipv4Table.ttl.get(view, 0) - 1)
  writeIpv4Checksum(view, 0)
  return older
}
