/**
 * Time is handed in, so that a test or a seed can replay it. `systemClock` is the only place that reads the machine's
 * time; `ManualClock` stands still until it is told to advance and then runs what is due, in order.
 */

import { assert } from './assert.ts'

export interface Timer {
  cancel(): void
}

export interface Clock {
  /** Monotonic, in microseconds with a fraction. */
  now_us(): number
  /** Wall clock, in milliseconds since 1970. For people and for files, never for intervals. */
  wall_ms(): number
  after(delay_ms: number, run: () => void): Timer
  every(interval_ms: number, run: () => void): Timer
}

export const systemClock: Clock = {
  now_us: () => performance.now() * 1000,
  wall_ms: () => Date.now(),
  after(delay_ms, run) {
    const handle = setTimeout(run, delay_ms)
    return { cancel: () => clearTimeout(handle) }
  },
  every(interval_ms, run) {
    const handle = setInterval(run, interval_ms)
    return { cancel: () => clearInterval(handle) }
  },
}

interface Pending {
  due_us: number
  order: number
  interval_us: number
  run: () => void
}

export class ManualClock implements Clock {
  #now_us = 0
  #order = 0
  readonly #pending = new Set<Pending>()

  now_us(): number {
    return this.#now_us
  }

  wall_ms(): number {
    return this.#now_us / 1000
  }

  after(delay_ms: number, run: () => void): Timer {
    return this.#add(delay_ms * 1000, 0, run)
  }

  every(interval_ms: number, run: () => void): Timer {
    assert(interval_ms > 0, `an interval of ${interval_ms} ms never ends`)
    return this.#add(interval_ms * 1000, interval_ms * 1000, run)
  }

  /** Moves time on and runs every timer that falls due on the way, earliest first. */
  advance(by_ms: number): void {
    const end_us = this.#now_us + by_ms * 1000
    for (let next = this.#earliest(end_us); next; next = this.#earliest(end_us)) {
      this.#now_us = next.due_us
      if (next.interval_us > 0) next.due_us += next.interval_us
      else this.#pending.delete(next)
      next.run()
    }
    this.#now_us = end_us
  }

  #earliest(end_us: number): Pending | undefined {
    let best: Pending | undefined
    for (const entry of this.#pending) {
      if (entry.due_us > end_us) continue
      if (!best || entry.due_us < best.due_us || (entry.due_us === best.due_us && entry.order < best.order))
        best = entry
    }
    return best
  }

  #add(delay_us: number, interval_us: number, run: () => void): Timer {
    // A delay below zero is none: time never runs back, and a system timer takes it the same way.
    const due_us = this.#now_us + Math.max(delay_us, 0)
    const entry = { due_us, order: this.#order++, interval_us, run }
    this.#pending.add(entry)
    return { cancel: () => void this.#pending.delete(entry) }
  }
}
