import { equal, ok } from 'node:assert/strict'
import { test } from 'node:test'
import { bucketOf, mix32 } from './hash.ts'

test("mix32 is MurmurHash3's finaliser", () => {
  // fmix32 of the reference implementation.
  equal(mix32(0), 0)
  equal(mix32(1), 0x514e28b7)
  equal(mix32(0xffffffff) >>> 0, 0x81f16f39)
})

test('each input bit flips about half of the output bits', () => {
  const ones = (value: number): number => value.toString(2).replaceAll('0', '').length
  for (let bit = 0; bit < 32; bit++) {
    let flipped = 0
    for (let i = 0; i < 1000; i++) flipped += ones((mix32(i * 7919) ^ mix32((i * 7919) ^ (1 << bit))) >>> 0)
    ok(Math.abs(flipped / 1000 - 16) < 1, `bit ${bit}: ${flipped / 1000}`)
  }
})

test('buckets are all in range and evenly filled', () => {
  for (const buckets of [1, 2, 3, 7, 48, 1000, 65_536]) {
    equal(bucketOf(0, buckets), 0)
    equal(bucketOf(0xffffffff, buckets), buckets - 1)
  }
  const filled = new Array<number>(7).fill(0)
  for (let i = 0; i < 70_000; i++) filled[bucketOf(mix32(i), 7)]!++
  for (const count of filled) ok(Math.abs(count - 10_000) < 500, `${filled}`)
})
