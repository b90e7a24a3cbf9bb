import { deepEqual, equal, ok } from 'node:assert/strict'
import { test } from 'node:test'
import { Random } from '../../base/random.ts'
import { DIGEST_FORMAT, Digest, isSameDigest, type TenantDigest } from './digest.ts'
import { type FibBatch, fibBatch } from './fib.ts'
import { sampleFib } from './samples.ts'

type Change = (digest: Digest) => void

/** What goes into the digest of a batch of one tenant, one by one. */
function partsOf({ tenants, nextHops, routes4, routes6 }: FibBatch): Change[] {
  const routes = [routes4, routes6].flatMap((columns, i) => {
    const words = i === 0 ? 1 : 4
    return Array.from(columns.lengths, (length, row): Change => {
      return (digest) => digest.addRoute(columns.addresses, row * words, words, length, columns.nextHops[row]!)
    })
  })
  return [
    ...tenants.map(
      (one): Change =>
        (digest) =>
          digest.addTenant(one),
    ),
    ...nextHops.map(
      (one): Change =>
        (digest) =>
          digest.addHop(one),
    ),
    ...routes,
  ]
}

function digestOf(parts: readonly Change[]): TenantDigest {
  const digest = new Digest()
  for (const add of parts) add(digest)
  return digest.of(7)
}

test('a digest does not depend on the order, and changes with every part', () => {
  const parts = partsOf(sampleFib(100, new Random(1)))
  const whole = digestOf(parts)
  ok(isSameDigest(whole, digestOf(parts.toReversed())))
  for (let i = 0; i < parts.length; i++) equal(isSameDigest(whole, digestOf(parts.toSpliced(i, 1))), false, `${i}`)
})

test('routes that differ in one thing have other digests', () => {
  const one = (address: number[], length: number, hop: number): Change => {
    return (digest) => digest.addRoute(address, 0, address.length as 1 | 4, length, hop)
  }
  const routes = [
    one([0], 0, 1),
    one([0], 0, 2),
    one([0], 8, 1),
    one([0x0a000000], 8, 1),
    one([0, 0, 0, 0], 0, 1),
    one([0, 0, 0, 0], 8, 1),
    one([0, 0, 0, 1], 128, 1),
    one([1, 0, 0, 0], 128, 1),
  ]
  const digests = routes.map((route) => digestOf([route]))
  equal(new Set(digests.map(({ low }) => low)).size, routes.length)
  equal(new Set(digests.map(({ high }) => high)).size, routes.length)
})

test('what a format makes of a FIB does not change: whoever changes it raises the format', () => {
  const { routes, low, high } = digestOf(partsOf(sampleFib(20, new Random(1))))
  deepEqual({ format: DIGEST_FORMAT, routes, low, high }, { format: 2, routes: 23, low: 1699066772, high: 900288784 })
})

test('a batch says of which tenants it says all', () => {
  const batch = { ...sampleFib(1, new Random(1)), snapshot: false, whole: Uint32Array.of(7) }
  const decoded = fibBatch.decode(fibBatch.encode(batch))
  ok(decoded.ok)
  deepEqual(decoded.value, batch)
})
