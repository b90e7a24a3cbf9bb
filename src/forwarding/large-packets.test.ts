/** Packets larger than their tunnel: fragmented, refused with the MTU, carried in chains of chunks, announced smaller. */

import { deepEqual, equal, ok } from 'node:assert/strict'
import { describe, test } from 'node:test'
import { parseAddress } from '../base/address.ts'
import { BATCH_MAX } from '../dataplane/batch.ts'
import {
  destinationOptions,
  ethernet,
  fragment6,
  hopByHop,
  icmpEcho,
  icmpv6Echo,
  ipv4,
  ipv6,
  type Layer,
  tcp,
  udp,
} from '../wire/build.ts'
import type { MemoryNode } from './memory-node.ts'
import { conserved, fromPort, node, OUTER_IP, segmentOfTcp, toEdge, toHost, toPeer } from './node-harness.ts'
import { arpFor, fromCustomer, fromEdge, fromHost, solicitationFor } from './sample-packets.ts'
import { ACME, GATEWAY_MAC, HOST, PEER_MAC, sampleBatch } from './sample-site.ts'

/** What IPv4 fragments carry together, by their identification. */
function reassembled(fragments: readonly Uint8Array[]): Map<number, Uint8Array> {
  const whole = new Map<number, Uint8Array>()
  for (const fragment of fragments) {
    const view = new DataView(fragment.buffer, fragment.byteOffset)
    const offset = (view.getUint16(6) & 0x1fff) * 8
    const before = whole.get(view.getUint16(4)) ?? new Uint8Array(0)
    const after = new Uint8Array(Math.max(before.length, offset + fragment.length - 20))
    after.set(before)
    after.set(fragment.subarray(20), offset)
    whole.set(view.getUint16(4), after)
  }
  return whole
}

describe('packets larger than the tunnel', () => {
  test('are fragmented when they may be, and the fragments carry every byte once', () => {
    const site = node(1500)
    const payload = Uint8Array.from({ length: 4000 }, (_, i) => i)
    const packet = ipv4({ source: '10.1.2.3', destination: '172.16.0.5', id: 99 }, udp({}, payload))
    const fragments = site.send(fromCustomer(packet)).map((frame) => frame.subarray(OUTER_IP + 20 + 8))
    equal(fragments.length, 3)
    const whole = new Uint8Array(4008)
    for (const [i, fragment] of fragments.entries()) {
      const view = new DataView(fragment.buffer, fragment.byteOffset)
      ok(fragment.length <= 1472)
      equal(view.getUint16(4), 99)
      equal((view.getUint16(6) & 0x2000) !== 0, i < 2)
      whole.set(fragment.subarray(20), (view.getUint16(6) & 0x1fff) * 8)
    }
    deepEqual(whole, packet.bytes.subarray(20))
    conserved(site)
  })

  for (const [bytes, pieces] of [
    [1500, 2],
    [9000, 7],
  ] as const)
    test(`a full batch of ${bytes} bytes each is cut without a loss`, () => {
      const site = node(1500)
      const packets = Array.from({ length: BATCH_MAX }, (_, i) =>
        ipv4(
          { source: '10.1.2.3', destination: '172.16.0.5', id: 1 + i },
          udp(
            {},
            Uint8Array.from({ length: bytes - 28 }, (_, at) => at * i),
          ),
        ),
      )
      const sent = site.send(...packets.map((packet) => fromCustomer(packet)))
      equal(sent.length, pieces * BATCH_MAX)
      const whole = reassembled(sent.map((frame) => frame.subarray(OUTER_IP + 20 + 8)))
      for (const [i, packet] of packets.entries()) deepEqual(whole.get(1 + i), packet.bytes.subarray(20))
      deepEqual(site.node().drops, {})
      equal(site.totals('acme')!.sent, pieces * BATCH_MAX + 1)
      conserved(site)
    })

  test('options stay with the first fragment but for those that are copied into all', () => {
    const site = node(1500)
    const recordRoute = [7, 7, 4, 0, 0, 0, 0]
    const routerAlert = [148, 4, 0, 0]
    const options = Uint8Array.of(...recordRoute, ...routerAlert, 0)
    const packet = ipv4({ source: '10.1.2.3', destination: '172.16.0.5', options }, udp({}, new Uint8Array(2000)))
    const [first, second] = site.send(fromCustomer(packet)).map((frame) => frame.subarray(OUTER_IP + 20 + 8))
    deepEqual([...first!.subarray(20, 32)], [...options])
    deepEqual([...second!.subarray(20, 32)], [1, 1, 1, 1, 1, 1, 1, ...routerAlert, 0])
    conserved(site)
  })

  test('are dropped and counted when too few chunks are free for the pieces, and none of them leaves', () => {
    const site = node(1500)
    const packet = ipv4({ source: '10.1.2.3', destination: '172.16.0.5' }, udp({}, new Uint8Array(3500)))
    site.port.inject(fromCustomer(packet))
    const taken: number[] = []
    while (site.pool.free > 1) taken.push(site.pool.take())
    deepEqual(site.send(), [])
    for (const chunk of taken) site.pool.give(chunk)
    deepEqual(site.node().drops, { 'no-frames': 1 })
    conserved(site)
  })

  test('what follows the packet in a chain of chunks does not travel on', () => {
    const site = node(9216)
    const packet = (ttl: number) => ipv4({ source: '10.1.2.3', destination: '172.16.0.5', ttl }, segmentOfTcp)
    const padded = (ttl: number) => {
      const frame = new Uint8Array(8000)
      frame.set(ethernet({ source: PEER_MAC, destination: GATEWAY_MAC }, packet(ttl)))
      return frame
    }
    deepEqual(site.send(fromEdge(padded(64))), [toHost(HOST.ip, packet(63), ACME.vni)])
    conserved(site)
  })

  for (const bytes of [4000, 6000, 8000])
    test(`questions padded to ${bytes} bytes are answered, and every chunk comes back`, () => {
      const site = node(9216)
      const padded = (frame: Uint8Array): Uint8Array => {
        const whole = new Uint8Array(bytes)
        whole.set(frame)
        return fromEdge(whole)
      }
      equal(site.send(padded(arpFor('192.168.1.1'))).length, 1)
      equal(site.send(padded(solicitationFor('2001:db8:1::1'))).length, 1)
      const ping = icmpv6Echo({ identifier: 7 }, new Uint8Array(bytes - 200))
      const packet = ipv6({ source: 'fe80::c', destination: 'fe80::67:68ff:fe00:1' }, ping)
      const [reply] = site.send(fromCustomer(packet))
      equal(reply!.length, 50 + 14 + packet.bytes.length)
      conserved(site)
    })

  test('a ping of the gateway that is too big for the way back is cut, or dropped when it may not be', () => {
    const site = node(1500)
    const ping = (dontFragment: boolean) =>
      fromCustomer(
        ipv4({ source: '10.1.2.3', destination: '192.168.1.1', dontFragment }, icmpEcho({}, new Uint8Array(3000))),
      )
    equal(site.send(ping(false)).length, 3)
    deepEqual(site.send(ping(true)), [])
    equal(site.totals('acme')!.drops['too-big'], 1)
    conserved(site)
  })

  test('a ping of the link-local gateway that is too big for the way back is dropped', () => {
    const site = node(1500)
    const ping = (bytes: number) =>
      ipv6({ source: 'fe80::c', destination: 'fe80::67:68ff:fe00:1' }, icmpv6Echo({}, new Uint8Array(bytes)))
    const most = 1500 - 50 - 48
    equal(site.send(fromCustomer(ping(most)))[0]!.length, 14 + 1500)
    deepEqual(site.send(fromCustomer(ping(most + 1))), [])
    deepEqual(site.send(fromCustomer(ping(5000))), [])
    equal(site.totals('acme')!.drops['too-big'], 2)
    conserved(site)
  })

  test('a fragment that ends behind the largest packet is not cut further', () => {
    const site = node(1500)
    const last = ipv4(
      { source: '10.1.2.3', destination: '172.16.0.5', id: 3, fragmentOffset: 8189 * 8, protocol: 17 },
      new Uint8Array(3000),
    )
    deepEqual(site.send(fromCustomer(last)), [])
    equal(site.totals('acme')!.drops['bad-header-length'], 1)
    conserved(site)
  })

  test('jumbo frames cross in a chain of chunks', () => {
    const site = node(9216)
    const packet = (ttl: number) =>
      ipv4({ source: '10.1.2.3', destination: '172.16.0.5', ttl, dontFragment: true }, udp({}, new Uint8Array(8900)))
    deepEqual(site.send(fromCustomer(packet(64))), [toHost(HOST.ip, packet(63), ACME.vni)])
    conserved(site)
  })

  test('a path MTU that was learnt is told to the sender', () => {
    const site = node(1600)
    const packet = ipv4(
      { source: '10.1.2.3', destination: '172.16.0.5', dontFragment: true },
      udp({}, new Uint8Array(1400)),
    )
    equal(site.send(fromCustomer(packet)).length, 1)
    site.learnPathMtu(parseAddress(HOST.ip)!, 1400)
    site.send(fromCustomer(packet))
    equal(site.totals('acme')!.drops['too-big'], 1)
  })
})

describe('TCP is told a smaller MSS when it opens', () => {
  const SYN = 0x02
  const ACK = 0x10
  const CUSTOMER = '10.1.2.3'
  const CUSTOMER6 = '2001:db8:a::3'
  const MACHINE = '172.16.0.5'
  const MACHINE6 = '2001:db8:16::5'
  /** What the narrower of both ways carries: VXLAN takes 50 bytes, GRE to a host 28. */
  const most = 1500 - 50
  const syn = (mss: number, flags = SYN) => tcp({ sourcePort: 40_000, destinationPort: 80, flags, mss })

  test('what the narrower of both ways carries, here the one back', () => {
    const packet = (mss: number, ttl: number) => ipv4({ source: CUSTOMER, destination: MACHINE, ttl }, syn(mss))
    deepEqual(node(1500).send(fromCustomer(packet(1460, 64))), [toHost(HOST.ip, packet(most - 40, 63), ACME.vni)])
  })

  test('over IPv6, behind extension headers too, but for later fragments', () => {
    const site = node(1500)
    const packet = (mss: number, hopLimit: number, extensions: Layer[] = []) =>
      ipv6({ source: CUSTOMER6, destination: MACHINE6, hopLimit, extensions }, syn(mss))
    for (const extensions of [[], [destinationOptions()], [hopByHop(), fragment6({ offset: 0, more: true })]])
      deepEqual(site.send(fromCustomer(packet(1440, 64, extensions))), [
        toHost(HOST.ip, packet(most - 60, 63, extensions), ACME.vni),
      ])
    const later = [fragment6({ offset: 8, more: false })]
    deepEqual(site.send(fromCustomer(packet(1440, 64, later))), [toHost(HOST.ip, packet(1440, 63, later), ACME.vni)])
    conserved(site)
  })

  test('by the answer too, which comes from a host', () => {
    const site = node(1500)
    const answer4 = (mss: number, ttl: number) =>
      ipv4({ source: MACHINE, destination: CUSTOMER, ttl }, syn(mss, SYN | ACK))
    const answer6 = (mss: number, hopLimit: number) =>
      ipv6({ source: MACHINE6, destination: CUSTOMER6, hopLimit }, syn(mss, SYN | ACK))
    const [four] = site.send(fromHost(answer4(1460, 64)))
    deepEqual(four, toEdge(toPeer(answer4(most - 40, 63)), ACME.vni, fromPort(four!)))
    const [six] = site.send(fromHost(answer6(1440, 64)))
    deepEqual(six, toEdge(toPeer(answer6(most - 60, 63)), ACME.vni, fromPort(six!)))
  })

  test('but not one that is small enough, and not once it is open', () => {
    const site = node(1500)
    for (const payload of [syn(536), syn(1460, ACK)]) {
      const packet = (ttl: number) => ipv4({ source: CUSTOMER, destination: MACHINE, ttl }, payload)
      deepEqual(site.send(fromCustomer(packet(64))), [toHost(HOST.ip, packet(63), ACME.vni)])
    }
  })
})

describe('a connection that is narrower than its tunnel', () => {
  const wide = (mtu: number): MemoryNode => {
    const site = node(9216)
    apply(site, mtu, 2)
    return site
  }

  function apply(site: MemoryNode, mtu: number, generation: number): void {
    const batch = sampleBatch()
    const tenants = batch.tenants.map((tenant) => ({
      ...tenant,
      segments: tenant.segments.map((segment) => (segment.kind === 'connection' ? { ...segment, mtu } : segment)),
    }))
    const nextHops = batch.nextHops.map((hop) =>
      hop.kind === 'peer' || hop.kind === 'connected' ? { ...hop, mtu } : hop,
    )
    equal(site.apply({ ...batch, tenants, nextHops, generation }), undefined)
    site.send()
  }

  const toCustomer = (bytes: number) =>
    ipv4({ source: '172.16.0.5', destination: '10.1.2.3', dontFragment: true }, udp({}, new Uint8Array(bytes - 28)))
  const linkLocalPing = (bytes: number) =>
    fromCustomer(
      ipv6({ source: 'fe80::c', destination: 'fe80::67:68ff:fe00:1' }, icmpv6Echo({}, new Uint8Array(bytes - 48))),
    )
  const openedWith = (site: MemoryNode): number => {
    const syn = tcp({ sourcePort: 40_000, destinationPort: 80, flags: 0x02, mss: 9100 })
    const [frame] = site.send(fromCustomer(ipv4({ source: '10.1.2.3', destination: '172.16.0.5' }, syn)))
    return new DataView(frame!.buffer).getUint16(frame!.length - 2)
  }

  for (const mtu of [1500, 9000])
    test(`gets nothing above its ${mtu} bytes`, () => {
      const site = wide(mtu)
      equal(site.send(fromHost(toCustomer(mtu))).length, 1)
      site.send(fromHost(toCustomer(mtu + 1)))
      equal(site.send(linkLocalPing(mtu)).length, 1)
      deepEqual(site.send(linkLocalPing(mtu + 1)), [])
      equal(site.totals('acme')!.drops['too-big'], 2)
      equal(openedWith(site), mtu - 40)
      conserved(site)
    })

  test('and may be made wider', () => {
    const site = wide(1500)
    apply(site, 9000, 3)
    equal(openedWith(site), 9000 - 40)
    equal(site.send(linkLocalPing(9000)).length, 1)
  })
})
