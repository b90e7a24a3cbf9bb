/** Tenants' BGP and BFD on their way between neighbours and routing nodes: whole frames in, whole frames out. */

import { deepEqual, equal, ok } from 'node:assert/strict'
import { describe, test } from 'node:test'
import { parseAddress } from '../base/address.ts'
import {
  arpReply,
  ethernet,
  icmpEcho,
  icmpv6Echo,
  ipv4,
  ipv6,
  type Layer,
  neighbourAdvertisement,
  tcp,
  udp,
  vxlan,
} from '../wire/build.ts'
import { RouteColumnsBuilder } from '../wire/control/columns.ts'
import { ND_ADVERTISEMENT } from '../wire/neighbour-discovery.ts'
import { UDP_PORT } from '../wire/udp.ts'
import type { MemoryNode } from './memory-node.ts'
import { conserved, DATA, fromPort, node, toEdge, toPeer, toRouter } from './node-harness.ts'
import { arpFor, fromCustomer, fromEdge, fromHost, fromSpeaker, solicitationFor } from './sample-packets.ts'
import {
  ACME,
  GATEWAY_MAC,
  GLOBEX,
  INITECH,
  PEER_MAC,
  SPEAKER,
  SPEAKER6,
  sampleBatch,
  VIP,
  VIP6,
} from './sample-site.ts'

const SYN = 0x02
const SYN_ACK = 0x12
const opening = tcp({ sourcePort: 40_000, destinationPort: 179, flags: SYN, mss: 8960 })
const answer = tcp({ sourcePort: 179, destinationPort: 40_000, flags: SYN_ACK, mss: 8960 })
const going = tcp({ sourcePort: 40_000, destinationPort: 179 }, DATA)
const bfd = (destinationPort: number) => udp({ sourcePort: 50_000, destinationPort }, new Uint8Array(24).fill(7))

const FAMILIES = [
  ['IPv4', (ttl: number, payload: Layer) => ipv4({ source: '192.168.1.2', destination: '192.168.1.1', ttl }, payload)],
  [
    'IPv6',
    (hopLimit: number, payload: Layer) =>
      ipv6({ source: '2001:db8:1::2', destination: '2001:db8:1::1', hopLimit }, payload),
  ],
] as const
const BACK = [
  ['IPv4', (ttl: number, payload: Layer) => ipv4({ source: '192.168.1.1', destination: '192.168.1.2', ttl }, payload)],
  [
    'IPv6',
    (hopLimit: number, payload: Layer) =>
      ipv6({ source: '2001:db8:1::1', destination: '2001:db8:a::3', hopLimit }, payload),
  ],
] as const

/** What leaves for the routing node: VXLAN. */
function toSpeaker(frame: Uint8Array, sourcePort: number): Uint8Array {
  const tunnel = udp({ sourcePort, destinationPort: UDP_PORT.vxlan, checksum: false }, vxlan({ vni: ACME.vni }, frame))
  return ethernet(toRouter, ipv4({ source: VIP, destination: SPEAKER, dontFragment: true }, tunnel))
}

/** By the underlay's address. */
const isToSpeaker = (frame: Uint8Array): boolean => Buffer.from(frame).includes(parseAddress(SPEAKER)!)

const drops = (site: MemoryNode, tenant = 'acme') => site.totals(tenant)!.drops

describe("what a neighbour sends to the gateway's address goes on to the routing node, the whole frame as it came:", () => {
  for (const [family, packet] of FAMILIES)
    for (const [what, payload] of [
      ['a session that opens', opening],
      ['the answer to one that we open', answer],
      ['an open session', going],
      ['BFD', bfd(3784)],
      ['BFD echo', bfd(3785)],
      ['BFD over several hops', bfd(4784)],
    ] as const)
      test(`${what}, over ${family}`, () => {
        const site = node()
        for (const ttl of [1, 64, 255]) {
          const frame = ethernet({ source: PEER_MAC, destination: GATEWAY_MAC }, packet(ttl, payload))
          const sent = site.send(fromEdge(frame))
          equal(sent.length, 1)
          deepEqual(sent[0], toSpeaker(frame, fromPort(sent[0]!)))
        }
        deepEqual(drops(site), {})
        conserved(site)
      })

  test('over an IPv6 underlay, of whoever it is where neighbours are not named', () => {
    const site = node()
    const packet = ipv4({ source: '192.168.1.77', destination: '192.168.1.1', ttl: 1 }, opening)
    const frame = ethernet({ source: PEER_MAC, destination: GATEWAY_MAC }, packet)
    const [sent, ...more] = site.send(fromEdge(frame, INITECH.vni))
    deepEqual(more, [])
    const at = 14 + 40
    const sourcePort = new DataView(sent!.buffer).getUint16(at)
    const tunnel = udp(
      { sourcePort, destinationPort: UDP_PORT.vxlan, checksum: false },
      vxlan({ vni: INITECH.vni }, frame),
    )
    const flowLabel = new DataView(sent!.buffer).getUint32(14) & 0xfffff
    deepEqual(sent, ethernet(toRouter, ipv6({ source: VIP6, destination: SPEAKER6, flowLabel }, tunnel)))
    conserved(site)
  })

  test('packets of one BFD session take all paths', () => {
    const site = node()
    const frames = Array.from({ length: 32 }, () => fromCustomer(FAMILIES[0][1](255, bfd(3784))))
    equal(new Set(site.send(...frames).map(fromPort)).size > 16, true)
    const back = Array.from({ length: 32 }, () => fromSpeaker(BACK[0][1](255, bfd(3784))))
    equal(new Set(site.send(...back).map(fromPort)).size > 16, true)
  })
})

describe('what somebody answers to probes of a routing node', () => {
  const ANSWERS = [
    ['a ping', (family: string) => (family === 'IPv4' ? icmpEcho({ reply: true }) : icmpv6Echo({ reply: true }))],
    ['the opening of a connection', () => tcp({ sourcePort: 22, destinationPort: 40_000, flags: SYN_ACK })],
    ['a datagram', () => udp({ sourcePort: 8862, destinationPort: 40_000 }, DATA)],
  ] as const

  const PROBED = [
    ['IPv4', (payload: Layer) => ipv4({ source: '192.168.1.3', destination: '192.168.1.1' }, payload)],
    ['IPv6', (payload: Layer) => ipv6({ source: '2001:db8:1::3', destination: '2001:db8:1::1' }, payload)],
  ] as const

  for (const [family, packet] of PROBED)
    for (const [what, answerOf] of ANSWERS) {
      test(`${what} over ${family} goes on to it, the whole frame as it came`, () => {
        const site = node()
        const frame = ethernet({ source: PEER_MAC, destination: GATEWAY_MAC }, packet(answerOf(family)))
        const [sent, ...more] = site.send(fromEdge(frame))
        deepEqual(more, [])
        deepEqual(sent, toSpeaker(frame, fromPort(sent!)))
        deepEqual(drops(site), {})
        conserved(site)
      })

      test(`${what} over ${family} is for nobody where none is asked for`, () => {
        const site = node()
        const frame = ethernet({ source: PEER_MAC, destination: GATEWAY_MAC }, packet(answerOf(family)))
        deepEqual(site.send(fromEdge(frame, GLOBEX.vni)).filter(isToSpeaker), [])
        equal(drops(site, 'globex')['no-listener'], 1)
        conserved(site)
      })
    }

  test('and what it asks itself is not taken for an answer', () => {
    const site = node()
    const sent = site.send(fromCustomer(PROBED[0][1](icmpEcho({}))))
    // It is answered, which waits for whose MAC address that is.
    deepEqual([sent.filter(isToSpeaker), drops(site)], [[], { 'neighbour-unresolved': 1 }])
  })
})

describe('an echo packet of BFD over IPv4', () => {
  const [GATEWAY, NEIGHBOUR] = ['192.168.1.1', '192.168.1.2']
  const content = (address?: string) => {
    const bytes = new Uint8Array(32).fill(7, 0, 20)
    if (address !== undefined) bytes.set(parseAddress(address)!, 28)
    return bytes
  }
  const echo = (ends: { source: string; destination: string; ttl: number }, bytes: Uint8Array) =>
    ipv4(ends, udp({ sourcePort: 3785, destinationPort: 3785, checksum: false }, bytes))

  test('goes to the neighbour addressed to whom it is from', () => {
    const site = node()
    const told = echo({ source: GATEWAY, destination: NEIGHBOUR, ttl: 255 }, content())
    const [frame, ...more] = site.send(fromSpeaker(told))
    deepEqual(more, [])
    const wanted = echo({ source: GATEWAY, destination: GATEWAY, ttl: 255 }, content(NEIGHBOUR))
    deepEqual(frame, toEdge(toPeer(wanted), ACME.vni, fromPort(frame!)))
    conserved(site)
  })

  test('comes back to the routing node as from the neighbour', () => {
    const site = node()
    const came = echo({ source: GATEWAY, destination: GATEWAY, ttl: 254 }, content(NEIGHBOUR))
    const [frame, ...more] = site.send(fromCustomer(came))
    deepEqual(more, [])
    const wanted = echo({ source: NEIGHBOUR, destination: GATEWAY, ttl: 254 }, content(NEIGHBOUR))
    deepEqual(frame, toSpeaker(ethernet({ source: PEER_MAC, destination: GATEWAY_MAC }, wanted), fromPort(frame!)))
    conserved(site)
  })

  test("that is the neighbour's own is sent back to it as it was", () => {
    const site = node()
    const returned = echo({ source: GATEWAY, destination: NEIGHBOUR, ttl: 254 }, content())
    const [frame] = site.send(fromSpeaker(returned))
    deepEqual(frame, toEdge(toPeer(returned), ACME.vni, fromPort(frame!)))
    conserved(site)
  })

  test('that nobody can have sent, or that is too short or too long to be one, is for nobody', () => {
    const site = node()
    const ends = { source: GATEWAY, destination: GATEWAY, ttl: 254 }
    deepEqual(site.send(fromCustomer(echo(ends, content('192.168.1.77')))), [])
    deepEqual(site.send(fromCustomer(echo(ends, new Uint8Array(3)))), [])
    // A tunnel might be too narrow for it, and the neighbour that it names would be told so.
    const large = new Uint8Array(8000)
    large.set(parseAddress(NEIGHBOUR)!, 7996)
    deepEqual(site.send(fromCustomer(echo(ends, large))), [])
    equal(drops(site)['no-listener'], 3)
    conserved(site)
  })
})

describe('it stays a packet for the gateway, where nobody listens,', () => {
  const refused = (what: string, frame: Uint8Array, tenant = 'acme') =>
    test(what, () => {
      const site = node()
      const sent = site.send(frame)
      ok(
        sent.every((one) => one[33] !== 1 || one[32] !== 3),
        'nothing went to the routing node',
      )
      equal(drops(site, tenant)['no-listener'], 1)
      conserved(site)
    })
  const packet = (more: object, payload: Layer = opening) =>
    ipv4({ source: '192.168.1.2', destination: '192.168.1.1', ...more }, payload)
  refused('from somebody who is no neighbour', fromCustomer(packet({ source: '192.168.1.77' })))
  refused("to the gateway's address on another segment", fromCustomer(packet({ destination: '172.16.0.1' })))
  refused('of a tenant without neighbours', fromCustomer(packet({}), GLOBEX.vni), 'globex')
  refused('from a VPC', fromHost(packet({})))
  refused('in fragments', fromCustomer(packet({ moreFragments: true })))
  refused('to other ports', fromCustomer(packet({}, tcp({ sourcePort: 40_000, destinationPort: 80 }))))
  refused('by UDP to port 179', fromCustomer(packet({}, udp({ sourcePort: 40_000, destinationPort: 179 }))))
})

describe('a flood is the trouble of the tenant that it comes from:', () => {
  test('of openings, while open sessions go on', () => {
    const site = node()
    const flood = Array.from({ length: 300 }, () => fromCustomer(FAMILIES[0][1](64, opening)))
    equal(site.send(...flood).length, 200)
    deepEqual(drops(site), { 'routing-rate': 100 })
    equal(site.send(fromCustomer(FAMILIES[0][1](64, going))).length, 1)
    equal(site.send(fromCustomer(FAMILIES[0][1](64, opening), INITECH.vni)).length, 1)
    site.clock.advance(1000)
    site.send() // what is waited for is asked for again
    equal(site.send(fromCustomer(FAMILIES[0][1](64, opening))).length, 1)
    conserved(site)
  })

  test('of everything else', () => {
    const site = node()
    let sent = 0
    for (let i = 0; i < 6000; i++) sent += site.send(fromCustomer(FAMILIES[1][1](64, going))).length
    equal(sent, 5000)
    equal(drops(site)['routing-rate'], 1000)
    conserved(site)
  })
})

test('what is too large for the way to the routing node is told to its sender', () => {
  const site = node(1500)
  const large = tcp({ sourcePort: 40_000, destinationPort: 179 }, new Uint8Array(1440))
  const [error, ...more] = site.send(fromCustomer(FAMILIES[0][1](64, large)))
  deepEqual(more, [])
  ok(error)
  deepEqual(drops(site), { 'too-big': 1 })
  conserved(site)
})

describe('what a routing node sends goes where the FIB leads,', () => {
  for (const [family, packet] of BACK)
    test(`with its TTL and its MSS as they were, over ${family}`, () => {
      const site = node()
      for (const ttl of [1, 64, 255])
        for (const payload of [opening, answer, bfd(3784)]) {
          const [frame, ...more] = site.send(fromSpeaker(packet(ttl, payload)))
          deepEqual(more, [])
          deepEqual(frame, toEdge(toPeer(packet(ttl, payload)), ACME.vni, fromPort(frame!)))
        }
      conserved(site)
    })

  test('and nowhere where it has not been let in', () => {
    const site = node()
    deepEqual(site.send(fromSpeaker(BACK[0][1](64, opening), GLOBEX.vni)), [])
    equal(site.node().drops['unknown-remote'], 1)
    conserved(site)
  })

  test('never back to it, and no ICMP error is made of it', () => {
    const site = node()
    const packet = (destination: string, payload = opening) =>
      ipv4({ source: '192.168.1.1', destination, ttl: 1 }, payload)
    const large = tcp({ sourcePort: 179, destinationPort: 40_000 }, new Uint8Array(3000))
    deepEqual(
      site.send(
        fromSpeaker(packet('192.168.1.1')),
        fromSpeaker(packet('203.0.113.1')),
        fromSpeaker(packet('192.168.1.2', large)),
      ),
      [],
    )
    deepEqual(drops(site), { 'no-listener': 1, 'no-route': 1, 'too-big': 1 })
    conserved(site)
  })

  test('to a neighbour whose MAC address is not known yet: it is asked for', () => {
    const site = node()
    const [question, ...more] = site.send(
      fromSpeaker(ipv4({ source: '192.168.1.1', destination: '192.168.1.50', ttl: 1 }, opening)),
    )
    deepEqual(more, [])
    equal(question?.[33], 1, 'to the edge switch')
    equal(drops(site)['neighbour-unresolved'], 1)
    conserved(site)
  })
})

describe('a routing node that asks for a neighbour gets the MAC address of the gateway,', () => {
  const outer = { source: SPEAKER }

  test('by ARP', () => {
    const site = node()
    const [frame] = site.send(fromEdge(arpFor('192.168.1.77', '192.168.1.1'), ACME.vni, outer))
    const addresses = { senderIp: '192.168.1.77', targetMac: PEER_MAC, targetIp: '192.168.1.1' }
    const reply = arpReply({ senderMac: GATEWAY_MAC, ...addresses })
    deepEqual(frame, toSpeaker(ethernet({ source: GATEWAY_MAC, destination: PEER_MAC }, reply), fromPort(frame!)))
    conserved(site)
  })

  test('by neighbour discovery', () => {
    const site = node()
    const [frame] = site.send(fromEdge(solicitationFor('2001:db8:1::77', '2001:db8:1::1'), ACME.vni, outer))
    const flags = (ND_ADVERTISEMENT.router | ND_ADVERTISEMENT.override | ND_ADVERTISEMENT.solicited) >>> 0
    const advertisement = neighbourAdvertisement({ target: '2001:db8:1::77', flags, targetMac: GATEWAY_MAC })
    const packet = ipv6({ source: '2001:db8:1::77', destination: '2001:db8:1::1', hopLimit: 255 }, advertisement)
    deepEqual(frame, toSpeaker(ethernet({ source: GATEWAY_MAC, destination: PEER_MAC }, packet), fromPort(frame!)))
    conserved(site)
  })

  test('but not for our own addresses, and is not listened to', () => {
    const site = node()
    deepEqual(site.send(fromEdge(arpFor('192.168.1.1', '192.168.1.9'), ACME.vni, outer)), [])
    deepEqual(site.send(fromEdge(solicitationFor('2001:db8:1::1'), ACME.vni, outer)), [])
    deepEqual(drops(site), { 'arp-ignored': 1, 'nd-ignored': 1 })
    // 192.168.1.9 is a next hop that is waited for.
    site.send(fromHost(ipv4({ source: '172.16.0.5', destination: '10.9.0.1' }, going)))
    equal(drops(site)['neighbour-unresolved'], 1)
    conserved(site)
  })
})

describe('where sessions are may change:', () => {
  const packet = FAMILIES[0][1](64, going)
  const OTHER = '10.0.3.2'

  /** Acme's connection with other routing nodes, as the next batch tells it. */
  function tell(site: MemoryNode, generation: number, speakers: readonly string[], at: string | undefined): void {
    const whole = sampleBatch([ACME])
    const peer = parseAddress('192.168.1.2')!
    const sessions = at === undefined ? [] : [{ peer, speaker: parseAddress(at)! }]
    const [tenant] = whole.tenants
    const segments = tenant!.segments.map((segment) =>
      segment.kind === 'connection'
        ? { ...segment, speakers: speakers.map((address) => parseAddress(address)!), sessions, probes: [] }
        : segment,
    )
    const nothing = {
      nextHops: [],
      routes4: new RouteColumnsBuilder(1).build(),
      routes6: new RouteColumnsBuilder(4).build(),
    }
    const difference = { ...whole, ...nothing, snapshot: false, base: generation - 1, generation }
    equal(site.apply({ ...difference, tenants: [{ ...tenant!, segments }] }), undefined)
  }
  const destination = (frame: Uint8Array | undefined) => frame?.subarray(30, 34).join('.')

  test('to another routing node, which was there or is new', () => {
    const site = node()
    equal(destination(site.send(fromCustomer(packet))[0]), SPEAKER)
    tell(site, 2, [SPEAKER, OTHER], OTHER)
    equal(destination(site.send(fromCustomer(packet))[0]), OTHER)
    tell(site, 3, [SPEAKER, OTHER], SPEAKER)
    equal(destination(site.send(fromCustomer(packet))[0]), SPEAKER)
    conserved(site)
  })

  test('away from one that goes, which may not send any more', () => {
    const site = node()
    tell(site, 2, [OTHER], OTHER)
    equal(destination(site.send(fromCustomer(packet))[0]), OTHER)
    site.send(fromSpeaker(BACK[0][1](64, going)))
    equal(site.node().drops['unknown-remote'], 1)
    conserved(site)
  })

  test('and to nobody, whose packets are as they always were', () => {
    const site = node()
    tell(site, 2, [], undefined)
    site.send(fromCustomer(packet))
    deepEqual(drops(site), { 'no-listener': 1 })
    conserved(site)
  })
})
