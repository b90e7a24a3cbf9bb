/** VXLAN, RFC 7348 section 5: the eight bytes between UDP and the inner Ethernet frame. */

import { Fault } from './fault.ts'
import { header, u8, u24 } from './header.ts'

export const vxlan = header('VXLAN, RFC 7348 section 5', {
  flags: u8,
  reserved1: u24,
  vni: u24,
  reserved2: u8,
})

/** The I flag: the VNI is valid. Every other bit is sent as zero and ignored by the receiver. */
export const VXLAN_FLAG_VNI = 0x08

export const VNI_MAX = 2 ** 24 - 1

export function checkVxlan(frame: DataView, at: number, end: number): number {
  if (at + vxlan.BYTES > end) return Fault.truncated
  return (vxlan.flags.get(frame, at) & VXLAN_FLAG_VNI) === 0 ? Fault['bad-field'] : Fault.none
}
