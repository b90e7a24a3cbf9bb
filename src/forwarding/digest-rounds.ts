/**
 * Rounds through the tenants that a node holds: what is in its FIB's memory of each, as a digest that the control module
 * compares with what it has compiled. A few tenants at a time, so that all have had their turn in a minute, and in slices
 * between which the agent does its other work. A batch that comes in between makes a tenant wait for its next turn.
 */

import type { Clock, Timer } from '../base/clock.ts'
import { inSlices } from '../base/slices.ts'
import { DIGEST_FORMAT, type FibDigests, type TenantDigest } from '../wire/control/digest.ts'
import type { Holdings } from './holdings.ts'

const ROUND_ms = 60_000
const TURN_EVERY_ms = 250
/** One message, and what the agent has to do in one turn. */
const TENANTS_AT_ONCE = 256

export interface DigestRoundsOptions {
  readonly node: string
  readonly cluster: string
  readonly holdings: Holdings
  readonly clock: Clock
  /** Of the feed that all is from; undefined while it is none. */
  incarnation(): string | undefined
  say(news: FibDigests): void
}

export class DigestRounds {
  readonly #options: DigestRoundsOptions
  readonly #timer: Timer
  /** Tenants whose turn has not come in this round, the last one first. */
  #left: number[] = []
  /** In a turn. */
  #atOnce = 0
  #begun_us = -Infinity
  #turn: Promise<void> | undefined

  constructor(options: DigestRoundsOptions) {
    this.#options = options
    this.#timer = options.clock.every(TURN_EVERY_ms, () => void this.turn())
  }

  /** Looks at the next few tenants; resolves when that is done. */
  turn(): Promise<void> {
    this.#turn ??= this.#take().finally(() => {
      this.#turn = undefined
    })
    return this.#turn
  }

  async close(): Promise<void> {
    this.#timer.cancel()
    await this.#turn
  }

  async #take(): Promise<void> {
    const { node, cluster, holdings, clock, incarnation, say } = this.#options
    if (this.#left.length === 0) this.#begin()
    const [asOf, feed] = [holdings.asOf, incarnation()]
    if (!asOf || feed === undefined) return
    const tenants: TenantDigest[] = []
    for (const id of this.#left.splice(-this.#atOnce)) {
      const digest = await inSlices(holdings.digest(id), clock)
      // What comes after it would be of another generation.
      if (holdings.asOf !== asOf || incarnation() !== feed) break
      if (digest) tenants.push(digest)
    }
    if (tenants.length === 0) return
    say({ node, cluster, format: DIGEST_FORMAT, incarnation: feed, ...asOf, tenants })
  }

  #begin(): void {
    const { holdings, clock } = this.#options
    if (clock.now_us() - this.#begun_us < ROUND_ms * 1000) return
    this.#begun_us = clock.now_us()
    this.#left = Array.from(holdings.tenants(), ({ id }) => id)
    this.#atOnce = Math.min(Math.ceil((this.#left.length * TURN_EVERY_ms) / ROUND_ms) || 1, TENANTS_AT_ONCE)
  }
}
