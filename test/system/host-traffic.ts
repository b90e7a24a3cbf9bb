/**
 * The host's own traffic on the gateway's interfaces: pings and TCP to a node's own addresses and from it, past the XDP
 * programs of node and rack switch, while tenants' traffic runs on the same wires.
 */

import { deepEqual, equal } from 'node:assert/strict'
import { suite, test } from 'node:test'
import { needs } from '../../lab/needs.ts'
import { reach } from '../../lab/reach.ts'
import { planTraffic } from '../../lab/traffic/plan.ts'
import { underTraffic } from './live-site.ts'
import { theSite } from './the-site.ts'
import { TRANSFER_BYTES, transfer } from './transfer.ts'

const RATES = { total_bit_per_s: 20e6, pings_per_s: 100, fetches_per_s: 10 }

suite("the host's own traffic", { skip: needs('ip') }, () => {
  test('to and from a node works while the gateway forwards on the same interfaces', async () => {
    const { lab, topology } = theSite().made
    const plan = planTraffic(topology, RATES)
    const traffic = await underTraffic({ ...theSite(), plan }, async () => {
      const own = [
        { tenant: 'host', namespace: 'host-1', to: '10.0.1.1' },
        { tenant: 'host', namespace: 'fn-1', to: '10.0.2.1' },
        { tenant: 'host', namespace: 'fn-2', to: '10.0.1.3' },
        { tenant: 'host', namespace: 'rack-1', to: '10.0.1.2' },
        { tenant: 'host', namespace: 'edge-1', to: '10.0.0.2' },
        { tenant: 'host', namespace: 'edge-1', to: '10.255.0.1' },
      ]
      deepEqual(await reach(lab, own, { timeout_ms: 10_000 }), [])
      equal(await transfer(lab, 'host-1', 'fn-1', '10.0.1.1'), String(TRANSFER_BYTES))
      equal(await transfer(lab, 'fn-2', 'host-2', '10.0.2.2'), String(TRANSFER_BYTES))
    })
    for (const { ping, tcp, http } of traffic.tenants) equal(ping.lost + tcp.failed + http.failed, 0)
  })
})
