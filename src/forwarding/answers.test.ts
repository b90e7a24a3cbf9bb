/** What the gateway says of its own: what stands in its errors and replies, who is told at all, and how often. */

import { deepEqual, equal } from 'node:assert/strict'
import { describe, test } from 'node:test'
import {
  destinationOptions,
  fragment6,
  hopByHop,
  icmpEcho,
  icmpError,
  icmpv6,
  icmpv6Echo,
  ipv4,
  ipv6,
  type Layer,
  routing,
  udp,
} from '../wire/build.ts'
import { ICMP_TYPE, ICMP_UNREACHABLE } from '../wire/icmp.ts'
import { ICMPV6_TYPE, ICMPV6_UNREACHABLE } from '../wire/icmpv6.ts'
import { PROTOCOL } from '../wire/ipv4.ts'
import type { MemoryNode } from './memory-node.ts'
import { conserved, DATA, fromPort, node, segmentOfTcp, toEdge, toPeer } from './node-harness.ts'
import { arpFor, fromCustomer, fromEdge, solicitationFor } from './sample-packets.ts'
import { ACME, GLOBEX } from './sample-site.ts'

const CUSTOMER = '10.1.2.3'
const CUSTOMER6 = '2001:db8:a::3'
const GATEWAY = '192.168.1.1'
const GATEWAY6 = '2001:db8:1::1'
const LINK_LOCAL = 'fe80::67:68ff:fe00:1'
const MACHINE = '172.16.0.5'
const MACHINE6 = '2001:db8:16::5'

const from4 = (destination: string, payload: Layer | Uint8Array, more: object = {}) =>
  ipv4({ source: CUSTOMER, destination, ...more }, payload)
const from6 = (destination: string, payload: Layer | Uint8Array, more: object = {}) =>
  ipv6({ source: CUSTOMER6, destination, ...more }, payload)
const query = udp({ sourcePort: 5353, destinationPort: 53 }, DATA)

/** Sends a customer's packet, and expects this one packet back. */
function answers(site: MemoryNode, packet: Layer, answer: Layer, tos = 0): void {
  const [frame, ...more] = site.send(fromCustomer(packet))
  deepEqual(frame, toEdge(toPeer(answer), ACME.vni, fromPort(frame!), tos))
  deepEqual(more, [])
  conserved(site)
}

function tells4(packet: Layer, type: number, code: number): void {
  const error = icmpError({ type, code }, packet)
  answers(node(), packet, ipv4({ source: GATEWAY, destination: CUSTOMER, tos: 0xc0 }, error), 0xc0)
}

function tells6(packet: Layer, type: number, code: number, rest = 0): void {
  const error = icmpv6({ type, code, rest }, packet.bytes)
  answers(node(), packet, ipv6({ source: GATEWAY6, destination: CUSTOMER6, trafficClass: 0xc0 }, error), 0xc0)
}

/** Nothing comes of it but a drop under the reason. */
function silent(packet: Layer, reason: string): void {
  const site = node()
  deepEqual(site.send(fromCustomer(packet)), [])
  deepEqual(site.node().drops, { [reason]: 1 })
  conserved(site)
}

describe('who sends to the gateway what it does not listen to', () => {
  const { destinationUnreachable } = ICMP_TYPE
  test('is told port unreachable of UDP and TCP', () => {
    tells4(from4(GATEWAY, query), destinationUnreachable, ICMP_UNREACHABLE.port)
    tells4(from4(GATEWAY, segmentOfTcp), destinationUnreachable, ICMP_UNREACHABLE.port)
    tells4(from4(GATEWAY, query, { moreFragments: true }), destinationUnreachable, ICMP_UNREACHABLE.port)
  })

  test('and protocol unreachable of all else', () => {
    tells4(from4(GATEWAY, DATA, { protocol: PROTOCOL.gre }), destinationUnreachable, ICMP_UNREACHABLE.protocol)
    tells4(from4(GATEWAY, DATA, { protocol: 253 }), destinationUnreachable, ICMP_UNREACHABLE.protocol)
  })

  test('over IPv6 is told port unreachable of UDP and TCP, behind extension headers too', () => {
    const { port } = ICMPV6_UNREACHABLE
    tells6(from6(GATEWAY6, query), ICMPV6_TYPE.destinationUnreachable, port)
    tells6(from6(GATEWAY6, segmentOfTcp), ICMPV6_TYPE.destinationUnreachable, port)
    const extensions = [hopByHop(), fragment6({ offset: 0, more: true })]
    tells6(from6(GATEWAY6, query, { extensions }), ICMPV6_TYPE.destinationUnreachable, port)
  })

  test('and where the protocol is named that is not known', () => {
    const unknown = 1
    tells6(from6(GATEWAY6, DATA, { protocol: 253 }), ICMPV6_TYPE.parameterProblem, unknown, 6)
    const extensions = [hopByHop(), destinationOptions()]
    tells6(from6(GATEWAY6, DATA, { protocol: PROTOCOL.gre, extensions }), ICMPV6_TYPE.parameterProblem, unknown, 48)
  })

  test('hears nothing of what carries nothing, of ICMP that asks for nothing, and of later fragments', () => {
    silent(from6(GATEWAY6, DATA, { protocol: PROTOCOL.none }), 'no-listener')
    silent(from6(GATEWAY6, icmpv6Echo({ reply: true })), 'no-listener')
    silent(from6(GATEWAY6, query, { extensions: [fragment6({ offset: 8, more: false })] }), 'no-listener')
    silent(from4(GATEWAY, icmpEcho({ reply: true })), 'no-listener')
    silent(from4(GATEWAY, query, { fragmentOffset: 8 }), 'no-listener')
  })

  test('hears nothing of headers that are no headers', () => {
    const endless = from6(GATEWAY6, query, { extensions: [destinationOptions()] })
    endless.bytes[41] = 200
    silent(endless, 'bad-header-length')
  })
})

describe('a ping of the gateway over IPv6', () => {
  const ping = icmpv6Echo({ identifier: 7 }, DATA)
  const reply = icmpv6Echo({ identifier: 7, reply: true }, DATA)
  for (const [what, extensions] of [
    ['options for the destination', [destinationOptions()]],
    ['options for each hop and a used up route', [hopByHop(), routing(), destinationOptions()]],
    ['the header of a fragment that is the whole', [fragment6({ offset: 0, more: false })]],
  ] as const)
    test(`behind ${what} is answered, without them`, () => {
      const to = (destination: string, source: string) =>
        ipv6({ source, destination, extensions: [...extensions] }, ping)
      answers(node(), to(GATEWAY6, CUSTOMER6), ipv6({ source: GATEWAY6, destination: CUSTOMER6 }, reply))
      answers(node(), to(LINK_LOCAL, 'fe80::c'), ipv6({ source: LINK_LOCAL, destination: 'fe80::c' }, reply))
    })

  test('in fragments is not put together, and nobody is told that nothing listens', () => {
    silent(from6(GATEWAY6, ping, { extensions: [fragment6({ offset: 0, more: true })] }), 'no-listener')
    silent(from4(GATEWAY, icmpEcho({}, DATA), { moreFragments: true }), 'no-listener')
  })
})

describe('errors over IPv6', () => {
  test('a packet whose hop limit is used up is answered by time exceeded', () => {
    for (const hopLimit of [0, 1]) tells6(from6(MACHINE6, query, { hopLimit }), ICMPV6_TYPE.timeExceeded, 0)
  })

  test('a packet without a route is answered by no route to destination', () => {
    tells6(from6('2001:db8:ffff::1', query), ICMPV6_TYPE.destinationUnreachable, ICMPV6_UNREACHABLE.noRoute)
  })

  test('a packet to a machine that has no way to it is answered by address unreachable', () => {
    const site = node()
    site.underlay.change(undefined)
    const packet = from6(MACHINE6, query)
    deepEqual(site.send(fromCustomer(packet)), [])
    deepEqual(
      site.totals('acme')!.drops,
      { 'underlay-unresolved': 2 },
      'the packet, and the error that had no way either',
    )
    conserved(site)
  })

  const late = { hopLimit: 1 }
  test('no error answers an error or a redirect', () => {
    const about = ipv6({ source: MACHINE6, destination: CUSTOMER6 }, query).bytes
    for (const type of [1, 2, 3, 4, 100, 127]) silent(from6(MACHINE6, icmpv6({ type }, about), late), 'ttl-exceeded')
    silent(from6(MACHINE6, icmpv6({ type: 1 }, about), { ...late, extensions: [destinationOptions()] }), 'ttl-exceeded')
    silent(from6('2001:db8:ffff::1', icmpv6({ type: 3 }, about)), 'no-route')
    // A redirect that was to be routed on is none; one to the gateway is refused.
    const redirect = icmpv6({ type: ICMPV6_TYPE.redirect }, new Uint8Array(32))
    silent(from6(MACHINE6, redirect, { ...late, extensions: [destinationOptions()] }), 'ttl-exceeded')
  })

  test('a redirect changes nothing and is not answered', () => {
    const redirect = icmpv6({ type: ICMPV6_TYPE.redirect }, new Uint8Array(32))
    const site = node()
    deepEqual(
      site.send(fromCustomer(ipv6({ source: 'fe80::c', destination: LINK_LOCAL, hopLimit: 255 }, redirect))),
      [],
    )
    equal(site.totals('acme')!.received, 1)
    equal(site.totals('acme')!.sent, 1, 'the question for the unresolved next hop, and nothing since')
    equal(site.send(fromCustomer(from6(MACHINE6, query))).length, 1)
    conserved(site)
  })

  test('a later fragment, a group and nobody are told nothing', () => {
    silent(from6(MACHINE6, query, { ...late, extensions: [fragment6({ offset: 8, more: true })] }), 'ttl-exceeded')
    silent(from6('ff0e::5', query, late), 'multicast')
    silent(ipv6({ source: '::', destination: MACHINE6, hopLimit: 1 }, query), 'martian-source')
    silent(ipv6({ source: 'ff02::5', destination: MACHINE6, hopLimit: 1 }, query), 'martian-source')
  })

  test('the first fragment is', () => {
    tells6(from6(MACHINE6, query, { ...late, extensions: [fragment6({ offset: 0, more: true })] }), 3, 0)
  })
})

/** What a tenant needs of the gateway, and whether one of each is answered. */
const needs = {
  arp: fromEdge(arpFor(GATEWAY)),
  nd: fromEdge(solicitationFor(GATEWAY6)),
  tooBig4: fromCustomer(from4(MACHINE, udp({}, new Uint8Array(1600)), { dontFragment: true })),
  tooBig6: fromCustomer(from6(MACHINE6, udp({}, new Uint8Array(1600)))),
  ping4: fromCustomer(from4(GATEWAY, icmpEcho())),
  ping6: fromCustomer(from6(GATEWAY6, icmpv6Echo())),
  late: fromCustomer(from4(MACHINE, query, { ttl: 1 })),
  lost: fromCustomer(from6('2001:db8:ffff::1', query)),
} as const
type Need = keyof typeof needs

/** Which share a limit. */
const kinds: readonly (readonly Need[])[] = [
  ['arp', 'nd'],
  ['tooBig4', 'tooBig6'],
  ['ping4', 'ping6', 'late', 'lost'],
]

describe('a flood', () => {
  for (const flood of Object.keys(needs) as Need[])
    test(`of ${flood} is answered up to its limit, silences no other kind, and is counted`, () => {
      const site = node(1500)
      const others = kinds.filter((kind) => !kind.includes(flood))
      let answered = 0
      let asked = 0
      for (let ms = 0; ms < 50; ms++) {
        answered += site.send(...Array.from({ length: 50 }, () => needs[flood])).length
        asked += 50
        // Interleaved, in the very batches of the flood.
        if (ms % 10 === 0)
          for (const need of others.flat()) {
            const sent = site.send(...Array.from({ length: 20 }, () => needs[flood]), needs[need]).length
            asked += 20
            answered += sent - 1
          }
        site.clock.advance(1)
      }
      // A burst of 200, and one a millisecond.
      equal(answered, 249)
      equal(site.totals('acme')!.drops['icmp-rate'], asked - answered)
      conserved(site)
    })

  test('of all kinds at once leaves each its share, and another tenant all of his', () => {
    const site = node(1500)
    const all = Object.values(needs)
    for (let i = 0; i < 40; i++) site.send(...all, ...all, ...all, ...all)
    equal(site.totals('acme')!.drops['icmp-rate'], 40 * 4 * all.length - 3 * 200)
    for (const frame of all) deepEqual(site.send(frame), [])
    site.clock.advance(10)
    for (const [need] of kinds) equal(site.send(needs[need!]).length, 1)
    equal(site.send(fromEdge(arpFor(GATEWAY), GLOBEX.vni)).length, 1)
    equal(site.send(fromCustomer(from4(GATEWAY, icmpEcho()), GLOBEX.vni)).length, 1)
    conserved(site)
  })

  test('of triggers in one batch is answered for each, however many', () => {
    const site = node()
    equal(site.send(...Array.from({ length: 64 }, () => needs.late)).length, 64)
    equal(site.send(...Array.from({ length: 64 }, () => needs.tooBig6)).length, 64)
    conserved(site)
  })
})

test('an error that finds no free chunk is counted', () => {
  const site = node()
  site.port.inject(needs.late)
  const taken: number[] = []
  while (site.pool.free > 0) taken.push(site.pool.take())
  deepEqual(site.send(), [])
  for (const chunk of taken) site.pool.give(chunk)
  deepEqual(site.totals('acme')!.drops, { 'ttl-exceeded': 1, 'no-frames': 1 })
  conserved(site)
})
