import { deepEqual, equal, throws } from 'node:assert/strict'
import { test } from 'node:test'
import { hex } from './codec-suite.ts'
import { bytesOf, emit, header, ip6, mac, print, setBytes, u8, u16, u24, u32 } from './header.ts'

const table = header('every width', { a: u8, b: u16, c: u24, d: u32, e: mac, f: ip6 })

test('offsets follow from the widths', () => {
  deepEqual(
    [table.a, table.b, table.c, table.d, table.e, table.f].map((field) => field.offset),
    [0, 1, 3, 6, 10, 16],
  )
  equal(table.BYTES, 32)
})

test('every width holds its largest value, and reads it back', () => {
  const view = new DataView(new ArrayBuffer(table.BYTES))
  for (const name of ['a', 'b', 'c', 'd', 'e'] as const) {
    const largest = 2 ** (table[name].bytes * 8) - 1
    for (const value of [0, 1, Math.floor(largest / 2), largest - 1, largest]) {
      table[name].set(view, 0, value)
      equal(table[name].get(view, 0), value, name)
    }
  }
  deepEqual(new Uint8Array(view.buffer, 0, 17), hex(`${'ff'.repeat(16)} 00`))
})

test('wide fields are bytes: as a number they are our mistake', () => {
  const view = new DataView(new ArrayBuffer(table.BYTES))
  const address = hex('20010db8000000000000000000000001')
  setBytes(table.f, view, 0, address)
  deepEqual(bytesOf(table.f, view, 0), address)
  throws(() => table.f.get(view, 0), /16 bytes/)
  throws(() => table.f.set(view, 0, 1), /16 bytes/)
})

test('a header is emitted by name and printed in wire order', () => {
  const bytes = emit(table, { f: hex('ff'.repeat(16)), a: 1, c: 0x010203, e: 0x020000000001 })
  deepEqual(bytes, hex(`01 0000 010203 00000000 020000000001 ${'ff'.repeat(16)}`))
  equal(print(table, new DataView(bytes.buffer), 0), `a=1 b=0 c=66051 d=0 e=020000000001 f=${'ff'.repeat(16)}`)
})
