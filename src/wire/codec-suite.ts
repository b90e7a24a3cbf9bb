/**
 * What every codec must hold, written once: a drawn sample is read field by field, written field by field into a buffer
 * of 0xa5 (so that a byte left out shows), cut at each byte, and each of its lengths is made to lie. Nothing outside of
 * the sample is read or written: the DataView ends where the sample does, and the bytes around it are compared.
 */

import { deepEqual, equal, notEqual } from 'node:assert/strict'
import { test } from 'node:test'
import { Fault, type FaultName, faults } from './fault.ts'
import { bytesOf, emit, type Header, setBytes } from './header.ts'

export interface Codec<Fields extends Record<string, { readonly bytes: number }>> {
  table: Header<Fields>
  check(frame: DataView, at: number, end: number): number
  /** The header, what follows it, and, where the check looks back, what is before it. */
  sample: Uint8Array
  /** Where in the sample the header is. */
  at?: number
  /** The sample's first bytes that the check vouches for: fewer are a fault. All of them unless it says otherwise. */
  covered?: number
  /** Every field of the table with its value in the sample. */
  fields: { readonly [Name in keyof Fields]: number | Uint8Array }
  /** What is wrong, how it is made so in a sample whose header is at `at`, and the fault it must give. */
  wrong: readonly (readonly [what: string, spoil: (frame: DataView, at: number) => void, fault: FaultName])[]
}

/** In front of the sample: odd, so that nothing is aligned. */
const MARGIN = 3
const UNWRITTEN = 0xa5

/** Bytes from hexadecimal text; white space groups them. */
export function hex(digits: string): Uint8Array {
  return Uint8Array.from(Buffer.from(digits.replaceAll(/\s/g, ''), 'hex'))
}

export function faultName(code: number): FaultName {
  return faults[code]![0]
}

/** The bytes behind a margin, in a view that ends with them. */
export function framed(bytes: Uint8Array): DataView {
  const frame = new Uint8Array(MARGIN + bytes.length).fill(UNWRITTEN)
  frame.set(bytes, MARGIN)
  return new DataView(frame.buffer)
}

export function codecSuite<Fields extends Record<string, { readonly bytes: number }>>(codec: Codec<Fields>): void {
  const { table, sample } = codec
  const at = MARGIN + (codec.at ?? 0)
  const covered = codec.covered ?? sample.length
  const judge = (frame: DataView, end: number): FaultName => faultName(codec.check(frame, at, end))

  test(`${table.TITLE}: the sample is sound and every field reads as drawn`, () => {
    const frame = framed(sample)
    equal(judge(frame, frame.byteLength), 'none')
    const names = Object.keys(table).filter((name) => name !== 'BYTES' && name !== 'TITLE')
    deepEqual(Object.keys(codec.fields), names)
    for (const name of names) {
      const value = codec.fields[name]!
      deepEqual(
        value instanceof Uint8Array ? bytesOf(table[name]!, frame, at) : table[name]!.get(frame, at),
        value,
        name,
      )
    }
  })

  test(`${table.TITLE}: written field by field into 0xa5 it is the sample, and nothing around it changes`, () => {
    const start = codec.at ?? 0
    const expected = new Uint8Array(MARGIN + table.BYTES + MARGIN).fill(UNWRITTEN)
    expected.set(sample.subarray(start, start + table.BYTES), MARGIN)
    const written = new Uint8Array(expected.length).fill(UNWRITTEN)
    const frame = new DataView(written.buffer)
    for (const [name, value] of Object.entries(codec.fields)) {
      if (value instanceof Uint8Array) setBytes(table[name]!, frame, MARGIN, value)
      else table[name]!.set(frame, MARGIN, value as number)
    }
    deepEqual(written, expected)
    deepEqual(emit(table, codec.fields), sample.subarray(start, start + table.BYTES).slice())
  })

  test(`${table.TITLE}: cut at any byte it is a fault, and not a byte behind the cut is read`, () => {
    for (let length = codec.at ?? 0; length < sample.length; length++) {
      const cut = framed(sample.subarray(0, length))
      const verdict = judge(cut, cut.byteLength)
      if (length < (codec.at ?? 0) + table.BYTES) equal(verdict, 'truncated', `cut at ${length}`)
      else if (length < covered) notEqual(verdict, 'none', `cut at ${length}`)
      const whole = framed(sample)
      equal(judge(whole, MARGIN + length), verdict, `cut at ${length}, with bytes behind the end`)
    }
  })

  for (const [what, spoil, fault] of codec.wrong) {
    test(`${table.TITLE}: ${what} is ${fault}`, () => {
      const frame = framed(sample)
      spoil(frame, at)
      notEqual(fault, faultName(Fault.none))
      equal(judge(frame, frame.byteLength), fault)
    })
  }
}
