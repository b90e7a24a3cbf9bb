/** Bad input by its kinds, through the whole pipeline: each is counted or carried on, and none crosses tenants. */

import { deepEqual, equal, ok } from 'node:assert/strict'
import { describe, test } from 'node:test'
import { unaccounted } from '../dataplane/ledger.ts'
import { ethernet, gre, ipv4, ipv6, type Layer, udp, vxlan } from '../wire/build.ts'
import { refit, tunnelId } from '../wire/mutate.ts'
import { UDP_PORT } from '../wire/udp.ts'
import { corpus } from './corpus.ts'
import { MemoryNode } from './memory-node.ts'
import { conserved, DATA, fromPort, node, segmentOfTcp, toEdge, toHost, toPeer } from './node-harness.ts'
import { isQuestion } from './pipeline-fuzz.ts'
import { fromCustomer, fromEdge, fromHost } from './sample-packets.ts'
import { ACME, GATEWAY_MAC, GLOBEX, HOST, PEER_MAC, sampleBatch, TENANTS, VIP } from './sample-site.ts'

const CHUNKS = 512

/** Longer frames lie in chains of chunks; what is behind their headers is only looked at in steps. */
const EVERY_BYTE_UP_TO = 400
const STEP = 61

function lengthsOf(frame: Uint8Array): number[] {
  return Array.from({ length: frame.length + 1 }, (_, bytes) => bytes).filter(
    (bytes) => bytes <= EVERY_BYTE_UP_TO || bytes % STEP === 0 || bytes === frame.length,
  )
}

for (const [what, fit] of [
  ['on the wire', () => {}],
  ['before it entered the tunnel, whose own lengths are right', refit],
] as const)
  test(`each frame of the corpus, cut short at each byte ${what}, is counted and stays with its tenant`, () => {
    const site = new MemoryNode({ chunks: CHUNKS, tenants: 16, fibWords: 1 << 18 })
    equal(site.apply(sampleBatch()), undefined)
    for (const frame of corpus())
      for (const bytes of lengthsOf(frame)) {
        const cut = frame.slice(0, bytes)
        fit(cut)
        site.clock.advance(1)
        const id = tunnelId(cut)
        for (const sent of site.send(cut))
          if (!isQuestion(sent)) equal(tunnelId(sent), id, `${Buffer.from(cut).toString('hex')} crossed`)
        equal(site.pool.free, CHUNKS - 1)
        equal(unaccounted(site.node()), 0)
      }
    for (const { name } of TENANTS) equal(unaccounted(site.totals(name)!), 0, `the books of ${name}`)
  })

describe('fragments that overlap', () => {
  const from = { source: '10.1.2.3', destination: '172.16.0.5', id: 9 }
  const piece = (more: object, bytes: number, ttl = 64) =>
    ipv4({ ...from, ...more, ttl, protocol: 17 }, new Uint8Array(bytes).fill(bytes))

  test('are carried on one by one as they came: they are the receiver’s to judge, and wait for nothing here', () => {
    const site = node()
    const pieces = [
      [{ moreFragments: true }, 64],
      [{ moreFragments: true, fragmentOffset: 32 }, 64],
      [{ moreFragments: true, fragmentOffset: 0 }, 24],
      [{ fragmentOffset: 40 }, 200],
      [{ fragmentOffset: 8 }, 8],
    ] as const
    const sent = site.send(...pieces.map(([more, bytes]) => fromCustomer(piece(more, bytes))))
    deepEqual(
      sent,
      pieces.map(([more, bytes]) => toHost(HOST.ip, piece(more, bytes, 63), ACME.vni)),
    )
    conserved(site)
  })

  test('all go to one member of a group, for they say nothing of ports', () => {
    const site = node()
    const to = { destination: '10.8.0.1' }
    const hosts = site
      .send(
        fromCustomer(piece({ ...to, moreFragments: true }, 64)),
        fromCustomer(piece({ ...to, fragmentOffset: 32 }, 64)),
      )
      .map((frame) => frame[33])
    equal(new Set(hosts).size, 1)
  })

  test('of the tunnel itself are refused, the first and the later ones', () => {
    const site = node()
    const packet = ipv4({ source: '10.1.2.3', destination: '172.16.0.5' }, segmentOfTcp)
    const later = fromCustomer(packet)
    new DataView(later.buffer).setUint16(20, 3)
    refit(later)
    site.send(fromCustomer(packet, ACME.vni, { moreFragments: true }), later)
    deepEqual(site.node().drops, { 'outer-fragment': 2 })
    conserved(site)
  })
})

describe('a TTL of 0', () => {
  test('on a tenant’s packet is told to its sender and goes no further', () => {
    const site = node()
    for (const packet of [
      ipv4({ source: '10.1.2.3', destination: '172.16.0.5', ttl: 0 }, segmentOfTcp),
      ipv6({ source: '2001:db8:a::3', destination: '2001:db8:16::5', hopLimit: 0 }, segmentOfTcp),
    ]) {
      const sent = site.send(fromCustomer(packet))
      equal(sent.length, 1)
      equal(tunnelId(sent[0]!), ACME.vni)
    }
    deepEqual(site.totals('acme')!.drops, { 'ttl-exceeded': 2 })
    conserved(site)
  })

  test('on the tunnel is nobody’s business: it has arrived', () => {
    const site = node()
    const frame = fromCustomer(ipv4({ source: '10.1.2.3', destination: '172.16.0.5' }, segmentOfTcp))
    frame[22] = 0
    refit(frame)
    equal(site.send(frame).length, 1)
  })
})

describe('a tunnel within a tunnel', () => {
  const inner = ethernet(
    { source: PEER_MAC, destination: GATEWAY_MAC },
    ipv4({ destination: '172.16.0.5' }, segmentOfTcp),
  )
  const inVxlan = udp({ destinationPort: UDP_PORT.vxlan }, vxlan({ vni: GLOBEX.vni }, inner))
  const inGre = gre({ key: GLOBEX.vni }, ipv4({ destination: '172.16.0.5' }, segmentOfTcp))

  for (const [what, tunnel] of [
    ['VXLAN', inVxlan],
    ['GRE', inGre],
  ] as const) {
    test(`is a packet as any other: ${what} with another tenant’s number stays with whom it came from`, () => {
      const site = node()
      const packet = (ttl: number): Layer => ipv4({ source: '10.1.2.3', destination: '172.16.0.5', ttl }, tunnel)
      deepEqual(site.send(fromCustomer(packet(64))), [toHost(HOST.ip, packet(63), ACME.vni)])
      equal(site.totals('globex')!.received, 0)
      conserved(site)
    })

    test(`to the VIP from inside has no way out: ${what} of a tenant to the underlay`, () => {
      const site = node()
      const packet = ipv4({ source: '10.1.2.3', destination: VIP }, tunnel)
      const [error, ...more] = site.send(fromCustomer(packet))
      deepEqual(more, [])
      equal(tunnelId(error!), ACME.vni, 'an ICMP error, to its sender')
      deepEqual(site.node().drops, { 'no-route': 1 })
      conserved(site)
    })
  }

  test('deep in each other, only the outermost is taken off', () => {
    const site = node()
    let frame = inner
    for (let depth = 0; depth < 12; depth++)
      frame = ethernet(
        { source: PEER_MAC, destination: GATEWAY_MAC },
        ipv4(
          { source: '172.16.0.5', destination: '10.1.2.3' },
          udp({ destinationPort: UDP_PORT.vxlan }, vxlan({ vni: GLOBEX.vni }, frame)),
        ),
      )
    const [sent] = site.send(fromEdge(frame))
    ok(sent && sent.length === fromEdge(frame).length)
    equal(tunnelId(sent), ACME.vni)
    conserved(site)
  })

  test('GRE that claims to carry GRE, or nothing known, is refused', () => {
    const site = node()
    const bytes = gre({ key: ACME.vni }, ipv4({}, udp({}, DATA))).bytes
    for (const etherType of [0x880b, 0x0000, 0x8847]) site.send(fromHost({ bytes, etherType }))
    deepEqual(site.node().drops, { 'unknown-ethertype': 3 })
    conserved(site)
  })
})

test('a packet that goes back where it came from does so under its own number', () => {
  const site = node()
  const packet = (ttl: number) => ipv4({ source: '10.1.2.3', destination: '10.1.2.4', ttl }, segmentOfTcp)
  const [frame] = site.send(fromCustomer(packet(64), GLOBEX.vni))
  deepEqual(frame, toEdge(toPeer(packet(63)), GLOBEX.vni, fromPort(frame!)))
})
