import { deepEqual, equal } from 'node:assert/strict'
import { suite, test } from 'node:test'
import { Random } from '../../../base/random.ts'
import { PrefixQueue } from './prefix-queue.ts'

suite('a queue of prefixes', () => {
  test('gives them back in the order in which they came, each once', () => {
    const queue = new PrefixQueue()
    deepEqual(
      [5, 9, 5, 7, 9].map((prefix) => queue.add(prefix)),
      [true, true, false, true, false],
    )
    deepEqual([...queue.waiting()], [5, 9, 7])
    deepEqual([queue.take(), queue.take()], [5, 9])
    equal(queue.add(5), true)
    deepEqual([queue.take(), queue.take(), queue.count], [7, 5, 0])
  })

  test('does so however long it is and has been', () => {
    const queue = new PrefixQueue()
    const expected: number[] = []
    const random = new Random(3)
    let next = 0
    // In waves of up to some ten thousand, so that blocks come and go.
    for (let wave = 0; wave < 200; wave++) {
      for (let left = random.below(1 << random.below(16)); left > 0; left--) {
        queue.add(next)
        expected.push(next++)
      }
      if (wave % 50 === 0) deepEqual([...queue.waiting()], expected)
      const taken = expected.splice(0, random.below(1 << random.below(16)))
      for (const prefix of taken) equal(queue.take(), prefix)
      equal(queue.count, expected.length)
    }
    for (const prefix of expected) equal(queue.take(), prefix)
  })
})
