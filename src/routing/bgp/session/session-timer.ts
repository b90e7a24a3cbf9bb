/**
 * One of a session's timers (RFC 4271 section 8.1.3), made for being restarted with every message: a restart that only
 * moves the end on stores a number, and the clock's timer, when it rings early, looks where the end is now.
 */

import type { Clock, Timer } from '../../../base/clock.ts'
import type { Random } from '../../../base/random.ts'

const NEVER_US = Number.POSITIVE_INFINITY

export class SessionTimer {
  readonly #clock: Clock
  readonly #expired: () => void
  #timer: Timer | undefined
  #rings_us = 0
  #ends_us = NEVER_US

  constructor(clock: Clock, expired: () => void) {
    this.#clock = clock
    this.#expired = expired
  }

  get running(): boolean {
    return this.#ends_us !== NEVER_US
  }

  /** What is left of it; 0 when it does not run. */
  get left_ms(): number {
    return this.running ? Math.max(0, this.#ends_us - this.#clock.now_us()) / 1000 : 0
  }

  /** From now on, whether it ran or not. A time of 0 is none: RFC 4271 switches timers off so. */
  restart(time_ms: number): void {
    this.#ends_us = time_ms > 0 ? this.#clock.now_us() + time_ms * 1000 : NEVER_US
    if (this.#timer && this.#rings_us <= this.#ends_us && this.running) return
    this.#timer?.cancel()
    this.#timer = undefined
    if (this.running) this.#wait(time_ms)
  }

  stop(): void {
    this.restart(0)
  }

  #wait(time_ms: number): void {
    this.#rings_us = this.#ends_us
    this.#timer = this.#clock.after(time_ms, () => this.#ring())
  }

  #ring(): void {
    this.#timer = undefined
    const left_ms = (this.#ends_us - this.#clock.now_us()) / 1000
    if (left_ms > 0) this.#wait(left_ms)
    else {
      this.#ends_us = NEVER_US
      this.#expired()
    }
  }
}

/** RFC 4271 section 10: three quarters of the time and up, so that routers do not fall into step. */
export function jittered(time_ms: number, random: Random): number {
  return time_ms * (0.75 + 0.25 * (random.below(1024) / 1024))
}
