/**
 * Ethernet II frames, IEEE 802.3 clause 3, without preamble and frame check sequence, and the tags of IEEE 802.1Q
 * clause 9.5 (customer tags, and service tags outside of them). 802.3 frames with a length in the type's place pass as
 * an unknown type.
 */

import { Fault } from './fault.ts'
import { header, mac, u16 } from './header.ts'

export const ethernet = header('Ethernet, IEEE 802.3 clause 3.1', {
  destination: mac,
  source: mac,
  etherType: u16,
})

/** Stands between `source` and `etherType`: the tag's own EtherType, then priority, drop eligible and VLAN. */
export const vlanTag = header('VLAN tag, IEEE 802.1Q clause 9.6', {
  tagProtocol: u16,
  control: u16,
})

/** IANA ieee-802-numbers. */
export const ETHERTYPE = {
  ipv4: 0x0800,
  arp: 0x0806,
  bridgedEthernet: 0x6558,
  vlan: 0x8100,
  ipv6: 0x86dd,
  serviceVlan: 0x88a8,
} as const

/** One customer tag within one service tag. What is behind a third tag is nobody's here. */
const TAGS_MAX = 2

/** The group bit of a MAC address, the first that is sent: multicast, or broadcast when all the others are set too. */
const GROUP_BIT = 0x01

export function checkEthernet(frame: DataView, at: number, end: number): number {
  if (at + ethernet.BYTES > end) return Fault.truncated
  let type = at + ethernet.etherType.offset
  for (let tags = 0; tags < TAGS_MAX && isTag(frame.getUint16(type)); tags++) {
    type += vlanTag.BYTES
    if (type + 2 > end) return Fault.truncated
  }
  return Fault.none
}

function isTag(etherType: number): boolean {
  return etherType === ETHERTYPE.vlan || etherType === ETHERTYPE.serviceVlan
}

/** Where the EtherType of the payload is, behind up to two tags. The payload follows two bytes later. */
export function etherTypeAt(frame: DataView, at: number): number {
  let type = at + ethernet.etherType.offset
  for (let tags = 0; tags < TAGS_MAX && isTag(frame.getUint16(type)); tags++) type += vlanTag.BYTES
  return type
}

/** The VLAN of the outermost tag. 0 for an untagged frame and for one that is tagged for its priority alone. */
export function vlanId(frame: DataView, at: number): number {
  const tag = at + ethernet.etherType.offset
  return isTag(frame.getUint16(tag)) ? vlanTag.control.get(frame, tag) & 0x0fff : 0
}

/** Multicast or broadcast destination. */
export function isGroupAddressed(frame: DataView, at: number): boolean {
  return (frame.getUint8(at) & GROUP_BIT) !== 0
}
