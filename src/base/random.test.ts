import { deepEqual, equal, notDeepEqual, ok } from 'node:assert/strict'
import { test } from 'node:test'
import { freshSeed, Random } from './random.ts'

const draw = (seed: number): number[] => {
  const random = new Random(seed)
  return Array.from({ length: 1000 }, () => random.u32())
}

/** sfc32 as its author writes it, in whole numbers that wrap where they say so. */
function reference(seed: number, count: number): number[] {
  const wrap = (value: bigint): bigint => value & 0xffffffffn
  let a = wrap(BigInt(seed))
  let b = BigInt(seed) >> 32n
  let c = 0x9e3779b9n
  let counter = 1n
  const out: number[] = []
  for (let i = 0; i < 12 + count; i++) {
    const sum = wrap(a + b + counter++)
    a = b ^ (b >> 9n)
    b = wrap(c + (c << 3n))
    c = wrap(wrap((c << 21n) | (c >> 11n)) + sum)
    if (i >= 12) out.push(Number(sum))
  }
  return out
}

test('the sequence is sfc32, seeds above 32 bits too', () => {
  for (const seed of [0, 1, 0xffffffff, 2 ** 32 + 7, 2 ** 53 - 1]) deepEqual(draw(seed), reference(seed, 1000))
})

test('the same seed draws the same, another seed another', () => {
  deepEqual(draw(42), draw(42))
  notDeepEqual(draw(42), draw(43))
})

test('whole numbers stay below their limit and reach all of them', () => {
  const random = new Random(1)
  const seen = new Set(Array.from({ length: 1000 }, () => random.below(7)))
  deepEqual([...seen].sort(), [0, 1, 2, 3, 4, 5, 6])
  equal(random.below(1), 0)
})

test('chances come true as often as they say', () => {
  const random = new Random(2)
  const count = (probability: number): number =>
    Array.from({ length: 10_000 }, () => random.chance(probability)).filter(Boolean).length
  equal(count(0), 0)
  equal(count(1), 10_000)
  ok(Math.abs(count(0.25) - 2500) < 250)
})

test('bytes have the length asked for and every value, and a pick is one of the picked from', () => {
  const random = new Random(3)
  const bytes = random.bytes(10_000)
  equal(bytes.length, 10_000)
  equal(new Set(bytes).size, 256)
  ok([4, 5].includes(random.pick([4, 5])))
})

test('a fresh seed is a 32-bit number', () => {
  const seed = freshSeed()
  ok(Number.isInteger(seed) && seed >= 0 && seed < 2 ** 32)
})
