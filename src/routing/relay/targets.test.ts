/** Probes in tenants' networks on their way through the relay: questions out, and answers in where a question was asked. */

import { deepEqual, equal, ok } from 'node:assert/strict'
import { suite, test } from 'node:test'
import { formatAddress } from '../../base/address.ts'
import * as build from '../../wire/build.ts'
import { checksumHolds, pseudoHeader4, pseudoHeader6 } from '../../wire/checksum.ts'
import { checkIpv4, ipv4, PROTOCOL } from '../../wire/ipv4.ts'
import { TCP_FLAG, TCP_OPTION, tcpOption } from '../../wire/tcp.ts'
import type { Refusal } from './refusal.ts'
import { framed, GATEWAY, GATEWAY_6, INNER, INNER_6, PEER, PEER_6, PEER_MAC, RelayBed } from './relay-bed.ts'

const { syn, ack, rst } = TCP_FLAG
const OURS = 40_000
/** Of acme and of globex: the second tenant's target has another number. */
const PROBES = [
  `tenant: acme, to: ${PEER}, icmp: {}`,
  `tenant: acme, to: ${PEER}, tcp: { port: 22 }`,
  `tenant: globex, to: ${PEER}, udp: {}`,
  `tenant: acme, to: '${PEER_6}', icmp: {}`,
]
const FIRST = '240.0.0.2'
const SECOND = '240.0.0.3'
const SIXTH = 'fd67:6174::4'

type Payload = readonly [protocol: number, question: build.Layer, answer: build.Layer]
const echo = { identifier: 7, sequence: 1 }
const KINDS: Readonly<Record<string, Payload>> = {
  'a ping': [PROTOCOL.icmp, build.icmpEcho(echo), build.icmpEcho({ ...echo, reply: true })],
  'a datagram': [
    PROTOCOL.udp,
    build.udp({ sourcePort: OURS, destinationPort: 8862 }, build.text('there')),
    build.udp({ sourcePort: 8862, destinationPort: OURS }, build.text('here')),
  ],
  'a connection': [
    PROTOCOL.tcp,
    build.tcp({ sourcePort: OURS, destinationPort: 22, flags: syn, mss: 8960 }),
    build.tcp({ sourcePort: 22, destinationPort: OURS, flags: syn | ack, mss: 8960 }),
  ],
}

const bed = (neighbours: readonly string[] = []): RelayBed => new RelayBed(neighbours, ['rt-1'], PROBES)
const question = (payload: build.Layer, to = FIRST): Uint8Array =>
  build.ipv4({ source: INNER, destination: to }, payload).bytes
const answer = (payload: build.Layer): Uint8Array => framed(build.ipv4({ source: PEER, destination: GATEWAY }, payload))

/** Who to whom, where all checksums hold. */
function ends(packet: Uint8Array, protocol: number): string[] {
  const view = new DataView(packet.buffer, packet.byteOffset, packet.length)
  equal(checkIpv4(view, 0, packet.length), 0)
  const pseudo = protocol === PROTOCOL.icmp ? 0 : pseudoHeader4(view, 0, protocol, packet.length - ipv4.BYTES)
  ok(checksumHolds(view, ipv4.BYTES, packet.length, pseudo))
  return [packet.subarray(12, 16), packet.subarray(16, 20)].map(formatAddress)
}

suite('a target of probes', () => {
  for (const [what, [protocol, asks, answers]] of Object.entries(KINDS))
    test(`is asked by ${what}, once its MAC address is known, and its answer gets to the kernel`, () => {
      const relay = bed()
      const [arp, ...more] = relay.packet(question(asks))
      deepEqual([arp!.etherType, more], [0x0806, []])
      relay.introduce(7)
      const [sent] = relay.sent()
      deepEqual([sent!.vni, sent!.destination, ends(sent!.packet, protocol)], [7, PEER_MAC, [GATEWAY, PEER]])
      const [packet] = relay.frame(7, answer(answers))
      deepEqual(ends(packet!, protocol), [FIRST, INNER])
    })

  test('of IPv6 is asked and answers, while neighbour discovery goes on', () => {
    const relay = bed()
    const pinged = build.ipv6({ source: INNER_6, destination: SIXTH }, build.icmpv6Echo(echo)).bytes
    const [solicitation] = relay.packet(pinged)
    equal(solicitation!.etherType, 0x86dd)
    const told = build.neighbourAdvertisement({ target: PEER_6, targetMac: PEER_MAC })
    relay.frame(7, framed(build.ipv6({ source: PEER_6, destination: GATEWAY_6, hopLimit: 255 }, told)))
    const [sent] = relay.sent()
    const holds = (packet: Uint8Array): boolean => {
      const view = new DataView(packet.buffer, packet.byteOffset, packet.length)
      return checksumHolds(view, 40, packet.length, pseudoHeader6(view, 0, PROTOCOL.icmpv6, packet.length - 40))
    }
    ok(holds(sent!.packet))
    equal(formatAddress(sent!.packet.subarray(24, 40)), PEER_6)
    const reply = build.icmpv6Echo({ ...echo, reply: true })
    const [packet] = relay.frame(7, framed(build.ipv6({ source: PEER_6, destination: GATEWAY_6 }, reply)))
    ok(holds(packet!))
    equal(formatAddress(packet!.subarray(8, 24)), SIXTH)
  })

  test('of another tenant is another one', () => {
    const relay = bed()
    const [, asks, answers] = KINDS['a datagram']!
    relay.introduce(7)
    relay.introduce(8)
    equal(relay.packet(question(asks, SECOND))[0]!.vni, 8)
    deepEqual(relay.frame(7, answer(answers)), [], 'acme was not asked')
    deepEqual(ends(relay.frame(8, answer(answers))[0]!, PROTOCOL.udp), [SECOND, INNER])
  })

  test('has room made for a tunnel in what it says of its segments, and in what it is told', () => {
    const relay = bed()
    relay.introduce(7)
    const [, asks, answers] = KINDS['a connection']!
    const [sent] = relay.packet(question(asks))
    const [packet] = relay.frame(7, answer(answers))
    for (const bytes of [sent!.packet, packet!]) {
      const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
      equal(view.getUint16(tcpOption(view, ipv4.BYTES, TCP_OPTION.mss) + 2), 1410)
    }
  })

  const NOT_ASKED: readonly (readonly [what: string, payload: build.Layer, reason: keyof typeof Refusal])[] = [
    ['with another identifier', build.icmpEcho({ identifier: 8, reply: true }), 'not-a-session'],
    ['by a question', build.icmpEcho(echo), 'not-a-session'],
    ['to another port of ours', build.udp({ sourcePort: 8862, destinationPort: 53 }), 'not-a-session'],
    ['from another port', build.udp({ sourcePort: 53, destinationPort: OURS }), 'not-a-session'],
    ['by opening a connection', build.tcp({ sourcePort: 5000, destinationPort: 22, flags: syn }), 'not-a-session'],
    ["to BGP's port", build.tcp({ sourcePort: 5000, destinationPort: 179, flags: syn }), 'stranger-connects'],
  ]
  for (const [what, payload, reason] of NOT_ASKED)
    test(`gets nowhere ${what}`, () => {
      const relay = bed()
      relay.introduce(7)
      for (const [, asks] of Object.values(KINDS)) relay.packet(question(asks))
      deepEqual(relay.frame(7, answer(payload)), [])
      equal(relay.refused(reason), 1)
    })

  test('that is a neighbour with a password too has sessions of its own, which are signed', () => {
    const relay = bed([`name: one, tenant: acme, address: ${PEER}, password: secret`])
    // Neighbours are numbered first.
    relay.introduce(7)
    const [, asks, answers] = KINDS['a connection']!
    const [sent] = relay.packet(question(asks, SECOND))
    equal(ends(sent!.packet, PROTOCOL.tcp)[1], PEER)
    deepEqual(ends(relay.frame(7, answer(answers))[0]!, PROTOCOL.tcp), [SECOND, INNER])
    const segment = build.tcp({ sourcePort: 179, destinationPort: 33_000, flags: syn })
    const [signed] = relay.packet(question(segment, FIRST))
    equal(signed!.packet.length, question(segment, FIRST).length + 20)
  })

  test('is told the end of a connection, and forgets flows that have long been over', () => {
    const relay = bed()
    relay.introduce(7)
    const segment = (port: number, flags: number): Uint8Array =>
      question(build.tcp({ sourcePort: port, destinationPort: 22, flags }))
    equal(relay.packet(segment(OURS, syn)).length, 1)
    equal(relay.packet(segment(OURS, rst)).length, 1)
    const [, , answers] = KINDS['a connection']!
    for (let i = 1; i < 1024; i++) relay.packet(segment(OURS + i, syn))
    equal(relay.frame(7, answer(answers)).length, 1)
    relay.packet(segment(OURS + 1024, syn))
    equal(relay.frame(7, answer(answers)).length, 0)
  })

  test('comes and goes with the site file', () => {
    const relay = bed()
    relay.introduce(7)
    const [, asks] = KINDS['a ping']!
    relay.take([`name: one, tenant: acme, address: ${PEER}`], PROBES.slice(1, 2))
    relay.clock.advance(3000)
    equal(relay.packet(question(asks)).length, 1, 'another probe of the same')
    relay.take([`name: one, tenant: acme, address: ${PEER}`])
    relay.clock.advance(3000)
    deepEqual(relay.packet(question(asks)), [])
    equal(relay.refused('kernel-noise'), 1)
  })

  test('is sent nothing else of the kernel', () => {
    const relay = bed()
    relay.introduce(7)
    for (const payload of [build.icmpEcho({ ...echo, reply: true }), build.icmpError({ type: 3 }, build.text('x'))])
      deepEqual(relay.packet(question(payload)), [])
    equal(relay.refused('kernel-noise'), 2)
  })
})
