/**
 * A whole site of the lab that is up and whose tenants all reach each other, and real traffic on it, as in the demo: for
 * tests that do something to it meanwhile, kill its parts with -9 or cut its wires.
 */

import { deepEqual, equal, ok } from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { Gateway } from '../../lab/gateway.ts'
import type { ModuleCounters } from '../../lab/observe.ts'
import { reach } from '../../lab/reach.ts'
import { Surroundings } from '../../lab/site.ts'
import { PingSet } from '../../lab/traffic/pinger.ts'
import { planTraffic, type TrafficPlan, type TrafficRates } from '../../lab/traffic/plan.ts'
import { Traffic } from '../../lab/traffic/traffic.ts'
import { withNamespace } from '../../src/linux/namespace.ts'

const SITE = resolve(import.meta.dirname, '../../examples/two-tenants.yaml')
const RATES: TrafficRates = { total_bit_per_s: 80e6, pings_per_s: 300, fetches_per_s: 40 }
const REACH_ms = 20_000
const POLL_ms = 50
const COMES_BACK_ms = 60_000

export interface LiveSite {
  readonly made: Surroundings
  readonly gateway: Gateway
  readonly plan: TrafficPlan
}

export interface SiteOptions {
  /** The example of two tenants unless a test has a site of its own. */
  build?(): Promise<Surroundings>
  /** Before the gateway starts. */
  prepare?(made: Surroundings): Promise<void> | void
  up?(made: Surroundings): Gateway | Promise<Gateway>
  readonly rates?: TrafficRates
}

export interface StartedSite extends LiveSite {
  stop(): Promise<void>
}

/** Resolves when all tenants reach each other. What goes wrong comes with the end of its modules' logs. */
export async function startSite({ build, prepare, up, rates = RATES }: SiteOptions = {}): Promise<StartedSite> {
  await using stack = new AsyncDisposableStack()
  const made = stack.use(await (build?.() ?? Surroundings.build(SITE)))
  await prepare?.(made)
  const gateway = await (up?.(made) ?? Gateway.up(made))
  stack.defer(() => gateway.stop())
  try {
    await gateway.whenReady()
    const plan = planTraffic(made.topology, rates)
    deepEqual(await reach(made.lab, plan.pings, { timeout_ms: REACH_ms }), [])
    const started = stack.move()
    return { made, gateway, plan, stop: () => started.disposeAsync() }
  } catch (error) {
    throw new Error(gateway.lastLines(), { cause: error })
  }
}

/** Has one up while `run` does something with it. */
export async function withSite(options: SiteOptions, run: (site: LiveSite) => Promise<void>): Promise<void> {
  const site = await startSite(options)
  try {
    await run(site)
  } catch (error) {
    throw new Error(site.gateway.lastLines(), { cause: error })
  } finally {
    await site.stop()
  }
}

/** Traffic of all kinds while something happens to the site. Returns it when all is over. */
export async function underTraffic({ made, plan }: LiveSite, during: () => Promise<void>): Promise<Traffic> {
  const traffic = await Traffic.prepare(made.lab, plan)
  traffic.start()
  await sleep(1000)
  await during()
  await traffic.stop()
  return traffic
}

/** Pings of a flow that show in the counters of its node beside whatever else is said there. */
const PROBES = 40
const PROBE_INTERVAL_ms = 2

/** The node that each ping's flow is on, by its identifier: the one that counts its packets while it alone is there. */
export async function nodesOf({ made, gateway, plan }: LiveSite): Promise<Map<number, string>> {
  const nodes = new Map<number, string>()
  for (const { namespace, to, identifier } of plan.pings) {
    const before = await receivedBy(gateway, 'forwarding')
    const set = withNamespace(made.lab.fullName(namespace), () => new PingSet([{ to, identifier }]))
    set.start(PROBE_INTERVAL_ms)
    while (set.report().sent < PROBES) await sleep(PROBE_INTERVAL_ms)
    await set.stop()
    const after = await receivedBy(gateway, 'forwarding')
    const busy = [...after].filter(([name, received]) => received - (before.get(name) ?? 0) >= PROBES)
    equal(busy.length, 1, `the flow to ${to} is on ${busy.map(([name]) => name).join(' and ')}`)
    nodes.set(identifier, busy[0]![0])
  }
  return nodes
}

/** What the nodes or the switches have received so far. */
export async function receivedBy(gateway: Gateway, role: ModuleCounters['role']): Promise<Map<string, number>> {
  const modules = (await gateway.observer.modules()).filter((each) => each.role === role)
  return new Map(modules.map(({ name, totals }) => [name, totals?.received ?? 0]))
}

export async function pidOf(gateway: Gateway, name: string): Promise<number | undefined> {
  return (await gateway.observer.modules()).find((module) => module.name === name)?.pid
}

export async function until(what: string, condition: () => Promise<boolean>): Promise<void> {
  for (let waited_ms = 0; !(await condition()); waited_ms += POLL_ms) {
    ok(waited_ms < COMES_BACK_ms, `${what}: not within ${COMES_BACK_ms / 1000} s`)
    await sleep(POLL_ms)
  }
}

/** The site's processes whose command line has these words. */
function processesWith(runFolder: string, ...words: string[]): number[] {
  return readdirSync('/proc').flatMap((pid) => {
    if (!/^\d+$/.test(pid)) return []
    try {
      const command = readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0')
      return command.some((part) => part === runFolder) && words.every((word) => command.includes(word)) ? [+pid] : []
    } catch {
      return [] // it has just ended
    }
  })
}

export function sumOf(traffic: Traffic, of: (tenant: Traffic['tenants'][number]) => number): number {
  return traffic.tenants.reduce((sum, tenant) => sum + of(tenant), 0)
}

export const failedConnections = (traffic: Traffic): number =>
  sumOf(traffic, ({ tcp, http }) => tcp.failed + http.failed)

/** Kills all that is neither switch nor forwarding node: the tenants must not notice for so long. */
export async function leaveAlone({ made, gateway }: LiveSite, for_ms: number): Promise<void> {
  for (const words of [['up'], ['run', 'control'], ['run', 'bus']]) {
    const [pid, ...others] = processesWith(made.runFolder, ...words)
    ok(pid !== undefined && others.length === 0, `one process for ${words.join(' ')}`)
    process.kill(pid, 'SIGKILL')
  }
  await sleep(for_ms)
  ok(gateway.hasEnded && processesWith(made.runFolder, 'run', 'forwarding').length === 3)
}
