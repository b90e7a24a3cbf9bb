/** The policies that a neighbour's routes meet in one direction, and what becomes of those that none decides on. */

import type { Family } from '../../wire/bgp/family.ts'
import { Evaluator } from './evaluator.ts'
import type { CompiledPolicy } from './term.ts'
import type { Workbench } from './workbench.ts'

export type Direction = 'in' | 'out'

export class Chain {
  readonly id: number
  readonly direction: Direction
  readonly policies: readonly CompiledPolicy[]
  /** What no term decides on is accepted. */
  readonly accepts: boolean
  /** Routes that say that they are about to go are the last choice (RFC 8326). */
  readonly gracefulShutdown: boolean
  readonly #bench: Workbench
  readonly #evaluators: (Evaluator | undefined)[] = []

  constructor(
    id: number,
    of: Pick<Chain, 'direction' | 'policies' | 'accepts' | 'gracefulShutdown'>,
    bench: Workbench,
  ) {
    this.id = id
    this.direction = of.direction
    this.policies = of.policies
    this.accepts = of.accepts
    this.gracefulShutdown = of.gracefulShutdown
    this.#bench = bench
  }

  /** All routes pass as they are. */
  get isOpen(): boolean {
    return this.policies.length === 0 && this.accepts && !this.gracefulShutdown
  }

  evaluator(family: Family): Evaluator {
    const known = this.#evaluators[family]
    if (known) return known
    const made = new Evaluator(this, family, this.#bench)
    this.#evaluators[family] = made
    return made
  }
}
