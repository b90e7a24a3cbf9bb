/**
 * Why a session ends: NOTIFICATION messages, RFC 4271 section 4.5, with the names of all codes that a peer may send, and
 * the words that an operator may add to a shutdown (RFC 9003):
 *
 *   code u8 | subcode u8 | data
 */

import { Reader, Writer } from '../cursor.ts'
import { familyName } from './family.ts'
import { BGP_HEADER_BYTES, HEADER_ERROR, MESSAGE, MESSAGE_BYTES_MAX, messageOf } from './message.ts'

export interface Notification {
  readonly code: number
  readonly subcode: number
  readonly data: Uint8Array
}

/** UPDATE Message Error, RFC 4271 section 6.3. */
export const UPDATE_ERROR = {
  code: 3,
  malformedList: 1,
  unrecognisedWellKnown: 2,
  missingWellKnown: 3,
  attributeFlags: 4,
  attributeLength: 5,
  invalidOrigin: 6,
  invalidNextHop: 8,
  optionalAttribute: 9,
  invalidNetwork: 10,
  malformedAsPath: 11,
} as const

/** OPEN Message Error, RFC 4271 section 6.2. */
export const OPEN_ERROR = {
  code: 2,
  unspecific: 0,
  version: 1,
  peerAs: 2,
  identifier: 3,
  optionalParameter: 4,
  holdTime: 6,
  capability: 7,
  roleMismatch: 11,
} as const

/** Finite State Machine Error, RFC 6608: the state in which a message came that has no place there. */
export const FSM_ERROR = { code: 5, unspecific: 0, openSent: 1, openConfirm: 2, established: 3 } as const

/** Cease, RFC 4486. */
export const CEASE = {
  code: 6,
  maximumPrefixes: 1,
  shutdown: 2,
  deconfigured: 3,
  reset: 4,
  rejected: 5,
  configurationChange: 6,
  collision: 7,
  outOfResources: 8,
  hardReset: 9,
  bfdDown: 10,
} as const

export const HEADER_ERROR_CODE = 1
export const HOLD_TIMER_EXPIRED = 4
export const REFRESH_ERROR = { code: 7, invalidLength: 1 } as const
export const SEND_HOLD_TIMER_EXPIRED = 8

interface CodeRow {
  readonly name: string
  readonly subcodes: Readonly<Record<number, string>>
}

/** The words of the registry "BGP Error (Notification) Codes" and its subcodes. */
const codes: Readonly<Record<number, CodeRow>> = {
  1: {
    name: 'message header error',
    subcodes: { 1: 'connection not synchronised', 2: 'bad message length', 3: 'bad message type' },
  },
  2: {
    name: 'OPEN message error',
    subcodes: {
      1: 'unsupported version number',
      2: 'bad peer AS',
      3: 'bad BGP identifier',
      4: 'unsupported optional parameter',
      5: 'authentication failure',
      6: 'unacceptable hold time',
      7: 'unsupported capability',
      11: 'role mismatch', // RFC 9234
    },
  },
  3: {
    name: 'UPDATE message error',
    subcodes: {
      1: 'malformed attribute list',
      2: 'unrecognised well-known attribute',
      3: 'missing well-known attribute',
      4: 'attribute flags error',
      5: 'attribute length error',
      6: 'invalid ORIGIN attribute',
      7: 'AS routing loop',
      8: 'invalid NEXT_HOP attribute',
      9: 'optional attribute error',
      10: 'invalid network field',
      11: 'malformed AS_PATH',
    },
  },
  4: { name: 'hold timer expired', subcodes: {} },
  5: {
    name: 'finite state machine error',
    subcodes: {
      1: 'unexpected message in OpenSent',
      2: 'unexpected message in OpenConfirm',
      3: 'unexpected message in Established',
    },
  },
  6: {
    name: 'cease',
    subcodes: {
      1: 'maximum number of prefixes reached',
      2: 'administrative shutdown',
      3: 'peer de-configured',
      4: 'administrative reset',
      5: 'connection rejected',
      6: 'other configuration change',
      7: 'connection collision resolution',
      8: 'out of resources',
      9: 'hard reset', // RFC 8538
      10: 'BFD down', // RFC 9384
    },
  },
  7: { name: 'ROUTE-REFRESH message error', subcodes: { 1: 'invalid message length' } }, // RFC 7313
  8: { name: 'send hold timer expired', subcodes: {} }, // RFC 9687
}

/** More would make the message longer than any session takes. */
const DATA_BYTES_MAX = MESSAGE_BYTES_MAX - BGP_HEADER_BYTES - 2
/** RFC 9003 section 2: what a length of one byte can say. */
const TEXT_BYTES_MAX = 255
const NOTHING = new Uint8Array(0)

/** Data that does not fit is cut. */
export function notification(code: number, subcode: number, data: Uint8Array = NOTHING): Notification {
  return { code, subcode, data: data.slice(0, DATA_BYTES_MAX) }
}

/** Tells what a decoder returned. */
export function isNotification(value: object): value is Notification {
  return 'subcode' in value
}

/** The peer does not speak our version: its OPEN was refused, which says nothing of the connection (RFC 4271 section 8.2.2). */
export function isVersionError({ code, subcode }: Notification): boolean {
  return code === OPEN_ERROR.code && subcode === OPEN_ERROR.version
}

/** A whole message. */
export function encodeNotification({ code, subcode, data }: Notification): Uint8Array {
  const out = new Writer()
  out.u8(code)
  out.u8(subcode)
  out.bytes(data)
  return messageOf(MESSAGE.notification, out.finish())
}

/** The reader's window is the message's body. What has no room for a code has code 0. */
export function decodeNotification(from: Reader): Notification {
  const code = from.u8()
  const subcode = from.u8()
  return { code: from.failed ? 0 : code, subcode, data: from.bytes(from.remaining) }
}

/** Answers a header in which `checkHeader` found that; the message begins at `at`. */
export function headerError(from: Reader, at: number, verdict: number): Notification {
  const subcode = -verdict
  if (subcode === HEADER_ERROR.notSynchronised) return notification(HEADER_ERROR_CODE, subcode)
  const length = subcode === HEADER_ERROR.badLength
  from.window(at + (length ? 16 : 18), at + (length ? 18 : 19))
  return notification(HEADER_ERROR_CODE, subcode, from.bytes(from.remaining))
}

/** A Cease with words for the peer's operator, cut at a character where they are too many (RFC 9003). */
export function ceaseWithText(subcode: number, text: string): Notification {
  if (text === '') return notification(CEASE.code, subcode)
  const bytes = new Uint8Array(TEXT_BYTES_MAX)
  const { written } = new TextEncoder().encodeInto(text, bytes)
  return notification(CEASE.code, subcode, Uint8Array.of(written, ...bytes.subarray(0, written)))
}

/** RFC 4486 section 4: which limit was reached. */
export function maximumPrefixes(afi: number, safi: number, limit: number): Notification {
  const data = new Writer(7)
  data.u16(afi)
  data.u8(safi)
  data.u32(limit)
  return notification(CEASE.code, CEASE.maximumPrefixes, data.finish())
}

/** RFC 8538 section 3: this one is meant to end graceful restart too, and why. */
export function hardReset({ code, subcode, data }: Notification): Notification {
  return notification(CEASE.code, CEASE.hardReset, Uint8Array.of(code, subcode, ...data))
}

/** What a hard reset carries; undefined for all else. */
export function insideHardReset({ code, subcode, data }: Notification): Notification | undefined {
  if (code !== CEASE.code || subcode !== CEASE.hardReset || data.length < 2) return undefined
  return decodeNotification(new Reader(data))
}

/** The words with a shutdown or a reset, without what could move a terminal's cursor; undefined when there are none. */
export function shutdownText({ code, subcode, data }: Notification): string | undefined {
  if (code !== CEASE.code || (subcode !== CEASE.shutdown && subcode !== CEASE.reset)) return undefined
  const from = new Reader(data)
  const bytes = from.bytes(from.u8())
  return from.failed || bytes.length === 0 ? undefined : readable(bytes)
}

/** A stranger's UTF-8 as one printable line: what is none, and what is not to be printed, becomes U+FFFD. */
export function readable(bytes: Uint8Array): string {
  return new TextDecoder().decode(bytes).replaceAll(/[\p{C}\p{Zl}\p{Zp}]/gu, '\ufffd')
}

/** `cease, administrative shutdown: "fibre works until 18:00"`: one line for people. */
export function formatNotification(told: Notification): string {
  const inside = insideHardReset(told)
  return inside ? `${namesOf(told)}: ${namesOf(inside)}${details(inside)}` : `${namesOf(told)}${details(told)}`
}

function namesOf(told: Notification): string {
  const row = codes[told.code]
  const name = row?.name ?? `code ${told.code}`
  const subcode = row?.subcodes[told.subcode] ?? (told.subcode === 0 ? undefined : `subcode ${told.subcode}`)
  return `${name}${subcode ? `, ${subcode}` : ''}`
}

// A hard reset in a hard reset means nothing, and thousands of them, one in the other, would fit a message.
function details(told: Notification): string {
  if (told.data.length === 0) return ''
  const text = shutdownText(told)
  if (text !== undefined) return `: "${text}"`
  const from = new Reader(told.data)
  if (told.code === CEASE.code && told.subcode === CEASE.maximumPrefixes && told.data.length === 7)
    return `: ${familyName(from.u16(), from.u8())}, ${from.u32()}`
  return ` (${Buffer.from(told.data).toString('hex', 0, 32)}${told.data.length > 32 ? '...' : ''})`
}
