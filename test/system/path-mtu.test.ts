/**
 * A wire of the underlay that is narrower than all others, between the rack switch and a host. Tunnels are not fragmented:
 * the rack switch tells the VIP, one node hears it and tells the others, and tenants are told by ICMP what fits.
 *
 *   acme-dc (1,500) -- edge-1 == rack-1 (1,700) --1,500-- host-1 -- machine
 */

import { equal, ok } from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { suite, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Gateway } from '../../lab/gateway.ts'
import { needs } from '../../lab/needs.ts'
import type { Surroundings } from '../../lab/site.ts'
import { parseAddress } from '../../src/base/address.ts'
import type { DropName } from '../../src/dataplane/drop.ts'
import { withNamespace } from '../../src/linux/namespace.ts'
import { UdpSocket } from '../../src/linux/socket.ts'
import { withSite } from './live-site.ts'
import { surroundingsOf } from './site-of.ts'
import { TRANSFER_BYTES, transfer } from './transfer.ts'

const SITE = `
site: narrow
gateway: { mac: '02:67:68:00:00:01' }
vips: [{ name: vip-1, address: 10.255.0.1 }]
clusters:
  - name: blue
    vips: [vip-1]
    nodes:
      - { name: fn-1, namespace: fn-1, address: 10.0.1.1, ports: [rack] }
      - { name: fn-2, namespace: fn-2, address: 10.0.1.2, ports: [rack] }
switches:
  - { name: edge-1, namespace: edge-1, address: 10.0.0.1, uplinks: [path-a], ports: [acme] }
  - name: rack-1
    namespace: rack-1
    address: 10.0.0.2
    uplinks: [path-a, fn-1, fn-2, host-1]
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
      - { name: prod, machines: [{ name: a, address: 172.16.0.5, host: host-1 }] }
`
const NARROW = 1500
const MACHINE = '172.16.0.5'
const ECHO_PORT = 7007
/** What is left of it beside an outer IPv4 header and GRE with a key. */
const LEFT = NARROW - 20 - 8
/** UDP payload of a packet as wide as the customer's wire. The kernel sends UDP with "don't fragment" while it fits. */
const WIDE = new Uint8Array(1500 - 28)
const TOLD_ms = 5000
const LOOK_ms = 10
/** Enough for both nodes to have some. */
const FLOWS = 12

/** What the customer's kernel has been told of the way to the machine. */
function toldMtu({ lab }: Surroundings): number | undefined {
  const route = execFileSync('ip', ['-n', lab.fullName('acme-dc'), 'route', 'get', MACHINE], { encoding: 'utf8' })
  const [, mtu] = /\bmtu (\d+)/.exec(route) ?? []
  return mtu === undefined ? undefined : Number(mtu)
}

async function tooBig(gateway: Gateway): Promise<Record<string, number>> {
  const count = (drops: Partial<Record<DropName, number>> = {}): number => drops['too-big'] ?? 0
  return Object.fromEntries((await gateway.observer.modules()).map(({ name, totals }) => [name, count(totals?.drops)]))
}

/** A flow of its own: sends wide packets to the machine until one has arrived and the kernel was told what fits. */
async function sendWide(made: Surroundings, machine: UdpSocket): Promise<void> {
  execFileSync('ip', ['-n', made.lab.fullName('acme-dc'), 'route', 'flush', 'cache'])
  const local = { address: parseAddress('192.168.1.2')!, port: 0 }
  const socket = withNamespace(made.lab.fullName('acme-dc'), () => new UdpSocket(local))
  try {
    for (let waited_ms = 0; ; waited_ms += LOOK_ms) {
      ok(waited_ms < TOLD_ms, `nothing came through, and the sender was told ${toldMtu(made)}`)
      if (waited_ms % 100 === 0) socket.send(WIDE, { address: parseAddress(MACHINE)!, port: ECHO_PORT })
      await sleep(LOOK_ms)
      const arrived = machine.receive()
      if (!arrived) continue
      equal(arrived.bytes.length, WIDE.length)
      equal(toldMtu(made), LEFT)
      return
    }
  } finally {
    socket.close()
  }
}

/** Between the rack switch and the host. */
function narrow(made: Surroundings): void {
  for (const [name, port] of [
    ['rack-1', 'host-1'],
    ['host-1', 'rack-1'],
  ] as const)
    execFileSync('ip', ['-n', made.lab.fullName(name), 'link', 'set', port, 'mtu', `${NARROW}`])
}

suite('a narrow wire of the underlay', { skip: needs('ip') }, () => {
  test('is found out, told to every node, and to tenants', async () => {
    await withSite({ build: () => surroundingsOf(SITE), prepare: narrow }, async ({ made, gateway }) => {
      const local = { address: parseAddress(MACHINE)!, port: ECHO_PORT }
      const machine = withNamespace(made.lab.fullName('acme-prod-a'), () => new UdpSocket(local))
      try {
        equal(await transfer(made.lab, 'acme-dc', 'acme-prod-a', MACHINE), String(TRANSFER_BYTES))
        const before = await tooBig(gateway)
        ok(before['rack-1']! > 0, 'the rack switch has refused what was too wide')
        for (let flow = 0; flow < FLOWS; flow++) await sendWide(made, machine)
        const after = await tooBig(gateway)
        equal(after['rack-1'], before['rack-1'], 'no node sends there what does not fit')
        for (const node of ['fn-1', 'fn-2']) ok(after[node]! > before[node]!, `${node} knows, and says so to tenants`)
      } finally {
        machine.close()
      }
    })
  })
})
