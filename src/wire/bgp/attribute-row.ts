/**
 * What a row of the table of path attributes is made of (attribute.ts). A check decides, in the words of RFC 7606, and a
 * value is read only after it: checked once, then read.
 */

import type { Reader, Writer } from '../cursor.ts'
import { type AttributeContext, type AttributeFacts, OUTCOME, type Outcome } from './facts.ts'

/** The upper bits of an attribute's first byte, RFC 4271 section 4.3. */
export const FLAG = { optional: 0x80, transitive: 0x40, partial: 0x20 } as const
/** The value's length has two bytes. */
export const EXTENDED_LENGTH = 0x10

export const WELL_KNOWN: number = FLAG.transitive
export const OPTIONAL: number = FLAG.optional
export const OPTIONAL_TRANSITIVE: number = FLAG.optional | FLAG.transitive

/** From whom an attribute is taken; from others it is dropped. */
export const SCOPE = {
  all: 0,
  /** Of our own AS or confederation. */
  internal: 1,
  /** Of those who do not know 4-octet AS numbers (RFC 6793 section 4.1). */
  twoOctets: 2,
  /** On sessions where AIGP is enabled. */
  aigp: 3,
} as const

const MALFORMED = {
  'attribute-discard': OUTCOME.discarded,
  'treat-as-withdraw': OUTCOME.withdraw,
  'session-reset': OUTCOME.reset,
} as const
type Malformed = keyof typeof MALFORMED

interface Declaration<T> {
  readonly name: string
  readonly flags: number
  readonly malformed: Malformed
  readonly scope?: number
  check(from: Reader, facts: AttributeFacts, context: AttributeContext): number
  read(from: Reader, context: AttributeContext): T
  write(out: Writer, value: T, as4: boolean): void
  print(value: T): string
}

export interface AttributeRow<T = unknown> {
  readonly code: number
  readonly name: string
  /** Of FLAG, optional and transitive; 0 where nothing is known of the code. */
  readonly flags: number
  readonly malformed: Malformed
  readonly outcome: Outcome
  readonly scope: number
  readonly isMultiprotocol: boolean
  /** Passed on as the bytes that it is, or dropped. */
  readonly isOpaque: boolean
  /**
   * The reader's window is the value, no byte more. Fills the facts and returns 0, or a subcode of the UPDATE Message
   * Error; `malformed` says what then happens. It may leave the reader where it likes.
   */
  check(from: Reader, facts: AttributeFacts, context: AttributeContext): number
  /** Of a value that was checked, to its last byte. */
  read(from: Reader, context: AttributeContext): T
  write(out: Writer, value: T, as4: boolean): void
  /** One line for people. */
  print(value: T): string
}

export const CODE_AS_PATH = 2
export const CODE_MP_REACH = 14
export const CODE_MP_UNREACH = 15

export function attribute<T>(code: number, of: Declaration<T>): AttributeRow<T> {
  return rowOf(code, of, false)
}

/** Carried as the bytes that it is, like what has no name: not read, it cannot be malformed. */
export function opaque(code: number, name: string, flags: number): AttributeRow<Uint8Array> {
  return rowOf<Uint8Array>(
    code,
    {
      name,
      flags,
      malformed: 'attribute-discard',
      check: () => 0,
      read: (from) => from.bytes(from.remaining),
      write: (out, value) => out.bytes(value),
      print: (value) => `0x${Buffer.from(value).toString('hex')}`,
    },
    true,
  )
}

// All rows have one shape, so that the walk over a list meets one kind of row.
function rowOf<T>(code: number, of: Declaration<T>, isOpaque: boolean): AttributeRow<T> {
  return {
    code,
    name: of.name,
    flags: of.flags,
    malformed: of.malformed,
    outcome: MALFORMED[of.malformed],
    scope: of.scope ?? SCOPE.all,
    isMultiprotocol: code === CODE_MP_REACH || code === CODE_MP_UNREACH,
    isOpaque,
    check: of.check,
    read: of.read,
    write: of.write,
    print: of.print,
  }
}

/** Values of a fixed number of bytes, at least one of them: RFC 7606 counts an empty list as malformed. */
export function isListOf(bytes: number, each: number): boolean {
  return bytes > 0 && bytes % each === 0
}

export function readList<T>(from: Reader, read: (from: Reader) => T): T[] {
  const values: T[] = []
  while (from.remaining > 0) values.push(read(from))
  return values
}
