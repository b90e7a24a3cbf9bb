/**
 * A header is one table: a name and a width a field, in wire order. Offsets, accessors and the printer come from it.
 * Fields are big-endian (network order) and start on a byte; what is smaller than a byte is read out of its byte by the
 * protocol's own file. Accessors take one DataView over all frame memory and the byte offset of the header in it, and
 * check nothing: a protocol's `check` does that once, before.
 */

interface FieldType {
  readonly bytes: number
}

export const u8 = { bytes: 1 } as const
export const u16 = { bytes: 2 } as const
export const u24 = { bytes: 3 } as const
export const u32 = { bytes: 4 } as const
/** 48 bits still fit a number exactly, so MAC addresses compare with `===`. */
export const mac = { bytes: 6 } as const
/** Wider than a number: it has an offset and is read by `bytesOf`. */
export const ip6 = { bytes: 16 } as const

export interface Field {
  readonly offset: number
  readonly bytes: number
  /** For fields of at most six bytes. */
  get(frame: DataView, at: number): number
  set(frame: DataView, at: number, value: number): void
}

export type Header<Fields extends Record<string, FieldType>> = { readonly [Name in keyof Fields]: Field } & {
  /** The header's length without options, in bytes. */
  readonly BYTES: number
  readonly TITLE: string
}

export function header<const Fields extends Record<string, FieldType>>(title: string, fields: Fields): Header<Fields> {
  const table: Record<string, Field | number | string> = { TITLE: title }
  let offset = 0
  for (const [name, { bytes }] of Object.entries(fields)) {
    table[name] = field(offset, bytes)
    offset += bytes
  }
  table['BYTES'] = offset
  return table as Header<Fields>
}

// One literal a width: the engine then inlines each with its offset as a constant.
function field(offset: number, bytes: number): Field {
  if (bytes === 1)
    return {
      offset,
      bytes,
      get: (frame, at) => frame.getUint8(at + offset),
      set: (frame, at, value) => frame.setUint8(at + offset, value),
    }
  if (bytes === 2)
    return {
      offset,
      bytes,
      get: (frame, at) => frame.getUint16(at + offset),
      set: (frame, at, value) => frame.setUint16(at + offset, value),
    }
  if (bytes === 3)
    return {
      offset,
      bytes,
      get: (frame, at) => (frame.getUint16(at + offset) << 8) | frame.getUint8(at + offset + 2),
      set: (frame, at, value) => {
        frame.setUint16(at + offset, value >>> 8)
        frame.setUint8(at + offset + 2, value)
      },
    }
  if (bytes === 4)
    return {
      offset,
      bytes,
      get: (frame, at) => frame.getUint32(at + offset),
      set: (frame, at, value) => frame.setUint32(at + offset, value),
    }
  if (bytes === 6)
    return {
      offset,
      bytes,
      get: (frame, at) => frame.getUint16(at + offset) * 2 ** 32 + frame.getUint32(at + offset + 2),
      set: (frame, at, value) => {
        frame.setUint16(at + offset, value / 2 ** 32)
        frame.setUint32(at + offset + 2, value)
      },
    }
  const wide = (): never => {
    throw new Error(`a field of ${bytes} bytes is not a number`)
  }
  return { offset, bytes, get: wide, set: wide }
}

/** A copy of a field's bytes, for addresses. Allocates: not for the packet path. */
export function bytesOf(field: Field, frame: DataView, at: number): Uint8Array {
  return new Uint8Array(frame.buffer, frame.byteOffset + at + field.offset, field.bytes).slice()
}

export function setBytes(field: Field, frame: DataView, at: number, value: Uint8Array): void {
  new Uint8Array(frame.buffer, frame.byteOffset + at + field.offset, field.bytes).set(value)
}

/** A header of its own, filled by field name, the rest zero. Allocates: for tests and the control path. */
export function emit<Fields extends Record<string, FieldType>>(
  header: Header<Fields>,
  values: { readonly [Name in keyof Fields]?: number | Uint8Array | undefined },
): Uint8Array {
  const bytes = new Uint8Array(header.BYTES)
  const view = new DataView(bytes.buffer)
  for (const [name, value] of Object.entries(values)) {
    const field = header[name as keyof Fields]
    if (value instanceof Uint8Array) setBytes(field, view, 0, value)
    else if (value !== undefined) field.set(view, 0, value as number)
  }
  return bytes
}

/** `name=value` for every field, in wire order; addresses in hexadecimal. */
export function print(header: Readonly<Record<string, Field | number | string>>, frame: DataView, at: number): string {
  const parts: string[] = []
  for (const [name, field] of Object.entries(header)) {
    if (typeof field !== 'object') continue
    const value = field.bytes <= 4 ? field.get(frame, at) : Buffer.from(bytesOf(field, frame, at)).toString('hex')
    parts.push(`${name}=${value}`)
  }
  return parts.join(' ')
}
