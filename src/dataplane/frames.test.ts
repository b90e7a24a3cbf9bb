import { deepEqual, equal, notEqual, throws } from 'node:assert/strict'
import { test } from 'node:test'
import { Worker } from 'node:worker_threads'
import { Random } from '../base/random.ts'
import { firstPageIn } from '../linux/memory.ts'
import { CHUNK_BYTES, createFrameMemory, FramePool, Frames, NO_FRAME } from './frames.ts'
import { copyIn, copyOut, headBytes } from './memory-port.ts'

const CHUNKS = 64

function memory() {
  const frames = new Frames(createFrameMemory(CHUNKS))
  return { frames, pool: new FramePool(frames, 0, CHUNKS) }
}

test('a pool hands out each of its chunks once, and never the one that means none', () => {
  const { pool } = memory()
  const taken = new Set<number>()
  for (let next = pool.take(); next !== NO_FRAME; next = pool.take()) taken.add(next)
  equal(taken.size, CHUNKS - 1)
  equal(taken.has(0), false)
  equal(pool.free, 0)
  for (const address of taken) pool.give(address + 300)
  equal(pool.free, CHUNKS - 1)
  equal(pool.take() % CHUNK_BYTES, 0)
})

test('a chunk that is given back twice stops the worker at once', () => {
  const { pool } = memory()
  const address = pool.take()
  pool.give(address)
  throws(() => pool.give(address), /given back twice/)
  throws(() => pool.give(address + 256), /given back twice/)
})

test('a chunk that another worker gave back already is noticed too', () => {
  const shared = createFrameMemory(CHUNKS)
  const [first, second] = [0, 1].map((i) => {
    const frames = new Frames(shared)
    return new FramePool(frames, (i * CHUNKS) / 2, ((i + 1) * CHUNKS) / 2)
  })
  const address = first!.take()
  second!.give(address)
  throws(() => first!.give(address), /given back twice/)
})

test('a frame cut into a chain comes back as it was, and so do its chunks', () => {
  const { frames, pool } = memory()
  const random = new Random(3)
  for (const bytes of [0, 1, 60, 1514, 3840, 3841, 9216, 20_000]) {
    const frame = random.bytes(bytes)
    const address = copyIn(frames, pool, frame)
    notEqual(address, NO_FRAME)
    const head = headBytes(bytes)
    deepEqual(copyOut(frames, address, head, bytes), frame)
    const chunks = Math.max(1, Math.ceil(bytes / 3840))
    equal(frames.chunksOf(address, head, bytes), chunks)
    equal(pool.free, CHUNKS - 1 - chunks)
    pool.giveChain(address, head, bytes)
    equal(pool.free, CHUNKS - 1)
  }
})

test('a frame for which chunks are wanting takes none', () => {
  const { frames, pool } = memory()
  while (pool.free > 2) pool.take()
  equal(copyIn(frames, pool, new Uint8Array(9000)), NO_FRAME)
  equal(pool.free, 2)
})

test('frame memory begins on a page, and another thread sees the same frames and links', async () => {
  const shared = createFrameMemory(CHUNKS, firstPageIn)
  equal(firstPageIn(shared.buffer), shared.base)
  const frames = new Frames(shared)
  const pool = new FramePool(frames, 0, CHUNKS)
  const frame = new Random(4).bytes(9000)
  const address = copyIn(frames, pool, frame)
  const code = `
    const { workerData: { url, shared, address }, parentPort } = require('node:worker_threads')
    import(url + 'frames.ts').then(async ({ Frames }) => {
      const { copyOut } = await import(url + 'memory-port.ts')
      parentPort.postMessage(copyOut(new Frames(shared), address, 3840, 9000))
    })`
  const url = new URL('.', import.meta.url).href
  const seen = await new Promise((resolve, reject) => {
    const worker = new Worker(code, { eval: true, workerData: { url, shared, address } })
    worker.once('message', resolve).once('error', reject)
  })
  deepEqual(seen, frame)
})
