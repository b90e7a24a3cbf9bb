/**
 * A worker: one thread that owns its ports' queues, its frames and its counters, and carries each batch through all
 * stages to the end before it takes the next (run to completion). `step` is one turn of the loop, for tests and the
 * simulator; `run` is the loop itself.
 *
 * A worker never waits for another thread. With nothing to do it sleeps in poll, and has said so before: the FIB's
 * writer does not wait for it then, and whoever hands it a frame rings its bell.
 */

import { setImmediate as yieldToEventLoop } from 'node:timers/promises'
import { assert } from '../base/assert.ts'
import type { Clock } from '../base/clock.ts'
import { type EventFd, PollSet } from '../linux/poll.ts'
import { BATCH_MAX, Batch } from './batch.ts'
import type { Dispatcher } from './dispatch.ts'
import type { Ledger } from './ledger.ts'
import type { Port } from './port.ts'
import type { Program } from './program.ts'
import type { QsbrReader } from './qsbr.ts'
import type { Spin } from './spin.ts'

/**
 * Words in shared memory: `running` and `mail` (there is a message) are the agent's, `asleep` and `turns` the worker's.
 * The turns are counted now and then, and at least at every sleep: when they stand still, the worker does.
 */
export const WorkerFlag = { running: 0, asleep: 1, mail: 2, turns: 3 } as const
export const FLAG_WORDS = 16

export interface WorkerParts {
  readonly ports: readonly Port[]
  readonly program: Program
  readonly ledger: Ledger
  readonly qsbr: QsbrReader
  readonly clock: Clock
  /** Absent when there is one worker. */
  readonly dispatcher?: Dispatcher | undefined
}

/** How often a busy worker looks at its event loop; a look costs some 6 us. */
const HOUSEKEEPING_us = 1000

/**
 * The longest sleep: what rings no bell (a timer of the event loop) is at most this late. An idle worker costs 0.2% so.
 */
const SLEEP_MAX_ms = 200

/** While a port has frames that it could not send yet: as late as they may be for want of a bell. */
const SLEEP_UNSENT_ms = 1

/** Its place in the poll set. */
const BELL = 0

/**
 * For whoever handed a worker something: the call is made only if it sleeps, and by one of those who find it asleep.
 */
export function wake(flags: Int32Array, bell: EventFd): void {
  if (Atomics.exchange(flags, WorkerFlag.asleep, 0) === 1) bell.signal()
}

export class Worker {
  readonly #parts: WorkerParts
  readonly #batch = new Batch()
  #firstPort = 0
  #chunks: number | undefined

  constructor(parts: WorkerParts) {
    this.#parts = parts
  }

  /** One turn: returns the number of frames taken in. */
  step(): number {
    const { ports, program, ledger, dispatcher, qsbr } = this.#parts
    const batch = this.#batch
    if (dispatcher) dispatcher.receive(batch)
    const takenOver = batch.count
    ledger.takenOver(batch, 0)
    this.#receive(batch)
    ledger.received(batch, takenOver)
    const count = batch.count
    if (count > 0) {
      program.classify(batch)
      if (dispatcher) dispatcher.spread(batch, takenOver)
      program.process(batch)
      ledger.settle(batch)
    }
    if (program.originated.count > 0) ledger.settle(program.originated)
    for (let i = 0; i < ports.length; i++) ports[i]!.flush()
    ledger.balance()
    qsbr.quiescent()
    return count
  }

  // Each port gets its turn to be first, so that a full one cannot keep the others from ever being heard.
  #receive(batch: Batch): void {
    const ports = this.#parts.ports
    this.#firstPort = this.#firstPort + 1 < ports.length ? this.#firstPort + 1 : 0
    for (let i = 0; i < ports.length && batch.count < BATCH_MAX; i++) {
      const index = this.#firstPort + i < ports.length ? this.#firstPort + i : this.#firstPort + i - ports.length
      ports[index]!.receive(batch, index, BATCH_MAX - batch.count)
    }
  }

  /**
   * Runs until the running flag is cleared. `spin` is how long it looks on when there is nothing to do before it
   * sleeps.
   */
  async run(flags: Int32Array, bell: EventFd, spin: Spin): Promise<void> {
    const { clock, program, qsbr, ports } = this.#parts
    const sleep = new PollSet([bell.fd, ...ports.flatMap((port) => port.fds)])
    qsbr.online()
    let due_us = 0
    let busyUntil_us = 0
    while (Atomics.load(flags, WorkerFlag.running) === 1) {
      const taken = this.step()
      const now_us = clock.now_us()
      if (taken > 0) busyUntil_us = now_us + spin.us
      if (now_us >= due_us) {
        Atomics.add(flags, WorkerFlag.turns, 1)
        this.#conserve()
        spin.look(now_us)
        program.housekeeping(now_us)
        await yieldToEventLoop()
        due_us = now_us + HOUSEKEEPING_us
      } else if (taken === 0 && now_us >= busyUntil_us) {
        this.#sleep(sleep, flags, bell)
        program.housekeeping(clock.now_us()) // what is due is done before the frame that ended the sleep
        // Messages come through the event loop only.
        if (Atomics.exchange(flags, WorkerFlag.mail, 0) === 1) due_us = 0
      }
    }
    qsbr.offline()
  }

  /** For how long it may sleep on account of the ports. */
  #patience_ms(): number {
    let patience_ms = SLEEP_MAX_ms
    for (const port of this.#parts.ports) {
      if (port.pending) return 0
      if (port.unsent) patience_ms = SLEEP_UNSENT_ms
    }
    return patience_ms
  }

  // Between two batches every chunk is in the pool, in a port, or with another worker.
  #conserve(): void {
    const { ledger, dispatcher } = this.#parts
    const chunks = ledger.chunks() + (dispatcher?.balance ?? 0)
    this.#chunks ??= chunks
    assert(chunks === this.#chunks, `a worker had ${this.#chunks} chunks and now has ${chunks}`)
  }

  #sleep(sleep: PollSet, flags: Int32Array, bell: EventFd): void {
    const { dispatcher, qsbr } = this.#parts
    qsbr.offline()
    Atomics.store(flags, WorkerFlag.asleep, 1)
    const hasMail = Atomics.load(flags, WorkerFlag.mail) === 1
    const sleep_ms = hasMail || dispatcher?.pending() ? 0 : this.#patience_ms()
    Atomics.add(flags, WorkerFlag.turns, 1)
    if (sleep_ms > 0 && sleep.wait(sleep_ms) > 0 && sleep.ready(BELL) !== 0) bell.drain()
    Atomics.store(flags, WorkerFlag.asleep, 0)
    qsbr.online()
  }
}
