/** Packets of the sample site's tenants within their tunnels, as they arrive at a node. */

import {
  arpRequest,
  ethernet,
  gre,
  ipv4,
  ipv6,
  type Layer,
  neighbourSolicitation,
  type Payload,
  udp,
  vxlan,
} from '../wire/build.ts'
import { UDP_PORT } from '../wire/udp.ts'
import { ACME, GATEWAY_MAC, PEER_MAC, SITE_MAC, underlayOf, VIP, VIP6 } from './sample-site.ts'

const ROUTER = { source: '02:00:00:00:00:02', destination: '02:00:00:00:00:01' } as const

export interface Outer {
  source?: string
  tos?: number
  sourcePort?: number
  /** Of UDP; most tunnels have none. */
  checksum?: boolean
  dontFragment?: boolean
  moreFragments?: boolean
  /** Of IPv6. */
  extensions?: Layer[]
}

/** A tunnel packet as it arrives, over IPv4 or IPv6 as its source is. */
function inUnderlay(source: string, { tos = 0, ...more }: Outer, tunnel: Layer): Uint8Array {
  const packet = source.includes(':')
    ? ipv6({ ...more, source, destination: VIP6, trafficClass: tos }, tunnel)
    : ipv4({ ...more, source, destination: VIP, tos }, tunnel)
  return ethernet(ROUTER, packet)
}

/** An Ethernet frame of a customer, from the edge switch. */
export function fromEdge(frame: Uint8Array, vni: number = ACME.vni, outer: Outer = {}): Uint8Array {
  const { source = underlayOf(vni).edge, sourcePort = 50_000, checksum = false } = outer
  const tunnel = udp({ sourcePort, destinationPort: UDP_PORT.vxlan, checksum }, vxlan({ vni }, frame))
  return inUnderlay(source, outer, tunnel)
}

/** An IP packet of a customer, from the edge switch. */
export function fromCustomer(packet: Layer, vni?: number, outer?: Outer): Uint8Array {
  return fromEdge(ethernet({ source: PEER_MAC, destination: GATEWAY_MAC }, packet), vni, outer)
}

/** An IP packet of the tenant's at the other site, from the gateway there. */
export function fromSite(packet: Layer, vni: number = ACME.vni): Uint8Array {
  return fromEdge(ethernet({ source: SITE_MAC, destination: GATEWAY_MAC }, packet), vni, {
    source: underlayOf(vni).site,
  })
}

/** A frame of a routing node, which knows the neighbour's MAC address. */
export function fromSpeaker(packet: Layer, vni: number = ACME.vni, outer: Outer = {}): Uint8Array {
  const frame = ethernet({ source: GATEWAY_MAC, destination: PEER_MAC }, packet)
  return fromEdge(frame, vni, { source: underlayOf(vni).speaker, ...outer })
}

export const NO_KEY = -1

export interface HostOuter extends Outer {
  /** Of GRE. */
  sequence?: number
}

/** An IP packet or an Ethernet frame of a machine, from its host. */
export function fromHost(payload: Payload, key: number = ACME.vni, outer: HostOuter = {}): Uint8Array {
  const { source = underlayOf(key).host.ip, sequence, checksum = false } = outer
  const options = { ...(key !== NO_KEY && { key }), ...(sequence !== undefined && { sequence }), checksum }
  return inUnderlay(source, outer, gre(options, payload))
}

export function arpFor(target: string, from = '192.168.1.2'): Uint8Array {
  const request = arpRequest({ senderMac: PEER_MAC, senderIp: from, targetIp: target })
  return ethernet({ source: PEER_MAC, destination: 'ff:ff:ff:ff:ff:ff' }, request)
}

export function solicitationFor(target: string, from = '2001:db8:1::2'): Uint8Array {
  const solicitation = neighbourSolicitation({ target, ...(from !== '::' && { sourceMac: PEER_MAC }) })
  const packet = ipv6({ source: from, destination: 'ff02::1:ff00:1', hopLimit: 255 }, solicitation)
  return ethernet({ source: PEER_MAC, destination: '33:33:ff:00:00:01' }, packet)
}
