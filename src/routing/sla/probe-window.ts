/**
 * The last probes of one kind to one place, and what follows from them: loss, delay and jitter. Jitter is the mean
 * difference between the delays of answers that follow each other (RFC 3550 section 6.4.1 without its smoothing).
 */

import { assert } from '../../base/assert.ts'

export interface Quality {
  /** Of so many probes. */
  readonly probes: number
  readonly loss_percent: number
  /** 0 when no answer came. */
  readonly delayMin_us: number
  readonly delayAverage_us: number
  /** So much or less, 99 of 100. */
  readonly delayP99_us: number
  readonly jitter_us: number
}

const LOST = -1

export class ProbeWindow {
  readonly #delays: Float64Array
  #count = 0
  #next = 0

  constructor(size: number) {
    assert(size > 0, 'a window has room for a probe')
    this.#delays = new Float64Array(size)
  }

  get isFull(): boolean {
    return this.#count === this.#delays.length
  }

  /** Undefined: lost. */
  add(delay_us: number | undefined): void {
    this.#delays[this.#next] = delay_us ?? LOST
    this.#next = (this.#next + 1) % this.#delays.length
    this.#count = Math.min(this.#count + 1, this.#delays.length)
  }

  quality(): Quality {
    const delays = this.#inOrder().filter((delay) => delay !== LOST)
    const sorted = Float64Array.from(delays).sort()
    const sum = sorted.reduce((total, delay) => total + delay, 0)
    const steps = delays.slice(1).map((delay, i) => Math.abs(delay - delays[i]!))
    return {
      probes: this.#count,
      loss_percent: this.#count === 0 ? 0 : (100 * (this.#count - delays.length)) / this.#count,
      delayMin_us: sorted[0] ?? 0,
      delayAverage_us: delays.length === 0 ? 0 : sum / delays.length,
      delayP99_us: sorted[Math.ceil(sorted.length * 0.99) - 1] ?? 0,
      jitter_us: steps.length === 0 ? 0 : steps.reduce((total, step) => total + step, 0) / steps.length,
    }
  }

  #inOrder(): number[] {
    const all = [...this.#delays]
    return this.isFull ? [...all.slice(this.#next), ...all.slice(0, this.#next)] : all.slice(0, this.#count)
  }
}
