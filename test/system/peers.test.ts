/**
 * The gateway between programs of others: the kernel's VXLAN at the edge, Open vSwitch in the hosts, and iperf3 at both
 * ends. Our own edge switch and vSwitch have no part in it.
 */

import { equal, ok } from 'node:assert/strict'
import { once } from 'node:events'
import { suite, test } from 'node:test'
import { Gateway } from '../../lab/gateway.ts'
import type { Lab } from '../../lab/namespaces.ts'
import { needs } from '../../lab/needs.ts'
import { startKernelVxlan } from '../../lab/peers/kernel-vxlan.ts'
import { OpenVSwitch } from '../../lab/peers/open-vswitch.ts'
import type { Surroundings } from '../../lab/site.ts'
import { type SiteOptions, withSite } from './live-site.ts'
import { surroundingsOf } from './site-of.ts'

const SITE = `
site: peers
gateway: { mac: '02:67:68:00:00:01' }
vips: [{ name: vip-1, address: 10.255.0.1 }]
clusters:
  - name: blue
    vips: [vip-1]
    nodes:
      - { name: fn-1, namespace: fn-1, address: 10.0.1.1, ports: [rack] }
      - { name: fn-2, namespace: fn-2, address: 10.0.1.2, ports: [rack] }
switches:
  - { name: edge-1, namespace: edge-1, address: 10.0.0.1, uplinks: [path-a], ports: [acme, globex] }
  - name: rack-1
    namespace: rack-1
    address: 10.0.0.2
    uplinks: [path-a, fn-1, fn-2, host-1, host-2, host-3]
    balances: [{ vip: vip-1 }]
hosts:
  - { name: host-1, address: 10.0.2.1, tunnel: gre, payload: ip }
  - { name: host-2, address: 10.0.2.2, tunnel: gre, payload: ethernet }
  - { name: host-3, address: 10.0.2.3, tunnel: vxlan }
tenants:
  - name: acme
    vni: 1001
    vip: vip-1
    connections:
      - { name: dc, switch: edge-1, port: acme, gateway: [192.168.1.1/24], peers: [192.168.1.2] }
    vpcs:
      - name: prod
        subnets: [{ prefix: 172.16.0.0/24, gateway: 172.16.0.1 }]
        machines:
          - { name: a, address: 172.16.0.5, host: host-1 }
          - { name: b, address: 172.16.0.6, host: host-2 }
          - { name: c, address: 172.16.0.7, host: host-3 }
  - name: globex
    vni: 1002
    vip: vip-1
    connections:
      - { name: dc, switch: edge-1, port: globex, gateway: [192.168.1.1/24], peers: [192.168.1.2] }
    vpcs:
      - name: prod
        machines: [{ name: a, address: 172.16.0.5, host: host-1 }]
`
const HOSTS = ['host-1', 'host-2', 'host-3']
const SECONDS = 2

interface Iperf {
  readonly end: { readonly sum_received: { readonly bytes: number } }
}

/** One TCP stream; returns the bytes that arrived. */
async function iperf(lab: Lab, from: string, to: string, address: string, ...options: string[]): Promise<number> {
  const args = ['-s', '-1', '--forceflush', '-B', address]
  const server = lab.spawn(to, 'iperf3', args, { stdio: ['ignore', 'pipe', 'inherit'] })
  await once(server.stdout!, 'data') // it says that it listens
  const ended = once(server, 'exit')
  const client = ['-c', address, '-t', String(SECONDS), '-b', '50M', '-J', ...options]
  const report: Iperf = JSON.parse(await lab.run(from, 'iperf3', ...client))
  await ended
  return report.end.sum_received.bytes
}

async function startOthers(made: Surroundings): Promise<void> {
  await startKernelVxlan(made.lab, made.site, 'edge-1')
  for (const host of made.topology.hosts) await OpenVSwitch.start(made.lab, made.site, host)
}

suite("between the kernel's VXLAN and Open vSwitch", { skip: needs('ip', 'ovs-vswitchd', 'iperf3') }, () => {
  test('ping and iperf3 cross the gateway, over GRE with IP, GRE with Ethernet and VXLAN', async () => {
    const options: SiteOptions = {
      build: () => surroundingsOf(SITE, { bareHosts: HOSTS }),
      prepare: startOthers,
      up: (made) => Gateway.withoutUp(made, ['edge-1']),
    }
    await withSite(options, async ({ made, plan }) => {
      equal(plan.pings.length, 8)
      for (const [machine, address] of [
        ['a', '172.16.0.5'],
        ['b', '172.16.0.6'],
        ['c', '172.16.0.7'],
      ] as const)
        for (const direction of [[], ['-R']]) {
          const bytes = await iperf(made.lab, 'acme-dc', `acme-prod-${machine}`, address, ...direction)
          ok(bytes > SECONDS * 1e6, `${machine} ${direction}: ${bytes} bytes`)
        }
    })
  })
})
