/**
 * A C structure is one table: a name and a type a field, in the kernel header's order. Fields are aligned as the C
 * compiler aligns them on 64-bit Linux, little-endian unless the type says otherwise. `make` gives the bytes for a call
 * and `read` an object from them. For set-up and control: both allocate. Wire formats are wire/header.ts's.
 */

import { assert } from '../base/assert.ts'

interface FieldType<Value> {
  readonly bytes: number
  readonly align: number
  get(view: DataView, at: number): Value
  set(view: DataView, at: number, value: Value): void
}

export const u8: FieldType<number> = number(1, 'Uint8')
export const u16: FieldType<number> = number(2, 'Uint16')
export const u32: FieldType<number> = number(4, 'Uint32')
export const i32: FieldType<number> = number(4, 'Int32')
/** Network order. */
export const u16be: FieldType<number> = number(2, 'Uint16', false)

/** As a number: addresses, sizes and counters stay below 2^53. */
export const u64: FieldType<number> = {
  bytes: 8,
  align: 8,
  get: (view, at) => view.getUint32(at + 4, true) * 2 ** 32 + view.getUint32(at, true),
  set: (view, at, value) => {
    assert(Number.isSafeInteger(value) && value >= 0, 'a u64 field takes a safe whole number')
    view.setUint32(at, value % 2 ** 32, true)
    view.setUint32(at + 4, Math.floor(value / 2 ** 32), true)
  },
}

export function bytes(count: number): FieldType<Uint8Array> {
  return {
    bytes: count,
    align: 1,
    get: (view, at) => new Uint8Array(view.buffer, view.byteOffset + at, count).slice(),
    set: (view, at, value) => {
      assert(value.length <= count, `${value.length} bytes in a field of ${count}`)
      new Uint8Array(view.buffer, view.byteOffset + at, count).set(value)
    },
  }
}

/** Text that a zero byte ends, cut to the field. */
export function text(count: number): FieldType<string> {
  const raw = bytes(count)
  return {
    ...raw,
    get: (view, at) => textOf(raw.get(view, at)),
    set: (view, at, value) => raw.set(view, at, Buffer.from(value).subarray(0, count - 1)),
  }
}

/** What stands before the first zero byte. */
export function textOf(raw: Uint8Array): string {
  const end = raw.indexOf(0)
  return Buffer.from(raw.subarray(0, end < 0 ? raw.length : end)).toString()
}

function number(count: 1 | 2 | 4, kind: 'Uint8' | 'Uint16' | 'Uint32' | 'Int32', little = true): FieldType<number> {
  return {
    bytes: count,
    align: count,
    get: (view, at) => view[`get${kind}`](at, little),
    set: (view, at, value) => view[`set${kind}`](at, value, little),
  }
}

// biome-ignore lint/suspicious/noExplicitAny: the table is heterogeneous; each field keeps its own type
type Fields = Record<string, FieldType<any>>
type ValueOf<Type> = Type extends FieldType<infer Value> ? Value : never
type Values<Table extends Fields> = { [Name in keyof Table]: ValueOf<Table[Name]> }

interface Struct<Table extends Fields> {
  readonly BYTES: number
  readonly offset: { readonly [Name in keyof Table]: number }
  /** A fresh buffer; fields that are not given are zero. */
  make(values?: Partial<Values<Table>>): Uint8Array<ArrayBuffer>
  /** The caller has checked that BYTES bytes are there. */
  read(from: Uint8Array, at?: number): Values<Table>
}

export function struct<const Table extends Fields>(title: string, table: Table): Struct<Table> {
  const offset: Record<string, number> = {}
  const fields: { readonly name: string; readonly at: number; readonly type: Fields[string] }[] = []
  let end = 0
  let widest = 1
  for (const [name, type] of Object.entries(table)) {
    const at = roundUp(end, type.align)
    offset[name] = at
    fields.push({ name, at, type })
    end = at + type.bytes
    widest = Math.max(widest, type.align)
  }
  const BYTES = roundUp(end, widest)
  const viewOf = (of: Uint8Array): DataView => new DataView(of.buffer, of.byteOffset, of.byteLength)
  // For every packet and every route that the kernel tells of: plain loops.
  return {
    BYTES,
    offset: offset as Struct<Table>['offset'],
    make(values: Partial<Values<Table>> = {}) {
      const out = new Uint8Array(BYTES)
      const view = viewOf(out)
      for (const { name, at, type } of fields) {
        const value = values[name]
        if (value !== undefined) type.set(view, at, value)
      }
      return out
    },
    read(from, start = 0) {
      assert(from.length >= start + BYTES, `${title} needs ${BYTES} bytes`)
      const view = viewOf(from)
      const read: Record<string, unknown> = {}
      for (const { name, at, type } of fields) read[name] = type.get(view, start + at)
      return read as Values<Table>
    },
  }
}

export function roundUp(value: number, to: number): number {
  return Math.ceil(value / to) * to
}
