/**
 * ROUTE-REFRESH messages: asking for all routes of a family again (RFC 2918), and where they begin and end when the other
 * side sends them (RFC 7313 section 3.2):
 *
 *   afi u16 | subtype u8 | safi u8
 */

import { type Reader, Writer } from '../cursor.ts'
import { BGP_HEADER_BYTES, HEADER_ERROR, MESSAGE, messageOf } from './message.ts'
import { HEADER_ERROR_CODE, type Notification, notification, REFRESH_ERROR } from './notification.ts'

/** Another subtype than these is to be ignored (RFC 7313 section 5). */
export const REFRESH = { request: 0, begin: 1, end: 2 } as const

export interface Refresh {
  readonly afi: number
  readonly safi: number
  readonly subtype: number
}

const BODY_BYTES = 4

/**
 * The reader's window is the message's body. Filters may stand behind a request (RFC 5291); nobody was told that we would
 * look at them.
 */
export function decodeRefresh(from: Reader): Refresh | Notification {
  const { at, remaining: bytes } = from
  const afi = from.u16()
  const subtype = from.u8()
  const isMark = !from.failed && (subtype === REFRESH.begin || subtype === REFRESH.end)
  const safi = from.u8()
  if (isMark && bytes !== BODY_BYTES) {
    // The data is the complete message (section 5).
    from.window(at, at + bytes)
    const message = messageOf(MESSAGE.routeRefresh, from.bytes(bytes))
    return notification(REFRESH_ERROR.code, REFRESH_ERROR.invalidLength, message)
  }
  if (from.failed) {
    const length = BGP_HEADER_BYTES + bytes
    return notification(HEADER_ERROR_CODE, HEADER_ERROR.badLength, Uint8Array.of(length >>> 8, length))
  }
  return { afi, safi, subtype }
}

/** A whole message. */
export function encodeRefresh({ afi, safi, subtype }: Refresh): Uint8Array {
  const out = new Writer(BODY_BYTES)
  out.u16(afi)
  out.u8(subtype)
  out.u8(safi)
  return messageOf(MESSAGE.routeRefresh, out.finish())
}
