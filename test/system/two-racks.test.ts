/**
 * Two rack switches side by side. Each spreads the VIP over the same nodes and chooses alike, without a word between them:
 * whichever of the two a packet comes by, its flow is on one node. One that loses its power takes nothing along but what
 * was in flight.
 *
 *            +-- path-a -- rack-1 --+-- fn-1, fn-2, fn-3
 *   edge-1 --+                      x
 *            +-- path-b -- rack-2 --+-- host-1
 */

import { deepEqual, equal, ok } from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { suite, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { needs } from '../../lab/needs.ts'
import type { Surroundings } from '../../lab/site.ts'
import { failedConnections, nodesOf, receivedBy, underTraffic, withSite } from './live-site.ts'
import { surroundingsOf } from './site-of.ts'

const SITE = `
site: two-racks
gateway: { mac: '02:67:68:00:00:01' }
vips: [{ name: vip-1, address: 10.255.0.1 }]
clusters:
  - name: blue
    vips: [vip-1]
    nodes:
      - { name: fn-1, namespace: fn-1, address: 10.0.1.1, ports: [rack-1, rack-2] }
      - { name: fn-2, namespace: fn-2, address: 10.0.1.2, ports: [rack-1, rack-2] }
      - { name: fn-3, namespace: fn-3, address: 10.0.1.3, ports: [rack-1, rack-2] }
switches:
  - { name: edge-1, namespace: edge-1, address: 10.0.0.1, uplinks: [path-a, path-b], ports: [acme] }
  - name: rack-1
    namespace: rack-1
    address: 10.0.0.2
    uplinks: [path-a, fn-1, fn-2, fn-3, host-1]
    balances: [{ vip: vip-1 }]
  - name: rack-2
    namespace: rack-2
    address: 10.0.0.3
    uplinks: [path-b, fn-1, fn-2, fn-3, host-1]
    balances: [{ vip: vip-1 }]
hosts:
  - { name: host-1, address: 10.0.2.1, tunnel: gre }
tenants:
  - name: acme
    vni: 1001
    vip: vip-1
    connections:
      - { name: dc, switch: edge-1, port: acme, gateway: [192.168.1.1/24], peers: [192.168.1.2] }
    vpcs:
      - name: prod
        machines:
          - { name: a, address: 172.16.0.5, host: host-1 }
          - { name: b, address: 172.16.0.6, host: host-1 }
          - { name: c, address: 172.16.0.7, host: host-1 }
          - { name: d, address: 172.16.0.8, host: host-1 }
`
const RACKS = ['rack-1', 'rack-2']
/** The kernels' news of a lost carrier, and a busy machine. */
const IN_FLIGHT_ms = 100

/**
 * Every wire of the switch loses its carrier. Returns in how many milliseconds: the kernel closes one device after the other,
 * and until the last one is closed somebody still sends by it.
 */
function powerOff({ lab, site }: Surroundings, name: string): number {
  const { uplinks } = site.switches.find((each) => each.name === name)!
  const lines = uplinks.map((port) => `link set ${port} down\n`).join('')
  const began_ms = performance.now()
  execFileSync('ip', ['-n', lab.fullName(name), '-batch', '-'], { input: lines })
  return performance.now() - began_ms
}

suite('two rack switches side by side', { skip: needs('ip') }, () => {
  test('send a flow to the same node, and one that goes dark takes no flow with it', async (t) => {
    await withSite({ build: () => surroundingsOf(SITE) }, async (site) => {
      const { made, gateway, plan } = site
      const start = await receivedBy(gateway, 'access')
      const before = await nodesOf(site)
      const now = await receivedBy(gateway, 'access')
      for (const rack of RACKS) ok(now.get(rack)! - start.get(rack)! > 50, `${rack} carries a part`)
      let closing_ms = 0
      const traffic = await underTraffic(site, async () => {
        closing_ms = powerOff(made, 'rack-2')
        await sleep(2000)
      })
      const counted = await receivedBy(gateway, 'access')
      const after = await nodesOf(site)
      equal((await receivedBy(gateway, 'access')).get('rack-2'), counted.get('rack-2'))
      equal(failedConnections(traffic), 0)
      const lost = traffic.pings.map((ping) => ping.lost).join(' ')
      t.diagnostic(`lost by flow: ${lost}, in ${Math.round(closing_ms)} ms of closing`)
      const most = Math.ceil((closing_ms + IN_FLIGHT_ms) / plan.pingInterval_ms)
      for (const { lost } of traffic.pings) ok(lost <= most, `${lost} pings lost`)
      deepEqual(after, before)
    })
  })
})
