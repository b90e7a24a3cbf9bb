/**
 * How long answers to a probe take, for a choice among paths: the median of the last three measurements. One that stands out
 * counts for nothing, jitter of a tenth stays within a tenth, and a lasting change is all there with the second one.
 */

import type { PathQuality } from '../wire/control/liveness.ts'

type Totals = Pick<PathQuality, 'ended' | 'answered' | 'delaySum_us' | 'delayAverage_us'>

const MEASUREMENTS = 3

export class SmoothedDelay {
  #before: Totals | undefined
  #latest: number[] = []

  /** Undefined before there are three. */
  get value_us(): number | undefined {
    return this.#latest.length < MEASUREMENTS ? undefined : this.#latest.toSorted((a, b) => a - b)[1]
  }

  /** What a routing node has said of the probe, which it may have said before. */
  take(totals: Totals): void {
    const before = this.#before
    this.#before = totals
    if (!before && totals.answered >= MEASUREMENTS) {
      // Whoever begins to listen has the average of the probe's window, until more is known.
      this.#latest = new Array(MEASUREMENTS).fill(totals.delayAverage_us)
      return
    }
    // A probe that has begun anew counts from nothing.
    const isAnew = !before || totals.ended < before.ended || totals.answered < before.answered
    const answered = totals.answered - (isAnew ? 0 : before.answered)
    if (answered === 0) return
    const delay_us = (totals.delaySum_us - (isAnew ? 0 : before.delaySum_us)) / answered
    this.#latest = [...this.#latest, delay_us].slice(-MEASUREMENTS)
  }
}
