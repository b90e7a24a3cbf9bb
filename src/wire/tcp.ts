/**
 * TCP's header and options, RFC 9293 sections 3.1 and 3.2, as far as a gateway touches them: who talks to whom, which
 * flags, and the MSS that is clamped to what the tunnels carry. No connections: those are the functions' business.
 */

import { updated16 } from './checksum.ts'
import { Fault } from './fault.ts'
import { header, u8, u16, u32 } from './header.ts'

export const tcp = header('TCP, RFC 9293 section 3.1', {
  sourcePort: u16,
  destinationPort: u16,
  sequence: u32,
  acknowledgement: u32,
  /** The upper four bits: the header's length in 32-bit words. */
  dataOffset: u8,
  flags: u8,
  window: u16,
  checksum: u16,
  urgentPointer: u16,
})

export const TCP_FLAG = {
  fin: 0x01,
  syn: 0x02,
  rst: 0x04,
  psh: 0x08,
  ack: 0x10,
  urg: 0x20,
  ece: 0x40,
  cwr: 0x80,
} as const

/** IANA tcp-parameters, option kinds. The first two have no length. */
export const TCP_OPTION = { end: 0, noOperation: 1, mss: 2 } as const

const MSS_BYTES = 4

/** The header's length. Options are not judged: a receiver must bear illegal ones (RFC 9293 MUST-7), so must we. */
export function checkTcp(frame: DataView, at: number, end: number): number {
  if (at + tcp.BYTES > end) return Fault.truncated
  const bytes = tcpHeaderBytes(frame, at)
  if (bytes < tcp.BYTES) return Fault['bad-header-length']
  return at + bytes > end ? Fault.truncated : Fault.none
}

export function tcpHeaderBytes(frame: DataView, at: number): number {
  return (tcp.dataOffset.get(frame, at) >>> 4) * 4
}

/** Where the first option of a kind begins, 0 when there is none or one before it is malformed. It is whole. */
export function tcpOption(frame: DataView, at: number, kind: number): number {
  const end = at + tcpHeaderBytes(frame, at)
  let option = at + tcp.BYTES
  while (option + 2 <= end) {
    const found = frame.getUint8(option)
    if (found === TCP_OPTION.end) return 0
    if (found === TCP_OPTION.noOperation) {
      option += 1
      continue
    }
    const bytes = frame.getUint8(option + 1)
    if (bytes < 2 || option + bytes > end) return 0
    if (found === kind) return option
    option += bytes
  }
  return 0
}

/**
 * Lowers the MSS that a SYN announces to `limit`, in place, the checksum with it. True when it changed something.
 * A SYN without the option is left alone: its sender is bound to the default, which every path carries.
 */
export function clampMss(frame: DataView, at: number, limit: number): boolean {
  if ((tcp.flags.get(frame, at) & TCP_FLAG.syn) === 0) return false
  const option = tcpOption(frame, at, TCP_OPTION.mss)
  if (option === 0 || frame.getUint8(option + 1) !== MSS_BYTES) return false
  const before = frame.getUint16(option + 2)
  if (before <= limit) return false
  frame.setUint16(option + 2, limit)
  // Behind an odd number of no-operations the value straddles two words of the sum, and each byte has the other's
  // weight.
  const odd = ((option - at) & 1) === 1
  const sum = tcp.checksum.get(frame, at)
  tcp.checksum.set(frame, at, updated16(sum, odd ? swapped(before) : before, odd ? swapped(limit) : limit))
  return true
}

function swapped(word: number): number {
  return ((word & 0xff) << 8) | (word >>> 8)
}
