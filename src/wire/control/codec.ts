/**
 * What the messages between modules are built of: a codec writes and reads one kind of value, and a message is a table
 * of codecs by field name, so what is written and what is read cannot come apart.
 *
 *   message   magic u16 | version u8 | oldest reader u8 | kind u8 | 0 u8, then a section a field:
 *   section   tag u8 | length u32 | value          the tag is the field's place in the table
 *   record    length u32 | values                  without tags
 *
 * Modules are upgraded apart. A newer release may append fields to a message and to a record: an older reader skips
 * what it does not know. If an older reader must not skip it, the newer writer raises `oldest reader`, and the older
 * one refuses the message by name, as it has to where a list of words or of kinds has grown. Fields are never removed,
 * reordered or given another type.
 */

import type { IpAddress, MacAddress } from '../../base/address.ts'
import { assert } from '../../base/assert.ts'
import { Reader, Writer } from '../cursor.ts'

const MAGIC = 0x4748 // 'GH'
/**
 * 2: FIB batches know next hops of the kind `failover`. 3: and segments of the kind `site`. 4: tenants' policies, and next
 * hops of the kind `policy`. 5: those that lead to another tenant.
 */
export const VERSION = 5
const OLDEST_READER = 1
export const HEADER_BYTES = 6

/**
 * Nothing that is decoded has more elements than this in one list, whatever it claims: 10 K tenants' segments and next
 * hops.
 */
const LIST_MAX = 4_000_000

export interface Codec<T> {
  write(out: Writer, value: T): void
  /** Any value while the reader is in its failed state. */
  read(from: Reader): T
}

export type Value<C> = C extends Codec<infer T> ? T : never

type Fields = Readonly<Record<string, Codec<never>>>
export type Values<F> = { readonly [Name in keyof F]: Value<F[Name]> }

export const u8: Codec<number> = { write: (out, value) => out.u8(value), read: (from) => from.u8() }
export const u16: Codec<number> = { write: (out, value) => out.u16(value), read: (from) => from.u16() }
export const u32: Codec<number> = { write: (out, value) => out.u32(value), read: (from) => from.u32() }
export const u53: Codec<number> = { write: (out, value) => out.u53(value), read: (from) => from.u53() }
export const text: Codec<string> = { write: (out, value) => out.text(value), read: (from) => from.text() }

export const flag: Codec<boolean> = {
  write: (out, value) => out.u8(value ? 1 : 0),
  read: (from) => from.u8() !== 0,
}

export const address: Codec<IpAddress> = {
  write(out, value) {
    assert(value.length === 4 || value.length === 16, 'an IP address has 4 or 16 bytes')
    out.u8(value.length)
    out.bytes(value)
  },
  read(from) {
    const length = from.u8()
    if (length !== 4 && length !== 16) from.fail()
    return from.bytes(length)
  },
}

export const mac: Codec<MacAddress> = {
  write(out, value) {
    assert(value.length === 6, 'a MAC address has 6 bytes')
    out.bytes(value)
  },
  read: (from) => from.bytes(6),
}

export function optional<T>(codec: Codec<T>): Codec<T | undefined> {
  return {
    write(out, value) {
      out.u8(value === undefined ? 0 : 1)
      if (value !== undefined) codec.write(out, value)
    },
    read: (from) => (from.u8() === 0 ? undefined : codec.read(from)),
  }
}

/** A field that a later release appended to a record: what an earlier one wrote ends before it. */
export function appended<T>(codec: Codec<T>, absent: T): Codec<T> {
  return {
    write: (out, value) => codec.write(out, value),
    read: (from) => (from.remaining === 0 ? absent : codec.read(from)),
  }
}

export function list<T>(codec: Codec<T>): Codec<readonly T[]> {
  return {
    write(out, value) {
      out.u32(value.length)
      for (const element of value) codec.write(out, element)
    },
    read(from) {
      const count = from.u32()
      const values: T[] = []
      // Every element has at least a byte, so a count that lies cannot make us reserve more than was sent.
      if (count > LIST_MAX || count > from.remaining) from.fail()
      while (values.length < count && !from.failed) values.push(codec.read(from))
      return values
    },
  }
}

/** One of several words, as its place in the list. Words are appended, never moved. */
export function word<const Words extends readonly string[]>(...words: Words): Codec<Words[number]> {
  return {
    write: (out, value) => out.u8(words.indexOf(value)),
    read(from) {
      const index = from.u8()
      if (index >= words.length) from.fail()
      return words[index] ?? words[0]!
    },
  }
}

export const column32: Codec<Uint32Array> = {
  write(out, value) {
    out.u32(value.length)
    out.column32(value)
  },
  read: (from) => from.column32(from.u32()),
}

function writeFields(out: Writer, fields: Fields, value: object): void {
  for (const name of Object.keys(fields)) fields[name]!.write(out, (value as Record<string, never>)[name]!)
}

function readFields(from: Reader, fields: Fields, into: Record<string, unknown>): void {
  for (const name of Object.keys(fields)) into[name] = fields[name]!.read(from)
}

export function record<const F extends object>(fields: F): Codec<Values<F>> {
  const table = fields as unknown as Fields
  return {
    write(out, value) {
      const opened = out.open()
      writeFields(out, table, value)
      out.close(opened)
    },
    read(from) {
      const value = {}
      const outer = from.enter(from.u32())
      readFields(from, table, value)
      from.leave(outer)
      return value as Values<F>
    },
  }
}

type Variant<V> = { [Kind in keyof V]: { readonly kind: Kind } & Values<V[Kind]> }[keyof V]

/** A record whose `kind` says which fields it has; the code of a kind is its place in the table. */
export function variant<const V extends Readonly<Record<string, object>>>(kinds: V): Codec<Variant<V>> {
  const table = Object.entries(kinds) as unknown as readonly (readonly [string, Fields])[]
  const codes = new Map(table.map(([kind], code) => [kind, code]))
  return {
    write(out, value) {
      const code = codes.get(value.kind as string)!
      const opened = out.open()
      out.u8(code)
      writeFields(out, table[code]![1], value)
      out.close(opened)
    },
    read(from) {
      const outer = from.enter(from.u32())
      const row = table[from.u8()]
      const value: Record<string, unknown> = { kind: row?.[0] }
      if (row) readFields(from, row[1], value)
      else from.fail()
      from.leave(outer)
      return value as Variant<V>
    },
  }
}

/** Why bytes are not the message that they were taken for. */
export type DecodeFailure = 'not-a-message' | 'newer-version' | 'other-kind' | 'malformed'

export type Decoded<T> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly failure: DecodeFailure; readonly message: string }

export interface Message<T> {
  readonly name: string
  readonly kind: number
  encode(value: T): Uint8Array
  /** Never throws. */
  decode(bytes: Uint8Array): Decoded<T>
}

export type MessageValue<M> = M extends Message<infer T> ? T : never

/**
 * `later` are fields that later releases appended: what earlier ones wrote has none of them, and they may be left out.
 * `oldestReader` says which version has to read a value, where not all of them can.
 */
export function message<const F extends object, const L extends object = Record<never, never>>(
  name: string,
  kind: number,
  fields: F,
  later?: L,
  oldestReader: (value: Values<F>) => number = () => OLDEST_READER,
): Message<Values<F> & Partial<Values<L>>> {
  const all = { ...fields, ...later }
  const table = Object.entries(all) as unknown as readonly (readonly [string, Codec<never>])[]
  const required = Object.keys(fields)
  return {
    name,
    kind,
    encode(value) {
      const out = new Writer()
      out.u16(MAGIC)
      out.u8(VERSION)
      out.u8(oldestReader(value))
      out.u8(kind)
      out.u8(0)
      for (const [tag, [field, codec]] of table.entries()) {
        if (tag >= required.length && !(field in value)) continue
        out.u8(tag)
        const opened = out.open()
        codec.write(out, (value as Record<string, never>)[field]!)
        out.close(opened)
      }
      return out.finish()
    },
    decode(input) {
      const from = new Reader(input)
      const refused = checkHeader(from, name, kind)
      if (refused) return refused
      const value: Record<string, unknown> = {}
      while (from.remaining > 0) {
        const row = table[from.u8()]
        const outer = from.enter(from.u32())
        if (row) value[row[0]] = row[1].read(from)
        from.leave(outer)
      }
      const missing = required.find((field) => !(field in value))
      if (from.failed || missing) {
        const why = missing ? `it has no ${missing}` : 'a length in it is wrong'
        return { ok: false, failure: 'malformed', message: `malformed ${name}: ${why}` }
      }
      return { ok: true, value: value as Values<F> & Partial<Values<L>> }
    },
  }
}

function checkHeader(from: Reader, name: string, kind: number): (Decoded<never> & { ok: false }) | undefined {
  const magic = from.u16()
  const version = from.u8()
  const oldestReader = from.u8()
  const present = from.u8()
  from.u8()
  if (from.failed || magic !== MAGIC) return { ok: false, failure: 'not-a-message', message: 'not a control message' }
  if (oldestReader > VERSION) {
    const message = `${name} of version ${version} that asks for version ${oldestReader}; this is ${VERSION}`
    return { ok: false, failure: 'newer-version', message }
  }
  if (present === kind) return undefined
  return { ok: false, failure: 'other-kind', message: `a message of kind ${present}, where ${name} (${kind}) belongs` }
}
