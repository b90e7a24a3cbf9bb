/**
 * What a tenant's policies choose from for one destination, as an action: the ordinary way, and the ways that they name as far
 * as these lead there. Routes lead to its slot as to any other.
 *
 *   slot --> policy first, count --> ordinary, way, slot, way, slot, ...
 */

import { type ActionWriter, EMPTY_SLOT } from './action.ts'

export interface ChoiceWay {
  readonly way: number
  readonly slot: number
  /** Packets that have to go this way take another while it is not. */
  readonly isUp: boolean
}

interface Run {
  readonly first: number
  readonly count: number
}

export class PolicyChoice {
  readonly slot: number
  readonly #writer: ActionWriter
  #run: Run | undefined

  /** Undefined where slots, members or actions are exhausted. */
  static open(writer: ActionWriter, ordinary: number, ways: readonly ChoiceWay[]): PolicyChoice | undefined {
    const slot = writer.allocate()
    if (slot === undefined) return undefined
    const choice = new PolicyChoice(writer, slot)
    if (choice.update(ordinary, ways)) return choice
    choice.close()
    return undefined
  }

  private constructor(writer: ActionWriter, slot: number) {
    this.#writer = writer
    this.slot = slot
  }

  /** False where members or actions are exhausted. Who is on the way through finds what was there before, or what is now. */
  update(ordinary: number, ways: readonly ChoiceWay[]): boolean {
    const count = 1 + 2 * ways.length
    const first = this.#writer.allocateMembers(count)
    if (first === undefined) return false
    this.#writer.setMember(first, ordinary)
    for (const [i, { way, slot, isUp }] of ways.entries()) {
      this.#writer.setMember(first + 1 + 2 * i, way)
      this.#writer.setMember(first + 2 + 2 * i, isUp ? slot : EMPTY_SLOT)
    }
    if (!this.#writer.set(this.slot, { kind: 'policy', first, members: count })) {
      this.#writer.releaseMembers(first, count)
      return false
    }
    if (this.#run) this.#writer.releaseMembers(this.#run.first, this.#run.count)
    this.#run = { first, count }
    return true
  }

  close(): void {
    this.#writer.release(this.slot)
    if (this.#run) this.#writer.releaseMembers(this.#run.first, this.#run.count)
    this.#run = undefined
  }
}
