/**
 * BGP events as MRT records (RFC 6396), as route collectors keep them and bgpdump and its like read them: messages that
 * came over a session, and changes of its state.
 *
 *   seconds u32 | type u16 | subtype u16 | length u32 | [microseconds u32: the _ET types, in the length] | body
 *   body: peer AS | our AS | interface u16 | AFI u16 | peer's address | ours | a BGP message, or two states of 16 bits
 *
 * Written: BGP4MP_ET with AS numbers of four octets, and of two for messages of sessions that speak no others; the
 * subtypes of RFC 8050 where prefixes carry path identifiers. Read: BGP4MP and BGP4MP_ET in all these forms. Other types
 * are skipped, tables (TABLE_DUMP) too.
 */

import type { IpAddress } from '../base/address.ts'
import { AFI } from './bgp/family.ts'
import { checkHeader, EXTENDED_MESSAGE_BYTES_MAX } from './bgp/message.ts'
import { AS_TRANS } from './bgp/open.ts'
import { Reader, Writer } from './cursor.ts'

const BGP4MP = 16
const BGP4MP_ET = 17

/** RFC 6396 section 4.4 and RFC 8050 section 3: what a subtype says of its record. */
interface Subtype {
  readonly isState: boolean
  readonly as4: boolean
  /** Sent by us. */
  readonly isOurs: boolean
  readonly addPath: boolean
}

const SUBTYPES: readonly Subtype[] = [
  { isState: true, as4: false, isOurs: false, addPath: false }, // 0 STATE_CHANGE
  { isState: false, as4: false, isOurs: false, addPath: false }, // 1 MESSAGE
  { isState: false, as4: false, isOurs: false, addPath: false }, // 2 ENTRY, deprecated: not read
  { isState: false, as4: false, isOurs: false, addPath: false }, // 3 SNAPSHOT, deprecated: not read
  { isState: false, as4: true, isOurs: false, addPath: false }, // 4 MESSAGE_AS4
  { isState: true, as4: true, isOurs: false, addPath: false }, // 5 STATE_CHANGE_AS4
  { isState: false, as4: false, isOurs: true, addPath: false }, // 6 MESSAGE_LOCAL
  { isState: false, as4: true, isOurs: true, addPath: false }, // 7 MESSAGE_AS4_LOCAL
  { isState: false, as4: false, isOurs: false, addPath: true }, // 8 MESSAGE_ADDPATH
  { isState: false, as4: true, isOurs: false, addPath: true }, // 9 MESSAGE_AS4_ADDPATH
  { isState: false, as4: false, isOurs: true, addPath: true }, // 10 MESSAGE_LOCAL_ADDPATH
  { isState: false, as4: true, isOurs: true, addPath: true }, // 11 MESSAGE_AS4_LOCAL_ADDPATH
]
const ENTRY = 2
const SNAPSHOT = 3

/** RFC 4271 section 8.2.2, with the numbers of RFC 6396 section 4.4.1. */
export const MRT_STATE = { idle: 1, connect: 2, active: 3, openSent: 4, openConfirm: 5, established: 6 } as const
export type MrtState = keyof typeof MRT_STATE
const STATES = Object.keys(MRT_STATE) as MrtState[]

/** Of one record: a message of 65,535 bytes and its head are less. More is no record of BGP, and may be a large table. */
const RECORD_BYTES_MAX = 1 << 24
const HEADER_BYTES = 12
const TIME_BYTES = 4

/** Whose record it is. */
export interface MrtSession {
  readonly peerAs: number
  readonly localAs: number
  /** 16 bits, with a meaning only to who wrote it. */
  readonly interfaceIndex: number
  readonly peer: IpAddress
  /** Of the same family; zeros while it is not known. */
  readonly local: IpAddress
}

// ---- writing

export interface MessageForm {
  /** The session's AS paths have four octets a number. */
  readonly as4: boolean
  readonly addPath: boolean
  /** Sent by us, and not by the peer. */
  readonly isOurs: boolean
}

/** All of a message's record that stands before the message, but for time and length, which `stampHead` fills in. */
export function messageHead(session: MrtSession, { as4, addPath, isOurs }: MessageForm): Uint8Array {
  const subtype = SUBTYPES.findIndex(
    (one, number) =>
      number !== ENTRY &&
      number !== SNAPSHOT &&
      !one.isState &&
      one.as4 === as4 &&
      one.addPath === addPath &&
      one.isOurs === isOurs,
  )
  return headOf(session, subtype, as4).finish()
}

/** Time and length of the record at `at`, whose head of `headBytes` is followed by `bodyBytes`. */
export function stampHead(view: DataView, at: number, headBytes: number, bodyBytes: number, at_us: number): void {
  const seconds = Math.floor(at_us / 1e6)
  view.setUint32(at, seconds)
  view.setUint32(at + 8, headBytes - HEADER_BYTES + bodyBytes)
  view.setUint32(at + HEADER_BYTES, at_us - seconds * 1e6)
}

/** A whole record. */
export function stateRecord(session: MrtSession, from: MrtState, to: MrtState, at_us: number): Uint8Array {
  const out = headOf(session, 5, true)
  const headBytes = out.length
  out.u16(MRT_STATE[from])
  out.u16(MRT_STATE[to])
  return stamped(out, headBytes, at_us)
}

/** A whole record. */
export function messageRecord(session: MrtSession, form: MessageForm, message: Uint8Array, at_us: number): Uint8Array {
  const out = new Writer()
  const head = messageHead(session, form)
  out.bytes(head)
  out.bytes(message)
  return stamped(out, head.length, at_us)
}

function stamped(out: Writer, headBytes: number, at_us: number): Uint8Array {
  const bytes = out.finish()
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
  stampHead(view, 0, headBytes, bytes.length - headBytes, at_us)
  return bytes
}

function headOf(session: MrtSession, subtype: number, as4: boolean): Writer {
  const out = new Writer()
  out.u32(0)
  out.u16(BGP4MP_ET)
  out.u16(subtype)
  out.u32(0)
  out.u32(0)
  for (const as of [session.peerAs, session.localAs]) {
    if (as4) out.u32(as)
    else out.u16(as > 0xffff ? AS_TRANS : as)
  }
  out.u16(session.interfaceIndex)
  out.u16(session.peer.length === 4 ? AFI.ipv4 : AFI.ipv6)
  out.bytes(session.peer)
  out.bytes(session.local)
  return out
}

// ---- reading

export interface MrtMessage extends MrtSession, MessageForm {
  readonly kind: 'message'
  readonly at_us: number
  /** The whole BGP message, header included, whose header was checked: byte offsets in the file. */
  readonly messageAt: number
  readonly messageEnd: number
  /** Where its record begins. */
  readonly recordAt: number
}

export interface MrtStateChange extends MrtSession {
  readonly kind: 'state'
  readonly at_us: number
  readonly from: MrtState
  readonly to: MrtState
  readonly recordAt: number
}

export type MrtRecord = MrtMessage | MrtStateChange

/**
 * The records of a file one after the other, in its bytes. It never throws: what is framed well and says nothing that
 * can be read is counted and skipped, and a record that the file ends in, or that is impossibly long, is its end.
 */
export class MrtReader {
  /** Of other types, and such as contradict themselves. */
  skipped = 0
  /** The file does not end with a record's end: whoever wrote it was killed, or is at it. */
  isCut = false
  /** Over the same bytes, for who reads a message. */
  readonly bytes: Uint8Array
  readonly #from: Reader
  #at = 0

  constructor(bytes: Uint8Array) {
    this.bytes = bytes
    this.#from = new Reader(bytes)
  }

  /** Undefined at the end. */
  next(): MrtRecord | undefined {
    while (this.#at < this.bytes.length && !this.isCut) {
      const record = this.#read()
      if (record) return record
      if (!this.isCut) this.skipped++
    }
    return undefined
  }

  #read(): MrtRecord | undefined {
    const from = this.#from
    const recordAt = this.#at
    from.window(recordAt, this.bytes.length)
    const seconds = from.u32()
    const type = from.u16()
    const subtype = from.u16()
    const length = from.u32()
    const end = recordAt + HEADER_BYTES + length
    this.isCut = from.failed || length > RECORD_BYTES_MAX || end > this.bytes.length
    if (this.isCut) return undefined
    this.#at = end
    const known = SUBTYPES[subtype]
    const isExtended = type === BGP4MP_ET
    if ((type !== BGP4MP && !isExtended) || !known || subtype === ENTRY || subtype === SNAPSHOT) return undefined
    if (isExtended && length < TIME_BYTES) return undefined
    from.window(recordAt + HEADER_BYTES, end)
    const microseconds = isExtended ? from.u32() : 0
    if (microseconds > 999_999) return undefined
    return this.#body(known, recordAt, end, seconds * 1e6 + microseconds)
  }

  #body(subtype: Subtype, recordAt: number, end: number, at_us: number): MrtRecord | undefined {
    const from = this.#from
    const peerAs = subtype.as4 ? from.u32() : from.u16()
    const localAs = subtype.as4 ? from.u32() : from.u16()
    const interfaceIndex = from.u16()
    const afi = from.u16()
    if (afi !== AFI.ipv4 && afi !== AFI.ipv6) return undefined
    const addressBytes = afi === AFI.ipv4 ? 4 : 16
    const peer = from.bytes(addressBytes)
    const local = from.bytes(addressBytes)
    const session = { at_us, peerAs, localAs, interfaceIndex, peer, local, recordAt }
    if (subtype.isState) {
      const before = STATES[from.u16() - 1]
      const after = STATES[from.u16() - 1]
      if (from.failed || from.remaining > 0 || !before || !after) return undefined
      return { kind: 'state', ...session, from: before, to: after }
    }
    const messageAt = from.at
    if (from.failed || checkHeader(from, EXTENDED_MESSAGE_BYTES_MAX) !== end - messageAt) return undefined
    const { as4, addPath, isOurs } = subtype
    return { kind: 'message', ...session, as4, addPath, isOurs, messageAt, messageEnd: end }
  }
}
