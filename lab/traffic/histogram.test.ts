import { deepEqual, equal, ok } from 'node:assert/strict'
import { test } from 'node:test'
import { Random } from '../../src/base/random.ts'
import { Histogram } from './histogram.ts'

test('percentiles are right to 1.6 percent, over all magnitudes', () => {
  const random = new Random(7)
  const values = Array.from({ length: 20_000 }, () => Math.floor(2 ** ((random.u32() / 2 ** 32) * 31)))
  const [whole, half] = [new Histogram(), new Histogram()]
  for (const [i, value] of values.entries()) (i % 2 ? whole : half).add(value)
  whole.merge(half.data())
  values.sort((a, b) => a - b)
  for (const fraction of [0.001, 0.25, 0.5, 0.9, 0.99, 1]) {
    const exact = values[Math.ceil(values.length * fraction) - 1]!
    const found = whole.percentile_us(fraction)
    ok(found >= exact && found <= exact * (1 + 1 / 64) + 1, `${fraction}: ${found} is not ${exact}`)
  }
})

test('no samples have no percentiles, and what is out of range is at its end', () => {
  const histogram = new Histogram()
  equal(histogram.percentile_us(0.99), 0)
  histogram.add(-5)
  equal(histogram.percentile_us(1), 0)
  histogram.add(1e15)
  equal(histogram.percentile_us(1), 2 ** 32 - 1)
})

test('what came between two looks has percentiles of its own', () => {
  const histogram = new Histogram()
  for (let i = 0; i < 10; i++) histogram.add(1_000_000)
  const then = histogram.data()
  for (let i = 0; i < 10; i++) histogram.add(100)
  equal(histogram.percentile_us(0.99) > 900_000, true)
  const between = Histogram.between(then, histogram.data())
  deepEqual([between.percentile_us(0.5), between.percentile_us(1)], [100, 100])
  equal(Histogram.between(then, then).percentile_us(1), 0)
})
