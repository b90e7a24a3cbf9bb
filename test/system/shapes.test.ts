/** The same site in other shapes: tenants that speak IPv6, and wires that carry jumbo frames. */

import { deepEqual, equal, ok } from 'node:assert/strict'
import { resolve } from 'node:path'
import { suite, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { needs } from '../../lab/needs.ts'
import type { ModuleCounters } from '../../lab/observe.ts'
import { Surroundings } from '../../lab/site.ts'
import type { Shape } from '../../lab/topology.ts'
import { underTraffic, withSite } from './live-site.ts'

const TRAFFIC_ms = 2000
const RATES = { total_bit_per_s: 60e6, pings_per_s: 100, fetches_per_s: 20 }

/** Traffic of all kinds through the example, none of which may be lost; returns what the modules counted. */
async function flawless(example: string, shape: Partial<Shape>): Promise<ModuleCounters[]> {
  const build = () => Surroundings.build(resolve(import.meta.dirname, '../../examples', example), { shape })
  let counters: ModuleCounters[] = []
  await withSite({ build, rates: RATES }, async (site) => {
    const traffic = await underTraffic(site, () => sleep(TRAFFIC_ms))
    for (const { ping, tcp, http, trouble } of traffic.tenants) {
      equal(trouble, undefined)
      deepEqual({ lost: ping.lost, tcp: tcp.failed, http: http.failed }, { lost: 0, tcp: 0, http: 0 })
      ok(ping.sent > 20 && tcp.bytes > 1e6 && http.requests > 5)
    }
    counters = await site.gateway.observer.modules()
  })
  return counters
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
