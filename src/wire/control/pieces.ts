/**
 * Messages larger than the bus takes, cut into pieces for a stream, which keeps their order, and joined again.
 *
 *   piece   magic u16 | version u8 | 0 u8 | index u32 | count u32 | message bytes u32 | bytes of the message
 *
 * A writer that dies between two pieces leaves a message unfinished; whoever writes next starts a new one, and the
 * reader forgets the old.
 */

import { assert } from '../../base/assert.ts'
import { Reader, Writer } from '../cursor.ts'

const MAGIC = 0x4750 // 'GP'
const VERSION = 1
const HEADER_BYTES = 16

/** 10 M routes of 13 bytes (IPv4) and as many of 25 (IPv6) are 380 MB. */
export const MESSAGE_BYTES_MAX = 512 * 1024 * 1024

/** `piece_bytes` is the largest payload that the bus takes. */
export function cut(message: Uint8Array, piece_bytes: number): Uint8Array[] {
  assert(message.length <= MESSAGE_BYTES_MAX, `a message of ${message.length} bytes`)
  const body = piece_bytes - HEADER_BYTES
  const count = Math.max(Math.ceil(message.length / body), 1)
  return Array.from({ length: count }, (_, index) => {
    const part = message.subarray(index * body, (index + 1) * body)
    const out = new Writer(HEADER_BYTES + part.length)
    out.u16(MAGIC)
    out.u8(VERSION)
    out.u8(0)
    out.u32(index)
    out.u32(count)
    out.u32(message.length)
    out.bytes(part)
    return out.finish()
  })
}

/** What a piece led to: a whole message, a wait for more, or the reason why it is thrown away. */
export type Joined =
  | { readonly message: Uint8Array; readonly wanting?: never; readonly error?: never }
  | { readonly message?: never; readonly wanting: number; readonly error?: never }
  | { readonly message?: never; readonly wanting?: never; readonly error: string }

/** Joins the pieces of one stream. Holds at most one unfinished message, and no more of it than was really sent. */
export class Joiner {
  #parts: Uint8Array[] = []
  #count = 0
  #total = 0
  #filled = 0

  push(piece: Uint8Array): Joined {
    const from = new Reader(piece)
    const magic = from.u16()
    const version = from.u8()
    from.u8()
    const index = from.u32()
    const count = from.u32()
    const total = from.u32()
    const part = from.rest()
    if (from.failed || magic !== MAGIC) return this.#refuse('not a piece of a message')
    if (version !== VERSION) return this.#refuse(`a piece of version ${version}; this is ${VERSION}`)
    if (index >= count || total > MESSAGE_BYTES_MAX) return this.#refuse('a piece with wrong numbers')
    if (index === 0) this.#begin(count, total)
    if (index !== this.#parts.length || count !== this.#count || total !== this.#total) {
      return this.#refuse(`piece ${index} of ${count} without the one before`)
    }
    this.#parts.push(part)
    this.#filled += part.length
    if (this.#filled > total) return this.#refuse('more bytes than the message has')
    if (this.#parts.length < count) return { wanting: count - this.#parts.length }
    if (this.#filled < total) return this.#refuse('fewer bytes than the message has')
    const message = this.#parts.length === 1 ? part : Buffer.concat(this.#parts)
    this.#begin(0, 0)
    return { message }
  }

  #begin(count: number, total: number): void {
    this.#parts = []
    this.#count = count
    this.#total = total
    this.#filled = 0
  }

  #refuse(error: string): Joined {
    this.#begin(0, 0)
    return { error }
  }
}
