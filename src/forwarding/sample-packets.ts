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
import { ACME, EDGE, GATEWAY_MAC, HOST, PEER_MAC, VIP } from './sample-site.ts'

const ROUTER = { source: '02:00:00:00:00:02', destination: '02:00:00:00:00:01' } as const

export interface Outer {
  source?: string
  destination?: string
  tos?: number
  sourcePort?: number
}

/** An Ethernet frame of a customer, from the edge switch. */
export function fromEdge(frame: Uint8Array, vni: number = ACME.vni, outer: Outer = {}): Uint8Array {
  const { source = EDGE, destination = VIP, sourcePort = 50_000, tos = 0 } = outer
  const tunnel = udp({ sourcePort, destinationPort: UDP_PORT.vxlan, checksum: false }, vxlan({ vni }, frame))
  return ethernet(ROUTER, ipv4({ source, destination, tos }, tunnel))
}

/** An IP packet of a customer, from the edge switch. */
export function fromCustomer(packet: Layer, vni?: number, outer?: Outer): Uint8Array {
  return fromEdge(ethernet({ source: PEER_MAC, destination: GATEWAY_MAC }, packet), vni, outer)
}

export const NO_KEY = -1

/** An IP packet or an Ethernet frame of a machine, from its host. */
export function fromHost(payload: Payload, key: number = ACME.vni, source: string = HOST.ip): Uint8Array {
  const tunnel = gre(key === NO_KEY ? {} : { key }, payload)
  return ethernet(ROUTER, ipv4({ source, destination: VIP }, tunnel))
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
