/** Packets that are led from one tenant's VRF into another's, and those that reach another tenant's machine at once. */

import { deepEqual, equal } from 'node:assert/strict'
import { suite, test } from 'node:test'
import { parseAddress, parsePrefix } from '../base/address.ts'
import { unaccounted } from '../dataplane/ledger.ts'
import { icmpEcho, ipv4, ipv6, type Layer, tcp } from '../wire/build.ts'
import { RouteColumnsBuilder } from '../wire/control/columns.ts'
import type { FibBatch, NextHop } from '../wire/control/fib.ts'
import { tunnelId } from '../wire/mutate.ts'
import { MemoryNode } from './memory-node.ts'
import { fromCustomer, fromHost } from './sample-packets.ts'
import { ACME, EDGE, GLOBEX, HOST, MACHINE_MAC, sampleBatch } from './sample-site.ts'

const HOP = { into: 190, back: 290, ethernet: 291, ip: 292, policy: 293 } as const
const mac = Uint8Array.of(2, 0, 0, 0, 0x0d, 1)

/** ACME's default route leads into GLOBEX's VRF, where 203.0.113.5 and .6 are machines of ACME. */
function batch(more: Partial<FibBatch> = {}): FibBatch {
  const sample = sampleBatch([ACME, GLOBEX])
  const there = { tenant: GLOBEX.id, owner: ACME.id, segment: ACME.id * 10 + 2, key: ACME.vni, mtu: 0 }
  const hops: NextHop[] = [
    { kind: 'vrf', id: HOP.into, tenant: ACME.id, into: GLOBEX.id },
    { kind: 'vrf', id: HOP.back, tenant: GLOBEX.id, into: ACME.id },
    {
      ...{ kind: 'public', id: HOP.ethernet, ...there, tunnel: 'gre', payload: 'ethernet', mac },
      ...{ remote: parseAddress(HOST.ethernet)!, address: parseAddress('203.0.113.6')! },
    },
    {
      ...{ kind: 'public', id: HOP.ip, ...there, tunnel: 'gre', payload: 'ip', mac: undefined, address: undefined },
      remote: parseAddress(HOST.ip)!,
    },
  ]
  const routes4 = new RouteColumnsBuilder(1)
  const { tables, addresses, lengths, nextHops } = sample.routes4
  for (let i = 0; i < tables.length; i++) routes4.add4(tables[i]!, addresses[i]!, lengths[i]!, nextHops[i]!)
  const add = (tenant: number, text: string, hop: number): void => {
    const { address, length } = parsePrefix(text)!
    routes4.add4(tenant, new DataView(address.buffer, address.byteOffset).getUint32(0), length, hop)
  }
  add(ACME.id, '0.0.0.0/0', HOP.into)
  add(GLOBEX.id, '198.51.100.0/24', 201)
  add(GLOBEX.id, '100.64.0.0/16', 212)
  add(GLOBEX.id, '203.0.113.5/32', HOP.ip)
  add(GLOBEX.id, '203.0.113.6/32', HOP.ethernet)
  add(GLOBEX.id, '203.0.114.0/24', HOP.back)
  const routes6 = new RouteColumnsBuilder(4)
  routes6.add6(ACME.id, [0, 0, 0, 0], 0, HOP.into)
  routes6.add6(GLOBEX.id, [0x2001_0db8, 0x000f_0000, 0, 0], 48, 209)
  return {
    ...sample,
    nextHops: [...hops, ...sample.nextHops],
    routes4: routes4.build(),
    routes6: routes6.build(),
    ...more,
  }
}

function nodeWith(first = batch()): MemoryNode {
  const node = new MemoryNode()
  equal(node.apply(first), undefined)
  node.send()
  return node
}

const payload = tcp({ sourcePort: 40_000, destinationPort: 80 })
const to = (destination: string, source = '172.16.0.5', more: object = {}) =>
  ipv4({ source, destination, ...more }, payload)

/** Under which number and to whom it leaves, and which reasons were counted to whom. */
function outcome(node: MemoryNode, frame: Uint8Array): string {
  const names = ['acme', 'globex']
  const before = names.map((name) => ({ ...node.totals(name)?.drops }) as Record<string, number>)
  const out = node.send(frame)
  equal(unaccounted(node.node()), 0)
  const said = out.map((one) => `${tunnelId(one)} to ${one.subarray(30, 34).join('.')}`)
  const drops = names.flatMap((name, i) => {
    const now = Object.entries(node.totals(name)?.drops ?? {})
    return now.filter(([reason, count]) => count !== (before[i]![reason] ?? 0)).map(([reason]) => `${name} ${reason}`)
  })
  return [...drops, ...said].join(', ')
}

const machine = (packet: Layer): Uint8Array => fromHost(packet, ACME.vni)
const internet = (packet: Layer): Uint8Array => fromCustomer(packet, GLOBEX.vni)
const answered = `${ACME.vni} to ${HOST.ip}`

suite('into another VRF', () => {
  test('a packet goes as that one says, IPv4 and IPv6, with its TTL taken once', () => {
    const node = nodeWith()
    equal(outcome(node, machine(to('198.51.100.9'))), `${GLOBEX.vni} to ${EDGE}`)
    const packet = ipv6({ source: '2001:db8:16::5', destination: '2001:db8:f::9' }, payload)
    equal(outcome(node, machine(packet)), `${GLOBEX.vni} to ${EDGE}`)
    equal(
      outcome(node, machine(to('10.1.0.9'))),
      `${ACME.vni} to ${EDGE}`,
      'its own routes come before the default one',
    )
    equal(outcome(node, machine(to('198.51.100.9', undefined, { ttl: 1 }))), `acme ttl-exceeded, ${answered}`)
    const [out] = node.send(machine(to('198.51.100.9', undefined, { ttl: 2 })))
    // Ethernet, IPv4, UDP, VXLAN and Ethernet come before the tenant's own header.
    equal(out![14 + 20 + 8 + 8 + 14 + 8], 1)
  })

  test('it is counted to the tenant that it came from, and dropped there', () => {
    const node = nodeWith()
    outcome(node, machine(to('198.51.100.9')))
    equal(node.totals('acme')!.sent, 1 + sentBefore(node, 'acme'))
    equal(outcome(node, machine(to('192.0.2.1'))), `acme no-route, ${answered}`)
    equal(outcome(node, machine(to('10.66.0.1', '172.16.0.5'))), 'acme discard-route')
    equal(node.totals('globex')!.received, 0)
  })

  test('one jump is all: what leads on from there is dropped, and so is what is for the gateway there', () => {
    const node = nodeWith()
    equal(outcome(node, machine(to('203.0.114.1'))), 'acme vrf-loop')
    const first = batch()
    const routes4 = new RouteColumnsBuilder(1)
    routes4.add4(ACME.id, 0, 0, HOP.into)
    routes4.add4(ACME.id, 0xac100005, 32, 102)
    routes4.add4(GLOBEX.id, 0xc0a80101, 32, 206)
    const other = nodeWith({ ...first, routes4: routes4.build() })
    equal(
      outcome(other, machine(ipv4({ source: '172.16.0.5', destination: '192.168.1.1' }, icmpEcho()))),
      'acme no-listener',
    )
  })

  test('the policies of the VRF that it leaves by decide', () => {
    const node = nodeWith()
    equal(outcome(node, machine(to('100.64.0.1'))), `${GLOBEX.vni} to ${EDGE}`)
    equal(outcome(node, machine(to('100.64.0.1', '10.1.2.3', { tos: 46 << 2 }))), `${GLOBEX.vni} to ${EDGE}`)
    deepEqual([node.policies('globex')['voice'], node.policies('acme')['voice']], ['1 40', '0 0'])
    const telnet = ipv4({ source: '10.1.2.3', destination: '100.64.0.1' }, tcp({ destinationPort: 23 }))
    equal(outcome(node, machine(telnet)), 'acme policy-discard')
  })

  test('a ping of our own address is answered through it', () => {
    const node = nodeWith()
    const ping = ipv4({ source: '198.51.100.9', destination: '192.168.1.1' }, icmpEcho())
    equal(outcome(node, machine(ping)), `${GLOBEX.vni} to ${EDGE}`)
    const lost = ipv4({ source: '203.0.114.9', destination: '192.168.1.1' }, icmpEcho())
    equal(outcome(node, machine(lost)), 'acme vrf-loop')
  })
})

suite("to another tenant's machine", () => {
  test('a packet leaves as the machine’s own tenant would send it', () => {
    const node = nodeWith()
    equal(outcome(node, internet(to('203.0.113.5', '198.51.100.9'))), `${ACME.vni} to ${HOST.ip}`)
    const [out] = node.send(internet(to('203.0.113.6', '198.51.100.9')))
    equal(tunnelId(out!), ACME.vni)
    // Behind Ethernet, IPv4, GRE with a key.
    const destination = Array.from(out!.subarray(42, 48), (byte) => byte.toString(16).padStart(2, '0')).join(':')
    equal(destination, MACHINE_MAC)
    equal(node.totals('acme')!.received, 0, 'it is counted to whom it came from')
    equal(node.totals('globex')!.sent - sentBefore(node, 'globex'), 2)
  })
})

suite('while the other tenant is not held', () => {
  const without = (id: number): FibBatch => ({
    ...batch(),
    ...{ snapshot: false, base: 1, generation: 2, tenants: [], nextHops: [] },
    ...{ routes4: new RouteColumnsBuilder(1).build(), routes6: new RouteColumnsBuilder(4).build() },
    removedTenants: Uint32Array.of(id),
  })

  test('nothing leads to its VRF, and what did does again when it is back', () => {
    const node = nodeWith()
    equal(node.apply(without(GLOBEX.id)), undefined)
    equal(outcome(node, machine(to('198.51.100.9'))), `acme no-route, ${answered}`)
    const sample = batch()
    const back = { ...sample, snapshot: false, base: 2, generation: 3, tenants: sample.tenants.slice(1) }
    equal(node.apply({ ...back, nextHops: sample.nextHops.filter(({ tenant }) => tenant === GLOBEX.id) }), undefined)
    node.send()
    equal(outcome(node, machine(to('198.51.100.9'))), `${GLOBEX.vni} to ${EDGE}`)
  })

  test('nor to its machines', () => {
    const node = nodeWith()
    equal(node.apply(without(ACME.id)), undefined)
    equal(outcome(node, internet(to('203.0.113.5', '198.51.100.9'))), `globex group-empty, ${GLOBEX.vni} to ${EDGE}`)
    const sample = batch()
    const own = new RouteColumnsBuilder(1)
    const back = {
      ...sample,
      snapshot: false,
      base: 2,
      generation: 3,
      tenants: sample.tenants.slice(0, 1),
      routes4: own.build(),
    }
    equal(node.apply({ ...back, nextHops: sample.nextHops.filter(({ tenant }) => tenant === ACME.id) }), undefined)
    node.send()
    equal(outcome(node, internet(to('203.0.113.5', '198.51.100.9'))), `${ACME.vni} to ${HOST.ip}`)
  })

  test('its addresses follow it', () => {
    const node = nodeWith()
    const sample = batch()
    const moved = { ...sample.tenants[0]!, vip: parseAddress('10.255.0.9')! }
    const nothing = {
      routes4: new RouteColumnsBuilder(1).build(),
      routes6: new RouteColumnsBuilder(4).build(),
      nextHops: [],
    }
    equal(node.apply({ ...sample, ...nothing, snapshot: false, base: 1, generation: 2, tenants: [moved] }), undefined)
    const [out] = node.send(internet(to('203.0.113.5', '198.51.100.9')))
    equal(out!.subarray(26, 30).join('.'), '10.255.0.9')
  })
})

/** What the node had to say before any packet came. */
function sentBefore(node: MemoryNode, name: string): number {
  return node.totals(name)!.originated
}
