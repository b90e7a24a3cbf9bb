/**
 * What a module puts into a worker's loop: a program. The worker thread imports the module's program by its URL, calls
 * `createProgram` once, before it opens its first port, and carries every batch through what that returned. All of it
 * runs in the worker's thread and works on the batch in place, see `batch.ts`.
 */

import type { Clock } from '../base/clock.ts'
import type { Batch } from './batch.ts'
import type { FramePool, Frames } from './frames.ts'
import type { Ledger } from './ledger.ts'

export interface Program {
  /** First stage: finds the flow and writes `hash`; drops what is malformed. */
  classify(batch: Batch): void
  /** The rest of the way, on the worker that the flow belongs to; admits every row to the ledger. */
  process(batch: Batch): void
  /** Frames made on the way (ICMP errors and the like), rewritten and ready to leave. */
  readonly originated: Batch
  /** Once a millisecond under load, and after each sleep. */
  housekeeping(now_us: number): void
  /** From the agent, between two batches. */
  message(message: unknown): void
}

/** What a program is given of the worker that it runs in. */
export interface ProgramContext {
  readonly worker: number
  readonly workers: number
  readonly frames: Frames
  readonly pool: FramePool
  readonly ledger: Ledger
  /** Names; a port's place here is its number in batches and actions. */
  readonly ports: readonly string[]
  readonly clock: Clock
  /** To the agent. Copied, so for what is rare: deliveries and news, not packets on their way. */
  post(message: unknown): void
}

/**
 * `parameters` is what the agent handed to `startWorkers`: shared memory arrives as itself, all else as a copy.
 * Whatever shall be warm when the first packet comes (see the corpora of the modules) is run in here.
 */
export type CreateProgram = (context: ProgramContext, parameters: unknown) => Program

/** What a program's module exports. */
export interface ProgramModule {
  readonly createProgram: CreateProgram
}
