/**
 * When does a speaker that has started know what its peers say? Once its sessions are up and have been silent for a moment,
 * and at the latest after the time for which routes of its life before may be kept: a neighbour that is gone for good must
 * not keep them for ever. (End-of-RIB, RFC 4724 section 2, would say it for those who send it. Silence says it for all.)
 */

import type { Clock, Timer } from '../../base/clock.ts'

const LOOK_ms = 250
/** A table on its way comes in batches that follow each other at once. */
const SILENT_ms = 1500

export interface SettlingOptions {
  readonly clock: Clock
  /** Of each neighbour whose session is to be here: is it up? */
  readonly sessions: () => Promise<readonly boolean[]>
  /** When something was last learnt. */
  readonly said_us: () => number
  readonly within_ms: number
  readonly settled: () => void
}

export class Settling {
  readonly #options: SettlingOptions
  readonly #timer: Timer
  readonly #began_us: number
  #until_us: number
  #isLooking = false
  #isOver = false

  constructor(options: SettlingOptions) {
    this.#options = options
    const { clock, within_ms } = options
    this.#began_us = clock.now_us()
    this.#until_us = this.#began_us + within_ms * 1000
    this.#timer = clock.every(LOOK_ms, () => void this.#look())
  }

  /** It may not take longer than this from now on. */
  hurry(within_ms: number): void {
    this.#until_us = Math.min(this.#until_us, this.#options.clock.now_us() + within_ms * 1000)
  }

  close(): void {
    this.#isOver = true
    this.#timer.cancel()
  }

  async #look(): Promise<void> {
    if (this.#isLooking) return
    this.#isLooking = true
    const isTime = (await this.#isSettled()) || this.#options.clock.now_us() >= this.#until_us
    this.#isLooking = false
    if (!isTime || this.#isOver) return
    this.close()
    this.#options.settled()
  }

  async #isSettled(): Promise<boolean> {
    const { clock, sessions, said_us } = this.#options
    const areUp = (await sessions()).every((isUp) => isUp)
    return areUp && clock.now_us() - Math.max(said_us(), this.#began_us) >= SILENT_ms * 1000
  }
}
