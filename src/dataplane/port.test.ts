import { deepEqual, equal, ok } from 'node:assert/strict'
import { test } from 'node:test'
import { ManualClock } from '../base/clock.ts'
import { Random } from '../base/random.ts'
import { LINK_TYPE_ETHERNET, type Pcap, readPcap } from '../wire/pcap.ts'
import { BATCH_MAX, Batch, FORWARD } from './batch.ts'
import { Drop } from './drop.ts'
import { FaultPort, type Faults } from './fault-port.ts'
import { createFrameMemory, FramePool, Frames } from './frames.ts'
import { copyOut, MemoryPort } from './memory-port.ts'
import { numbered, type PortBench, portSuite } from './port-suite.ts'
import { type CaptureWriter, ReplayPort } from './replay-port.ts'

const CHUNKS = 1024
const CAPACITY = 128

function memory(): { frames: Frames; pool: FramePool } {
  const frames = new Frames(createFrameMemory(CHUNKS))
  return { frames, pool: new FramePool(frames, 0, CHUNKS) }
}

function memoryBench(): PortBench & { port: MemoryPort } {
  const { frames, pool } = memory()
  const port = new MemoryPort('memory', frames, pool, CAPACITY)
  return {
    ...{ port, frames, pool, capacity: CAPACITY },
    feed: (frame) => ok(port.inject(frame)),
    drain: () => port.sent(),
    close: () => port.close(),
  }
}

function faultBench(faults: Faults, seed = 1) {
  const bench = memoryBench()
  const clock = new ManualClock()
  const port = new FaultPort(bench.port, faults, { ...bench, random: new Random(seed), clock })
  return { ...bench, port, clock, close: () => port.close() }
}

/** Joins what a capture writer was given. */
function captured(): { capture: CaptureWriter; pcap: () => Pcap } {
  const parts: Uint8Array[] = []
  return { capture: (bytes) => void parts.push(bytes), pcap: () => readPcap(Buffer.concat(parts)) }
}

function recordingOf(...frames: Uint8Array[]): Pcap {
  const records = frames.map((bytes, i) => ({ seconds: i, nanoseconds: 500, bytes, originalLength: bytes.length }))
  return { linkType: LINK_TYPE_ETHERNET, records, fault: undefined }
}

function replayBench(): PortBench {
  const { frames, pool } = memory()
  const recording = recordingOf()
  const { capture, pcap } = captured()
  const port = new ReplayPort('replay', frames, pool, { recording, clock: new ManualClock(), capture })
  let seen = 0
  return {
    ...{ port, frames, pool, capacity: 4096 },
    feed: (frame) => void recording.records.push(...recordingOf(frame).records),
    drain() {
      const bytes = pcap()
        .records.slice(seen)
        .map((record) => Uint8Array.from(record.bytes))
      seen += bytes.length
      return bytes
    },
    close: () => port.close(),
  }
}

portSuite('memory port', memoryBench)
portSuite('replay port', replayBench)
portSuite('fault port without faults', () => faultBench({}))

test('a recording is played at the pace at which it was captured', () => {
  const { frames, pool } = memory()
  const clock = new ManualClock()
  const recording = recordingOf(numbered(0), numbered(1), numbered(2))
  const port = new ReplayPort('replay', frames, pool, { recording, clock, paced: true })
  const batch = new Batch()
  const counts = [0, 999, 1, 1000].map((ms) => {
    clock.advance(ms)
    port.receive(batch, 0, BATCH_MAX)
    return batch.count
  })
  deepEqual(counts, [1, 1, 2, 3])
  ok(port.ended)
})

test('what a replay port sends is a capture file with the time of its clock', () => {
  const { frames, pool } = memory()
  const clock = new ManualClock()
  clock.advance(2500)
  const { capture, pcap } = captured()
  const port = new ReplayPort('replay', frames, pool, { recording: recordingOf(numbered(5)), clock, capture })
  const batch = new Batch()
  port.receive(batch, 0, BATCH_MAX)
  ok(port.send(batch.address[0]!, batch.length[0]!, batch.total[0]!))
  port.flush()
  const { records, fault } = pcap()
  equal(fault, undefined)
  equal(records.length, 1)
  const { seconds, nanoseconds, bytes } = records[0]!
  deepEqual(
    { seconds, nanoseconds, bytes: Uint8Array.from(bytes) },
    { seconds: 2, nanoseconds: 5e8, bytes: numbered(5) },
  )
})

const COUNT = 2000

/** What comes out of a fault port into which numbered frames are put, with the verdicts, and all chunks afterwards. */
function through(faults: Faults, seed = 1) {
  const bench = faultBench(faults, seed)
  const { port, pool, frames, clock } = bench
  const chunks = pool.free
  const batch = new Batch()
  const out: { frame: Uint8Array; number: number; verdict: number }[] = []
  const take = (): void => {
    port.receive(batch, 0, BATCH_MAX)
    for (let i = 0; i < batch.count; i++) {
      const frame = copyOut(frames, batch.address[i]!, batch.length[i]!, batch.total[i]!)
      out.push({ frame, number: (frame[14]! << 8) | frame[15]!, verdict: batch.verdict[i]! })
      pool.giveChain(batch.address[i]!, batch.length[i]!, batch.total[i]!)
    }
    batch.count = 0
    equal(pool.free + port.holds, chunks)
  }
  for (let i = 0; i < COUNT; i++) {
    bench.feed(numbered(i))
    take()
    clock.advance(0.01)
  }
  clock.advance(1000)
  for (let i = 0; i < 40; i++) take()
  equal(port.holds, 0)
  equal(pool.free, chunks)
  return { out, struck: port.struck, numbers: out.map(({ number }) => number) }
}

const inOrder = Array.from({ length: COUNT }, (_, i) => i)
const isNear = (count: number, expected: number): void =>
  ok(Math.abs(count - expected) < expected * 0.25, `${count} is not about ${expected}`)

test('lost frames are rows of the batch under their reason, as many as the probability says', () => {
  const { out, struck, numbers } = through({ loss: 0.1 })
  deepEqual(numbers, inOrder)
  const lost = out.filter(({ verdict }) => verdict === Drop['injected-loss']).length
  equal(lost, struck.loss)
  equal(out.filter(({ verdict }) => verdict === FORWARD).length, COUNT - lost)
  isNear(lost, 200)
})

test('a double is a frame of its own, equal to the first', () => {
  const { struck, numbers } = through({ duplication: 0.1 })
  equal(numbers.length, COUNT + struck.duplication)
  deepEqual([...new Set(numbers)], inOrder)
  isNear(struck.duplication, 200)
})

test('corruption flips one bit', () => {
  const { out, struck } = through({ corruption: 0.1 })
  const bits = out.map(({ frame }, i) => {
    const whole = numbered(i)
    return frame.reduce((sum, byte, at) => sum + (byte ^ whole[at]!).toString(2).replaceAll('0', '').length, 0)
  })
  deepEqual(new Set(bits), new Set([0, 1]))
  equal(bits.filter((count) => count === 1).length, struck.corruption)
  isNear(struck.corruption, 200)
})

test('corruption reaches every part of a chained frame', () => {
  const bench = faultBench({ corruption: 1 })
  const batch = new Batch()
  const parts = new Set<number>()
  const whole = numbered(1, 9000)
  for (let i = 0; i < 60; i++) {
    bench.feed(whole)
    bench.port.receive(batch, 0, 1)
    const frame = copyOut(bench.frames, batch.address[0]!, batch.length[0]!, batch.total[0]!)
    parts.add(Math.floor(frame.findIndex((byte, at) => byte !== whole[at]) / 3840))
    bench.pool.giveChain(batch.address[0]!, batch.length[0]!, batch.total[0]!)
    batch.count = 0
  }
  deepEqual([...parts].sort(), [0, 1, 2])
})

test('reordered frames are overtaken by one to four others, and none is kept back for good', () => {
  const { struck, numbers } = through({ reordering: 0.1 })
  deepEqual(
    [...numbers].sort((a, b) => a - b),
    inOrder,
  )
  // Places behind where it would have been, less what reordered neighbours add.
  const late = numbers.filter((number, at) => at > number)
  isNear(late.length, struck.reordering)
  ok(numbers.every((number, at) => at - number <= 8))
})

test('a delayed frame waits its time and is held meanwhile', () => {
  const { port, clock, feed, pool, frames } = faultBench({ delay: 1, delay_us: 500 })
  const batch = new Batch()
  for (let i = 0; i < 20; i++) feed(numbered(i))
  port.receive(batch, 0, BATCH_MAX)
  const early = batch.count
  ok(early < 20)
  equal(port.holds, 20 - early)
  clock.advance(0.5)
  port.receive(batch, 0, BATCH_MAX)
  equal(batch.count, 20)
  equal(port.holds, 0)
  for (let i = 0; i < 20; i++) pool.giveChain(batch.address[i]!, batch.length[i]!, batch.total[i]!)
  equal(pool.free, frames.bytes.length / 4096 - 1)
})

test('the same seed gives the same faults', () => {
  const faults = { loss: 0.05, duplication: 0.05, corruption: 0.05, delay: 0.1, delay_us: 200, reordering: 0.1 }
  deepEqual(through(faults, 7).out, through(faults, 7).out)
  ok(JSON.stringify(through(faults, 7).numbers) !== JSON.stringify(through(faults, 8).numbers))
})
