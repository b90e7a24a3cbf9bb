/**
 * The watch of a routing node, put together: its probes, what BFD says of its neighbours, and the news of both, to the bus
 * where there is one.
 */

import { isDeepStrictEqual } from 'node:util'
import { BrokenPathsTeller } from '../../agent/broken-paths.ts'
import { Latest } from '../../agent/latest.ts'
import { BUCKET, LIVENESS_SUBJECT } from '../../agent/names.ts'
import { showing } from '../../agent/show.ts'
import { equalBytes, formatAddress, parseAddress } from '../../base/address.ts'
import type { Clock } from '../../base/clock.ts'
import type { Logger } from '../../base/log.ts'
import type { Bus } from '../../bus/bus.ts'
import { nodeOfProbe, type Probe } from '../../config/probe.ts'
import type { Site } from '../../config/site.ts'
import type { Liveness as Thing } from '../../wire/control/liveness.ts'
import { innerAddress } from '../relay/inner-address.ts'
import type { PeerNumbers } from '../relay/peer-numbers.ts'
import { type RelaySetup, relaySetupOf, type Way } from '../relay/ways.ts'
import { Sla, type SlaSettings } from '../sla/sla.ts'
import { BrokenNeighbours } from './broken-neighbours.ts'
import type { WatchNews } from './neighbour-bfd.ts'
import { LivenessReporter } from './reporter.ts'

/** How often it is looked how good paths are: for people, and told where tenants choose their paths by it within five seconds. */
const QUALITY_ms = 5000
const STEERING_QUALITY_ms = 250

export interface LivenessOptions {
  readonly site: Site
  /** The routing node. */
  readonly name: string
  readonly bus: Bus | undefined
  /** By which the kernel knows what is probed in tenants' networks. */
  readonly numbers: PeerNumbers
  readonly clock: Clock
  readonly log: Logger
  readonly onDeath: (error: Error) => void
}

export class Liveness {
  readonly #options: LivenessOptions
  #sla: Sla | undefined
  #settings: SlaSettings = { probes: [], responders: [], quality_ms: QUALITY_ms }
  readonly #reporter: LivenessReporter
  readonly #closers: { close(): unknown }[] = []
  /** There is a relay to tenants' networks, which the node has from its start or not at all. */
  readonly #isRelayed: boolean
  readonly #broken: BrokenNeighbours | undefined
  #relay: RelaySetup | undefined

  constructor(options: LivenessOptions) {
    const { site, name, bus, clock, log, numbers } = options
    this.#options = options
    this.#relay = relaySetupOf(site, name, numbers)
    this.#isRelayed = this.#relay !== undefined
    this.#broken = bus && new BrokenNeighbours(new BrokenPathsTeller(bus, clock, name), this.#relay)
    const latest = bus && new Latest(bus, bus.bucket(BUCKET.liveness), name)
    this.#reporter = new LivenessReporter({
      node: name,
      clock,
      tell(news) {
        bus?.publish(LIVENESS_SUBJECT, news)
        latest?.put(news)
      },
      share: (news) => {
        if (this.#settings.quality_ms === STEERING_QUALITY_ms) bus?.publish(LIVENESS_SUBJECT, news)
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
  }

  /** Begins to probe, once the relay is there. */
  start(): void {
    this.#start(this.#settingsOf(this.#options.site))
  }

  /** Another site: where its probes or responders are others, all begin anew, and what is known of them stays until then. */
  async take(site: Site): Promise<void> {
    this.#relay = relaySetupOf(site, this.#options.name, this.#options.numbers)
    this.#broken?.relayBy(this.#relay)
    const settings = this.#settingsOf(site)
    if (isDeepStrictEqual(settings, this.#settings)) return
    const before = this.#settings
    await this.#sla?.close()
    // What was known of a probe that is another now, or none, is not known any more.
    const same = (probe: Probe): boolean => settings.probes.some((now) => isDeepStrictEqual(now, probe))
    for (const probe of before.probes) if (!same(probe)) this.#reporter.left(probe.name)
    this.#start(settings)
  }

  /** What this node sends and answers. */
  #settingsOf(site: Site): SlaSettings {
    const { name } = this.#options
    const { probes = [], responders = [], nodes = [] } = site.routing ?? {}
    const names = nodes.map((node) => node.name)
    const targets = (this.#isRelayed && this.#relay?.targets) || []
    return {
      probes: probes
        .filter((probe) => (nodeOfProbe(probe, names) ?? name) === name)
        .flatMap((probe) => (probe.tenant === undefined ? probe : towards(targets, probe))),
      responders: responders.filter((responder) => (responder.node ?? name) === name),
      quality_ms: isSteered(site) ? STEERING_QUALITY_ms : QUALITY_ms,
    }
  }

  #start(settings: SlaSettings): void {
    const { log, onDeath } = this.#options
    this.#settings = settings
    this.#sla = undefined
    if (settings.probes.length + settings.responders.length === 0) return
    this.#sla = new Sla({
      ...settings,
      news: (states) => this.#reporter.probes(states),
      failed: (what, error, probe) => {
        log.error({ what, error }, 'cannot be watched')
        if (probe !== undefined) this.#reporter.left(probe)
      },
      onDeath,
    })
  }

  /** What BFD says of a neighbour. */
  readonly watched = (news: WatchNews): void => {
    // First, for forwarding nodes take their backups by it.
    this.#broken?.watched(news)
    if (news.state === 'left') this.#reporter.left(news.name)
    else this.#reporter.neighbour(news)
  }

  /** For people. */
  show(): Record<string, string | number>[] {
    return this.#reporter.things.map(shown)
  }

  async close(): Promise<void> {
    this.#reporter.close()
    this.#broken?.close()
    await Promise.all(this.#closers.map((one) => one.close()))
    await this.#sla?.close()
  }
}

/** Some tenant's path is judged by a probe. */
function isSteered({ tenants }: Site): boolean {
  return tenants.some(({ connections }) => connections.some(({ probes }) => probes.length > 0))
}

/** The probe to its target of the relay's; none where there is no such. */
function towards(targets: readonly Way[], probe: Probe): Probe[] {
  const address = parseAddress(probe.to)!
  const target = targets.find(({ tenant, peers }) => tenant === probe.tenant && equalBytes(peers.address, address))
  return target ? [{ ...probe, to: formatAddress(innerAddress(target.number, address.length)) }] : []
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
