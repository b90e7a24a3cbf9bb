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

/** One of the longest messages and as much again; of a quiet connection only the first page is ever touched. */
const FRAMER_BYTES = 1 << 17

const TYPE_AT = 18

export class Framer implements Message {
  readonly bytes: Uint8Array
  /** Once the stream has turned out to be no messages: what to tell the peer. Nothing more comes out. */
  fault: Notification | undefined
  type = 0
  at = 0
  end = 0
  readonly #reader: Reader
  #filled = 0
  /** The length of the message at `end`, once its header has come. */
  #next_bytes = 0
  #bytesMax: number = MESSAGE_BYTES_MAX

  constructor(bytes: Uint8Array = new Uint8Array(FRAMER_BYTES)) {
    assert(bytes.length >= 2 * MESSAGE_BYTES_MAX, `${bytes.length} bytes are too few to frame messages in`)
    this.bytes = bytes
    this.#reader = new Reader(bytes)
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
    assert(bytesMax <= this.bytes.length, `a message of ${bytesMax} bytes has no room in ${this.bytes.length}`)
    this.#bytesMax = bytesMax
  }

  /** Makes room behind `filled` and returns how much there is; 0 when whole messages fill the buffer. */
  room(): number {
    const { length } = this.bytes
    if (this.end === this.#filled) this.#moveBy(this.end)
    else if (length - this.#filled < length >> 2 && this.end > 0) {
      this.bytes.copyWithin(0, this.end, this.#filled)
      this.#moveBy(this.end)
    }
    return length - this.#filled
  }

  /** So many bytes were put behind `filled`. */
  received(bytes: number): void {
    assert(bytes >= 0 && bytes <= this.bytes.length - this.#filled, `${bytes} bytes were received into less room`)
    this.#filled += bytes
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

  #moveBy(bytes: number): void {
    this.#filled -= bytes
    this.end -= bytes
    this.at = this.end
  }
}
