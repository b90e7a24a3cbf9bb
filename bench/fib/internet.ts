/**
 * Tables that look like the Internet's, of any size, from a seed: 60% /24, 30% /20 to /23, 10% others (8% /12 to /19 by how
 * many there are of each length, 2% longer than /24), between 1.0.0.0 and 223.255.255.255, each prefix once, in no order.
 * IPv6 as in a default-free table: mostly /48, /32, /44 and /40 below 2000::/3.
 */

import type { Random } from '../../src/base/random.ts'
import type { RouteColumns } from '../../src/dataplane/fib/fib.ts'

/** Share of each prefix length, adding up to 1. */
const SHARES_4 = new Map([
  [24, 0.6],
  [23, 0.12],
  [22, 0.1],
  [21, 0.05],
  [20, 0.03],
  ...Array.from({ length: 8 }, (_, i): [number, number] => [12 + i, (0.08 * 2 ** (12 + i)) / (2 ** 20 - 2 ** 12)]),
  ...Array.from({ length: 8 }, (_, i): [number, number] => [25 + i, 0.02 / 8]),
])

const SHARES_6 = new Map([
  [48, 0.46],
  [44, 0.1],
  [40, 0.1],
  [32, 0.11],
  [36, 0.06],
  [29, 0.04],
  [46, 0.04],
  [47, 0.04],
  [64, 0.05],
])

/** The slots that routes lead to: next hops of a large gateway. */
const SLOTS = 1000

const FIRST_OCTET = 1
const OCTETS = 223

export function internetRoutes4(random: Random, count: number): RouteColumns {
  const routes = {
    count,
    addresses: new Uint32Array(count),
    lengths: new Uint8Array(count),
    slots: new Uint32Array(count),
  }
  const drawn = new Uint32Array(33)
  const offset = random.u32()
  for (let i = 0; i < count; i++) {
    const length = drawLength(random, SHARES_4)
    routes.lengths[i] = length
    routes.addresses[i] = nthPrefix(drawn, length, offset)
    routes.slots[i] = 1 + random.below(SLOTS)
  }
  return routes
}

// The next prefix of that length: an odd factor makes a permutation of all of them, so none comes twice.
function nthPrefix(drawn: Uint32Array, length: number, offset: number): number {
  for (;;) {
    const address = (Math.imul(drawn[length]!++, 0x9e3779b1) + offset) << (32 - length)
    const octet = address >>> 24
    if (octet >= FIRST_OCTET && octet < FIRST_OCTET + OCTETS) return address >>> 0
  }
}

function drawLength(random: Random, shares: ReadonlyMap<number, number>): number {
  let left = random.u32() / 2 ** 32
  let last = 0
  for (const [length, share] of shares) {
    last = length
    left -= share
    if (left < 0) return length
  }
  return last
}

export function internetRoutes6(random: Random, count: number): RouteColumns {
  const routes = {
    count,
    addresses: new Uint32Array(4 * count),
    lengths: new Uint8Array(count),
    slots: new Uint32Array(count),
  }
  for (let i = 0; i < count; i++) {
    const length = drawLength(random, SHARES_6)
    routes.lengths[i] = length
    routes.addresses[4 * i] = (0x20000000 | (random.u32() >>> 3)) & prefixMask(length)
    routes.addresses[4 * i + 1] = random.u32() & prefixMask(length - 32)
    routes.slots[i] = 1 + random.below(SLOTS)
  }
  return routes
}

function prefixMask(length: number): number {
  return length <= 0 ? 0 : length >= 32 ? -1 : -1 << (32 - length)
}

/** Half of the addresses anywhere, half inside a route that is drawn at random. One word an address, or four. */
export function halfRandomAddresses(random: Random, routes: RouteColumns, count: number): Uint32Array {
  const words = routes.addresses.length / routes.count
  const out = new Uint32Array(new SharedArrayBuffer(4 * words * count))
  for (let i = 0; i < count; i++) {
    const route = random.chance(0.5) ? random.below(routes.count) : -1
    for (let word = 0; word < words; word++) {
      const mask = route < 0 ? 0 : prefixMask(routes.lengths[route]! - 32 * word)
      out[i * words + word] =
        route < 0 ? random.u32() : routes.addresses[route * words + word]! | (random.u32() & ~mask)
    }
  }
  return out
}
