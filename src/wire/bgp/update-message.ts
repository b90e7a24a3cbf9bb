/**
 * A whole UPDATE as an object: for people, tests and what is rare. The way of the many is checkAttributes and
 * UpdateBuilder.
 */

import { Reader, Writer } from '../cursor.ts'
import { attributes } from './attribute.ts'
import { type AttributeRow, EXTENDED_LENGTH } from './attribute-row.ts'
import { type AttributeContext, AttributeFacts } from './facts.ts'
import { FAMILY, type Family, familyOf, hasFamily, NO_FAMILY } from './family.ts'
import { MESSAGE, messageOf } from './message.ts'
import { type MpReach, mpReach, mpUnreach } from './multiprotocol.ts'
import { decodeNlri, encodeNlri, formatNlri, type Nlri } from './nlri.ts'
import { splitUpdate, UpdateParts } from './update.ts'

export interface PathAttribute<T = unknown> {
  readonly row: AttributeRow<T>
  readonly flags: number
  /** Undefined when it is malformed. */
  readonly value: T | undefined
  readonly bytes: Uint8Array
}

export interface UpdateMessage {
  readonly withdrawn: readonly Nlri[]
  readonly attributes: readonly PathAttribute[]
  /** IPv4 routes that stand in the message itself; others stand in MP_REACH_NLRI. */
  readonly nlri: readonly Nlri[]
}

/** The value of one attribute; undefined when its row's check says that it is malformed. */
export function decodeAttribute<T>(row: AttributeRow<T>, bytes: Uint8Array, context: AttributeContext): T | undefined {
  const from = new Reader(bytes)
  if (row.check(from, new AttributeFacts(), context) !== 0) return undefined
  from.window(0, bytes.length)
  return row.read(from, context)
}

/** Flags, code, length and value. */
export function encodeAttribute<T>(out: Writer, row: AttributeRow<T>, value: T, as4 = true, flags = row.flags): void {
  const inside = new Writer()
  row.write(inside, value, as4)
  const bytes = inside.finish()
  out.u8(bytes.length > 255 ? flags | EXTENDED_LENGTH : flags)
  out.u8(row.code)
  if (bytes.length > 255) out.u16(bytes.length)
  else out.u8(bytes.length)
  out.bytes(bytes)
}

/** Attributes in the order in which they came; undefined when their lengths do not add up. */
export function decodeAttributes(bytes: Uint8Array, context: AttributeContext): PathAttribute[] | undefined {
  const from = new Reader(bytes)
  const found: PathAttribute[] = []
  while (from.remaining > 0) {
    const flags = from.u8()
    const row = attributes[from.u8()]!
    const value = from.bytes((flags & EXTENDED_LENGTH) === 0 ? from.u8() : from.u16())
    if (from.failed) return undefined
    found.push({ row, flags, value: decodeAttribute(row, value, context), bytes: value })
  }
  return found
}

/** The reader's window is the message's body. Undefined for what would end the session. */
export function decodeUpdate(from: Reader, context: AttributeContext): UpdateMessage | undefined {
  const parts = new UpdateParts()
  if (!splitUpdate(from, parts)) return undefined
  const slice = (at: number, end: number): Uint8Array => {
    from.window(at, end)
    return from.bytes(end - at)
  }
  const hasIds = hasFamily(context.addPath, FAMILY.ipv4Unicast)
  const withdrawn = decodeNlri(FAMILY.ipv4Unicast, slice(parts.withdrawnAt, parts.withdrawnEnd), hasIds)
  const list = decodeAttributes(slice(parts.attributesAt, parts.attributesEnd), context)
  const nlri = decodeNlri(FAMILY.ipv4Unicast, slice(parts.nlriAt, parts.nlriEnd), hasIds)
  return withdrawn && list && nlri && { withdrawn, attributes: list, nlri }
}

/** A whole message, however long it becomes. Attributes are written from their bytes. */
export function encodeUpdate(update: UpdateMessage, context: AttributeContext): Uint8Array {
  const hasIds = hasFamily(context.addPath, FAMILY.ipv4Unicast)
  const list = new Writer()
  for (const { row, flags, bytes } of update.attributes) {
    list.u8(flags)
    list.u8(row.code)
    if ((flags & EXTENDED_LENGTH) === 0) list.u8(bytes.length)
    else list.u16(bytes.length)
    list.bytes(bytes)
  }
  const out = new Writer()
  for (const part of [encodeNlri(FAMILY.ipv4Unicast, update.withdrawn, hasIds), list.finish()]) {
    out.u16(part.length)
    out.bytes(part)
  }
  out.bytes(encodeNlri(FAMILY.ipv4Unicast, update.nlri, hasIds))
  return messageOf(MESSAGE.update, out.finish())
}

/** A line an attribute and a line a prefix. */
export function formatUpdate(update: UpdateMessage, context: AttributeContext): string[] {
  return [
    ...update.withdrawn.map((nlri) => `withdrawn ${formatNlri(nlri)}`),
    ...update.attributes.flatMap((attribute) => formatAttribute(attribute, context)),
    ...update.nlri.map(formatNlri),
  ]
}

function formatAttribute({ row, value, bytes }: PathAttribute, context: AttributeContext): string[] {
  if (value === undefined) return [`${row.name} malformed: 0x${Buffer.from(bytes).toString('hex')}`]
  const line = `${row.name} ${row.print(value)}`
  if (row.code !== mpReach.code && row.code !== mpUnreach.code) return [line]
  const { afi, safi, nlri } = value as Pick<MpReach, 'afi' | 'safi' | 'nlri'>
  const family = familyOf(afi, safi)
  const prefixes = family === NO_FAMILY ? undefined : prefixesOf(family, nlri, context)
  const sign = row.code === mpUnreach.code ? 'withdrawn ' : ''
  return [line, ...(prefixes ?? []).map((prefix) => `${sign}${formatNlri(prefix)}`)]
}

function prefixesOf(family: Family, nlri: Uint8Array, { addPath }: AttributeContext): Nlri[] | undefined {
  return decodeNlri(family, nlri, hasFamily(addPath, family))
}
