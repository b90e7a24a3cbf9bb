/**
 * What client and server say to each other over the Unix socket: one row a message, its code and its fields in wire
 * order. Encoding and decoding come from the row. A frame is its length (u32, of what follows it), the code (u8) and
 * the fields, all big-endian; there is no alignment and no padding.
 *
 *     +--------+------+-----------------+
 *     | length | code | fields ...      |      the first frame of each side is `hello` and `welcome` (or `refused`)
 *     +--------+------+-----------------+
 *
 * Codes and fields of version 1 never change. A new version may add codes; the two sides speak the highest version that
 * both know, or part with 'incompatible'. Decoding cannot throw: it gives the message or undefined.
 */

import { assert } from '../../base/assert.ts'
import { type BusErrorCode, busFailures, PAYLOAD_BYTES_MAX } from '../bus.ts'

export const MAGIC = 0x47484253 // 'GHBS'
export const VERSION_LOWEST = 1
export const VERSION_HIGHEST = 1

/** Entries are sent a page at a time, so that a large stream or bucket never stands in a queue whole. */
export const PAGE_BYTES_MAX = 256 * 1024

/** A page may exceed its limit by one entry; 64 KB is above all names and numbers around it. */
const FRAME_BYTES_MAX = PAYLOAD_BYTES_MAX + PAGE_BYTES_MAX + 64 * 1024

/** One entry of a stream (`number` is its sequence, the key is empty) or of a bucket (its revision). */
export interface Item {
  readonly key: string
  readonly number: number
  readonly deleted: boolean
  readonly payload: Uint8Array
}

interface FieldType<T> {
  size(value: T): number
  write(out: Buffer, at: number, value: T): number
  /** Undefined if the bytes are not such a field. */
  read(source: Source): T | undefined
}

interface Source {
  readonly bytes: Buffer
  at: number
}

const left = (source: Source): number => source.bytes.length - source.at

const u8: FieldType<number> = {
  size: () => 1,
  write: (out, at, value) => out.writeUInt8(value, at),
  read: (source) => (left(source) < 1 ? undefined : source.bytes.readUInt8(source.at++)),
}

const u32: FieldType<number> = {
  size: () => 4,
  write: (out, at, value) => out.writeUInt32BE(value, at),
  read(source) {
    if (left(source) < 4) return undefined
    source.at += 4
    return source.bytes.readUInt32BE(source.at - 4)
  },
}

/** A whole number up to 2^53 - 1 in eight bytes. */
const u53: FieldType<number> = {
  size: () => 8,
  write(out, at, value) {
    out.writeUInt32BE(Math.floor(value / 2 ** 32), at)
    return out.writeUInt32BE(value % 2 ** 32, at + 4)
  },
  read(source) {
    if (left(source) < 8) return undefined
    const high = source.bytes.readUInt32BE(source.at)
    source.at += 8
    return high >= 2 ** 21 ? undefined : high * 2 ** 32 + source.bytes.readUInt32BE(source.at - 4)
  },
}

const TEXT_BYTES_MAX = 0xffff

/**
 * Names are far shorter; what people say to each other is cut, not in the middle of a character. Bytes that were no
 * UTF-8 when they came are three bytes each when they go on.
 */
function fitting(value: string): string {
  if (value.length * 3 <= TEXT_BYTES_MAX) return value
  const bytes = Buffer.from(value)
  if (bytes.length <= TEXT_BYTES_MAX) return value
  let end = TEXT_BYTES_MAX
  while ((bytes[end]! & 0xc0) === 0x80) end--
  return bytes.toString('utf8', 0, end)
}

const text: FieldType<string> = {
  size: (value) => 2 + Buffer.byteLength(fitting(value)),
  write(out, at, value) {
    const length = out.write(fitting(value), at + 2)
    out.writeUInt16BE(length, at)
    return at + 2 + length
  },
  read(source) {
    if (left(source) < 2) return undefined
    const length = source.bytes.readUInt16BE(source.at)
    source.at += 2
    if (left(source) < length) return undefined
    source.at += length
    return source.bytes.toString('utf8', source.at - length, source.at)
  },
}

/** The last field of its message: all that is left. */
const rest: FieldType<Uint8Array> = {
  size: (value) => value.length,
  write(out, at, value) {
    out.set(value, at)
    return at + value.length
  },
  read(source) {
    const from = source.at
    source.at = source.bytes.length
    return source.bytes.subarray(from)
  },
}

const ITEM_FIXED_BYTES = 2 + 8 + 1 + 4

export function itemBytes(item: Item): number {
  return ITEM_FIXED_BYTES + item.key.length + item.payload.length
}

const items: FieldType<readonly Item[]> = {
  size: (value) => value.reduce((sum, item) => sum + itemBytes(item), 0),
  write(out, at, value) {
    for (const item of value) {
      at = text.write(out, at, item.key)
      at = u53.write(out, at, item.number)
      at = out.writeUInt8(item.deleted ? 1 : 0, at)
      at = out.writeUInt32BE(item.payload.length, at)
      at = rest.write(out, at, item.payload)
    }
    return at
  },
  read(source) {
    const list: Item[] = []
    while (left(source) > 0) {
      const key = text.read(source)
      const number = u53.read(source)
      const deleted = u8.read(source)
      const length = u32.read(source)
      if (key === undefined || number === undefined || deleted === undefined || length === undefined) return undefined
      if (left(source) < length) return undefined
      source.at += length
      list.push({ key, number, deleted: deleted === 1, payload: source.bytes.subarray(source.at - length, source.at) })
    }
    return list
  },
}

type Row = readonly [code: number, fields: Record<string, FieldType<unknown>>]
type Table = Record<string, Row>
type Values<Fields> = { readonly [Name in keyof Fields]: Fields[Name] extends FieldType<infer T> ? T : never }
type MessageOf<T extends Table> = { [Type in keyof T]: { readonly type: Type } & Values<T[Type][1]> }[keyof T]

/** A condition on a number that it is expected to have: 0 for none, else that number + 1. */
export const expectation = (expected: number | undefined): number => (expected === undefined ? 0 : expected + 1)

/** `id` is the client's own number for the answer to come back under. */
export const toServer = {
  hello: [1, { magic: u32, lowest: u8, highest: u8, name: text }],
  publish: [2, { subject: text, payload: rest }],
  subscribe: [3, { id: u32, subscription: u32, responds: u8, pattern: text }],
  unsubscribe: [4, { subscription: u32 }],
  request: [5, { id: u32, subject: text, payload: rest }],
  answer: [6, { request: u32, payload: rest }],
  refuse: [7, { request: u32, message: text }],
  /** No longer waits for the answer to `id`: a request, or a read or scan that waits. */
  cancel: [8, { id: u32 }],

  openStream: [16, { id: u32, stream: text, entriesMax: u53, bytesMax: u53 }],
  append: [17, { id: u32, stream: text, expectation: u53, payload: rest }],
  /** With `waits` the answer comes once there is an entry. */
  read: [18, { id: u32, stream: text, waits: u8, from: u53 }],

  get: [32, { id: u32, bucket: text, key: text }],
  put: [33, { id: u32, bucket: text, key: text, expectation: u53, payload: rest }],
  delete: [34, { id: u32, bucket: text, key: text, expectation: u53 }],
  /** What matches and changed behind revision `after`; `since` is how far the reader's knowledge is complete. */
  scan: [35, { id: u32, bucket: text, pattern: text, waits: u8, after: u53, since: u53 }],

  acquire: [48, { id: u32, lease: text, holder: text, ttl_ms: u32 }],
  renew: [49, { id: u32, lease: text, epoch: u53 }],
  release: [50, { id: u32, lease: text, epoch: u53 }],
} as const

const toClient = {
  welcome: [129, { version: u8, store: text }],
  refused: [130, { lowest: u8, highest: u8 }],
  message: [131, { subscription: u32, subject: text, payload: rest }],
  request: [132, { subscription: u32, request: u32, subject: text, payload: rest }],
  /** So many plain messages were thrown away since the last of these, because this client reads too slowly. */
  missed: [133, { count: u32 }],

  done: [144, { id: u32, number: u53, payload: rest }],
  error: [145, { id: u32, failure: u8, message: text }],
  /** `first` and `last` bound a stream; of a scan they say where the next one starts and what `since` it may claim. */
  page: [146, { id: u32, first: u53, last: u53, items }],
} as const

export function failureCode(code: BusErrorCode): number {
  return busFailures.findIndex(([name]) => name === code)
}

/** Of a newer server it may be one that we do not know. */
export function failureOf(code: number): BusErrorCode {
  return busFailures[code]?.[0] ?? 'failed'
}

export type ToServer = MessageOf<typeof toServer>
export type ToClient = MessageOf<typeof toClient>

type LooseFields = readonly (readonly [string, FieldType<unknown>])[]

class Codec<Message extends { readonly type: PropertyKey }> {
  readonly #byName = new Map<PropertyKey, { code: number; fields: LooseFields }>()
  readonly #byCode = new Map<number, { type: string; fields: LooseFields }>()

  constructor(table: Table) {
    for (const [type, [code, row]] of Object.entries(table)) {
      const fields = Object.entries(row) as unknown as LooseFields
      assert(!this.#byCode.has(code), `two messages have the code ${code}`)
      this.#byName.set(type, { code, fields })
      this.#byCode.set(code, { type, fields })
    }
  }

  /** The whole frame, its length included. */
  encode(message: Message): Buffer {
    const { code, fields } = this.#byName.get(message.type)!
    const values = message as unknown as Record<string, unknown>
    let bytes = 5
    for (const [name, field] of fields) bytes += field.size(values[name])
    assert(bytes - 4 <= FRAME_BYTES_MAX, `a ${String(message.type)} frame of ${bytes} bytes`)
    const out = Buffer.allocUnsafe(bytes)
    out.writeUInt32BE(bytes - 4, 0)
    let at = out.writeUInt8(code, 4)
    for (const [name, field] of fields) at = field.write(out, at, values[name])
    assert(at === bytes, `a ${String(message.type)} frame was sized wrongly`)
    return out
  }

  /** `bytes` is a frame without its length. It must be one message and nothing behind it. */
  decode(bytes: Buffer): Message | undefined {
    const row = bytes.length === 0 ? undefined : this.#byCode.get(bytes.readUInt8(0))
    if (!row) return undefined
    const message: Record<string, unknown> = { type: row.type }
    const source = { bytes, at: 1 }
    for (const [name, field] of row.fields) {
      const value = field.read(source)
      if (value === undefined) return undefined
      message[name] = value
    }
    return source.at === bytes.length ? (message as unknown as Message) : undefined
  }
}

export const serverCodec = new Codec<ToServer>(toServer)
export const clientCodec = new Codec<ToClient>(toClient)

const NOTHING = Buffer.alloc(0)

/** Cuts a byte stream into frames. Holds at most one unfinished frame. */
export class FrameSplitter {
  #head = NOTHING
  #body: Buffer | undefined
  #filled = 0

  /** Calls `take` with every frame that is complete, without its length. False: not frames of ours; give up. */
  push(chunk: Buffer, take: (frame: Buffer) => boolean): boolean {
    let at = 0
    while (at < chunk.length) {
      if (this.#body) {
        const copied = chunk.copy(this.#body, this.#filled, at)
        at += copied
        this.#filled += copied
        if (this.#filled < this.#body.length) return true
        const frame = this.#body
        this.#body = undefined
        if (!take(frame)) return false
        continue
      }
      const lengthBytes = Buffer.concat([this.#head, chunk.subarray(at, at + 4 - this.#head.length)])
      at += lengthBytes.length - this.#head.length
      this.#head = lengthBytes
      if (lengthBytes.length < 4) return true
      const length = lengthBytes.readUInt32BE(0)
      this.#head = NOTHING
      if (length === 0 || length > FRAME_BYTES_MAX) return false
      if (chunk.length - at >= length) {
        at += length
        if (!take(chunk.subarray(at - length, at))) return false
      } else {
        this.#body = Buffer.allocUnsafeSlow(length)
        this.#filled = 0
      }
    }
    return true
  }
}
