import { deepEqual, equal } from 'node:assert/strict'
import { test } from 'node:test'
import { RouteColumnsBuilder } from '../wire/control/columns.ts'
import type { RouteBatch } from '../wire/control/route.ts'
import { formatKey } from './prefix-key.ts'
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

const sinceOf = (routes: PublishedRoutes) =>
  Object.fromEntries(
    routes
      .of('acme')
      .flatMap(({ routes }) => Array.from(routes.keys(), (key) => [formatKey(key), routes.noteOf(key)] as const))
      .sort(([a], [b]) => (a < b ? -1 : 1)),
  )

test('since when a route is what it is, also after it was said again and after a checkpoint', () => {
  const routes = new PublishedRoutes()
  const other = [[{ address: Uint8Array.of(192, 168, 1, 3), weight: 1, backup: false }]]
  routes.take({ ...batch('a', [1, 2, 3]), at_s: 100 })
  routes.take({ ...batch('a', [2]), gateways: other, at_s: 200 })
  routes.take({ ...batch('a', [3], [1]), at_s: 300 })
  routes.take({ ...batch('a', [1]), at_s: 400 })
  deepEqual(sinceOf(routes), { '10.1.0.0/16': 400, '10.2.0.0/16': 200, '10.3.0.0/16': 100 })
  const again = new PublishedRoutes()
  for (const kept of routes.snapshot()) again.take(kept)
  deepEqual(sinceOf(again), sinceOf(routes))
  // Whoever says everything again says of what has not changed nothing new, in one batch or in parts.
  routes.take({ ...batch('a', [1, 2], [], true), at_s: 500 })
  deepEqual(sinceOf(routes), { '10.1.0.0/16': 400, '10.2.0.0/16': 500 })
  routes.take({ ...batch('a', [1], [], true), part: 'first', at_s: 600 })
  routes.take({ ...batch('a', [2, 3]), part: 'last', at_s: 600 })
  deepEqual(sinceOf(routes), { '10.1.0.0/16': 400, '10.2.0.0/16': 500, '10.3.0.0/16': 600 })
})

test('a batch of a release that did not say when leaves that open', () => {
  const routes = new PublishedRoutes()
  routes.take(batch('a', [1]))
  deepEqual(sinceOf(routes), { '10.1.0.0/16': 0 })
})
