/** The worker's loop and its sleep; what it does with a batch is `ledger.test.ts`'s and the programs' tests'. */

import { deepEqual, ok } from 'node:assert/strict'
import { test } from 'node:test'
import { ManualClock, systemClock } from '../base/clock.ts'
import { EventFd } from '../linux/poll.ts'
import { Batch } from './batch.ts'
import { createFrameMemory, FramePool, Frames } from './frames.ts'
import { createCounterMemory, Ledger } from './ledger.ts'
import { MemoryPort } from './memory-port.ts'
import { createQsbrMemory, QsbrReader } from './qsbr.ts'
import { Spin } from './spin.ts'
import { FLAG_WORDS, Worker, WorkerFlag } from './worker.ts'

/** Says when it has been flushed so often. */
class CountedPort extends MemoryPort {
  override readonly unsent: boolean
  readonly #over: () => void
  #left: number

  constructor(frames: Frames, pool: FramePool, flushes: number, unsent: boolean, over: () => void) {
    super('port', frames, pool, 8)
    this.unsent = unsent
    this.#over = over
    this.#left = flushes
  }

  override flush(): void {
    super.flush()
    if (--this.#left === 0) this.#over()
  }
}

/**
 * Runs an idle worker until the port has been flushed so often; returns how long that took, and the worker's turns. Its
 * clock stands still, so that after the first turn, which looks at the event loop, each one ends in a sleep.
 */
async function flushes(count: number, unsent: boolean): Promise<{ took_ms: number; turns: number }> {
  const frames = new Frames(createFrameMemory(9))
  const pool = new FramePool(frames, 1, 9)
  const flags = new Int32Array(new SharedArrayBuffer(FLAG_WORDS * 4))
  flags[WorkerFlag.running] = 1
  const port = new CountedPort(frames, pool, count, unsent, () => Atomics.store(flags, WorkerFlag.running, 0))
  const ledger = new Ledger(createCounterMemory(1, 4), 0, pool, [port])
  const program = { originated: new Batch(), classify() {}, process() {}, housekeeping() {}, message() {} }
  const qsbr = new QsbrReader(createQsbrMemory(1), 0)
  const worker = new Worker({ ports: [port], program, ledger, qsbr, clock: new ManualClock() })
  const bell = new EventFd()
  const start_us = systemClock.now_us()
  await worker.run(flags, bell, new Spin(0, () => 0))
  bell.close()
  return { took_ms: (systemClock.now_us() - start_us) / 1000, turns: flags[WorkerFlag.turns]! }
}

test('a worker sleeps long when there is nothing to do, and a millisecond while a port could not send all', async () => {
  const idle = await flushes(5, false)
  ok(idle.took_ms > 700, `four sleeps in ${idle.took_ms} ms`)
  const full = await flushes(10, true)
  ok(full.took_ms < 1000, `nine sleeps in ${full.took_ms} ms`)
  deepEqual(
    [idle, full].map(({ turns }) => turns),
    [5, 10],
  )
})
