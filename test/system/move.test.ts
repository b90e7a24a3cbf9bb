/**
 * A tenant moves to another VIP, and so to another cluster, while it talks: the new cluster has it before the switches
 * and hosts send there, and the old one keeps it until nothing comes any more (DSR section 4.1.1, figure 5).
 */

import { deepEqual, equal, ok } from 'node:assert/strict'
import { readFileSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { suite, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Gateway } from '../../lab/gateway.ts'
import { needs } from '../../lab/needs.ts'
import { underTraffic, withSite } from './live-site.ts'
import { surroundingsOf } from './site-of.ts'

const MAIN = resolve(import.meta.dirname, '../../src/main.ts')
const SITE = `
site: move
gateway: { mac: '02:67:68:00:00:01' }
control: { drain_ms: 500 }
vips:
  - { name: vip-1, address: 10.255.0.1 }
  - { name: vip-2, address: 10.255.0.2 }
clusters:
  - { name: blue, vips: [vip-1], nodes: [{ name: fn-1, namespace: fn-1, address: 10.0.1.1, ports: [rack] }] }
  - { name: green, vips: [vip-2], nodes: [{ name: fn-2, namespace: fn-2, address: 10.0.1.2, ports: [rack] }] }
switches:
  - { name: edge-1, namespace: edge-1, address: 10.0.0.1, uplinks: [path-a], ports: [acme] }
  - name: rack-1
    namespace: rack-1
    address: 10.0.0.2
    uplinks: [path-a, fn-1, fn-2, host-1]
    balances: [{ vip: vip-1 }, { vip: vip-2 }]
hosts:
  - { name: host-1, address: 10.0.2.1, tunnel: gre }
tenants:
  - name: acme
    vni: 1001
    vip: vip-1 # moves
    connections:
      - { name: dc, switch: edge-1, port: acme, gateway: [192.168.1.1/24], peers: [192.168.1.2] }
    vpcs:
      - { name: prod, machines: [{ name: a, address: 172.16.0.5, host: host-1 }] }
`
const RATES = { total_bit_per_s: 40e6, pings_per_s: 200, fetches_per_s: 20 }
const POLL_ms = 50
const MOVES_ms = 20_000

async function receivedBy(gateway: Gateway, name: string): Promise<number> {
  const module = (await gateway.observer.modules()).find((each) => each.name === name)
  return module?.totals?.received ?? 0
}

/** Until the node has received nothing for half a second. */
async function untilSilent(gateway: Gateway, name: string): Promise<void> {
  let last = await receivedBy(gateway, name)
  for (let quiet_ms = 0, waited_ms = 0; quiet_ms < 500; waited_ms += POLL_ms) {
    ok(waited_ms < MOVES_ms, `${name} still gets traffic`)
    await sleep(POLL_ms)
    const now = await receivedBy(gateway, name)
    quiet_ms = now === last ? quiet_ms + POLL_ms : 0
    last = now
  }
}

suite('a tenant moves between VIPs', { skip: needs('ip') }, () => {
  test('under traffic and without loss', async () => {
    await withSite({ build: () => surroundingsOf(SITE), rates: RATES }, async (site) => {
      const { made, gateway } = site
      equal(await receivedBy(gateway, 'fn-2'), 0)
      const traffic = await underTraffic(site, async () => {
        const moved = join(made.lab.folder, 'moved.yaml')
        writeFileSync(moved, readFileSync(made.siteFile, 'utf8').replace('vip: vip-1 # moves', 'vip: vip-2'))
        const args = ['--disable-warning=ExperimentalWarning', MAIN, 'reload', moved, '--run', made.runFolder]
        await made.lab.run('rack-1', process.execPath, ...args)
        await untilSilent(gateway, 'fn-1')
        ok((await receivedBy(gateway, 'fn-2')) > 0)
        await sleep(500)
      })
      const [{ ping, tcp, http }] = traffic.tenants as [(typeof traffic.tenants)[number]]
      deepEqual({ lost: ping.lost, tcp: tcp.failed, http: http.failed }, { lost: 0, tcp: 0, http: 0 })
      ok(ping.sent > 200)
    })
  })
})
