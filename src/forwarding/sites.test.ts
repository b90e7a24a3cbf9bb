/** A tenant at two sites: what goes to the other site's gateway, and what comes from it. Whole frames in, whole frames out. */

import { deepEqual, equal, ok } from 'node:assert/strict'
import { test } from 'node:test'
import { parseAddress, parseMac } from '../base/address.ts'
import { ethernet, icmpEcho, ipv4, ipv6, type Layer, udp, vxlan } from '../wire/build.ts'
import { RouteColumnsBuilder } from '../wire/control/columns.ts'
import { UDP_PORT } from '../wire/udp.ts'
import type { MemoryNode } from './memory-node.ts'
import { conserved, fromPort, node, segmentOfTcp, toEdge, toPeer, toRouter } from './node-harness.ts'
import { fromCustomer, fromEdge, fromHost, fromSite } from './sample-packets.ts'
import { ACME, GATEWAY_MAC, INITECH, SITE_MAC, SITE_VIP, sampleBatch, underlayOf, VIP } from './sample-site.ts'

/** 10.30/16 is at the other site, 10.31/16 there or, as a backup, here, and 10.32/16 the other way about. */
const nodeOfTwo = (): MemoryNode => node()

const packet = (destination: string, more: { source?: string; ttl?: number } = {}, payload: Layer = segmentOfTcp) =>
  ipv4({ source: '172.16.0.5', destination, ...more }, payload)

function toOther(inner: Layer, sourcePort: number): Uint8Array {
  const frame = ethernet({ source: GATEWAY_MAC, destination: SITE_MAC }, inner)
  const tunnel = udp({ sourcePort, destinationPort: UDP_PORT.vxlan, checksum: false }, vxlan({ vni: ACME.vni }, frame))
  return ethernet(toRouter, ipv4({ source: VIP, destination: SITE_VIP, dontFragment: true }, tunnel))
}

const fromOther = (inner: Layer): Uint8Array => fromSite(inner)

const drops = (made: MemoryNode) => made.totals('acme')!.drops

test("a packet to what is at another site goes to the gateway there, in VXLAN with the tenant's VNI", () => {
  const made = nodeOfTwo()
  for (const to of ['10.30.0.1', '10.31.0.1']) {
    const sent = made.send(fromHost(packet(to)))
    deepEqual(sent, [toOther(packet(to, { ttl: 63 }), fromPort(sent[0]!))])
  }
  conserved(made)
})

test('from a customer it is no other', () => {
  const made = nodeOfTwo()
  const source = '10.1.0.9'
  const sent = made.send(fromCustomer(packet('10.30.0.1', { source })))
  deepEqual(sent, [toOther(packet('10.30.0.1', { source, ttl: 63 }), fromPort(sent[0]!))])
  conserved(made)
})

test('a packet from another site is delivered here', () => {
  const made = nodeOfTwo()
  const sent = made.send(fromOther(packet('10.1.0.1', { source: '10.30.0.1' })))
  const inner = toPeer(packet('10.1.0.1', { source: '10.30.0.1', ttl: 63 }))
  deepEqual(sent, [toEdge(inner, ACME.vni, fromPort(sent[0]!))])
  conserved(made)
})

test('it leaves by a way of this site even where the other one is preferred, and is never sent back', () => {
  const made = nodeOfTwo()
  for (const to of ['10.31.0.1', '10.32.0.1']) {
    const sent = made.send(fromOther(packet(to, { source: '10.30.0.1' })))
    deepEqual(sent, [toEdge(toPeer(packet(to, { source: '10.30.0.1', ttl: 63 })), ACME.vni, fromPort(sent[0]!))])
  }
  deepEqual(made.send(fromOther(packet('10.30.0.9', { source: '10.30.0.1' }))), [])
  deepEqual(drops(made), { 'site-loop': 1 })
  conserved(made)
})

test('IPv6 goes there and comes from there likewise, over an IPv6 underlay', () => {
  const made = nodeOfTwo()
  const to = (destination: string, source: string) => ipv6({ source, destination, hopLimit: 64 }, segmentOfTcp)
  const [there, ...more] = made.send(fromCustomer(to('2001:db8:20::1', '2001:db8:a::3'), INITECH.vni))
  deepEqual(more, [])
  ok(there && Buffer.from(there).includes(parseAddress(underlayOf(INITECH.vni).site)!))
  ok(Buffer.from(there).includes(parseMac(SITE_MAC)!))
  const [here, ...others] = made.send(fromSite(to('2001:db8:a::3', '2001:db8:20::1'), INITECH.vni))
  deepEqual(others, [])
  ok(here && Buffer.from(here).includes(parseAddress(underlayOf(INITECH.vni).edge)!))
  deepEqual(made.send(fromSite(to('2001:db8:20::9', '2001:db8:20::1'), INITECH.vni)), [])
  deepEqual(made.totals('initech')!.drops, { 'site-loop': 1 })
  conserved(made)
})

test('what the gateway itself says to the other site goes there', () => {
  const made = nodeOfTwo()
  const question = packet(
    '192.168.1.1',
    { source: '10.30.0.1' },
    icmpEcho({ reply: false, identifier: 1, sequence: 1 }),
  )
  const [pong, ...more] = made.send(fromOther(question))
  deepEqual(more, [])
  const echo = icmpEcho({ reply: true, identifier: 1, sequence: 1 })
  deepEqual(pong, toOther(packet('10.30.0.1', { source: '192.168.1.1', ttl: 64 }, echo), fromPort(pong!)))
  const [expired] = made.send(fromOther(packet('10.1.0.1', { source: '10.30.0.1', ttl: 1 })))
  ok(expired && Buffer.from(expired).includes(parseAddress(SITE_VIP)!), 'and so do ICMP errors')
  deepEqual(drops(made), { 'ttl-exceeded': 1 })
  conserved(made)
})

test("only the other site's tunnel endpoints may send for the tenant, and only while it is there", () => {
  const made = nodeOfTwo()
  const inner = ethernet({ source: SITE_MAC, destination: GATEWAY_MAC }, packet('10.1.0.1', { source: '10.30.0.1' }))
  deepEqual(made.send(fromEdge(inner, ACME.vni, { source: '10.254.0.2' })), [])
  deepEqual(made.send(fromEdge(inner, INITECH.vni, { source: SITE_VIP })), [])
  equal(made.node().drops['unknown-remote'], 2)
  const { tenants, ...rest } = sampleBatch()
  const [acme] = tenants
  const alone = { ...acme!, segments: acme!.segments.filter(({ kind }) => kind !== 'site') }
  const routes4 = new RouteColumnsBuilder(1)
  for (const net of [30, 31, 32]) routes4.add4(ACME.id, 0x0a000000 + net * 65_536, 16, 0)
  const routes6 = new RouteColumnsBuilder(4)
  routes6.add6(ACME.id, [0x20010db8, 0x00200000, 0, 0], 48, 0)
  const gone = { ...rest, generation: 2, base: 1, snapshot: false, tenants: [alone], nextHops: [] }
  const rows = { routes4: routes4.build(), routes6: routes6.build() }
  equal(made.apply({ ...gone, ...rows, removedNextHops: Uint32Array.of(114, 115, 116) }), undefined)
  deepEqual(made.send(fromOther(packet('10.1.0.1', { source: '10.30.0.1' }))), [])
  equal(made.node().drops['unknown-remote'], 3)
  conserved(made)
})
