import { deepEqual, equal } from 'node:assert/strict'
import { test } from 'node:test'
import { Reader } from './cursor.ts'

test('a window turns to any range of the same bytes, and forgets a failure', () => {
  const from = new Reader(Uint8Array.of(1, 2, 3, 4, 5))
  from.skip(6)
  equal(from.failed, true)
  from.window(1, 4)
  deepEqual([from.failed, from.at, from.remaining], [false, 1, 3])
  deepEqual([from.u16(), from.u8(), from.at], [0x0203, 4, 4])
  equal(from.u8(), 0)
  equal(from.failed, true)
  from.window(0, 5)
  from.skip(2)
  deepEqual([...from.rest()], [3, 4, 5])
  from.window(5, 5)
  deepEqual([from.failed, from.remaining], [false, 0])
})

test('a window that is not within the bytes fails, and nothing is read of it', () => {
  const from = new Reader(Uint8Array.of(1, 2, 3, 4, 5).subarray(1, 4))
  for (const [at, end] of [
    [-1, 2],
    [0, 4],
    [3, 2],
    [4, 4],
    [Number.NaN, 2],
  ] as const) {
    from.window(at, end)
    deepEqual([from.failed, from.remaining, from.u8()], [true, 0, 0], `${at} to ${end}`)
  }
})
