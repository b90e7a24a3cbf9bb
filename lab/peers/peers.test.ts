import { equal, ok } from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { suite, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { needs } from '../needs.ts'
import { Surroundings, type SurroundingsOptions } from '../site.ts'
import type { TrafficPlan } from '../traffic/plan.ts'
import { Traffic } from '../traffic/traffic.ts'
import { startKernelVxlan } from './kernel-vxlan.ts'
import { OpenVSwitch } from './open-vswitch.ts'

// Two of everything, so that each peer can be tried against its like or the other's: no gateway between them.
const SITE = `
site: peers
gateway: { mac: '02:67:68:00:00:01' }
vips: [{ name: vip-1, address: 10.255.0.1 }]
clusters:
  - { name: blue, vips: [vip-1], nodes: [{ name: fn-1, namespace: fn-1, address: 10.0.1.1, ports: [rack] }] }
switches:
  - { name: edge-1, namespace: edge-1, address: 10.0.0.1, uplinks: [left], ports: [dc] }
  - { name: edge-2, namespace: edge-2, address: 10.0.0.3, uplinks: [right], ports: [dc] }
  - { name: rack-1, namespace: rack-1, address: 10.0.0.2, uplinks: [left, right, fn-1, host-1, host-2] }
hosts:
  - { name: host-1, address: 10.0.2.1, tunnel: gre }
  - { name: host-2, address: 10.0.2.2, tunnel: gre }
tenants:
  - name: acme
    vni: 1001
    vip: vip-1
    connections:
      - { name: left, switch: edge-1, port: dc, gateway: [192.168.1.1/24], peers: [192.168.1.2] }
      - { name: right, switch: edge-2, port: dc, gateway: [192.168.2.1/24], peers: [192.168.2.2] }
    vpcs:
      - name: prod
        machines:
          - { name: a, address: 172.16.0.5, host: host-1 }
          - { name: b, address: 172.16.0.6, host: host-2 }
`

async function build(options: SurroundingsOptions = {}): Promise<Surroundings> {
  const folder = mkdtempSync(join(tmpdir(), 'gatehouse-peers-'))
  try {
    writeFileSync(join(folder, 'site.yaml'), SITE)
    const made = await Surroundings.build(join(folder, 'site.yaml'), options)
    made.lab.set('rack-1', { 'net/ipv4/ip_forward': 1 })
    return made
  } finally {
    rmSync(folder, { recursive: true })
  }
}

/** Traffic from one namespace's address to another's, for a second, all of which must arrive. */
async function exchange(made: Surroundings, from: [string, string], to: [string, string]): Promise<void> {
  const plan: TrafficPlan = {
    pings: [
      { tenant: 'acme', namespace: from[0], to: to[1], identifier: 1 },
      { tenant: 'acme', namespace: to[0], to: from[1], identifier: 2 },
    ],
    servers: [{ tenant: 'acme', namespace: to[0], addresses: [to[1]] }],
    clients: [
      {
        tenant: 'acme',
        namespace: from[0],
        streams: [
          { from: from[1], to: to[1], direction: 'up' },
          { from: from[1], to: to[1], direction: 'down' },
        ],
        fetches: [{ from: from[1], to: to[1], fresh: true }],
      },
    ],
    pingInterval_ms: 50,
    fetchInterval_ms: 50,
    streamRate_bit_per_s: 10e6,
  }
  const traffic = await Traffic.prepare(made.lab, plan)
  traffic.start()
  await sleep(1000)
  await traffic.stop()
  const [{ ping, tcp, http, trouble }] = traffic.tenants as [(typeof traffic.tenants)[number]]
  equal(trouble, undefined)
  equal(ping.lost + tcp.failed + http.failed, 0)
  ok(ping.sent > 5 && tcp.bytes > 2e5 && http.requests > 2)
}

suite('Open vSwitch in a host', { skip: needs('ip', 'ovs-vswitchd') }, () => {
  test('speaks with our vSwitch over GRE, IP within', async () => {
    await using made = await build({ bareHosts: ['host-2'] })
    const host2 = made.topology.hosts.find(({ name }) => name === 'host-2')!
    const ovs = await OpenVSwitch.start(made.lab, made.site, host2)
    await ovs.setVip(1001, '10.0.2.1')
    await made.vswitches.get('host-1')!.setVip(1001, '10.0.2.2')
    await exchange(made, ['acme-prod-a', '172.16.0.5'], ['acme-prod-b', '172.16.0.6'])
  })
})

suite("the kernel's VXLAN at an edge", { skip: needs('ip') }, () => {
  test('bridges a customer into its VNI', async () => {
    await using made = await build()
    await startKernelVxlan(made.lab, made.site, 'edge-1', '10.0.0.3')
    await startKernelVxlan(made.lab, made.site, 'edge-2', '10.0.0.1')
    // Without a gateway the two customers meet on one segment.
    await made.lab.configure(new Map([['acme-right', ['addr add 192.168.1.3/24 dev wan']]]))
    await exchange(made, ['acme-left', '192.168.1.2'], ['acme-right', '192.168.1.3'])
  })
})
