/**
 * What a UDP probe carries, and what its responder (sla/udp-responder.ts) makes of it. A server of RFC 862 sends it back as
 * it came, which is understood too.
 *
 *   magic u32 | flags u8 | 0 u8 | train u16 | sequence u32 | received, 8 bytes: microseconds of the responder's clock, 0 not
 *
 * Then zeros, up to the size that was asked for.
 */

import { Fault } from './fault.ts'
import { header, u8, u16, u32 } from './header.ts'

export const probePacket = header('UDP probe, of our own', {
  magic: u32,
  flags: u8,
  reserved: u8,
  train: u16,
  sequence: u32,
  receivedHigh: u32,
  receivedLow: u32,
})

export const PROBE_MAGIC = 0x47485052 // 'GHPR'

export const PROBE_FLAG = {
  /** A packet of a train: its answer is the header alone, so that the way back is not what is measured. */
  train: 0x01,
  /** The responder has written when it came. */
  received: 0x02,
} as const

export function checkProbe(frame: DataView, at: number, end: number): number {
  if (at + probePacket.BYTES > end) return Fault.truncated
  return probePacket.magic.get(frame, at) === PROBE_MAGIC ? Fault.none : Fault['bad-field']
}

export function probeReceived_us(frame: DataView, at: number): number {
  return probePacket.receivedHigh.get(frame, at) * 2 ** 32 + probePacket.receivedLow.get(frame, at)
}

export function setProbeReceived_us(frame: DataView, at: number, at_us: number): void {
  probePacket.receivedHigh.set(frame, at, Math.floor(at_us / 2 ** 32))
  probePacket.receivedLow.set(frame, at, at_us >>> 0)
}
