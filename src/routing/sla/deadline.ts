/**
 * By when something has to have come. When this thread was kept from its work meanwhile, what has come is not read yet, and
 * what takes several turns has not had them: it gets as much time again.
 */

import type { Clock, Timer } from '../../base/clock.ts'

/** A timer that is late by more means that this thread was kept from its work. */
const STALL_us = 10_000

export class Deadline {
  readonly #clock: Clock
  readonly #due_us: number
  #timer: Timer

  constructor(clock: Clock, within_ms: number, over: () => void) {
    this.#clock = clock
    this.#due_us = clock.now_us() + within_ms * 1000
    this.#timer = clock.after(within_ms, () => {
      if (this.isOverdue) this.#timer = clock.after(within_ms, over)
      else over()
    })
  }

  /** It should have been over a while ago: the thread has not come to it. */
  get isOverdue(): boolean {
    return this.#clock.now_us() - this.#due_us >= STALL_us
  }

  cancel(): void {
    this.#timer.cancel()
  }
}
