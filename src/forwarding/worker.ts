/**
 * What a forwarding node's worker threads load: the program over the node's shared memory, warmed up before it is handed
 * out.
 */

import { Random } from '../base/random.ts'
import { type ActionMemory, Actions } from '../dataplane/action.ts'
import { type FibMemory, FibReader } from '../dataplane/fib/fib.ts'
import { Policies, type PolicyMemory } from '../dataplane/policy.ts'
import type { Program, ProgramContext } from '../dataplane/program.ts'
import { spoilt } from '../wire/mutate.ts'
import { corpus } from './corpus.ts'
import { MemoryNode } from './memory-node.ts'
import { ForwardingProgram } from './program.ts'
import { crossingBatch } from './sample-site.ts'
import { type SegmentMemory, Segments } from './segments.ts'

/** What the agent shares with its workers, beside what every worker has. */
export interface ForwardingMemory {
  readonly fib: FibMemory
  readonly actions: ActionMemory
  readonly segments: SegmentMemory
  readonly policies: PolicyMemory
  /** Rows of the counters. */
  readonly tenants: number
}

/** After 200 rounds of the corpus nothing on it is compiled or deoptimised any more. */
const WARM_UP_ROUNDS = 200
const BATCH = 32

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
    policies: new Policies(memory.policies, context.worker),
    tenants: memory.tenants,
  }
  return new ForwardingProgram(views, (report) => context.post(report))
}

/**
 * Replays every branch of the pipeline on a node in memory: the first packet of a tenant finds compiled code. Spoilt frames,
 * others every time, meet the many checks of the headers.
 */
export function warmUp(rounds: number): void {
  const node = new MemoryNode({ chunks: 512, tenants: 16, fibWords: 1 << 18 })
  node.apply(crossingBatch())
  const frames = corpus()
  const random = new Random(1)
  for (let round = 0; round < rounds; round++) {
    for (let at = 0; at < frames.length; at += BATCH) node.send(...frames.slice(at, at + BATCH))
    node.send(...Array.from({ length: BATCH }, () => spoilt(random, random.pick(frames))))
    // Answers are limited in rate: time must pass for them to be given, and none for them to be refused.
    if (round % 16 === 0) node.clock.advance(1000)
  }
  node.neighbours.close()
}
