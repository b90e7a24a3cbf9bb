/**
 * From a stream of bytes to messages, RFC 4271 section 4.1. Bytes are received into the framer's own buffer, messages
 * are handed over where they lie there, and nothing is copied but the beginning of a message that the buffer's end has
 * cut, which moves to its front.
 *
 *   buffer  |  handed over  |  whole messages  |  a part of one  |  room  |
 *           0               at                              filled        length
 *
 *   const room = framer.room()                       how many bytes fit behind `filled`
 *   framer.received(socket.receive(framer.bytes, framer.filled))
 *   while (framer.next()) handler.message(framer)
 *   if (framer.fault) handler.fault(framer.fault)
 */

import { assert } from '../../../base/assert.ts'
import { BGP_HEADER_BYTES, checkHeader, MESSAGE_BYTES_MAX } from '../../../wire/bgp/message.ts'
import { headerError, type Notification } from '../../../wire/bgp/notification.ts'
import { Reader } from '../../../wire/cursor.ts'
import type { Message } from './connection.ts'

/** Enough for a peer that only says that it is alive; ten thousand of them are 10 MB. */
const FIRST_BYTES = 1024
/** One of the longest messages of all and as much again: what the buffer of a connection that has much to say grows to. */
const FRAMER_BYTES = 1 << 17

const TYPE_AT = 18

export class Framer implements Message {
  /** May be another one after `room`. */
  bytes: Uint8Array
  /** Once the stream has turned out to be no messages: what to tell the peer. Nothing more comes out. */
  fault: Notification | undefined
  type = 0
  at = 0
  end = 0
  #reader: Reader
  readonly #mostBytes: number
  /** What came last filled the buffer: more may have been there. */
  #isTight = false
  #filled = 0
  /** The length of the message at `end`, once its header has come. */
  #next_bytes = 0
  #bytesMax: number = MESSAGE_BYTES_MAX

  /** Memory that is handed in stays as long as it is. */
  constructor(bytes?: Uint8Array) {
    this.bytes = bytes ?? new Uint8Array(FIRST_BYTES)
    this.#mostBytes = bytes?.length ?? FRAMER_BYTES
    assert(this.#mostBytes >= 2 * MESSAGE_BYTES_MAX, `${this.#mostBytes} bytes are too few to frame messages in`)
    this.#reader = new Reader(this.bytes)
  }

  /** Where the next bytes are to be put. */
  get filled(): number {
    return this.#filled
  }

  /** What came and was not handed over yet. */
  get waiting_bytes(): number {
    return this.#filled - this.end
  }

  /** The longest message that is let in, from the next one on. */
  allow(bytesMax: number): void {
    assert(bytesMax <= this.#mostBytes, `a message of ${bytesMax} bytes has no room in ${this.#mostBytes}`)
    this.#bytesMax = bytesMax
  }

  /** Makes room behind `filled`, for `wanted` bytes if it can, and returns how much there is; 0 when messages fill it. */
  room(wanted = 0): number {
    const { length } = this.bytes
    if (this.end === this.#filled) this.#moveBy(this.end)
    else if (length - this.#filled < length >> 2 && this.end > 0) {
      this.bytes.copyWithin(0, this.end, this.#filled)
      this.#moveBy(this.end)
    }
    if (this.#isTight || wanted > length - this.#filled) this.#grow(this.#filled + wanted)
    return this.bytes.length - this.#filled
  }

  /** So many bytes were put behind `filled`. */
  received(bytes: number): void {
    assert(bytes >= 0 && bytes <= this.bytes.length - this.#filled, `${bytes} bytes were received into less room`)
    this.#filled += bytes
    this.#isTight = this.#filled === this.bytes.length
  }

  /** Turns to the next whole message. False when there is none yet, and when there will be none: see `fault`. */
  next(): boolean {
    const waiting_bytes = this.#filled - this.end
    if (this.#next_bytes === 0 && (waiting_bytes < BGP_HEADER_BYTES || !this.#readHeader())) return false
    if (waiting_bytes < this.#next_bytes) return false
    this.at = this.end
    this.end += this.#next_bytes
    this.type = this.bytes[this.at + TYPE_AT]!
    this.#next_bytes = 0
    return true
  }

  body(): Reader {
    this.#reader.window(this.at + BGP_HEADER_BYTES, this.end)
    return this.#reader
  }

  #readHeader(): boolean {
    if (this.fault) return false
    this.#reader.window(this.end, this.end + BGP_HEADER_BYTES)
    const length = checkHeader(this.#reader, this.#bytesMax)
    if (length < 0) this.fault = headerError(this.#reader, this.end, length)
    else this.#next_bytes = length
    return length > 0
  }

  #grow(wanted: number): void {
    this.#isTight = false
    if (this.bytes.length >= this.#mostBytes) return
    const grown = new Uint8Array(Math.min(this.#mostBytes, Math.max(2 * this.bytes.length, wanted)))
    grown.set(this.bytes.subarray(0, this.#filled))
    this.bytes = grown
    this.#reader = new Reader(grown)
  }

  #moveBy(bytes: number): void {
    this.#filled -= bytes
    this.end -= bytes
    this.at = this.end
  }
}
