import { deepEqual, equal } from 'node:assert/strict'
import { test } from 'node:test'
import { RouteColumnsBuilder } from '../wire/control/columns.ts'
import type { RouteBatch } from '../wire/control/route.ts'
import { PublishedRoutes } from './published-routes.ts'

/** Routes to these, each 10.N.0.0/16, of one tenant; those in `gone` are withdrawn. */
function batch(
  origin: string,
  prefixes: readonly number[],
  gone: readonly number[] = [],
  replaces = false,
): RouteBatch {
  const v4 = new RouteColumnsBuilder(1)
  for (const prefix of prefixes) v4.add4(0, 0x0a000000 + prefix * 0x10000, 16, 1)
  for (const prefix of gone) v4.add4(0, 0x0a000000 + prefix * 0x10000, 16, 0)
  return {
    ...{ origin, preference: 100, replaces, tenants: ['acme'] },
    gateways: [[{ address: Uint8Array.of(192, 168, 1, 2), weight: 1, backup: false }]],
    routes4: v4.build(),
    routes6: new RouteColumnsBuilder(4).build(),
  }
}

test('at the limit what adds a route is refused whole, and all else is taken', () => {
  const routes = new PublishedRoutes(4)
  routes.take(batch('a', [1, 2, 3]))
  routes.take(batch('b', [1]))
  equal(routes.take(batch('a', [4])), 'more than 4 routes')
  equal(routes.take(batch('c', [1], [], true)), 'more than 4 routes')
  equal(typeof routes.take(batch('a', [1, 2, 3])), 'object', 'routes that change')
  equal(typeof routes.take(batch('a', [5, 6, 7], [], true)), 'object', 'an origin that replaces its own')
  equal(routes.take(batch('a', [5, 6, 7, 8], [], true)), 'more than 4 routes')
  equal(typeof routes.take(batch('a', [], [5])), 'object', 'a withdrawal')
  equal(typeof routes.take(batch('b', [2])), 'object', 'what there is room for again')
  equal(routes.count, 4)
  deepEqual(
    routes.of('acme').map(({ origin, routes }) => [origin, routes.size]),
    [
      ['a', 2],
      ['b', 2],
    ],
  )
})

const sizeOf = (routes: PublishedRoutes) => routes.of('acme')[0]?.routes.size

test('a batch that replaces in parts is taken over as one, when the last of them is there', () => {
  const routes = new PublishedRoutes()
  routes.take(batch('a', [1, 2, 3, 9]))
  deepEqual(routes.take({ ...batch('a', [1, 2], [], true), part: 'first' }), new Map())
  deepEqual(routes.take({ ...batch('a', [3]), part: 'middle' }), new Map())
  equal(routes.isWaiting('a'), true)
  equal(sizeOf(routes), 4, 'what it said before holds until then')
  routes.take({ ...batch('a', [4]), part: 'last' })
  equal(routes.isWaiting(), false)
  deepEqual([sizeOf(routes), routes.count], [4, 4])
})

test('parts whose last never comes change nothing', () => {
  const routes = new PublishedRoutes()
  routes.take(batch('a', [1, 2, 3]))
  routes.take({ ...batch('a', [7], [], true), part: 'first' })
  routes.take(batch('a', [4]))
  equal(sizeOf(routes), 4, 'its source began anew')
  routes.take({ ...batch('a', [5]), part: 'last' })
  equal(sizeOf(routes), 5, 'the rest of something that was not heard from its beginning')
})

test('parts that are too many together are refused whole', () => {
  const routes = new PublishedRoutes(4)
  routes.take(batch('a', [1, 2, 3]))
  routes.take({ ...batch('a', [1, 2, 3], [], true), part: 'first' })
  equal(routes.take({ ...batch('a', [4, 5]), part: 'last' }), 'more than 4 routes')
  equal(sizeOf(routes), 3)
})
