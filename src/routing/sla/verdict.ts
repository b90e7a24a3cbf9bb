/**
 * Is it up? A probe's verdict, with hysteresis: several probes in a row decide, and a value that has crossed its limit has
 * to come back well below it. So one lost packet withdraws no route, and a value that wavers about its limit does not make
 * routes come and go.
 */

import type { Quality } from './probe-window.ts'

/** Bad beyond `down`, good again from `up` on. */
export interface Limit {
  readonly down: number
  readonly up: number
}

export interface VerdictRules {
  readonly fall: number
  readonly rise: number
  readonly limits: {
    readonly loss_percent?: Limit | undefined
    readonly delay_ms?: Limit | undefined
    readonly jitter_ms?: Limit | undefined
    /** A floor, where the others are ceilings. */
    readonly bandwidth_kbps?: Limit | undefined
  }
}

export interface Measured extends Quality {
  /** Undefined before the first was measured. */
  readonly bandwidth_kbps?: number | undefined
}

export class Verdict {
  readonly #rules: VerdictRules
  #lost = 0
  #answered = 0
  #isAnswering: boolean | undefined
  /** Which values are beyond their limits. */
  readonly #bad = new Map<string, string>()

  constructor(rules: VerdictRules) {
    this.#rules = rules
  }

  /** Undefined before it can be said. */
  get isUp(): boolean | undefined {
    return this.#isAnswering === undefined ? undefined : this.#isAnswering && this.#bad.size === 0
  }

  /** Why it is down; empty when it is not. */
  get reason(): string {
    if (this.#isAnswering === false) return `${this.#rules.fall} probes in a row had no answer`
    return [...this.#bad.values()].join(', ')
  }

  /** One probe's end. True when the verdict is another now. */
  take(isAnswered: boolean, measured: Measured): boolean {
    const before = this.isUp
    this.#answered = isAnswered ? this.#answered + 1 : 0
    this.#lost = isAnswered ? 0 : this.#lost + 1
    if (this.#answered >= this.#rules.rise) this.#isAnswering = true
    if (this.#lost >= this.#rules.fall) this.#isAnswering = false
    this.#judge(measured)
    return before !== this.isUp
  }

  #judge({ loss_percent, delayAverage_us, jitter_us, bandwidth_kbps }: Measured): void {
    const { limits } = this.#rules
    this.#ceiling('loss', '%', loss_percent, limits.loss_percent)
    // Where no answer comes there is no delay, which is no good delay.
    if (loss_percent < 100) {
      this.#ceiling('delay', ' ms', delayAverage_us / 1000, limits.delay_ms)
      this.#ceiling('jitter', ' ms', jitter_us / 1000, limits.jitter_ms)
    }
    const floor = limits.bandwidth_kbps
    if (!floor || bandwidth_kbps === undefined) return
    if (bandwidth_kbps < floor.down) this.#bad.set('bandwidth', `bandwidth ${Math.round(bandwidth_kbps)} kbit/s`)
    else if (bandwidth_kbps >= floor.up) this.#bad.delete('bandwidth')
  }

  #ceiling(name: string, unit: string, value: number, limit: Limit | undefined): void {
    if (!limit) return
    if (value > limit.down) this.#bad.set(name, `${name} ${Math.round(value * 10) / 10}${unit}`)
    else if (value <= limit.up) this.#bad.delete(name)
  }
}
