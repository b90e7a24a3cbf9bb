/**
 * Whole frames that ask for a neighbour's MAC address: ARP requests and neighbour solicitations from the gateway, within
 * the tunnel that leads to the neighbour's segment.
 */

import { formatAddress, formatMac, type IpAddress, type MacAddress } from '../base/address.ts'
import type { Adjacency, TunnelEnds } from '../dataplane/template.ts'
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

const BROADCAST = 'ff:ff:ff:ff:ff:ff'

export interface Question {
  /** The gateway's own address on the segment and its MAC address. */
  readonly source: IpAddress
  readonly mac: MacAddress
  readonly target: IpAddress
}

/** The question as an Ethernet frame, to everybody on the segment. */
export function questionFrame({ source, mac, target }: Question): Uint8Array {
  const from = { mac: formatMac(mac), ip: formatAddress(source) }
  if (target.length === 4) {
    const request = arpRequest({ senderMac: from.mac, senderIp: from.ip, targetIp: formatAddress(target) })
    return ethernet({ source: from.mac, destination: BROADCAST }, request)
  }
  const group = solicitedNode(target)
  const solicitation = neighbourSolicitation({ target: formatAddress(target), sourceMac: from.mac })
  const packet = ipv6({ source: from.ip, destination: formatAddress(group), hopLimit: 255 }, solicitation)
  return ethernet({ source: from.mac, destination: groupMac(group) }, packet)
}

/** The frame in its tunnel, ready for the port of the adjacency. */
export function inTunnel(
  adjacency: Adjacency,
  ends: TunnelEnds,
  tunnel: 'vxlan' | 'gre',
  id: number,
  entropyPort: number,
  frame: Uint8Array,
): Uint8Array {
  const addresses = { source: formatAddress(ends.source), destination: formatAddress(ends.destination) }
  const payload: Layer =
    tunnel === 'vxlan'
      ? udp({ sourcePort: entropyPort, destinationPort: UDP_PORT.vxlan, checksum: false }, vxlan({ vni: id }, frame))
      : gre({ key: id }, frame)
  const outer: Payload =
    ends.source.length === 4 ? ipv4({ ...addresses, dontFragment: true }, payload) : ipv6(addresses, payload)
  return ethernet({ source: formatMac(adjacency.source), destination: formatMac(adjacency.destination) }, outer)
}

/** RFC 4291 section 2.7.1: ff02::1:ff00:0/104 and the last three bytes. */
function solicitedNode(target: IpAddress): IpAddress {
  const group = new Uint8Array(16)
  group.set([0xff, 0x02])
  group.set([0x01, 0xff], 11)
  group.set(target.subarray(13), 13)
  return group
}

/** RFC 2464 section 7. */
function groupMac(group: IpAddress): string {
  return formatMac(Uint8Array.of(0x33, 0x33, ...group.subarray(12)))
}
