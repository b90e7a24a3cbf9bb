/** The Address Resolution Protocol, RFC 826, for IPv4 over Ethernet and nothing else. */

import { ETHERTYPE } from './ethernet.ts'
import { Fault } from './fault.ts'
import { header, mac, u8, u16, u32 } from './header.ts'

export const arp = header('ARP, RFC 826', {
  hardwareType: u16,
  protocolType: u16,
  hardwareLength: u8,
  protocolLength: u8,
  operation: u16,
  senderMac: mac,
  senderIp: u32,
  targetMac: mac,
  targetIp: u32,
})

export const ARP_OPERATION = { request: 1, reply: 2 } as const

/** IANA arp-parameters, hardware types. */
export const ARP_HARDWARE_ETHERNET = 1

export function checkArp(frame: DataView, at: number, end: number): number {
  if (at + arp.BYTES > end) return Fault.truncated
  if (arp.hardwareType.get(frame, at) !== ARP_HARDWARE_ETHERNET) return Fault['unknown-protocol']
  if (arp.protocolType.get(frame, at) !== ETHERTYPE.ipv4) return Fault['unknown-protocol']
  if (arp.hardwareLength.get(frame, at) !== 6) return Fault['bad-header-length']
  if (arp.protocolLength.get(frame, at) !== 4) return Fault['bad-header-length']
  const operation = arp.operation.get(frame, at)
  if (operation !== ARP_OPERATION.request && operation !== ARP_OPERATION.reply) return Fault['bad-field']
  // A group address cannot be anybody's own, RFC 1812 section 3.3.2.
  if ((frame.getUint8(at + arp.senderMac.offset) & 1) !== 0) return Fault['bad-field']
  return Fault.none
}
