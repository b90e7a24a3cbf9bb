/** Packets larger than their tunnel: fragmented, refused with the MTU, carried in chains of chunks, announced smaller. */

import { deepEqual, equal, ok } from 'node:assert/strict'
import { describe, test } from 'node:test'
import { parseAddress } from '../base/address.ts'
import { ethernet, icmpEcho, icmpv6Echo, ipv4, ipv6, tcp, udp } from '../wire/build.ts'
import { conserved, node, OUTER_IP, segmentOfTcp, toHost } from './node-harness.ts'
import { arpFor, fromCustomer, fromEdge, solicitationFor } from './sample-packets.ts'
import { ACME, GATEWAY_MAC, HOST, PEER_MAC } from './sample-site.ts'

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

  test('TCP is told a smaller MSS when it opens: what the narrower of both ways carries, here the one back', () => {
    const site = node(1500)
    const syn = (mss: number) =>
      tcp({ sourcePort: 40_000, destinationPort: 80, flags: 0x02, options: Uint8Array.of(2, 4, mss >> 8, mss & 255) })
    const packet = (mss: number, ttl: number) => ipv4({ source: '10.1.2.3', destination: '172.16.0.5', ttl }, syn(mss))
    deepEqual(site.send(fromCustomer(packet(1460, 64))), [toHost(HOST.ip, packet(1500 - 50 - 40, 63), ACME.vni)])
  })
})
