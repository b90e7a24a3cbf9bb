import { deepEqual, equal, ok } from 'node:assert/strict'
import { test } from 'node:test'
import { RouteColumnsBuilder } from './columns.ts'
import { type RouteBatch, routeBatch } from './route.ts'
import { encodeRoutes } from './split-routes.ts'

function batchOf(rows4: number, rows6: number): RouteBatch {
  const v4 = new RouteColumnsBuilder(1)
  const v6 = new RouteColumnsBuilder(4)
  for (let i = 0; i < rows4; i++) v4.add4(i % 7, i * 256, 24, i % 4)
  for (let i = 0; i < rows6; i++) v6.add6(i % 7, [0x20010db8, i, 0, 0], 64, i % 4)
  return {
    origin: 'bgp',
    preference: 5,
    replaces: true,
    tenants: Array.from({ length: 7 }, (_, i) => `tenant-${i}`),
    gateways: [1, 2, 3].map((last) => [{ address: Uint8Array.of(10, 0, 0, last), weight: last, backup: false }]),
    routes4: v4.build(),
    routes6: v6.build(),
    times4: Uint32Array.from({ length: rows4 }, (_, i) => i),
    times6: Uint32Array.from({ length: rows6 }, (_, i) => i * 2),
  }
}

/** Every route as text, with the names and gateways that its numbers stand for. */
function told({ tenants, gateways, routes4, routes6, times4, times6 }: RouteBatch): string[] {
  return [routes4, routes6].flatMap((columns, family) =>
    Array.from(columns.lengths, (length, row) => {
      const words = columns.addresses.length / columns.lengths.length
      const address = columns.addresses.subarray(row * words, (row + 1) * words)
      const by = columns.nextHops[row] === 0 ? 'none' : gateways[columns.nextHops[row]! - 1]![0]!.address.join('.')
      return `${tenants[columns.tables[row]!]} ${address.join(':')}/${length} ${by} since ${[times4, times6][family]![row]}`
    }),
  )
}

test('a large batch is several that say the same, of which only the first replaces', () => {
  for (const [rows4, rows6] of [
    [2000, 700],
    [1, 300],
    [0, 300],
    [300, 1],
  ] as const) {
    const whole = batchOf(rows4, rows6)
    const parts = encodeRoutes(whole, 4000).map((bytes) => {
      ok(bytes.length <= 4000)
      const decoded = routeBatch.decode(bytes)
      ok(decoded.ok)
      return decoded.value
    })
    ok(parts.length > 1)
    deepEqual(
      parts.map(({ replaces }) => replaces),
      parts.map((_, place) => place === 0),
    )
    deepEqual(
      parts.map(({ part }) => part),
      parts.map((_, place) => (place === 0 ? 'first' : place === parts.length - 1 ? 'last' : 'middle')),
    )
    deepEqual(parts.flatMap(told).sort(), told(whole).sort())
  }
})

test('parts of a batch that replaces nothing need not be told to belong together', () => {
  for (const bytes of encodeRoutes({ ...batchOf(2000, 0), replaces: false }, 4000)) {
    const decoded = routeBatch.decode(bytes)
    ok(decoded.ok)
    equal(decoded.value.part, undefined)
  }
})

test('a batch that fits is sent as it is', () => equal(encodeRoutes(batchOf(10, 10), 4000).length, 1))
