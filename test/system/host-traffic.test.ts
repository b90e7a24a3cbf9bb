/**
 * The host's own traffic on the gateway's interfaces: pings and TCP to a node's own addresses and from it, past the XDP
 * programs of node and rack switch, while tenants' traffic runs on the same wires.
 */

import { deepEqual, equal } from 'node:assert/strict'
import { resolve } from 'node:path'
import { suite, test } from 'node:test'
import { Gateway } from '../../lab/gateway.ts'
import { needs } from '../../lab/needs.ts'
import { reach } from '../../lab/reach.ts'
import { Surroundings } from '../../lab/site.ts'
import { planTraffic } from '../../lab/traffic/plan.ts'
import { Traffic } from '../../lab/traffic/traffic.ts'
import { TRANSFER_BYTES, transfer } from './transfer.ts'

const SITE = resolve(import.meta.dirname, '../../examples/two-tenants.yaml')
suite("the host's own traffic", { skip: needs('ip') }, () => {
  test('to and from a node works while the gateway forwards on the same interfaces', async () => {
    await using made = await Surroundings.build(SITE)
    const gateway = Gateway.up(made)
    try {
      await gateway.whenReady()
      const plan = planTraffic(made.topology, { total_bit_per_s: 20e6, pings_per_s: 100, fetches_per_s: 10 })
      deepEqual(await reach(made.lab, plan.pings, { timeout_ms: 15_000 }), [])
      const traffic = await Traffic.prepare(made.lab, plan)
      traffic.start()
      const own = [
        { tenant: 'host', namespace: 'host-1', to: '10.0.1.1' },
        { tenant: 'host', namespace: 'fn-1', to: '10.0.2.1' },
        { tenant: 'host', namespace: 'fn-2', to: '10.0.1.3' },
        { tenant: 'host', namespace: 'rack-1', to: '10.0.1.2' },
        { tenant: 'host', namespace: 'edge-1', to: '10.0.0.2' },
        { tenant: 'host', namespace: 'edge-1', to: '10.255.0.1' },
      ]
      deepEqual(await reach(made.lab, own, { timeout_ms: 10_000 }), [])
      equal(await transfer(made.lab, 'host-1', 'fn-1', '10.0.1.1'), String(TRANSFER_BYTES))
      equal(await transfer(made.lab, 'fn-2', 'host-2', '10.0.2.2'), String(TRANSFER_BYTES))
      await traffic.stop()
      for (const { ping, tcp, http } of traffic.tenants) equal(ping.lost + tcp.failed + http.failed, 0)
    } catch (error) {
      throw new Error(gateway.lastLines(), { cause: error })
    } finally {
      await gateway.stop()
    }
  })
})
