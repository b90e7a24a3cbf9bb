/**
 * What every port must hold, written once: who owns a frame when, the order of frames, that no chunk is lost or
 * doubled, and that a chained frame arrives whole. An implementation's test file says how its port is opened and what
 * is at the other end.
 */

import { deepEqual, equal, ok } from 'node:assert/strict'
import { test } from 'node:test'
import { BATCH_MAX, Batch, FORWARD } from './batch.ts'
import { type FramePool, type Frames, NO_FRAME } from './frames.ts'
import { copyIn, copyOut, headBytes } from './memory-port.ts'
import type { Port } from './port.ts'

/** A port, and the other end of its wire. */
export interface PortBench {
  readonly port: Port
  readonly frames: Frames
  readonly pool: FramePool
  /** Frames that the port takes between two flushes before it is full. */
  readonly capacity: number
  /** Sends to the port. */
  feed(frame: Uint8Array): void
  /** What has come out of the port since the last call. */
  drain(): Uint8Array[]
  close(): void
}

/** A frame of the largest jumbo size is 9,216 bytes. */
const SIZES = [60, 1514, 3840, 3841, 7680, 9014, 9216]

/** Turns that are looked on before a frame counts as lost; a device hands over within a few. */
const TURNS_MAX = 20_000

const PORT = 3

/** A frame that is told from all others by its number, with an EtherType that no kernel answers. */
export function numbered(number: number, bytes = 60): Uint8Array {
  const frame = Uint8Array.from({ length: bytes }, (_, i) => i * 13 + number)
  frame.set([2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 0x88, 0xb5, number >>> 8, number])
  return frame
}

function receive(bench: PortBench, batch: Batch, count: number): void {
  for (let turn = 0; batch.count < count && turn < TURNS_MAX; turn++) {
    bench.port.receive(batch, PORT, BATCH_MAX - batch.count)
    bench.port.flush()
  }
  equal(batch.count, count, 'frames received')
}

function taken(bench: PortBench, batch: Batch): Uint8Array[] {
  const { address, length, total } = batch
  return Array.from({ length: batch.count }, (_, i) => copyOut(bench.frames, address[i]!, length[i]!, total[i]!))
}

function giveBack(bench: PortBench, batch: Batch): void {
  for (let i = 0; i < batch.count; i++) bench.pool.giveChain(batch.address[i]!, batch.length[i]!, batch.total[i]!)
  batch.count = 0
}

function send(bench: PortBench, frame: Uint8Array): boolean {
  const address = copyIn(bench.frames, bench.pool, frame)
  ok(address !== NO_FRAME, 'a free chunk')
  const sent = bench.port.send(address, headBytes(frame.length), frame.length)
  if (!sent) bench.pool.giveChain(address, headBytes(frame.length), frame.length)
  return sent
}

function drained(bench: PortBench, count: number): Uint8Array[] {
  const out: Uint8Array[] = []
  for (let turn = 0; out.length < count && turn < TURNS_MAX; turn++) {
    bench.port.flush()
    out.push(...bench.drain())
  }
  return out
}

const chunksIn = (bench: PortBench): number => bench.pool.free + bench.port.holds

function chunksOf(bench: PortBench, batch: Batch): number {
  const { address, length, total } = batch
  return Array.from({ length: batch.count }, (_, i) =>
    bench.frames.chunksOf(address[i]!, length[i]!, total[i]!),
  ).reduce((sum, count) => sum + count, 0)
}

const CHECKS: readonly (readonly [what: string, check: (bench: PortBench) => void])[] = [
  [
    'frames come in whole, in order, and marked with the port that they came from',
    (bench) => {
      const sent = Array.from({ length: 10 }, (_, i) => numbered(i, 60 + i * 100))
      const batch = new Batch()
      for (const frame of sent) bench.feed(frame)
      receive(bench, batch, sent.length)
      deepEqual(taken(bench, batch), sent)
      deepEqual(new Set(batch.port.subarray(0, batch.count)), new Set([PORT]))
      deepEqual(new Set(batch.verdict.subarray(0, batch.count)), new Set([FORWARD]))
      giveBack(bench, batch)
    },
  ],

  [
    'no more frames are taken than were asked for, and none are lost by that',
    (bench) => {
      const batch = new Batch()
      for (let i = 0; i < 5; i++) bench.feed(numbered(i))
      for (let turn = 0; batch.count < 5 && turn < TURNS_MAX; turn++) {
        const before = batch.count
        bench.port.receive(batch, PORT, 2)
        ok(batch.count - before <= 2)
        bench.port.receive(batch, PORT, 0)
        bench.port.flush()
      }
      deepEqual(
        taken(bench, batch),
        [0, 1, 2, 3, 4].map((i) => numbered(i)),
      )
      giveBack(bench, batch)
    },
  ],

  [
    'frames go out whole and in order, and their chunks come back',
    (bench) => {
      const before = chunksIn(bench)
      const frames = Array.from({ length: 10 }, (_, i) => numbered(i, 60 + i * 100))
      for (const frame of frames) ok(send(bench, frame))
      deepEqual(drained(bench, frames.length), frames)
      equal(chunksIn(bench), before)
    },
  ],

  [
    'frames of every size up to the largest jumbo frame pass both ways',
    (bench) => {
      const before = chunksIn(bench)
      const batch = new Batch()
      for (const [i, bytes] of SIZES.entries()) {
        const frame = numbered(i, bytes)
        bench.feed(frame)
        receive(bench, batch, 1)
        deepEqual(taken(bench, batch), [frame], `${bytes} bytes in`)
        giveBack(bench, batch)
        ok(send(bench, frame))
        deepEqual(drained(bench, 1), [frame], `${bytes} bytes out`)
      }
      equal(chunksIn(bench), before)
    },
  ],

  [
    'a frame that was received is sent as it lies, shortened and prolonged at its front',
    (bench) => {
      const before = chunksIn(bench)
      const batch = new Batch()
      for (const bytes of [200, 9000]) {
        const frame = numbered(1, bytes)
        bench.feed(frame)
        receive(bench, batch, 1)
        const at = batch.address[0]!
        bench.frames.bytes.copyWithin(at - 40, at, at + 14)
        ok(bench.port.send(at - 40, batch.length[0]! + 40, batch.total[0]! + 40))
        batch.count = 0
        const [out] = drained(bench, 1)
        deepEqual(out, Uint8Array.of(...frame.subarray(0, 14), ...out!.subarray(14, 40), ...frame))
      }
      equal(chunksIn(bench), before)
    },
  ],

  [
    'a full port refuses, what it refused is still the caller’s, and it goes on after a flush',
    (bench) => {
      const before = chunksIn(bench)
      for (let i = 0; i < bench.capacity; i++) ok(send(bench, numbered(i)), `frame ${i}`)
      const address = copyIn(bench.frames, bench.pool, numbered(0))
      equal(bench.port.send(address, 60, 60), false)
      bench.pool.give(address)
      equal(drained(bench, bench.capacity).length, bench.capacity)
      ok(send(bench, numbered(7)))
      deepEqual(drained(bench, 1), [numbered(7)])
      equal(chunksIn(bench), before)
    },
  ],

  [
    'every chunk is in the pool, in the port or in the batch, at any time',
    (bench) => {
      const before = chunksIn(bench)
      const batch = new Batch()
      for (let round = 0; round < 100; round++) {
        for (let i = 0; i < 1 + (round % 7); i++) bench.feed(numbered(i, round % 5 === 0 ? 9000 : 300))
        bench.port.receive(batch, PORT, BATCH_MAX - batch.count)
        equal(chunksIn(bench) + chunksOf(bench, batch), before)
        for (let i = 0; i < batch.count; i++) {
          const { address, length, total } = batch
          if (i % 2 === 0 || !bench.port.send(address[i]!, length[i]!, total[i]!))
            bench.pool.giveChain(address[i]!, length[i]!, total[i]!)
        }
        batch.count = 0
        equal(chunksIn(bench), before)
        bench.port.flush()
        bench.drain()
        equal(chunksIn(bench), before)
      }
    },
  ],

  [
    'what it holds when it is closed is accounted for',
    (bench) => {
      const before = chunksIn(bench)
      for (let i = 0; i < 4; i++) bench.feed(numbered(i, 5000))
      bench.port.flush()
      bench.port.close()
      equal(chunksIn(bench), before)
    },
  ],
]

export function portSuite(name: string, open: () => PortBench, options: { skip?: string | false } = {}): void {
  for (const [what, check] of CHECKS)
    test(`${name}: ${what}`, options, () => {
      const bench = open()
      try {
        check(bench)
      } finally {
        bench.close()
      }
    })
}
