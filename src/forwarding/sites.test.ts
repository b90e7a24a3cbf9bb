/** A tenant at two sites: what goes to the other site's gateway, and what comes from it. Whole frames in, whole frames out. */

import { deepEqual, equal, ok } from 'node:assert/strict'
import { test } from 'node:test'
import { parseAddress, parseMac } from '../base/address.ts'
import { ethernet, icmpEcho, ipv4, type Layer, udp, vxlan } from '../wire/build.ts'
import { RouteColumnsBuilder } from '../wire/control/columns.ts'
import type { FibBatch, FibSegment, FibTenant, NextHop } from '../wire/control/fib.ts'
import { UDP_PORT } from '../wire/udp.ts'
import type { MemoryNode } from './memory-node.ts'
import { conserved, fromPort, node, segmentOfTcp, toEdge, toPeer, toRouter } from './node-harness.ts'
import { fromCustomer, fromEdge, fromHost } from './sample-packets.ts'
import { ACME, GATEWAY_MAC, sampleBatch, VIP } from './sample-site.ts'

const SITE_VIP = '10.254.0.1'
const SITE_MAC = '02:67:68:00:00:02'
const SEGMENT = 19
const TO_SITE = 150
const TO_PEER = 101

const site: FibSegment = {
  kind: 'site',
  ...{ id: SEGMENT, name: 'site-b', vni: ACME.vni, mtu: 1400 },
  remotes: [parseAddress(SITE_VIP)!],
  mac: parseMac(GATEWAY_MAC)!,
}

const toSite: NextHop = {
  ...{ kind: 'peer', id: TO_SITE, tenant: ACME.id, segment: SEGMENT, vni: ACME.vni, mtu: 1400 },
  ...{ remote: parseAddress(SITE_VIP)!, address: parseAddress(SITE_VIP)!, mac: parseMac(SITE_MAC)! },
}

const failover = (id: number, ...members: number[]): NextHop => {
  return { kind: 'failover', id, tenant: ACME.id, members: Uint32Array.from(members), choice: '' }
}

/** 10.20/16 is at the other site, 10.21/16 there or, as a backup, here, and 10.22/16 the other way about. */
function withSite(): FibBatch {
  const { tenants, ...sample } = sampleBatch()
  const acme: FibTenant = { ...tenants[0]!, segments: [...tenants[0]!.segments, site] }
  const routes4 = new RouteColumnsBuilder(1)
  routes4.add4(ACME.id, 0x0a140000, 16, TO_SITE)
  routes4.add4(ACME.id, 0x0a150000, 16, 151)
  routes4.add4(ACME.id, 0x0a160000, 16, 152)
  return {
    ...sample,
    ...{ generation: 2, base: 1, snapshot: false, tenants: [acme], routes4: routes4.build() },
    nextHops: [toSite, failover(151, TO_SITE, TO_PEER), failover(152, TO_PEER, TO_SITE)],
    routes6: new RouteColumnsBuilder(4).build(),
  }
}

function nodeOfTwo(): MemoryNode {
  const made = node()
  equal(made.apply(withSite()), undefined)
  deepEqual(made.send(), [], 'nobody there is asked for anything')
  return made
}

const packet = (destination: string, more: { source?: string; ttl?: number } = {}, payload: Layer = segmentOfTcp) =>
  ipv4({ source: '172.16.0.5', destination, ...more }, payload)

function toOther(inner: Layer, sourcePort: number): Uint8Array {
  const frame = ethernet({ source: GATEWAY_MAC, destination: SITE_MAC }, inner)
  const tunnel = udp({ sourcePort, destinationPort: UDP_PORT.vxlan, checksum: false }, vxlan({ vni: ACME.vni }, frame))
  return ethernet(toRouter, ipv4({ source: VIP, destination: SITE_VIP, dontFragment: true }, tunnel))
}

/** As the other site's gateway sends it. */
function fromOther(inner: Layer): Uint8Array {
  return fromEdge(ethernet({ source: SITE_MAC, destination: GATEWAY_MAC }, inner), ACME.vni, { source: SITE_VIP })
}

const drops = (made: MemoryNode) => made.totals('acme')!.drops

test("a packet to what is at another site goes to the gateway there, in VXLAN with the tenant's VNI", () => {
  const made = nodeOfTwo()
  for (const sent of [made.send(fromHost(packet('10.20.0.1'))), made.send(fromHost(packet('10.21.0.1')))]) {
    equal(sent.length, 1)
    const to = sent[0]!.includes(0x15) ? '10.21.0.1' : '10.20.0.1'
    ok(
      [to, '10.20.0.1', '10.21.0.1'].some((one) =>
        Buffer.from(toOther(packet(one, { ttl: 63 }), fromPort(sent[0]!))).equals(sent[0]!),
      ),
    )
  }
  conserved(made)
})

test('from a customer it is no other', () => {
  const made = nodeOfTwo()
  const source = '10.1.0.9'
  const sent = made.send(fromCustomer(packet('10.20.0.1', { source })))
  deepEqual(sent, [toOther(packet('10.20.0.1', { source, ttl: 63 }), fromPort(sent[0]!))])
  conserved(made)
})

test('a packet from another site is delivered here', () => {
  const made = nodeOfTwo()
  const sent = made.send(fromOther(packet('10.1.0.1', { source: '10.20.0.1' })))
  const inner = toPeer(packet('10.1.0.1', { source: '10.20.0.1', ttl: 63 }))
  deepEqual(sent, [toEdge(inner, ACME.vni, fromPort(sent[0]!))])
  conserved(made)
})

test('it leaves by a way of this site even where the other one is preferred, and is never sent back', () => {
  const made = nodeOfTwo()
  for (const to of ['10.21.0.1', '10.22.0.1']) {
    const sent = made.send(fromOther(packet(to, { source: '10.20.0.1' })))
    deepEqual(sent, [toEdge(toPeer(packet(to, { source: '10.20.0.1', ttl: 63 })), ACME.vni, fromPort(sent[0]!))])
  }
  deepEqual(made.send(fromOther(packet('10.20.0.9', { source: '10.20.0.1' }))), [])
  deepEqual(drops(made), { 'site-loop': 1 })
  conserved(made)
})

test('what the gateway itself says to the other site goes there', () => {
  const made = nodeOfTwo()
  const question = packet(
    '192.168.1.1',
    { source: '10.20.0.1' },
    icmpEcho({ reply: false, identifier: 1, sequence: 1 }),
  )
  const [pong, ...more] = made.send(fromOther(question))
  deepEqual(more, [])
  const echo = icmpEcho({ reply: true, identifier: 1, sequence: 1 })
  deepEqual(pong, toOther(packet('10.20.0.1', { source: '192.168.1.1', ttl: 64 }, echo), fromPort(pong!)))
  const [expired] = made.send(fromOther(packet('10.1.0.1', { source: '10.20.0.1', ttl: 1 })))
  ok(expired && Buffer.from(expired).includes(parseAddress(SITE_VIP)!), 'and so do ICMP errors')
  deepEqual(drops(made), { 'ttl-exceeded': 1 })
  conserved(made)
})

test("only the other site's tunnel endpoints may send for the tenant, and only while it is there", () => {
  const made = nodeOfTwo()
  const inner = ethernet({ source: SITE_MAC, destination: GATEWAY_MAC }, packet('10.1.0.1', { source: '10.20.0.1' }))
  deepEqual(made.send(fromEdge(inner, ACME.vni, { source: '10.254.0.2' })), [])
  deepEqual(made.send(fromEdge(inner, 1002, { source: SITE_VIP })), [])
  equal(made.node().drops['unknown-remote'], 2)
  const { tenants, ...rest } = sampleBatch()
  const gone = { ...rest, generation: 3, base: 2, snapshot: false, tenants: [tenants[0]!], nextHops: [] }
  const routes4 = new RouteColumnsBuilder(1)
  for (const address of [0x0a140000, 0x0a150000, 0x0a160000]) routes4.add4(ACME.id, address, 16, 0)
  const routes6 = new RouteColumnsBuilder(4).build()
  const removedNextHops = Uint32Array.of(TO_SITE, 151, 152)
  equal(made.apply({ ...gone, routes4: routes4.build(), routes6, removedNextHops }), undefined)
  deepEqual(made.send(fromOther(packet('10.1.0.1', { source: '10.20.0.1' }))), [])
  equal(made.node().drops['unknown-remote'], 3)
  conserved(made)
})
