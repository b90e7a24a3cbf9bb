/** One probe: when it is sent, what came of it, and whether what it watches is up. Time and the sending are handed in. */

import type { Clock, Timer } from '../../base/clock.ts'
import { Deadline } from './deadline.ts'
import { ProbeWindow, type Quality } from './probe-window.ts'
import type { Answered, Prober } from './prober.ts'
import { BandwidthEstimate } from './train.ts'
import { Verdict, type VerdictRules } from './verdict.ts'

export interface ProbeRules extends VerdictRules {
  readonly name: string
  readonly interval_ms: number
  readonly timeout_ms: number
  readonly window: number
  readonly bandwidth?: { readonly interval_ms: number; readonly packets: number; readonly bytes: number } | undefined
}

export interface ProbeState {
  readonly name: string
  /** Undefined before it can be said. */
  readonly isUp: boolean | undefined
  readonly reason: string
  readonly quality: Quality
  readonly bandwidth_kbps: number | undefined
  readonly totals: ProbeTotals
}

/** Since the probe began. */
export interface ProbeTotals {
  readonly ended: number
  readonly answered: number
  readonly delaySum_us: number
}

export interface ProbeRunnerParts {
  readonly rules: ProbeRules
  readonly clock: Clock
  open(answered: Answered): Prober
  /** It is up or down now. */
  changed(state: ProbeState): void
}

export class ProbeRunner {
  readonly #parts: ProbeRunnerParts
  readonly #prober: Prober
  readonly #window: ProbeWindow
  readonly #verdict: Verdict
  readonly #bandwidth = new BandwidthEstimate()
  /** By number: at whose end it is lost. */
  readonly #waiting = new Map<number, Deadline>()
  readonly #timers: Timer[] = []
  #totals: ProbeTotals = { ended: 0, answered: 0, delaySum_us: 0 }
  #sequence = 0
  #isClosed = false

  constructor(parts: ProbeRunnerParts) {
    const { rules, clock } = parts
    this.#parts = parts
    this.#window = new ProbeWindow(rules.window)
    this.#verdict = new Verdict(rules)
    this.#prober = parts.open((sequence, took_us) => this.#answered(sequence, took_us))
    const { bandwidth } = rules
    try {
      this.#send()
      if (bandwidth) void this.#train()
    } catch (error) {
      this.close()
      throw error
    }
    this.#timers.push(clock.every(rules.interval_ms, () => this.#send()))
    if (bandwidth) this.#timers.push(clock.every(bandwidth.interval_ms, () => void this.#train()))
  }

  get state(): ProbeState {
    const { isUp, reason } = this.#verdict
    const { name } = this.#parts.rules
    const quality = this.#window.quality()
    return { name, isUp, reason, quality, bandwidth_kbps: this.#bandwidth.kbps, totals: this.#totals }
  }

  close(): void {
    this.#isClosed = true
    for (const timer of this.#timers) timer.cancel()
    for (const deadline of this.#waiting.values()) deadline.cancel()
    this.#prober.close()
  }

  #send(): void {
    const { clock, rules } = this.#parts
    const sequence = ++this.#sequence
    this.#waiting.set(sequence, new Deadline(clock, rules.timeout_ms, () => this.#late(sequence)))
    this.#prober.send(sequence)
  }

  // A stall of our own is no loss: what has come meanwhile is read before it is believed.
  #late(sequence: number): void {
    this.#prober.drain()
    if (this.#waiting.delete(sequence) && !this.#isClosed) this.#ended(undefined)
  }

  #answered(sequence: number, took_us: number): void {
    const waiting = this.#waiting.get(sequence)
    if (!waiting || this.#isClosed) return
    waiting.cancel()
    this.#waiting.delete(sequence)
    if (took_us <= this.#parts.rules.timeout_ms * 1000) this.#ended(took_us)
    // Nobody knows how long it took of one that has lain here while we stood still: it counts for nothing.
    else if (!waiting.isOverdue) this.#ended(undefined)
  }

  #ended(took_us: number | undefined): void {
    this.#window.add(took_us)
    const { ended, answered, delaySum_us } = this.#totals
    const isAnswer = took_us === undefined ? 0 : 1
    this.#totals = { ended: ended + 1, answered: answered + isAnswer, delaySum_us: delaySum_us + (took_us ?? 0) }
    const measured = { ...this.#window.quality(), bandwidth_kbps: this.#bandwidth.kbps }
    if (this.#verdict.take(took_us !== undefined, measured)) this.#parts.changed(this.state)
  }

  async #train(): Promise<void> {
    const { bandwidth, timeout_ms } = this.#parts.rules
    const rate_kbps = await this.#prober.train(bandwidth!.packets, bandwidth!.bytes, timeout_ms)
    if (rate_kbps !== undefined && !this.#isClosed) this.#bandwidth.add(rate_kbps)
  }
}
