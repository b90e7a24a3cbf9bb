/**
 * The header that every BGP message begins with, RFC 4271 section 4.1, and what can be wrong with it (section 6.1):
 *
 *   marker, 16 bytes of 0xff | length u16, header included | type u8
 *
 * Lengths that a type cannot have are refused here too, so that no body is ever read that has no room for its fixed part.
 */

import { type Reader, Writer } from '../cursor.ts'

/** RFC 4271 section 8.2.1: where a speaker listens. */
export const BGP_PORT = 179
export const BGP_HEADER_BYTES = 19
export const MESSAGE_BYTES_MAX = 4096
/** Once both sides have said so (RFC 8654); OPEN and KEEPALIVE stay as short as they were. */
export const EXTENDED_MESSAGE_BYTES_MAX = 65535
/** Of all of a route's attributes: what an extended message has beside its header and the lengths of its two fields. */
export const ATTRIBUTES_BYTES_MAX = EXTENDED_MESSAGE_BYTES_MAX - BGP_HEADER_BYTES - 4

export const MESSAGE = { open: 1, update: 2, notification: 3, keepalive: 4, routeRefresh: 5 } as const

/** Subcodes of the Message Header Error. */
export const HEADER_ERROR = { notSynchronised: 1, badLength: 2, badType: 3 } as const

const MARKER_WORD = 0xffff_ffff

/** By type: the least bytes of a whole message. What is missing from a ROUTE-REFRESH, its own decoder names (RFC 7313). */
const BYTES_MIN = [0, 29, 23, 21, 19, 19] as const

/**
 * Reads a header, 19 bytes, and returns the length of the whole message in bytes, or the negated subcode of the Message
 * Header Error. The NOTIFICATION's data is then the length field (2 bytes at 16) or the type (1 byte at 18).
 */
export function checkHeader(from: Reader, bytesMax: number): number {
  const marked =
    from.u32() === MARKER_WORD && from.u32() === MARKER_WORD && from.u32() === MARKER_WORD && from.u32() === MARKER_WORD
  if (!marked) return -HEADER_ERROR.notSynchronised
  const bytes = from.u16()
  const type = from.u8()
  if (from.failed || bytes < BGP_HEADER_BYTES || bytes > bytesMax) return -HEADER_ERROR.badLength
  if (type === 0 || type > MESSAGE.routeRefresh) return -HEADER_ERROR.badType
  if (bytes < BYTES_MIN[type]!) return -HEADER_ERROR.badLength
  if (type === MESSAGE.keepalive && bytes !== BGP_HEADER_BYTES) return -HEADER_ERROR.badLength
  if (type === MESSAGE.open && bytes > MESSAGE_BYTES_MAX) return -HEADER_ERROR.badLength
  return bytes
}

/** Turns the reader to the body of the message at `at`, whose header was checked, and returns the message's type. */
export function openBody(from: Reader, at: number, bytes: number): number {
  from.window(at + BGP_HEADER_BYTES - 1, at + bytes)
  return from.u8()
}

/** A whole message of a body. */
export function messageOf(type: number, body: Uint8Array): Uint8Array {
  const out = new Writer(BGP_HEADER_BYTES + body.length)
  for (let i = 0; i < 4; i++) out.u32(MARKER_WORD)
  out.u16(BGP_HEADER_BYTES + body.length)
  out.u8(type)
  out.bytes(body)
  return out.finish()
}

export const KEEPALIVE: Uint8Array = messageOf(MESSAGE.keepalive, new Uint8Array(0))
