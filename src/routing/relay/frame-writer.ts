/**
 * The way out of the relay: an inner packet is written where it will lie, then what stands before it is put there, from the
 * inside out, and the frame is handed to whoever sends (linux/datagram-batch.ts, or a test).
 *
 *   slot  | outer IP | UDP | VXLAN | Ethernet | inner packet ...
 *         0          ^ as long as the underlay's version needs: it begins later with IPv4    PACKET_AT
 */

import type { IpAddress } from '../../base/address.ts'
import { entropyPort } from '../../dataplane/encapsulate.ts'
import { type Destination, destinationOf } from '../../linux/datagram-batch.ts'
import { ETHERTYPE, ethernet } from '../../wire/ethernet.ts'
import { IPV4_DONT_FRAGMENT, IPV4_PLAIN, ipv4, PROTOCOL } from '../../wire/ipv4.ts'
import { ipv6 } from '../../wire/ipv6.ts'
import { UDP_PORT, udp } from '../../wire/udp.ts'
import { VXLAN_FLAG_VNI, vxlan } from '../../wire/vxlan.ts'
import type { RelayCounters } from './refusal.ts'
import { ipBytesFor } from './translate.ts'
import type { SegmentSetup } from './ways.ts'

/** Who sends whole outer IP packets. */
export interface PacketSink {
  readonly view: DataView
  readonly bytes: Uint8Array
  /** Where the next packet's slot begins. */
  begin(): number
  /** It lies within the slot, from `from` up to `end`. */
  push(from: number, end: number, to: Destination): void
  flush(): void
}

const TUNNEL_BYTES = udp.BYTES + vxlan.BYTES + ethernet.BYTES
/** Within a slot: outer IPv6 is the longer one. */
const PACKET_AT = ipv6.BYTES + TUNNEL_BYTES
const OUTER_TTL = 64

/** What a packet of the tenant's grows by, on an underlay of this version. */
export function overheadBytes(address: IpAddress): number {
  return ipBytesFor(address.length) + TUNNEL_BYTES
}

/** What has to be in a slot for an inner packet of so many bytes. */
export function slotBytesFor(packetBytes: number): number {
  return (PACKET_AT + packetBytes + 63) & ~63
}

/** A segment's tunnel: made once. */
export interface Tunnel {
  readonly vni: number
  readonly destination: Destination
  readonly vip: IpAddress
}

export class FrameWriter {
  readonly view: DataView
  readonly bytes: Uint8Array
  readonly #sink: PacketSink
  readonly #counters: RelayCounters
  readonly #address: IpAddress
  readonly #mac: number

  /** `address`: ours in the underlay; `mac`: ours on every segment. */
  constructor(sink: PacketSink, counters: RelayCounters, address: IpAddress, mac: number) {
    this.view = sink.view
    this.bytes = sink.bytes
    this.#sink = sink
    this.#counters = counters
    this.#address = address
    this.#mac = mac
  }

  /** Where the next inner packet is to be written. */
  begin(): number {
    return this.#sink.begin() + PACKET_AT
  }

  /** The inner packet lies where `begin` said, up to `end`. `tos`: of the outer packet; `entropy`: 32 bits. */
  send(tunnel: Tunnel, at: number, end: number, mac: number, etherType: number, tos: number, entropy: number): void {
    const { view } = this
    const frame = at - ethernet.BYTES
    ethernet.destination.set(view, frame, mac)
    ethernet.source.set(view, frame, this.#mac)
    ethernet.etherType.set(view, frame, etherType)
    const shim = frame - vxlan.BYTES
    view.setUint32(shim, VXLAN_FLAG_VNI * 2 ** 24)
    view.setUint32(shim + 4, tunnel.vni * 256)
    const datagram = shim - udp.BYTES
    udp.sourcePort.set(view, datagram, entropyPort(entropy))
    udp.destinationPort.set(view, datagram, UDP_PORT.vxlan)
    udp.length.set(view, datagram, end - datagram)
    // None: the inner packet has its own (RFC 7348 section 5, RFC 6935).
    udp.checksum.set(view, datagram, 0)
    const outer =
      this.#address.length === 4
        ? this.#ipv4(datagram, end, tos, tunnel)
        : this.#ipv6(datagram, end, tos, tunnel, entropy)
    this.#sink.push(outer, end, tunnel.destination)
    this.#counters.sent++
  }

  flush(): void {
    this.#sink.flush()
  }

  /** ID and checksum are the kernel's to fill in. */
  #ipv4(datagram: number, end: number, tos: number, { vip }: Tunnel): number {
    const { view } = this
    const at = datagram - ipv4.BYTES
    ipv4.versionIhl.set(view, at, IPV4_PLAIN)
    ipv4.tos.set(view, at, tos)
    ipv4.totalLength.set(view, at, end - at)
    ipv4.id.set(view, at, 0)
    ipv4.flagsFragment.set(view, at, IPV4_DONT_FRAGMENT)
    ipv4.ttl.set(view, at, OUTER_TTL)
    ipv4.protocol.set(view, at, PROTOCOL.udp)
    ipv4.checksum.set(view, at, 0)
    this.bytes.set(this.#address, at + ipv4.source.offset)
    this.bytes.set(vip, at + ipv4.destination.offset)
    return at
  }

  #ipv6(datagram: number, end: number, tos: number, { vip }: Tunnel, entropy: number): number {
    const { view } = this
    const at = datagram - ipv6.BYTES
    ipv6.versionClassFlow.set(view, at, (0x60000000 | (tos << 20) | (entropy & 0xfffff)) >>> 0)
    ipv6.payloadLength.set(view, at, end - datagram)
    ipv6.nextHeader.set(view, at, PROTOCOL.udp)
    ipv6.hopLimit.set(view, at, OUTER_TTL)
    this.bytes.set(this.#address, at + ipv6.source.offset)
    this.bytes.set(vip, at + ipv6.destination.offset)
    return at
  }
}

export function tunnelOf({ vni, vip }: SegmentSetup): Tunnel {
  return { vni, vip, destination: destinationOf(vip) }
}

export function etherTypeOf(address: IpAddress): number {
  return address.length === 4 ? ETHERTYPE.ipv4 : ETHERTYPE.ipv6
}
