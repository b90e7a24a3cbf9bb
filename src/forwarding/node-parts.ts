/** What the agent's pieces of one forwarding node share: the writers of shared memory, and the ways out of the node. */

import type { BrokenPathsKnown } from '../agent/broken-paths.ts'
import type { Random } from '../base/random.ts'
import type { ActionWriter } from '../dataplane/action.ts'
import type { FibWriter } from '../dataplane/fib/fib.ts'
import type { PolicyWriter } from '../dataplane/policy.ts'
import type { Ways } from '../dataplane/ways.ts'
import type { Gleaners } from './gleaner.ts'
import type { NeighbourTable } from './neighbour-table.ts'
import type { SendFrame } from './program.ts'
import type { SegmentState } from './segment-state.ts'
import type { SegmentWriter } from './segments.ts'

export interface NodeParts {
  readonly random: Random
  readonly actions: ActionWriter
  readonly segments: SegmentWriter
  readonly policies: PolicyWriter
  readonly fib: FibWriter
  readonly ways: Ways
  readonly neighbours: NeighbourTable
  /** By their numbers in shared memory, which is how workers name them. */
  readonly segmentsByNumber: Map<number, SegmentState>
  readonly gleaners: Gleaners
  /** Ways to tenants' networks. */
  readonly broken: BrokenPathsKnown
  /** Has a worker send a frame as it is. */
  send(frame: SendFrame): void
}
