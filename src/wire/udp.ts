/** UDP, RFC 768; without a checksum over IPv6 too where a tunnel says so, RFC 6935. */

import { checksum, checksumHolds } from './checksum.ts'
import { Fault } from './fault.ts'
import { header, u16 } from './header.ts'

export const udp = header('UDP, RFC 768', {
  sourcePort: u16,
  destinationPort: u16,
  length: u16,
  checksum: u16,
})

/** IANA service-names-port-numbers. */
export const UDP_PORT = { bfdSingleHop: 3784, bfdEcho: 3785, vxlan: 4789, bfdMultiHop: 4784 } as const

/** The header and its length. Not the checksum: what passes through is the receiver's to judge. */
export function checkUdp(frame: DataView, at: number, end: number): number {
  if (at + udp.BYTES > end) return Fault.truncated
  const bytes = udp.length.get(frame, at)
  return bytes < udp.BYTES || at + bytes > end ? Fault['bad-header-length'] : Fault.none
}

/** Whether the checksum is right, or 0, which says that the sender made none. `pseudo` is the pseudo-header's sum. */
export function udpChecksumHolds(frame: DataView, at: number, pseudo: number): boolean {
  if (udp.checksum.get(frame, at) === 0) return true
  return checksumHolds(frame, at, at + udp.length.get(frame, at), pseudo)
}

/** A sum of 0 is sent as 0xffff, because 0 means none. */
export function writeUdpChecksum(frame: DataView, at: number, pseudo: number): void {
  udp.checksum.set(frame, at, 0)
  udp.checksum.set(frame, at, checksum(frame, at, at + udp.length.get(frame, at), pseudo) || 0xffff)
}
