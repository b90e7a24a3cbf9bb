/**
 * What a routing node watches, by BFD and by probes, in one place: kept in order, told when something is up or down and now
 * and then for how good paths are, and shown to whoever asks. What nothing is known of yet is not spoken of, so that a
 * routing node that starts anew withdraws no route before it has looked.
 */

import type { Clock, Timer } from '../../base/clock.ts'
import { type Liveness, livenessNews, type PathQuality } from '../../wire/control/liveness.ts'
import type { ProbeState } from '../sla/probe-runner.ts'
import type { WatchNews } from './neighbour-bfd.ts'

/** So long a BFD session may take to come up for the first time before it counts as down: slow packets are a second apart. */
const FIRST_ms = 10_000

/** How often the qualities of paths are kept, at most: they are of use to whoever comes later, and not worth a disk's time. */
const KEPT_EVERY_ms = 4500

export interface ReporterParts {
  readonly node: string
  readonly clock: Clock
  /** Something is up or down: to be told at once, and kept. */
  readonly tell: (news: Uint8Array) => void
  /** Only how good paths are: to be told, */
  readonly share: (news: Uint8Array) => void
  /** and now and then kept. */
  readonly keep: (news: Uint8Array) => void
  readonly log: (thing: Liveness) => void
}

export class LivenessReporter {
  readonly #parts: ReporterParts
  readonly #things = new Map<string, Liveness>()
  readonly #first = new Map<string, Timer>()
  #said_us = 0
  #kept_us = -Infinity
  #isClosed = false

  constructor(parts: ReporterParts) {
    this.#parts = parts
  }

  /** All that is known, by name. */
  get things(): Liveness[] {
    return [...this.#things.values()].toSorted((a, b) => a.name.localeCompare(b.name))
  }

  probes(states: readonly ProbeState[]): void {
    if (this.#isClosed) return
    let hasTold = false
    for (const state of states) {
      const { name, isUp, reason } = state
      if (isUp === undefined) continue
      if (this.#take({ name, kind: 'probe', isUp, reason, quality: qualityOf(state) })) hasTold = true
    }
    if (!hasTold && states.length > 0) this.#share(this.#encoded())
  }

  #share(news: Uint8Array): void {
    const { share, keep, clock } = this.#parts
    share(news)
    if (clock.now_us() - this.#kept_us < KEPT_EVERY_ms * 1000) return
    this.#kept_us = clock.now_us()
    keep(news)
  }

  /** A peer that has ended BFD on purpose says nothing of the path (RFC 5882 section 3.2): nothing is known of it then. */
  neighbour({ name, state, reason, isPeerDown }: WatchNews): void {
    if (this.#isClosed) return
    if (isPeerDown) {
      this.left(name)
      return
    }
    const isUp = state === 'up'
    if (!isUp && !this.#things.has(name)) {
      const late = (): void => void this.#take({ name, kind: 'bfd', isUp: false, reason, quality: undefined })
      if (!this.#first.has(name)) this.#first.set(name, this.#parts.clock.after(FIRST_ms, late))
      return
    }
    this.#settled(name)
    this.#take({ name, kind: 'bfd', isUp, reason, quality: undefined })
  }

  /** Nothing is known of it here any more. */
  left(name: string): void {
    this.#settled(name)
    if (!this.#isClosed && this.#things.delete(name)) this.#parts.tell(this.#encoded())
  }

  /** What ends with this node says nothing of what it watched. */
  close(): void {
    this.#isClosed = true
    for (const timer of this.#first.values()) timer.cancel()
    this.#first.clear()
  }

  #settled(name: string): void {
    this.#first.get(name)?.cancel()
    this.#first.delete(name)
  }

  /** True when it is told. */
  #take(now: Omit<Liveness, 'since_ms'>): boolean {
    const before = this.#things.get(now.name)
    const isOther = before?.isUp !== now.isUp
    const since_ms = isOther ? this.#parts.clock.wall_ms() : before!.since_ms
    const thing: Liveness = { ...now, since_ms }
    this.#things.set(now.name, thing)
    if (!isOther) return false
    this.#parts.log(thing)
    this.#parts.tell(this.#encoded())
    return true
  }

  #encoded(): Uint8Array {
    this.#said_us = Math.max(this.#said_us + 1, Math.floor(this.#parts.clock.wall_ms() * 1000))
    return livenessNews.encode({ node: this.#parts.node, said_us: this.#said_us, things: this.things })
  }
}

function qualityOf({ quality, bandwidth_kbps, totals }: ProbeState): PathQuality {
  return {
    probes: quality.probes,
    loss_ppm: Math.round(quality.loss_percent * 10_000),
    delayMin_us: Math.round(quality.delayMin_us),
    delayAverage_us: Math.round(quality.delayAverage_us),
    delayP99_us: Math.round(quality.delayP99_us),
    jitter_us: Math.round(quality.jitter_us),
    bandwidth_kbps: Math.round(bandwidth_kbps ?? 0),
    ended: totals.ended,
    answered: totals.answered,
    delaySum_us: Math.round(totals.delaySum_us),
  }
}
