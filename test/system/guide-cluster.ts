/** A site on many hosts, as its guide starts it: followed to the letter on namespaces that stand for the hosts. */

import { copyFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { wireTogether } from '../../lab/nats/management.ts'
import { reach } from '../../lab/reach.ts'
import { Surroundings } from '../../lab/site.ts'
import { PingSet } from '../../lab/traffic/pinger.ts'
import { type PingPlan, planTraffic } from '../../lab/traffic/plan.ts'
import { withNamespace } from '../../src/linux/namespace.ts'
import { GuideHosts, isDaemon, stepsOf } from './guide-hosts.ts'
import { until } from './live-site.ts'

const SITE = resolve(import.meta.dirname, '../../examples/cluster.yaml')
const GUIDE = resolve(import.meta.dirname, '../../docs/guides/cluster.md')
/** As the guide has them. */
const MANAGEMENT = {
  'ctl-1': '10.20.0.1/24',
  'ctl-2': '10.20.0.2/24',
  'ctl-3': '10.20.0.3/24',
  'edge-1': '10.20.0.11/24',
  'rack-1': '10.20.0.12/24',
  'fn-1': '10.20.0.21/24',
  'fn-2': '10.20.0.22/24',
  'rn-1': '10.20.0.31/24',
} as const
const MODULES = ['control-1', 'control-2', 'edge-1', 'fn-1', 'fn-2', 'rack-1', 'rn-1']
const REACH_ms = 30_000
const PING_EVERY_ms = 20

interface ShownModule {
  readonly name: string
  readonly ready: boolean
  readonly leads?: boolean
}

export class Cluster {
  readonly made: Surroundings
  readonly hosts: GuideHosts
  readonly #pings: readonly PingPlan[]

  /** All that the guide starts is up while `run` does something with it. */
  static async with(run: (cluster: Cluster) => Promise<void>): Promise<void> {
    const made = await Surroundings.build(SITE)
    const cluster = new Cluster(made)
    try {
      await wireTogether(made.lab, MANAGEMENT)
      copyFileSync(SITE, cluster.hosts.fileOn('ctl-1', '/etc/gatehouse/cluster.yaml'))
      await cluster.#follow(GUIDE)
      await run(cluster)
    } catch (error) {
      throw new Error(cluster.hosts.lastLines(), { cause: error })
    } finally {
      await made.close()
      cluster.hosts.close()
    }
  }

  private constructor(made: Surroundings) {
    this.made = made
    this.hosts = new GuideHosts(made.lab, Object.keys(MANAGEMENT))
    this.#pings = planTraffic(made.topology).pings
  }

  async modules(host: string): Promise<ShownModule[]> {
    return JSON.parse(await this.hosts.run(host, 'gatehouse show modules --json').catch(() => '[]'))
  }

  /** That the rack switch sends to. */
  async liveNodes(): Promise<string[]> {
    const shown = await this.hosts.run('ctl-2', 'gatehouse show balances --json').catch(() => '[]')
    const rows: { node: string; alive: boolean }[] = JSON.parse(shown)
    return rows.filter(({ alive }) => alive).map(({ node }) => node)
  }

  async #follow(guide: string): Promise<void> {
    for (const step of stepsOf(guide)) {
      if (step.text.startsWith('gatehouse show')) await this.#ready()
      for (const host of step.hosts) {
        if (isDaemon(step)) this.hosts.start(host, step.text.trim())
        else await this.hosts.run(host, step.text)
      }
    }
  }

  #ready(): Promise<void> {
    return until('all modules are ready', async () => {
      const ready = (await this.modules('ctl-2')).filter((module) => module.ready).map(({ name }) => name)
      return MODULES.every((name) => ready.includes(name))
    })
  }

  /** Who was never answered. */
  silent(): Promise<PingPlan[]> {
    return reach(this.made.lab, this.#pings, { timeout_ms: REACH_ms })
  }

  /** How many pings are lost meanwhile, of how many. */
  async lostWhile(run: () => Promise<void>): Promise<{ sent: number; lost: number }> {
    const sets = this.#pings.map(({ namespace, to, identifier }) =>
      withNamespace(this.made.lab.fullName(namespace), () => new PingSet([{ to, identifier }])),
    )
    for (const set of sets) set.start(PING_EVERY_ms)
    await run()
    await Promise.all(sets.map((set) => set.stop()))
    const reports = sets.map((set) => set.report())
    return { sent: sum(reports.map(({ sent }) => sent)), lost: sum(reports.map(({ lost }) => lost)) }
  }
}

const sum = (numbers: readonly number[]): number => numbers.reduce((total, one) => total + one, 0)
