import { deepEqual, equal } from 'node:assert/strict'
import { suite, test } from 'node:test'
import { ManualClock } from '../base/clock.ts'
import { createQsbrMemory, QsbrReader, QsbrWriter } from './qsbr.ts'

interface Bench {
  readonly writer: QsbrWriter
  readonly workers: QsbrReader[]
}

function bench(workers: number): Bench {
  const memory = createQsbrMemory(workers)
  return {
    writer: new QsbrWriter(memory),
    workers: Array.from({ length: workers }, (_, worker) => new QsbrReader(memory, worker)),
  }
}

suite('QSBR frees what is retired', () => {
  test('at once when every worker is offline', () => {
    const { writer } = bench(2)
    let freed = 0
    writer.retire(() => freed++)
    equal(freed, 0, 'never inside of retire')
    equal(writer.reclaim(), 1)
    equal(freed, 1)
    equal(writer.reclaim(), 0)
  })

  test('only after each worker has passed a quiescent point', () => {
    const { writer, workers } = bench(3)
    const [first, second, third] = workers as [QsbrReader, QsbrReader, QsbrReader]
    for (const worker of workers) worker.online()
    writer.retire(() => {})
    equal(writer.reclaim(), 0)
    first.quiescent()
    second.quiescent()
    equal(writer.reclaim(), 0, 'the third may still hold it')
    third.quiescent()
    equal(writer.reclaim(), 1)
  })

  test('without waiting for a worker that went offline, and waiting again when it is back', () => {
    const { writer, workers } = bench(1)
    const worker = workers[0]!
    worker.online()
    writer.retire(() => {})
    equal(writer.reclaim(), 0)
    worker.offline()
    equal(writer.reclaim(), 1)
    worker.online()
    writer.retire(() => {})
    equal(writer.reclaim(), 0)
  })

  test('a quiescent point before the retirement does not count', () => {
    const { writer, workers } = bench(1)
    const worker = workers[0]!
    worker.online()
    writer.retire(() => {})
    writer.reclaim()
    worker.quiescent()
    writer.retire(() => {})
    equal(writer.reclaim(), 1, 'the first')
    equal(writer.reclaim(), 0, 'the second was retired after the point')
  })

  test('in order, by the thousand, through a queue of numbers', () => {
    const { writer, workers } = bench(1)
    const worker = workers[0]!
    worker.online()
    const freed: number[] = []
    const queue = writer.queue((item) => freed.push(item))
    for (let i = 0; i < 1000; i++) {
      queue.push(i)
      if (i === 300) {
        writer.reclaim()
        worker.quiescent()
        equal(writer.reclaim(), 301)
      }
    }
    equal(queue.length, 699)
    worker.offline()
    writer.reclaim()
    deepEqual(
      freed,
      Array.from({ length: 1000 }, (_, i) => i),
    )
  })

  test('when freeing retires more', () => {
    const { writer } = bench(1)
    let inner = false
    writer.retire(() => writer.retire(() => (inner = true)))
    writer.reclaim()
    equal(inner, false)
    writer.reclaim()
    equal(inner, true)
  })

  test('across the wrap of the epoch', () => {
    const memory = createQsbrMemory(1)
    new Int32Array(memory)[0] = 0x7fffffff
    const writer = new QsbrWriter(memory)
    const worker = new QsbrReader(memory, 0)
    for (const start of [0x7fffffff, -1]) {
      new Int32Array(memory)[0] = start
      const wrapping = start === -1 ? new QsbrWriter(memory) : writer
      worker.online()
      wrapping.retire(() => {})
      equal(wrapping.reclaim(), 0)
      worker.quiescent()
      equal(wrapping.reclaim(), 1)
    }
  })
})

test('what is retired is freed in time without being asked, and then there is nothing to do', () => {
  const memory = createQsbrMemory(1)
  const writer = new QsbrWriter(memory)
  const reader = new QsbrReader(memory, 0)
  const clock = new ManualClock()
  let looks = 0
  const after = clock.after.bind(clock)
  clock.after = (delay_ms, run) => {
    looks++
    return after(delay_ms, run)
  }
  const freed: number[] = []
  reader.online()
  const timer = writer.reclaimEvery(10, clock)
  clock.advance(1000)
  equal(looks, 0)
  for (const item of [1, 2]) writer.retire(() => void freed.push(item))
  clock.advance(25)
  deepEqual(freed, [])
  reader.quiescent()
  clock.advance(10)
  deepEqual(freed, [1, 2])
  const before = looks
  clock.advance(1000)
  equal(looks, before)
  timer.cancel()
})
