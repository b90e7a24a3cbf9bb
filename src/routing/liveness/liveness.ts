/**
 * The watch of a routing node, put together: its probes, what BFD says of its neighbours, and the news of both, to the bus
 * where there is one.
 */

import { Latest } from '../../agent/latest.ts'
import { BUCKET, LIVENESS_SUBJECT } from '../../agent/names.ts'
import { showing } from '../../agent/show.ts'
import type { Clock } from '../../base/clock.ts'
import type { Logger } from '../../base/log.ts'
import type { Bus } from '../../bus/bus.ts'
import type { Site } from '../../config/site.ts'
import type { Liveness as Thing } from '../../wire/control/liveness.ts'
import { probesOf, Sla } from '../sla/sla.ts'
import type { WatchNews } from './neighbour-bfd.ts'
import { LivenessReporter } from './reporter.ts'

export interface LivenessOptions {
  readonly site: Site
  /** The routing node. */
  readonly name: string
  readonly bus: Bus | undefined
  readonly clock: Clock
  readonly log: Logger
  readonly onDeath: (error: Error) => void
}

export class Liveness {
  readonly #sla: Sla | undefined
  readonly #reporter: LivenessReporter
  readonly #closers: { close(): unknown }[] = []

  constructor({ site, name, bus, clock, log, onDeath }: LivenessOptions) {
    const latest = bus && new Latest(bus, bus.bucket(BUCKET.liveness), name)
    this.#reporter = new LivenessReporter({
      node: name,
      clock,
      tell(news) {
        bus?.publish(LIVENESS_SUBJECT, news)
        latest?.put(news)
      },
      keep: (news) => latest?.put(news),
      log: ({ name: thing, kind, isUp, reason }) =>
        isUp ? log.info({ thing, kind }, 'is up') : log.warn({ thing, kind, reason }, 'is down'),
    })
    if (latest) this.#closers.push(latest)
    if (bus) {
      const shown = showing(bus, name, 'probes', () => this.show())
      shown.ready.catch(() => {})
      this.#closers.push(shown)
    }
    const { probes, responders, nodes } = site.routing!
    const mine = probesOf(
      probes,
      nodes.map((node) => node.name),
      name,
    )
    if (mine.length + responders.length === 0) return
    this.#sla = new Sla({
      probes: mine,
      responders: responders.filter(({ node }) => (node ?? name) === name),
      news: (states) => this.#reporter.probes(states),
      failed: (what, error) => log.error({ what, error }, 'cannot be watched'),
      onDeath,
    })
  }

  /** What BFD says of a neighbour. */
  readonly watched = (news: WatchNews): void =>
    news.state === 'left' ? this.#reporter.left(news.name) : this.#reporter.neighbour(news)

  /** For people. */
  show(): Record<string, string | number>[] {
    return this.#reporter.things.map(shown)
  }

  async close(): Promise<void> {
    this.#reporter.close()
    await Promise.all(this.#closers.map((one) => one.close()))
    await this.#sla?.close()
  }
}

function shown({ name, kind, isUp, reason, since_ms, quality }: Thing): Record<string, string | number> {
  return {
    name,
    kind,
    state: isUp ? 'up' : 'down',
    since: new Date(since_ms).toISOString(),
    ...(reason !== '' && { reason }),
    ...(quality && {
      loss_percent: quality.loss_ppm / 10_000,
      delay_min_ms: quality.delayMin_us / 1000,
      delay_ms: quality.delayAverage_us / 1000,
      delay_p99_ms: quality.delayP99_us / 1000,
      jitter_ms: quality.jitter_us / 1000,
    }),
    ...(quality && quality.bandwidth_kbps > 0 && { bandwidth_kbps: quality.bandwidth_kbps }),
  }
}
