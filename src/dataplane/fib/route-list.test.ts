import { deepEqual } from 'node:assert/strict'
import { suite, test } from 'node:test'
import * as fc from 'fast-check'
import { masked } from '../../base/address.ts'
import { type Family, infoOf } from './layout.ts'
import { type RouteColumns, RouteList } from './route-list.ts'

interface Row {
  readonly bytes: Uint8Array
  readonly length: number
  readonly slot: number
}

/** Few distinct bytes, so that prefixes nest and repeat. */
function rows(family: Family): fc.Arbitrary<Row[]> {
  const bytes = family === 4 ? 4 : 16
  const byte = fc.constantFrom(0, 1, 10, 127, 128, 255)
  const row = fc
    .tuple(
      fc.array(byte, { minLength: bytes, maxLength: bytes }),
      fc.integer({ min: 0, max: bytes * 8 }),
      fc.integer({ min: 1, max: 99 }),
    )
    .map(([address, length, slot]) => ({ bytes: masked(Uint8Array.from(address), length), length, slot }))
  return fc.array(row, { maxLength: 60 })
}

function columns(rows: readonly Row[]): RouteColumns {
  const addresses = rows.flatMap(({ bytes }) => {
    const view = new DataView(bytes.buffer)
    return Array.from({ length: bytes.length / 4 }, (_, word) => view.getUint32(4 * word))
  })
  return {
    count: rows.length,
    addresses: Uint32Array.from(addresses),
    lengths: Uint8Array.from(rows, ({ length }) => length),
    slots: Uint32Array.from(rows, ({ slot }) => slot),
  }
}

const inOrder = (a: Row, b: Row): number => Buffer.compare(a.bytes, b.bytes) || a.length - b.length

/** What a list should hold: sorted, and of equal prefixes the last. */
function unique(rows: readonly Row[]): Row[] {
  const last = new Map(rows.map((row) => [`${row.bytes}/${row.length}`, row]))
  return [...last.values()].sort(inOrder)
}

for (const family of [4, 6] as const)
  suite(`a list of IPv${family} routes`, () => {
    test('is filled sorted, each prefix once with its last slot', () => {
      fc.assert(
        fc.property(rows(family), (given) => {
          const list = new RouteList(family)
          list.fill(columns(given))
          deepEqual(list.columns(), columns(unique(given)))
        }),
      )
    })

    test('many routes are sorted by digits as few are by comparing', () => {
      const given = fc.sample(rows(family), { numRuns: 400, seed: 3 }).flat()
      const list = new RouteList(family)
      list.fill(columns(given))
      deepEqual(list.columns(), columns(unique(given)))
    })

    test('takes in and gives out single prefixes in order', () => {
      fc.assert(
        fc.property(rows(family), (given) => {
          const list = new RouteList(family)
          const all = unique(given)
          const key = (row: Row): Int32Array => Int32Array.from(columns([row]).addresses)
          for (const row of given.filter((row) => all.includes(row)))
            list.insert(key(row), infoOf(row.length, row.slot))
          deepEqual(list.columns(), columns(all))
          const half = all.filter((_, i) => i % 2 === 0)
          for (const row of half) list.remove(key(row), row.length)
          deepEqual(list.columns(), columns(all.filter((_, i) => i % 2 === 1)))
        }),
      )
    })
  })
