import { deepEqual, equal, throws } from 'node:assert/strict'
import { test } from 'node:test'
import { ManualClock } from '../base/clock.ts'
import { Batch, DELIVERED, FORWARD, MOVED, UNKNOWN_TENANT } from './batch.ts'
import { Drop } from './drop.ts'
import { createFrameMemory, FramePool, Frames } from './frames.ts'
import { CounterReader, createCounterMemory, FIRST_TENANT, Ledger, unaccounted } from './ledger.ts'
import { MemoryPort } from './memory-port.ts'
import { numbered } from './port-suite.ts'
import type { Program } from './program.ts'
import { createQsbrMemory, QsbrReader } from './qsbr.ts'
import { Worker } from './worker.ts'

const CHUNKS = 256
const ACME = FIRST_TENANT
const GLOBEX = FIRST_TENANT + 1

/** A worker whose program gives frame i the verdict of row i. */
function scene(verdicts: readonly number[], { capacity = 64, spoil = (_: Batch) => {} } = {}) {
  const frames = new Frames(createFrameMemory(1 + CHUNKS))
  const pool = new FramePool(frames, 1, 1 + CHUNKS)
  const port = new MemoryPort('port', frames, pool, capacity)
  const memory = createCounterMemory(2, 4)
  const ledger = new Ledger(memory, 1, pool, [port])
  const program: Program = {
    originated: new Batch(),
    classify(batch) {
      batch.verdict.set(verdicts)
    },
    process(batch) {
      for (let row = 0; row < batch.count; row++) if (row > 0) batch.tenant[row] = row % 2 === 0 ? ACME : GLOBEX
      ledger.admitted(batch)
      spoil(batch)
    },
    housekeeping() {},
    message() {},
  }
  const qsbr = new QsbrReader(createQsbrMemory(1), 0)
  const worker = new Worker({ ports: [port], program, ledger, qsbr, clock: new ManualClock() })
  const feed = (): void => verdicts.forEach((_, i) => void port.inject(numbered(i, 100)))
  return { worker, port, pool, ledger, program, frames, feed, reader: new CounterReader(memory) }
}

test('every frame is counted once for its worker and once for its tenant, under where it went', () => {
  const verdicts = [Drop['not-ip'], FORWARD, DELIVERED, Drop['no-route'], Drop['no-route'], MOVED, FORWARD]
  const { worker, port, pool, reader, feed } = scene(verdicts)
  feed()
  equal(worker.step(), verdicts.length)
  equal(port.sent().length, 2)

  const nothing = { originated: 0, takenOver: 0, handedOver: 0 }
  const node = reader.node()
  deepEqual(node, {
    ...{ received: 7, receivedBytes: 700, sent: 2, sentBytes: 200, delivered: 1 },
    ...{ ...nothing, handedOver: 1, drops: { 'not-ip': 1, 'no-route': 2 } },
  })
  deepEqual(reader.worker(1), node)
  equal(reader.worker(0).received, 0)
  deepEqual(reader.tenant(UNKNOWN_TENANT), {
    ...{ received: 1, receivedBytes: 100, sent: 0, sentBytes: 0, delivered: 0, ...nothing, drops: { 'not-ip': 1 } },
  })
  // Rows 2, 4 and 6; the fifth was handed over and is admitted where it goes.
  deepEqual(reader.tenant(ACME), {
    ...{ received: 3, receivedBytes: 300, sent: 1, sentBytes: 100, delivered: 1, ...nothing, drops: { 'no-route': 1 } },
  })
  deepEqual(reader.tenant(GLOBEX), {
    ...{ received: 2, receivedBytes: 200, sent: 1, sentBytes: 100, delivered: 0, ...nothing, drops: { 'no-route': 1 } },
  })
  for (const row of [0, UNKNOWN_TENANT, ACME, GLOBEX]) equal(unaccounted(reader.tenant(row)), 0)
  equal(pool.free, CHUNKS - 1, 'all but the chunk that was handed over')
})

test('what a full port refuses is a drop of its tenant, and its chunk comes back', () => {
  const { worker, pool, reader, feed } = scene([FORWARD, FORWARD, FORWARD, FORWARD], { capacity: 2 })
  feed()
  worker.step()
  const { sent, drops } = reader.node()
  deepEqual({ sent, drops }, { sent: 2, drops: { 'port-full': 2 } })
  equal(pool.free, CHUNKS)
})

test('what a worker makes is on both sides of its books', () => {
  const { worker, pool, frames, ledger, program, port, reader } = scene([])
  const address = pool.take() + 256
  frames.bytes.set(numbered(9), address)
  program.originated.tenant[program.originated.push(0, address, 60, 60)] = ACME
  ledger.originated(ACME)
  ledger.notOriginated(GLOBEX, Drop['no-frames'])
  worker.step()
  deepEqual(port.sent(), [numbered(9)])
  const { originated, sent, drops } = reader.node()
  deepEqual({ originated, sent, drops }, { originated: 2, sent: 1, drops: { 'no-frames': 1 } })
  for (const row of [0, ACME, GLOBEX]) equal(unaccounted(reader.tenant(row)), 0)
})

const MISTAKES: readonly (readonly [what: string, spoil: (batch: Batch) => void, message: RegExp])[] = [
  ['loses a frame', (batch) => void batch.count--, /do not balance: 3 frames in, 2 out/],
  ['makes one that it does not say', (batch) => void batch.count++, /given back twice|do not balance/],
  ['gives a verdict that there is not', (batch) => void batch.verdict.fill(222), /222 is no verdict/],
]

for (const [what, spoil, message] of MISTAKES)
  test(`a worker whose program ${what} stops`, () => {
    const { worker, feed } = scene([Drop['no-route'], Drop['no-route'], Drop['no-route']], { spoil })
    feed()
    throws(() => worker.step(), message)
  })

test('a row that another tenant takes over begins at nothing, in all workers', () => {
  const { worker, reader, feed } = scene([FORWARD, FORWARD, FORWARD])
  feed()
  worker.step()
  equal(reader.tenant(ACME).received, 1)
  reader.reset(ACME)
  equal(reader.tenant(ACME).received, 0)
  equal(reader.tenant(GLOBEX).received, 1)
  equal(reader.node().received, 3)
})
