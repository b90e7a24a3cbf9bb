import { deepEqual, equal, ok, throws } from 'node:assert/strict'
import { test } from 'node:test'
import { CHUNKS_MAX, layFrames } from './frame-layout.ts'

const ports = (count: number, queues: number): number[] => new Array<number>(count).fill(queues)
const total = (chunks: readonly number[]): number => chunks.reduce((sum, count) => sum + count, 0)

test('a worker has chunks for the rings that are its own, and a few for what it sends through another’s', () => {
  deepEqual(layFrames(1, [1]).chunks, [3072 + 576])
  deepEqual(layFrames(2, [1, 2]).chunks, [2 * 3072 + 576, 1024 + 3072 + 576])
  deepEqual(layFrames(2, [5]).chunks, [3 * 3072 + 576, 2 * 3072 + 576])
})

test('many ports share a gigabyte by shorter rings', () => {
  const sizes = (workers: number, count: number, queues: number) => {
    const { rings, chunks } = layFrames(workers, ports(count, queues))
    ok(total(chunks) < CHUNKS_MAX)
    for (const size of Object.values(rings)) ok(Number.isInteger(Math.log2(size)))
    return [rings.fillSize, rings.sendSize]
  }
  deepEqual(sizes(16, 4, 16), [2048, 1024])
  deepEqual(sizes(1, 128, 1), [1024, 512])
  deepEqual(sizes(2, 256, 1), [256, 128])
  deepEqual(sizes(2, 256, 2), [256, 128])
})

test('what does not fit is a sentence', () => {
  throws(() => layFrames(1, ports(256, 64)), {
    message:
      '256 ports with 16384 queues need at least 24579 MB for frames, and a process has 1024: it takes ' +
      'fewer ports, fewer workers, or fewer queues (ethtool --set-channels)',
  })
  equal(layFrames(1, ports(256, 2)).rings.fillSize, 256)
})
