/**
 * What tenants notice when parts of a site die: as little as physics allows. A whole site with real traffic, as in the demo;
 * the parts are killed with -9 or cut off for real.
 */

import { deepEqual, equal, ok } from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { suite, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { Gateway } from '../../lab/gateway.ts'
import { needs } from '../../lab/needs.ts'
import { reach } from '../../lab/reach.ts'
import { Surroundings } from '../../lab/site.ts'
import { planTraffic } from '../../lab/traffic/plan.ts'
import { Traffic } from '../../lab/traffic/traffic.ts'

const SITE = resolve(import.meta.dirname, '../../examples/two-tenants.yaml')
const POLL_ms = 50
const COMES_BACK_ms = 60_000

/** Without control, bus and supervisor; a minute in the long run (GATEHOUSE_LONG is set by `npm run test:long`). */
const ALONE_ms = process.env['GATEHOUSE_LONG'] ? 60_000 : 10_000

interface Running {
  readonly made: Surroundings
  readonly gateway: Gateway
  readonly traffic: Traffic
}

/** A site with traffic on it; what `act` does happens to it meanwhile. Returns the traffic when all is over. */
async function underTraffic(act: (running: Running) => Promise<void>): Promise<Traffic> {
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

async function pidOf(gateway: Gateway, name: string): Promise<number | undefined> {
  return (await gateway.observer.modules()).find((module) => module.name === name)?.pid
}

async function until(what: string, condition: () => Promise<boolean>): Promise<void> {
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

function sumOf(traffic: Traffic, of: (tenant: Traffic['tenants'][number]) => number): number {
  return traffic.tenants.reduce((sum, tenant) => sum + of(tenant), 0)
}

const failedConnections = (traffic: Traffic): number => sumOf(traffic, ({ tcp, http }) => tcp.failed + http.failed)

suite('when parts of a site die', { skip: needs('ip') }, () => {
  test('a node killed under load: its flows move, no connection breaks, and it comes back and takes traffic', async () => {
    const traffic = await underTraffic(async ({ gateway }) => {
      const before = await pidOf(gateway, 'fn-1')
      ok(before)
      process.kill(before, 'SIGKILL')
      await until('fn-1 runs again', async () => ((await pidOf(gateway, 'fn-1')) ?? before) !== before)
      await until('fn-1 takes traffic again', async () => {
        const [node] = (await gateway.observer.modules()).filter(({ name }) => name === 'fn-1')
        return (node?.totals?.received ?? 0) > 100
      })
      await sleep(500)
    })
    equal(failedConnections(traffic), 0)
    // 300 pings a second, a third of them by this node, for as long as BFD alone would take (150 ms): 15. None come on top
    // when it takes traffic again.
    const lost = sumOf(traffic, ({ ping }) => ping.lost)
    ok(lost <= 15, `${lost} pings lost`)
  })

  test('supervisor, control and bus killed: forwarding goes on and loses nothing', async () => {
    const traffic = await underTraffic(async ({ made, gateway }) => {
      for (const words of [['up'], ['run', 'control'], ['run', 'bus']]) {
        const pids = processesWith(made.runFolder, ...words)
        equal(pids.length, 1, `one process for ${words.join(' ')}`)
        process.kill(pids[0]!, 'SIGKILL')
      }
      await sleep(ALONE_ms)
      equal(processesWith(made.runFolder, 'run', 'forwarding').length, 3)
      ok(gateway.hasEnded)
    })
    equal(failedConnections(traffic), 0)
    equal(
      sumOf(traffic, ({ ping }) => ping.lost),
      0,
    )
    ok(sumOf(traffic, ({ ping }) => ping.sent) > ALONE_ms / 20)
  })

  test('one of the two paths cut: only what was in flight is lost', async () => {
    const traffic = await underTraffic(async ({ made }) => {
      execFileSync('ip', ['-n', made.lab.fullName('edge-1'), 'link', 'set', 'path-a', 'down'])
      await sleep(2000)
    })
    equal(failedConnections(traffic), 0)
    // In flight until the other end has seen it too: 300 pings a second, 10 ms.
    ok(sumOf(traffic, ({ ping }) => ping.lost) <= 6, `${sumOf(traffic, ({ ping }) => ping.lost)} pings lost`)
  })
})
