/** The same site in other shapes: tenants that speak IPv6, and wires that carry jumbo frames. */

import { deepEqual, equal, ok } from 'node:assert/strict'
import { resolve } from 'node:path'
import { suite, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { Gateway } from '../../lab/gateway.ts'
import { needs } from '../../lab/needs.ts'
import type { ModuleCounters } from '../../lab/observe.ts'
import { reach } from '../../lab/reach.ts'
import { Surroundings } from '../../lab/site.ts'
import type { Shape } from '../../lab/topology.ts'
import { planTraffic } from '../../lab/traffic/plan.ts'
import { Traffic } from '../../lab/traffic/traffic.ts'

const TRAFFIC_ms = 3000

/** Traffic of all kinds through the example, none of which may be lost; returns what the modules counted. */
async function flawless(example: string, shape: Partial<Shape>): Promise<ModuleCounters[]> {
  await using made = await Surroundings.build(resolve(import.meta.dirname, '../../examples', example), { shape })
  const gateway = Gateway.up(made)
  try {
    await gateway.whenReady()
    const plan = planTraffic(made.topology, { total_bit_per_s: 60e6, pings_per_s: 100, fetches_per_s: 20 })
    deepEqual(await reach(made.lab, plan.pings, { timeout_ms: 15_000 }), [])
    const traffic = await Traffic.prepare(made.lab, plan)
    traffic.start()
    await sleep(TRAFFIC_ms)
    await traffic.stop()
    for (const { ping, tcp, http, trouble } of traffic.tenants) {
      equal(trouble, undefined)
      deepEqual({ lost: ping.lost, tcp: tcp.failed, http: http.failed }, { lost: 0, tcp: 0, http: 0 })
      ok(ping.sent > 20 && tcp.bytes > 1e6 && http.requests > 5)
    }
    return await gateway.observer.modules()
  } catch (error) {
    throw new Error(gateway.lastLines(), { cause: error })
  } finally {
    await gateway.stop()
  }
}

suite('a site in another shape', { skip: needs('ip') }, () => {
  test('tenants speak IPv6, one of them both families', async () => {
    await flawless('two-tenants-ipv6.yaml', {})
  })

  test('packets of 9,000 bytes cross every hop whole', async () => {
    const modules = await flawless('two-tenants.yaml', { underlayMtu: 9216, tenantMtu: 9000 })
    const { received = 0, receivedBytes = 0 } = modules.find(({ name }) => name === 'rack-1')?.totals ?? {}
    // Acknowledgements, pings and requests are small; with packets of 1,500 bytes the mean cannot reach this.
    ok(receivedBytes / received > 2000, `${Math.round(receivedBytes / received)} bytes a frame`)
  })
})
