/** For the pipeline's tests: a node of the sample site, and the frames that are expected of it, drawn whole. */

import { equal } from 'node:assert/strict'
import { formatMac } from '../base/address.ts'
import { unaccounted } from '../dataplane/ledger.ts'
import { ethernet, gre, ipv4, type Layer, type Payload, tcp, text, udp, vxlan } from '../wire/build.ts'
import { UDP_PORT } from '../wire/udp.ts'
import { MemoryNode, NODE_MAC, ROUTER_MAC } from './memory-node.ts'
import { EDGE, GATEWAY_MAC, MACHINE_MAC, PEER_MAC, sampleBatch, TENANTS, VIP } from './sample-site.ts'

/** Where the outer headers of a frame begin. */
export const OUTER_IP = 14
export const OUTER_UDP = 34

/** A node of the sample site that has asked for what it has to ask for. */
export function node(mtu?: number): MemoryNode {
  const made = new MemoryNode(undefined, mtu)
  equal(made.apply(sampleBatch()), undefined)
  equal(made.send().length, TENANTS.length, 'every tenant has a next hop that is to be asked for')
  return made
}

/** Every chunk is back in the pool and every frame accounted for. */
export function conserved(site: MemoryNode): void {
  equal(site.pool.free, 511)
  equal(unaccounted(site.node()), 0)
  for (const tenant of TENANTS) equal(unaccounted(site.totals(tenant.name)!), 0)
}

export const toRouter = { source: formatMac(NODE_MAC), destination: formatMac(ROUTER_MAC) }

/** What leaves for the edge switch: VXLAN. */
export function toEdge(frame: Uint8Array, vni: number, sourcePort: number, tos = 0): Uint8Array {
  const tunnel = udp({ sourcePort, destinationPort: UDP_PORT.vxlan, checksum: false }, vxlan({ vni }, frame))
  return ethernet(toRouter, ipv4({ source: VIP, destination: EDGE, tos, dontFragment: true }, tunnel))
}

/** What leaves for a host: GRE. */
export function toHost(destination: string, payload: Payload, key: number, tos = 0): Uint8Array {
  return ethernet(toRouter, ipv4({ source: VIP, destination, tos, dontFragment: true }, gre({ key }, payload)))
}

/** The entropy in the outer UDP header. */
export const fromPort = (frame: Uint8Array): number => new DataView(frame.buffer).getUint16(OUTER_UDP)
export const toMachine = (packet: Layer) => ethernet({ source: GATEWAY_MAC, destination: MACHINE_MAC }, packet)
export const toPeer = (packet: Layer) => ethernet({ source: GATEWAY_MAC, destination: PEER_MAC }, packet)

export const DATA = text('what the tenants have to say to each other')
export const segmentOfTcp = tcp({ sourcePort: 40_000, destinationPort: 80 }, DATA)
