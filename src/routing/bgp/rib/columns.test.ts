import { deepEqual, equal, ok } from 'node:assert/strict'
import { suite, test } from 'node:test'
import { COPIED_MAX, capacityFor, grown8, grown16, grown32, grownUnsigned32 } from './columns.ts'

suite('a column that grows', () => {
  const kinds = { grown8, grown16, grown32, grownUnsigned32 }
  for (const [name, grown] of Object.entries(kinds) as [string, typeof grownUnsigned32][]) {
    test(`keeps what is in it and has zeros behind, short or long (${name})`, () => {
      let column = grown(new Uint32Array(0), 1)
      for (let i = 0; i < 3 * COPIED_MAX; i++) {
        column = grown(column, i + 1)
        equal(column[i], 0)
        column[i] = 1 + (i % 200)
      }
      for (let i = 0; i < 3 * COPIED_MAX; i++) equal(column[i], 1 + (i % 200))
    })
  }

  test('is not copied any more once it is long', () => {
    let column = grown32(new Int32Array(0), COPIED_MAX + 1)
    const long = column
    for (let count = COPIED_MAX; count < 2 ** 24; count *= 2) column = grown32(column, count)
    equal(column, long)
  })

  test('takes no more memory than is in use', () => {
    const before = process.memoryUsage.rss()
    const columns = Array.from({ length: 16 }, () => grown32(new Int32Array(0), COPIED_MAX + 1))
    ok(process.memoryUsage.rss() - before < 64 << 20)
    ok(columns.every((column) => column.length > 2 ** 24))
  })
})

test('a short column has the next power of two, and few sizes below that', () => {
  deepEqual([1, 16, 17, 128, 129, 256, 257].map(capacityFor), [16, 16, 128, 128, 256, 256, 512])
})
