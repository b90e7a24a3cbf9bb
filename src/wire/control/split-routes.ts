/** Route batches larger than the bus takes, as several: a batch of routes can be cut between any two of them. */

import type { RouteColumns } from './columns.ts'
import { type RouteBatch, routeBatch } from './route.ts'

/** Encoded batches of at most `bytes_max` each, to be sent in this order. A single route always fits. */
export function encodeRoutes(batch: RouteBatch, bytes_max: number): Uint8Array[] {
  const batches = cut(batch, bytes_max)
  const last = batches.length - 1
  if (last === 0 || !batch.replaces) return batches.map((one) => routeBatch.encode(one))
  return batches.map((one, i) =>
    routeBatch.encode({ ...one, part: i === 0 ? 'first' : i === last ? 'last' : 'middle' }),
  )
}

/** What is said of a part of a larger batch: a byte behind the head of a section. */
const PART_BYTES = 6

function cut(batch: RouteBatch, bytes_max: number): RouteBatch[] {
  const rows4 = batch.routes4.lengths.length
  const rows6 = batch.routes6.lengths.length
  if (rows4 + rows6 <= 1 || routeBatch.encode(batch).length + PART_BYTES <= bytes_max) return [batch]
  const half4 = rows4 >> 1
  const half6 = rows4 === 1 ? rows6 : rows6 >> 1
  const { routes4, routes6, times4, times6 } = batch
  const before = {
    ...batch,
    ...(times4 && { times4: times4.slice(0, half4) }),
    ...(times6 && { times6: times6.slice(0, half6) }),
  }
  const behind = {
    ...batch,
    ...(times4 && { times4: times4.slice(half4) }),
    ...(times6 && { times6: times6.slice(half6) }),
  }
  const first = compact(before, slice(routes4, 1, 0, half4), slice(routes6, 4, 0, half6))
  const second = compact(behind, slice(routes4, 1, half4, rows4), slice(routes6, 4, half6, rows6))
  return [...cut(first, bytes_max), ...cut({ ...second, replaces: false }, bytes_max)]
}

function slice(columns: RouteColumns, words: number, from: number, to: number): RouteColumns {
  return {
    tables: columns.tables.slice(from, to),
    addresses: columns.addresses.slice(from * words, to * words),
    lengths: columns.lengths.slice(from, to),
    nextHops: columns.nextHops.slice(from, to),
  }
}

/** Names only the tenants and gateways that these routes use. */
function compact(batch: RouteBatch, routes4: RouteColumns, routes6: RouteColumns): RouteBatch {
  const tenants = new Map<number, number>()
  const gateways = new Map<number, number>()
  for (const { tables, nextHops } of [routes4, routes6]) {
    for (let row = 0; row < tables.length; row++) {
      tables[row] = numberOf(tenants, tables[row]!)
      if (nextHops[row] !== 0) nextHops[row] = numberOf(gateways, nextHops[row]! - 1) + 1
    }
  }
  return {
    ...batch,
    tenants: Array.from(tenants.keys(), (place) => batch.tenants[place]!),
    gateways: Array.from(gateways.keys(), (place) => batch.gateways[place]!),
    routes4,
    routes6,
  }
}

function numberOf(numbers: Map<number, number>, place: number): number {
  const known = numbers.get(place) ?? numbers.size
  numbers.set(place, known)
  return known
}
