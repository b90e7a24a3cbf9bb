/**
 * Header templates for finished actions: the bytes that are put before a packet, complete but for what depends on it
 * (lengths, TOS, IPv4 checksum, entropy, the packet's EtherType). Made by the agent, copied by the workers.
 *
 *   Ethernet | IPv4 or IPv6 | UDP, VXLAN | inner Ethernet        to VTEPs
 *   Ethernet | IPv4 or IPv6 | GRE, key   | (inner Ethernet)      to hosts
 *   Ethernet                                                     to the next router of the underlay
 */

import type { IpAddress, MacAddress } from '../base/address.ts'
import { ETHERTYPE, ethernet } from '../wire/ethernet.ts'
import { GRE_FLAG, gre } from '../wire/gre.ts'
import { setBytes } from '../wire/header.ts'
import { IPV4_DONT_FRAGMENT, IPV4_PLAIN, ipv4, PROTOCOL } from '../wire/ipv4.ts'
import { ipv6 } from '../wire/ipv6.ts'
import { UDP_PORT, udp } from '../wire/udp.ts'
import { VXLAN_FLAG_VNI, vxlan } from '../wire/vxlan.ts'
import { type Action, Tunnel } from './action.ts'

/** RFC 1812 section 4.2.2.9's default; the underlay is no larger. */
const OUTER_TTL = 64

/** Where the frame goes on its next link: what the kernel's routes and neighbours say (`underlay.ts`). */
export interface Adjacency {
  /** Index of the port. */
  port: number
  source: MacAddress
  destination: MacAddress
  /** Of the path to the tunnel's far end, in bytes of outer IP packet. */
  mtu: number
}

export interface TunnelEnds {
  source: IpAddress
  destination: IpAddress
}

export interface InnerEthernet {
  source: MacAddress
  destination: MacAddress
}

/** `inner` is absent where whole Ethernet frames are carried as they are, as an edge switch does. */
export function vxlanAction(adjacency: Adjacency, ends: TunnelEnds, vni: number, inner?: InnerEthernet): Action {
  const out = new Template(adjacency, ends, PROTOCOL.udp)
  const at = out.add(udp.BYTES)
  udp.destinationPort.set(out.view, at, UDP_PORT.vxlan)
  const header = out.add(vxlan.BYTES)
  vxlan.flags.set(out.view, header, VXLAN_FLAG_VNI)
  vxlan.vni.set(out.view, header, vni)
  const etherTypeAt = inner ? out.ethernet(inner) : 0
  return out.action(ends.source.length === 4 ? Tunnel.vxlan4 : Tunnel.vxlan6, etherTypeAt)
}

/** Without `inner` the payload is bare IP (RFC 2784), with it an Ethernet frame (protocol 0x6558). */
export function greAction(adjacency: Adjacency, ends: TunnelEnds, key: number, inner?: InnerEthernet): Action {
  const out = new Template(adjacency, ends, PROTOCOL.gre)
  const header = out.add(gre.BYTES + 4)
  gre.flagsVersion.set(out.view, header, GRE_FLAG.key)
  gre.protocol.set(out.view, header, ETHERTYPE.bridgedEthernet)
  out.view.setUint32(header + gre.BYTES, key)
  const etherTypeAt = inner ? out.ethernet(inner) : header + gre.protocol.offset
  return out.action(ends.source.length === 4 ? Tunnel.gre4 : Tunnel.gre6, etherTypeAt)
}

/** The packet itself, on to the next router. */
export function routedAction(adjacency: Adjacency): Action {
  const out = new Template(adjacency)
  return out.action(Tunnel.none, ethernet.etherType.offset)
}

/** VXLAN over IPv6 with an inner Ethernet header is the longest: 84 bytes. */
const LONGEST = 96

class Template {
  readonly view = new DataView(new ArrayBuffer(LONGEST))
  readonly #adjacency: Adjacency
  #bytes = 0

  constructor(adjacency: Adjacency, ends?: TunnelEnds, protocol = 0) {
    this.#adjacency = adjacency
    this.ethernet(adjacency)
    if (!ends) return
    const etherType = ends.source.length === 4 ? ETHERTYPE.ipv4 : ETHERTYPE.ipv6
    ethernet.etherType.set(this.view, 0, etherType)
    if (etherType === ETHERTYPE.ipv4) this.#ipv4(ends, protocol)
    else this.#ipv6(ends, protocol)
  }

  add(bytes: number): number {
    this.#bytes += bytes
    return this.#bytes - bytes
  }

  /** Returns where the EtherType stands. */
  ethernet(addresses: InnerEthernet): number {
    const at = this.add(ethernet.BYTES)
    setBytes(ethernet.destination, this.view, at, addresses.destination)
    setBytes(ethernet.source, this.view, at, addresses.source)
    return at + ethernet.etherType.offset
  }

  action(tunnel: number, etherTypeAt: number): Action {
    const template = new Uint8Array(this.view.buffer, 0, this.#bytes).slice()
    const mtu = this.#adjacency.mtu - (this.#bytes - ethernet.BYTES)
    return { kind: 'send', port: this.#adjacency.port, tunnel, mtu, template, etherTypeAt }
  }

  #ipv4(ends: TunnelEnds, protocol: number): void {
    const at = this.add(ipv4.BYTES)
    ipv4.versionIhl.set(this.view, at, IPV4_PLAIN)
    // Tunnels are not fragmented on the way: the path MTU is learnt instead. With DF the ID says nothing (RFC 6864).
    ipv4.flagsFragment.set(this.view, at, IPV4_DONT_FRAGMENT)
    ipv4.ttl.set(this.view, at, OUTER_TTL)
    ipv4.protocol.set(this.view, at, protocol)
    this.#addresses(ipv4.source.offset + at, ends)
  }

  #ipv6(ends: TunnelEnds, protocol: number): void {
    const at = this.add(ipv6.BYTES)
    ipv6.nextHeader.set(this.view, at, protocol)
    ipv6.hopLimit.set(this.view, at, OUTER_TTL)
    this.#addresses(ipv6.source.offset + at, ends)
  }

  #addresses(at: number, ends: TunnelEnds): void {
    const bytes = new Uint8Array(this.view.buffer)
    bytes.set(ends.source, at)
    bytes.set(ends.destination, at + ends.source.length)
  }
}
