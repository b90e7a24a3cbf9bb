/** Tenants whose tunnels cross an IPv6 underlay, VXLAN and GRE: whole frames in, whole frames out. */

import { deepEqual, equal, ok } from 'node:assert/strict'
import { describe, test } from 'node:test'
import { parseAddress } from '../base/address.ts'
import {
  arpReply,
  destinationOptions,
  ethernet,
  fragment6,
  gre,
  icmpError,
  ipv4,
  ipv6,
  type Layer,
  type Payload,
  udp,
  vxlan,
} from '../wire/build.ts'
import { UDP_PORT } from '../wire/udp.ts'
import { conserved, node, segmentOfTcp, toMachine, toPeer, toRouter } from './node-harness.ts'
import { arpFor, fromCustomer, fromEdge, fromHost } from './sample-packets.ts'
import { ACME, EDGE, EDGE6, GATEWAY_MAC, HOOLI, HOST6, INITECH, PEER_MAC, VIP6 } from './sample-site.ts'

const customer4 = (ttl: number, destination = '172.16.0.5', more: object = {}) =>
  ipv4({ source: '10.1.2.3', destination, ttl, ...more }, segmentOfTcp)
const customer6 = (hopLimit: number, destination = '2001:db8:16::5') =>
  ipv6({ source: '2001:db8:a::3', destination, hopLimit }, segmentOfTcp)

/** What depends on the flow alone: the outer flow label and the source port. */
function entropyOf(frame: Uint8Array): { flowLabel: number; sourcePort: number } {
  const view = new DataView(frame.buffer)
  return { flowLabel: view.getUint32(14) & 0xfffff, sourcePort: view.getUint16(54) }
}

function routed(frame: Uint8Array, destination: string, tunnel: Layer, trafficClass = 0): Uint8Array {
  const { flowLabel } = entropyOf(frame)
  return ethernet(toRouter, ipv6({ source: VIP6, destination, flowLabel, trafficClass }, tunnel))
}

const inGre = (payload: Payload) => gre({ key: INITECH.vni }, payload)
function inVxlan(frame: Uint8Array, inner: Uint8Array): Layer {
  const { sourcePort } = entropyOf(frame)
  ok(sourcePort >= 49_152)
  return udp({ sourcePort, destinationPort: UDP_PORT.vxlan, checksum: false }, vxlan({ vni: INITECH.vni }, inner))
}

describe('over an IPv6 underlay', () => {
  for (const [family, packet, machine] of [
    ['IPv4', customer4, '172.16.0.'],
    ['IPv6', customer6, '2001:db8:16::'],
  ] as const)
    test(`a customer reaches machines behind every kind of host by ${family}`, () => {
      const site = node()
      const send = (last: number) => {
        const [frame, ...more] = site.send(fromCustomer(packet(64, machine + last), INITECH.vni))
        deepEqual(more, [])
        return frame!
      }
      const bare = send(5)
      deepEqual(bare, routed(bare, HOST6.ip, inGre(packet(63, `${machine}5`))))
      const framed = send(6)
      deepEqual(framed, routed(framed, HOST6.ethernet, inGre(toMachine(packet(63, `${machine}6`)))))
      const tunnelled = send(7)
      deepEqual(tunnelled, routed(tunnelled, HOST6.vxlan, inVxlan(tunnelled, toMachine(packet(63, `${machine}7`)))))
      equal(site.totals('initech')!.received, 3)
      conserved(site)
    })

  test('a machine reaches the router behind the edge, whatever GRE header and extension headers it comes under', () => {
    const site = node()
    const packet = (ttl: number) => ipv4({ source: '172.16.0.5', destination: '10.1.2.3', ttl }, segmentOfTcp)
    for (const outer of [{}, { checksum: true, sequence: 3 }, { extensions: [destinationOptions()] }]) {
      const [frame] = site.send(fromHost(packet(64), INITECH.vni, outer))
      deepEqual(frame, routed(frame!, EDGE6, inVxlan(frame!, toPeer(packet(63)))))
    }
    conserved(site)
  })

  test('ARP is answered through the tunnel that asked, and errors too', () => {
    const site = node()
    const [answer] = site.send(fromEdge(arpFor('192.168.1.1'), INITECH.vni))
    const reply = arpReply({
      senderMac: GATEWAY_MAC,
      senderIp: '192.168.1.1',
      targetMac: PEER_MAC,
      targetIp: '192.168.1.2',
    })
    deepEqual(
      answer,
      routed(answer!, EDGE6, inVxlan(answer!, ethernet({ source: GATEWAY_MAC, destination: PEER_MAC }, reply))),
    )
    const [error] = site.send(fromCustomer(customer4(1), INITECH.vni))
    const told = ipv4(
      { source: '192.168.1.1', destination: '10.1.2.3', tos: 0xc0, ttl: 64 },
      icmpError({ type: 11 }, customer4(1)),
    )
    deepEqual(error, routed(error!, EDGE6, inVxlan(error!, toPeer(told)), 0xc0))
    conserved(site)
  })

  test('congestion marked on the tunnel reaches the packet, and the DSCP byte the next tunnel', () => {
    const site = node()
    const [frame] = site.send(fromCustomer(customer4(64, '172.16.0.5', { tos: 2 }), INITECH.vni, { tos: 3 }))
    deepEqual(frame, routed(frame!, HOST6.ip, inGre(customer4(63, '172.16.0.5', { tos: 3 })), 3))
  })

  test('a checksum that is there is looked at', () => {
    const site = node()
    equal(site.send(fromCustomer(customer4(64), INITECH.vni, { checksum: true })).length, 1)
    const wrong = fromCustomer(customer4(64), INITECH.vni, { checksum: true })
    wrong[wrong.length - 1]! ^= 1
    deepEqual(site.send(wrong), [])
    equal(site.node().drops['bad-checksum'], 1)
    conserved(site)
  })

  test('the path MTU counts the longer header, and one that was learnt is told to the sender', () => {
    const site = node(1600)
    const sized = (bytes: number) => fromCustomer(customer4sized(bytes), INITECH.vni)
    equal(site.send(sized(1600 - 40 - 8)).length, 1)
    site.send(sized(1600 - 40 - 8 + 1))
    equal(site.totals('initech')!.drops['too-big'], 1)
    site.learnPathMtu(parseAddress(HOST6.ip)!, 1400)
    equal(site.send(sized(1400 - 48)).length, 1)
    site.send(sized(1400 - 48 + 1))
    equal(site.totals('initech')!.drops['too-big'], 2)
    conserved(site)
  })

  test('fragments of the tunnel, strangers, other tenants’ edges and IPv4 senders are refused', () => {
    const site = node()
    site.send(
      fromCustomer(customer4(64), INITECH.vni, { extensions: [fragment6({ offset: 0, more: true })] }),
      fromCustomer(customer4(64), INITECH.vni, { source: 'fd00::66' }),
      fromCustomer(customer4(64), INITECH.vni, { source: EDGE }),
      fromCustomer(customer4(64), ACME.vni, { source: EDGE6 }),
      fromHost(customer4(64), HOOLI.vni, { source: HOST6.vxlan }),
    )
    deepEqual(site.node().drops, { 'outer-fragment': 1, 'unknown-remote': 4 })
    conserved(site)
  })
})

function customer4sized(bytes: number): Layer {
  return ipv4(
    { source: '10.1.2.3', destination: '172.16.0.5', dontFragment: true },
    udp({}, new Uint8Array(bytes - 28)),
  )
}
