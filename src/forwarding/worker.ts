/**
 * What a forwarding node's worker threads load: the program over the node's shared memory, warmed up before it is handed
 * out.
 */

import { type ActionMemory, Actions } from '../dataplane/action.ts'
import { type FibMemory, FibReader } from '../dataplane/fib/fib.ts'
import type { Program, ProgramContext } from '../dataplane/program.ts'
import { corpus } from './corpus.ts'
import { MemoryNode } from './memory-node.ts'
import { ForwardingProgram } from './program.ts'
import { sampleBatch } from './sample-site.ts'
import { type SegmentMemory, Segments } from './segments.ts'

/** What the agent shares with its workers, beside what every worker has. */
export interface ForwardingMemory {
  readonly fib: FibMemory
  readonly actions: ActionMemory
  readonly segments: SegmentMemory
  /** Rows of the counters. */
  readonly tenants: number
}

/** After 300 rounds of the corpus nothing on it is compiled or deoptimised any more; they take a quarter of a second. */
const WARM_UP_ROUNDS = 300

export function createProgram(context: ProgramContext, parameters: unknown): Program {
  warmUp(WARM_UP_ROUNDS)
  const memory = parameters as ForwardingMemory
  const views = {
    frames: context.frames,
    pool: context.pool,
    ledger: context.ledger,
    fib: new FibReader(memory.fib),
    actions: new Actions(memory.actions),
    segments: new Segments(memory.segments),
    tenants: memory.tenants,
  }
  return new ForwardingProgram(views, (report) => context.post(report))
}

/** Replays every branch of the pipeline on a node in memory: the first packet of a tenant finds compiled code. */
export function warmUp(rounds: number): void {
  const node = new MemoryNode({ chunks: 512, tenants: 16, fibWords: 1 << 18 })
  node.apply(sampleBatch())
  const frames = corpus()
  for (let round = 0; round < rounds; round++) {
    for (let at = 0; at < frames.length; at += 32) node.send(...frames.slice(at, at + 32))
    // Answers are rate limited: time must pass for them to be given.
    node.clock.advance(100)
  }
  node.neighbours.close()
}
