/**
 * The options of a segment's TCP header, changed in place: those that a signature (RFC 2385) leaves no room for. It takes 20
 * of 40 bytes, beside which timestamps and SACK blocks do not fit, so timestamps are taken out of SYNs in both directions,
 * as routers do with MD5, and of the blocks the first two stay. Who takes something out keeps the checksum right by the sums
 * of the header before and after.
 */

import { sum16, updated16 } from '../../wire/checksum.ts'
import { TCP_OPTION, tcp, tcpHeaderBytes, tcpOption } from '../../wire/tcp.ts'

/** IANA tcp-parameters. */
export const SACK = 5
export const TIMESTAMPS = 8
export const SIGNATURE = 19

/** RFC 2385 section 3.0, and two no-operations before it, for whole words. */
export const SIGNATURE_BYTES = 18
export const SIGNED_BYTES = 20
/** RFC 9293 section 3.1: the header's length has four bits for its words. */
const OPTIONS_MAX = 40
/** Of SACK: kind and length, then blocks of two edges (RFC 2018 section 3). */
const SACK_HEAD = 2
const BLOCK_BYTES = 8

/** Makes the first option of the kind into no-operations; the checksum as well, if it is `finished`. */
export function blankOption(view: DataView, at: number, kind: number, finished: boolean): void {
  const option = tcpOption(view, at, kind)
  if (option === 0) return
  const end = at + tcpHeaderBytes(view, at)
  const before = sum16(view, at, end)
  for (let i = view.getUint8(option + 1) - 1; i >= 0; i--) view.setUint8(option + i, TCP_OPTION.noOperation)
  if (!finished) return
  tcp.checksum.set(view, at, updated16(tcp.checksum.get(view, at), before, sum16(view, at, end)))
}

/**
 * Makes room for a signature: afterwards the header, whose length this returns, has 20 bytes for it at its end, which are
 * not written yet. Bytes behind the options must be free. The checksum is to be made anew.
 */
export function widenForSignature(view: DataView, at: number): number {
  let bytes = tcpHeaderBytes(view, at)
  if (bytes - tcp.BYTES > OPTIONS_MAX - SIGNED_BYTES) bytes = keepTwoBlocks(view, at)
  bytes += SIGNED_BYTES
  tcp.dataOffset.set(view, at, ((bytes / 4) << 4) | (tcp.dataOffset.get(view, at) & 0x0f))
  return bytes
}

/** Of options that are too long for a signature, SACK's alone stay, with as many blocks as fit. */
function keepTwoBlocks(view: DataView, at: number): number {
  const option = tcpOption(view, at, SACK)
  const first = at + tcp.BYTES
  if (option === 0) return tcp.BYTES
  const room = OPTIONS_MAX - SIGNED_BYTES - SACK_HEAD - 2
  const blocks = Math.min(view.getUint8(option + 1) - SACK_HEAD, room - (room % BLOCK_BYTES))
  const bytes = new Uint8Array(view.buffer, view.byteOffset, view.byteLength)
  bytes.copyWithin(first + 2 + SACK_HEAD, option + SACK_HEAD, option + SACK_HEAD + blocks)
  view.setUint16(first, (TCP_OPTION.noOperation << 8) | TCP_OPTION.noOperation)
  view.setUint16(first + 2, (SACK << 8) | (SACK_HEAD + blocks))
  return tcp.BYTES + 2 + SACK_HEAD + blocks
}
