/**
 * A whole site with real traffic on it, as in the demo, for tests that do something to it meanwhile: kill its parts
 * with -9, cut its wires.
 */

import { deepEqual, ok } from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { Gateway } from '../../lab/gateway.ts'
import { reach } from '../../lab/reach.ts'
import { Surroundings } from '../../lab/site.ts'
import { planTraffic } from '../../lab/traffic/plan.ts'
import { Traffic } from '../../lab/traffic/traffic.ts'

const SITE = resolve(import.meta.dirname, '../../examples/two-tenants.yaml')
const POLL_ms = 50
const COMES_BACK_ms = 60_000

export interface Running {
  readonly made: Surroundings
  readonly gateway: Gateway
  readonly traffic: Traffic
}

/** A site with traffic on it; what `act` does happens to it meanwhile. Returns the traffic when all is over. */
export async function underTraffic(act: (running: Running) => Promise<void>): Promise<Traffic> {
  await using made = await Surroundings.build(SITE)
  const gateway = Gateway.up(made)
  try {
    await gateway.whenReady()
    const plan = planTraffic(made.topology, { total_bit_per_s: 80e6, pings_per_s: 300, fetches_per_s: 40 })
    deepEqual(await reach(made.lab, plan.pings, { timeout_ms: 15_000 }), [])
    const traffic = await Traffic.prepare(made.lab, plan)
    traffic.start()
    await sleep(1000)
    await act({ made, gateway, traffic })
    await traffic.stop()
    return traffic
  } catch (error) {
    throw new Error(gateway.lastLines(), { cause: error })
  } finally {
    await gateway.stop()
  }
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
export async function leaveAlone({ made, gateway }: Running, for_ms: number): Promise<void> {
  for (const words of [['up'], ['run', 'control'], ['run', 'bus']]) {
    const [pid, ...others] = processesWith(made.runFolder, ...words)
    ok(pid !== undefined && others.length === 0, `one process for ${words.join(' ')}`)
    process.kill(pid, 'SIGKILL')
  }
  await sleep(for_ms)
  ok(gateway.hasEnded && processesWith(made.runFolder, 'run', 'forwarding').length === 3)
}
