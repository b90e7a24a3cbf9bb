/** One probe: when it is sent, what came of it, and whether what it watches is up. Time and the sending are handed in. */

import type { Clock, Timer } from '../../base/clock.ts'
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
  /** By number: the timer at whose end it is lost. */
  readonly #waiting = new Map<number, Timer>()
  readonly #timers: Timer[] = []
  #sequence = 0
  #isClosed = false

  constructor(parts: ProbeRunnerParts) {
    const { rules, clock } = parts
    this.#parts = parts
    this.#window = new ProbeWindow(rules.window)
    this.#verdict = new Verdict(rules)
    this.#prober = parts.open((sequence, took_us) => this.#answered(sequence, took_us))
    this.#timers.push(clock.every(rules.interval_ms, () => this.#send()))
    const { bandwidth } = rules
    if (bandwidth) this.#timers.push(clock.every(bandwidth.interval_ms, () => void this.#train()))
    this.#send()
    if (bandwidth) void this.#train()
  }

  get state(): ProbeState {
    const { isUp, reason } = this.#verdict
    const { name } = this.#parts.rules
    return { name, isUp, reason, quality: this.#window.quality(), bandwidth_kbps: this.#bandwidth.kbps }
  }

  close(): void {
    this.#isClosed = true
    for (const timer of [...this.#timers, ...this.#waiting.values()]) timer.cancel()
    this.#prober.close()
  }

  #send(): void {
    const { clock, rules } = this.#parts
    const sequence = ++this.#sequence
    this.#waiting.set(
      sequence,
      clock.after(rules.timeout_ms, () => this.#late(sequence)),
    )
    this.#prober.send(sequence)
  }

  // A stall of our own is no loss: what has come is read before it is believed.
  #late(sequence: number): void {
    this.#prober.drain()
    if (!this.#waiting.delete(sequence) || this.#isClosed) return
    this.#ended(undefined)
  }

  #answered(sequence: number, took_us: number): void {
    const timer = this.#waiting.get(sequence)
    if (!timer || this.#isClosed) return
    timer.cancel()
    this.#waiting.delete(sequence)
    // One that was read late may have been in time, and the other way round.
    this.#ended(took_us > this.#parts.rules.timeout_ms * 1000 ? undefined : took_us)
  }

  #ended(took_us: number | undefined): void {
    this.#window.add(took_us)
    const measured = { ...this.#window.quality(), bandwidth_kbps: this.#bandwidth.kbps }
    if (this.#verdict.take(took_us !== undefined, measured)) this.#parts.changed(this.state)
  }

  async #train(): Promise<void> {
    const { bandwidth, timeout_ms } = this.#parts.rules
    const rate_kbps = await this.#prober.train(bandwidth!.packets, bandwidth!.bytes, timeout_ms)
    if (rate_kbps !== undefined && !this.#isClosed) this.#bandwidth.add(rate_kbps)
  }
}
