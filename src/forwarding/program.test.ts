/** What a forwarding node does with tenants' packets: whole frames in, whole frames out, and what the books say. */

import { deepEqual, equal, ok } from 'node:assert/strict'
import { describe, test } from 'node:test'
import { parseAddress } from '../base/address.ts'
import { entropyPort } from '../dataplane/encapsulate.ts'
import {
  arpReply,
  ethernet,
  icmpEcho,
  icmpError,
  icmpv6,
  icmpv6Echo,
  ipv4,
  ipv6,
  type Layer,
  neighbourAdvertisement,
  tcp,
  udp,
  vxlan,
} from '../wire/build.ts'
import { ICMP_TYPE, ICMP_UNREACHABLE } from '../wire/icmp.ts'
import { ICMPV6_TYPE } from '../wire/icmpv6.ts'
import { ND_ADVERTISEMENT } from '../wire/neighbour-discovery.ts'
import { UDP_PORT } from '../wire/udp.ts'
import { type MemoryNode, NODE_MAC } from './memory-node.ts'
import {
  conserved,
  DATA,
  fromPort,
  node,
  OUTER_IP,
  OUTER_UDP,
  segmentOfTcp,
  toEdge,
  toHost,
  toMachine,
  toPeer,
  toRouter,
} from './node-harness.ts'
import { arpFor, fromCustomer, fromEdge, fromHost, NO_KEY, solicitationFor } from './sample-packets.ts'
import { ACME, EDGE, GATEWAY_MAC, GLOBEX, HOST, MACHINE_MAC, PEER_MAC, sampleBatch, VIP } from './sample-site.ts'

describe('a customer reaches a machine', () => {
  test('whose host takes GRE with a key and bare IP', () => {
    const site = node()
    const sent = site.send(fromCustomer(ipv4({ source: '10.1.2.3', destination: '172.16.0.5', ttl: 64 }, segmentOfTcp)))
    const expected = ipv4({ source: '10.1.2.3', destination: '172.16.0.5', ttl: 63 }, segmentOfTcp)
    deepEqual(sent, [toHost(HOST.ip, expected, ACME.vni)])
    equal(site.totals('acme')!.received, 1)
    conserved(site)
  })

  test('whose host takes GRE with a key and Ethernet', () => {
    const site = node()
    const sent = site.send(fromCustomer(ipv4({ source: '10.1.2.3', destination: '172.16.0.6' }, segmentOfTcp)))
    const expected = ipv4({ source: '10.1.2.3', destination: '172.16.0.6', ttl: 63 }, segmentOfTcp)
    deepEqual(sent, [toHost(HOST.ethernet, toMachine(expected), ACME.vni)])
  })

  test('whose host takes VXLAN, with the entropy of the inner flow in the source port', () => {
    const site = node()
    const [frame] = site.send(fromCustomer(ipv4({ source: '10.1.2.3', destination: '172.16.0.7' }, segmentOfTcp)))
    const port = fromPort(frame!)
    ok(port >= 49_152)
    const expected = toMachine(ipv4({ source: '10.1.2.3', destination: '172.16.0.7', ttl: 63 }, segmentOfTcp))
    const tunnel = udp(
      { sourcePort: port, destinationPort: UDP_PORT.vxlan, checksum: false },
      vxlan({ vni: ACME.vni }, expected),
    )
    deepEqual(frame, ethernet(toRouter, ipv4({ source: VIP, destination: HOST.vxlan, dontFragment: true }, tunnel)))
  })

  test('over IPv6', () => {
    const site = node()
    const packet = (hopLimit: number) =>
      ipv6({ source: '2001:db8:a::3', destination: '2001:db8:16::5', hopLimit }, segmentOfTcp)
    deepEqual(site.send(fromCustomer(packet(64))), [toHost(HOST.ip, packet(63), ACME.vni)])
    conserved(site)
  })
})

describe('a machine reaches a customer', () => {
  for (const [family, packet] of [
    ['IPv4', (ttl: number) => ipv4({ source: '172.16.0.5', destination: '10.1.2.3', ttl }, segmentOfTcp)],
    [
      'IPv6',
      (hopLimit: number) => ipv6({ source: '2001:db8:16::5', destination: '2001:db8:a::3', hopLimit }, segmentOfTcp),
    ],
  ] as const)
    test(`over ${family}, to the router behind the edge`, () => {
      const site = node()
      const [frame] = site.send(fromHost(packet(64)))
      deepEqual(frame, toEdge(toPeer(packet(63)), ACME.vni, fromPort(frame!)))
      conserved(site)
    })

  test('and both directions of the flow have the same entropy', () => {
    const site = node()
    const there = tcp({ sourcePort: 40_000, destinationPort: 80 }, DATA)
    const back = tcp({ sourcePort: 80, destinationPort: 40_000 }, DATA)
    const [first] = site.send(fromCustomer(ipv4({ source: '10.1.2.3', destination: '172.16.0.7' }, there)))
    const [second] = site.send(fromHost(ipv4({ source: '172.16.0.7', destination: '10.1.2.3' }, back)))
    equal(fromPort(first!), fromPort(second!))
  })
})

test('one customer reaches another through the hub, VXLAN to VXLAN', () => {
  const site = node()
  const [frame] = site.send(fromCustomer(ipv4({ source: '10.1.2.3', destination: '10.1.9.9' }, segmentOfTcp)))
  const expected = toPeer(ipv4({ source: '10.1.2.3', destination: '10.1.9.9', ttl: 63 }, segmentOfTcp))
  deepEqual(frame, toEdge(expected, ACME.vni, fromPort(frame!)))
})

test('tenants with the same addresses do not meet', () => {
  const site = node()
  const packet = (ttl: number) => ipv4({ source: '10.1.2.3', destination: '172.16.0.5', ttl }, segmentOfTcp)
  deepEqual(site.send(fromCustomer(packet(64), GLOBEX.vni)), [toHost(HOST.ip, packet(63), GLOBEX.vni)])
  equal(site.totals('globex')!.received, 1)
  equal(site.totals('acme')!.received, 0)
  conserved(site)
})

test('a group spreads flows over its members', () => {
  const site = node()
  const flows = Array.from({ length: 64 }, (_, i) =>
    fromCustomer(ipv4({ source: '10.1.2.3', destination: '10.8.0.1' }, udp({ sourcePort: 1000 + i }))),
  )
  const bySecondHost = site.send(...flows).filter((frame) => frame[OUTER_IP + 19] === 3).length
  ok(bySecondHost > 16 && bySecondHost < 48, `${bySecondHost} of 64`)
})

describe('ARP and neighbour discovery', () => {
  test("the gateway's address is answered for, through the tunnel that asked", () => {
    const site = node()
    const [frame] = site.send(fromEdge(arpFor('192.168.1.1')))
    const reply = arpReply({
      senderMac: GATEWAY_MAC,
      senderIp: '192.168.1.1',
      targetMac: PEER_MAC,
      targetIp: '192.168.1.2',
    })
    deepEqual(
      frame,
      toEdge(ethernet({ source: GATEWAY_MAC, destination: PEER_MAC }, reply), ACME.vni, fromPort(frame!)),
    )
    conserved(site)
  })

  test('other addresses are not', () => {
    const site = node()
    deepEqual(site.send(fromEdge(arpFor('192.168.1.77'))), [])
    equal(site.totals('acme')!.drops['arp-ignored'], 1)
  })

  test("nor is the gateway's address on another segment", () => {
    const site = node()
    deepEqual(site.send(fromEdge(arpFor('172.16.0.1'))), [])
    conserved(site)
  })

  test('a neighbour solicitation is answered by an advertisement', () => {
    const site = node()
    const [frame] = site.send(fromEdge(solicitationFor('2001:db8:1::1')))
    const flags = (ND_ADVERTISEMENT.router | ND_ADVERTISEMENT.override | ND_ADVERTISEMENT.solicited) >>> 0
    const advertisement = neighbourAdvertisement({ target: '2001:db8:1::1', flags, targetMac: GATEWAY_MAC })
    const packet = ipv6({ source: '2001:db8:1::1', destination: '2001:db8:1::2', hopLimit: 255 }, advertisement)
    deepEqual(
      frame,
      toEdge(ethernet({ source: GATEWAY_MAC, destination: PEER_MAC }, packet), ACME.vni, fromPort(frame!)),
    )
  })

  test('so is the gateway’s link-local address, and duplicate address detection', () => {
    const site = node()
    equal(site.send(fromEdge(solicitationFor('fe80::67:68ff:fe00:1'))).length, 1)
    const [frame] = site.send(fromEdge(solicitationFor('2001:db8:1::1', '::')))
    const flags = (ND_ADVERTISEMENT.router | ND_ADVERTISEMENT.override) >>> 0
    const advertisement = neighbourAdvertisement({ target: '2001:db8:1::1', flags, targetMac: GATEWAY_MAC })
    const packet = ipv6({ source: '2001:db8:1::1', destination: 'ff02::1', hopLimit: 255 }, advertisement)
    deepEqual(
      frame,
      toEdge(ethernet({ source: GATEWAY_MAC, destination: PEER_MAC }, packet), ACME.vni, fromPort(frame!)),
    )
    conserved(site)
  })

  test('an unresolved next hop is asked for, and packets go on once it answers', () => {
    const site = node()
    const packet = (ttl: number) => ipv4({ source: '172.16.0.5', destination: '10.9.0.1', ttl }, segmentOfTcp)
    site.send(fromHost(packet(64)))
    equal(site.totals('acme')!.drops['neighbour-unresolved'], 1)
    site.send(fromEdge(arpFor('192.168.1.1', '192.168.1.9')))
    const [frame] = site.send(fromHost(packet(64)))
    deepEqual(frame, toEdge(toPeer(packet(63)), ACME.vni, fromPort(frame!)))
    conserved(site)
  })

  test('a peer on the connected subnet that the site file names need not be missed first', () => {
    const site = node()
    const packet = (ttl: number) => ipv4({ source: '172.16.0.5', destination: '192.168.1.2', ttl }, segmentOfTcp)
    const [frame] = site.send(fromHost(packet(64)))
    deepEqual(frame, toEdge(toPeer(packet(63)), ACME.vni, fromPort(frame!)))
  })

  test('a machine whose MAC address is not known yet is asked for at its own host, and reached there', () => {
    const site = node()
    const batch = sampleBatch()
    const nextHops = batch.nextHops.map((hop) =>
      hop.id === 103 ? { ...hop, mac: undefined, address: parseAddress('172.16.0.6') } : hop,
    ) as typeof batch.nextHops
    equal(site.apply({ ...batch, nextHops }), undefined)
    const [question] = site.send()
    deepEqual(question!.subarray(OUTER_IP + 16, OUTER_IP + 20), parseAddress(HOST.ethernet))
    const packet = (ttl: number) => ipv4({ source: '10.1.2.3', destination: '172.16.0.6', ttl }, segmentOfTcp)
    const [unreachable, ...more] = site.send(fromCustomer(packet(64)))
    deepEqual(unreachable!.subarray(OUTER_IP + 16, OUTER_IP + 20), parseAddress(EDGE), 'the sender is told')
    deepEqual(more, [])
    equal(site.totals('acme')!.drops['neighbour-unresolved'], 1)
    const reply = arpReply({ senderMac: MACHINE_MAC, senderIp: '172.16.0.6', targetIp: '172.16.0.1' })
    const answer = ethernet({ source: MACHINE_MAC, destination: GATEWAY_MAC }, reply)
    site.send(fromHost(answer, ACME.vni, { source: HOST.ethernet }))
    deepEqual(site.send(fromCustomer(packet(64))), [toHost(HOST.ethernet, toMachine(packet(63)), ACME.vni)])
    conserved(site)
  })

  test('a host of the connected subnet is found when a packet misses it', () => {
    const site = node()
    const packet = (ttl: number) => ipv4({ source: '172.16.0.5', destination: '192.168.1.50', ttl }, segmentOfTcp)
    const asked = site.send(fromHost(packet(64)))
    equal(asked.filter((frame) => frame.length === OUTER_UDP + 16 + 42).length, 1, 'an ARP request')
    const reply = arpReply({ senderMac: PEER_MAC, senderIp: '192.168.1.50', targetIp: '192.168.1.1' })
    site.send(fromEdge(ethernet({ source: PEER_MAC, destination: GATEWAY_MAC }, reply)))
    const [frame] = site.send(fromHost(packet(64)))
    deepEqual(frame, toEdge(toPeer(packet(63)), ACME.vni, fromPort(frame!)))
    conserved(site)
  })
})

describe('a ping of the gateway', () => {
  test('is answered over IPv4', () => {
    const site = node()
    const ping = icmpEcho({ identifier: 7, sequence: 1 }, DATA)
    const [frame] = site.send(fromCustomer(ipv4({ source: '10.1.2.3', destination: '192.168.1.1' }, ping)))
    const reply = icmpEcho({ reply: true, identifier: 7, sequence: 1 }, DATA)
    const packet = ipv4({ source: '192.168.1.1', destination: '10.1.2.3', ttl: 64 }, reply)
    deepEqual(frame, toEdge(toPeer(packet), ACME.vni, fromPort(frame!)))
    conserved(site)
  })

  test('is answered over IPv6', () => {
    const site = node()
    const ping = icmpv6Echo({ identifier: 7, sequence: 1 }, DATA)
    const [frame] = site.send(fromCustomer(ipv6({ source: '2001:db8:a::3', destination: '2001:db8:1::1' }, ping)))
    const reply = icmpv6Echo({ reply: true, identifier: 7, sequence: 1 }, DATA)
    const packet = ipv6({ source: '2001:db8:1::1', destination: '2001:db8:a::3', hopLimit: 64 }, reply)
    deepEqual(frame, toEdge(toPeer(packet), ACME.vni, fromPort(frame!)))
  })

  test('from a link-local address goes back where it came from, and such a packet goes no further', () => {
    const site = node()
    const ping = icmpv6Echo({ identifier: 7, sequence: 1 }, DATA)
    const [frame] = site.send(fromCustomer(ipv6({ source: 'fe80::c', destination: 'fe80::67:68ff:fe00:1' }, ping)))
    const reply = icmpv6Echo({ reply: true, identifier: 7, sequence: 1 }, DATA)
    const packet = ipv6({ source: 'fe80::67:68ff:fe00:1', destination: 'fe80::c', hopLimit: 64 }, reply)
    deepEqual(frame, toEdge(toPeer(packet), ACME.vni, fromPort(frame!)))
    deepEqual(site.send(fromCustomer(ipv6({ source: 'fe80::c', destination: '2001:db8:16::5' }, ping))), [])
    equal(site.totals('acme')!.drops['link-local'], 1)
    conserved(site)
  })

  test('is not answered more often than the limit', () => {
    const site = node()
    const ping = fromCustomer(ipv4({ source: '10.1.2.3', destination: '192.168.1.1' }, icmpEcho()))
    for (let i = 0; i < 10; i++) site.send(...new Array(50).fill(ping))
    const totals = site.totals('acme')!
    equal(totals.received, 500)
    equal(totals.drops['icmp-rate'], 300)
    conserved(site)
  })
})

describe('ICMP errors', () => {
  const errorTo = (site: MemoryNode, packet: Layer): Uint8Array[] => site.send(fromCustomer(packet))
  const fromGateway = (error: Layer): Layer =>
    ipv4({ source: '192.168.1.1', destination: '10.1.2.3', tos: 0xc0, ttl: 64 }, error)

  test('a packet whose TTL is 1 is answered by time exceeded and counted', () => {
    const site = node()
    const packet = ipv4({ source: '10.1.2.3', destination: '172.16.0.5', ttl: 1 }, segmentOfTcp)
    const [frame] = errorTo(site, packet)
    const error = icmpError({ type: ICMP_TYPE.timeExceeded }, packet)
    deepEqual(frame, toEdge(toPeer(fromGateway(error)), ACME.vni, fromPort(frame!), 0xc0))
    equal(site.totals('acme')!.drops['ttl-exceeded'], 1)
    equal(site.totals('acme')!.originated, 2, 'the error, and the question for the unresolved next hop')
    conserved(site)
  })

  test('a packet without a route is answered by network unreachable', () => {
    const site = node()
    const packet = ipv4({ source: '10.1.2.3', destination: '203.0.113.1' }, segmentOfTcp)
    const [frame] = errorTo(site, packet)
    const error = icmpError({ type: ICMP_TYPE.destinationUnreachable, code: ICMP_UNREACHABLE.network }, packet)
    deepEqual(frame, toEdge(toPeer(fromGateway(error)), ACME.vni, fromPort(frame!), 0xc0))
  })

  test('a discard route says nothing', () => {
    const site = node()
    deepEqual(errorTo(site, ipv4({ source: '10.1.2.3', destination: '10.66.0.1' }, segmentOfTcp)), [])
    equal(site.totals('acme')!.drops['discard-route'], 1)
  })

  test('a packet too big for its tunnel and not to be fragmented is answered with the MTU', () => {
    const site = node(1500)
    const packet = ipv4(
      { source: '10.1.2.3', destination: '172.16.0.5', dontFragment: true },
      udp({}, new Uint8Array(1450)),
    )
    const [frame] = errorTo(site, packet)
    const { bytes } = packet
    const quoted = { bytes: bytes.slice(0, 548), etherType: 0x0800, protocol: 4 }
    const error = icmpError(
      { type: ICMP_TYPE.destinationUnreachable, code: ICMP_UNREACHABLE.fragmentationNeeded, mtu: 1500 - 28 },
      quoted,
    )
    deepEqual(frame, toEdge(toPeer(fromGateway(error)), ACME.vni, fromPort(frame!), 0xc0))
    equal(site.totals('acme')!.drops['too-big'], 1)
    conserved(site)
  })

  test('over IPv6 it is packet too big', () => {
    const site = node(1500)
    const packet = ipv6({ source: '2001:db8:a::3', destination: '2001:db8:16::5' }, udp({}, new Uint8Array(1430)))
    const [frame] = site.send(fromCustomer(packet))
    const quoted = packet.bytes.slice(0, 1232)
    const error = icmpv6({ type: ICMPV6_TYPE.packetTooBig, rest: 1472 }, quoted)
    const reply = ipv6({ source: '2001:db8:1::1', destination: '2001:db8:a::3', trafficClass: 0xc0 }, error)
    deepEqual(frame, toEdge(toPeer(reply), ACME.vni, fromPort(frame!), 0xc0))
    conserved(site)
  })

  test('no error answers an error', () => {
    const site = node()
    const about = ipv4({ source: '172.16.0.5', destination: '10.1.2.3' }, segmentOfTcp)
    const error = icmpError({ type: ICMP_TYPE.timeExceeded }, about)
    deepEqual(errorTo(site, ipv4({ source: '10.1.2.3', destination: '203.0.113.1' }, error)), [])
    equal(site.totals('acme')!.drops['no-route'], 1)
  })
})

describe('DSCP and ECN across tunnels (RFC 6040)', () => {
  test('the inner byte is copied to the outer header', () => {
    const site = node()
    const packet = (ttl: number) =>
      ipv4({ source: '10.1.2.3', destination: '172.16.0.5', tos: 0xb9, ttl }, segmentOfTcp)
    deepEqual(site.send(fromCustomer(packet(64))), [toHost(HOST.ip, packet(63), ACME.vni, 0xb9)])
  })

  test('congestion marked on the tunnel reaches the inner packet', () => {
    const site = node()
    const packet = (tos: number, ttl: number) =>
      ipv4({ source: '10.1.2.3', destination: '172.16.0.5', tos, ttl }, segmentOfTcp)
    const frame = fromCustomer(packet(2, 64), ACME.vni, { tos: 3 })
    deepEqual(site.send(frame), [toHost(HOST.ip, packet(3, 63), ACME.vni, 3)])
  })

  test('or the packet is dropped when it cannot carry the mark', () => {
    const site = node()
    const packet = ipv4({ source: '10.1.2.3', destination: '172.16.0.5' }, segmentOfTcp)
    deepEqual(site.send(fromCustomer(packet, ACME.vni, { tos: 3 })), [])
    equal(site.totals('acme')!.drops['ecn-mismatch'], 1)
  })
})

describe('what does not belong here is dropped under its reason', () => {
  const packet = ipv4({ source: '10.1.2.3', destination: '172.16.0.5' }, segmentOfTcp)
  const inner = ethernet({ source: PEER_MAC, destination: GATEWAY_MAC }, packet)
  const cases: [string, Uint8Array, keyof NonNullable<ReturnType<MemoryNode['totals']>>['drops']][] = [
    ['an unknown VNI', fromEdge(inner, 4242), 'unknown-vni'],
    ['an unknown key', fromHost(packet, 4242), 'unknown-key'],
    ['GRE without a key', fromHost(packet, NO_KEY), 'unknown-key'],
    ['a forged underlay source', fromEdge(inner, ACME.vni, { source: '10.0.0.66' }), 'unknown-remote'],
    [
      'a host that sends by GRE what it should by VXLAN',
      fromHost(packet, ACME.vni, { source: HOST.vxlan }),
      'unknown-remote',
    ],
    ['a tagged inner frame', fromEdge(ethernet({ vlan: 5, destination: GATEWAY_MAC }, packet)), 'inner-vlan'],
    [
      "somebody else's MAC address",
      fromEdge(ethernet({ destination: '02:00:00:00:00:99' }, packet)),
      'not-for-gateway',
    ],
    [
      'an IPv4 packet to a group',
      fromCustomer(ipv4({ source: '10.1.2.3', destination: '224.0.0.5' }, DATA0())),
      'multicast',
    ],
    [
      'a loopback source',
      fromCustomer(ipv4({ source: '127.0.0.1', destination: '172.16.0.5' }, DATA0())),
      'martian-source',
    ],
    ['a plain packet', ethernet({}, ipv4({ destination: VIP }, udp({ destinationPort: 53 }))), 'not-a-tunnel'],
    ['a tunnel within the tunnel, to the gateway', fromCustomer(toOurselves()), 'no-listener'],
  ]
  for (const [what, frame, reason] of cases)
    test(what, () => {
      const site = node()
      site.send(frame)
      equal(site.node().drops[reason], 1, JSON.stringify(site.node().drops))
      conserved(site)
    })

  function DATA0(): Layer {
    return udp({}, DATA)
  }

  function toOurselves(): Layer {
    return ipv4({ source: '10.1.2.3', destination: '192.168.1.1' }, udp({ destinationPort: UDP_PORT.vxlan }, DATA))
  }
})

describe('the control module changes its mind', () => {
  test('a snapshot without a tenant takes it away, and with it its packets', () => {
    const site = node()
    equal(site.apply({ ...sampleBatch([ACME]), generation: 2 }), undefined)
    const packet = ipv4({ source: '10.1.2.3', destination: '172.16.0.5' }, segmentOfTcp)
    deepEqual(site.send(fromCustomer(packet, GLOBEX.vni)), [])
    equal(site.node().drops['unknown-vni'], 1)
    equal(site.send(fromCustomer(packet)).length, 1)
  })

  const renamed = { id: 7, name: 'newcomer', vni: ACME.vni }
  for (const snapshot of [true, false])
    test(`a tenant takes another's VNI and edge over in one ${snapshot ? 'snapshot' : 'difference'}`, () => {
      const site = node()
      const { nextHops, tenants, routes4, routes6 } = sampleBatch(snapshot ? [renamed, GLOBEX] : [renamed])
      const difference = { tenants, nextHops, routes4, routes6, snapshot, removedTenants: Uint32Array.of(ACME.id) }
      equal(site.apply({ ...sampleBatch([]), ...difference, generation: 2, base: 1 }), undefined)
      site.send()
      const packet = ipv4({ source: '10.1.2.3', destination: '172.16.0.5' }, segmentOfTcp)
      equal(site.send(fromCustomer(packet)).length, 1)
      equal(site.totals('newcomer')!.received, 1)
      equal(site.totals('acme'), undefined)
    })

  test('two tenants exchange their VNIs in one batch', () => {
    const site = node()
    const exchanged = [
      { ...ACME, vni: GLOBEX.vni },
      { ...GLOBEX, vni: ACME.vni },
    ]
    equal(site.apply({ ...sampleBatch(exchanged), generation: 2 }), undefined)
    site.send()
    const packet = ipv4({ source: '10.1.2.3', destination: '172.16.0.5' }, segmentOfTcp)
    equal(site.send(fromCustomer(packet, GLOBEX.vni)).length, 1)
    equal(site.totals('acme')!.received, 1)
  })

  test('the same snapshot again changes nothing', () => {
    const site = node()
    equal(site.apply(sampleBatch()), undefined)
    deepEqual(site.send(), [], 'nobody is asked for again')
    const packet = ipv4({ source: '10.1.2.3', destination: '172.16.0.5' }, segmentOfTcp)
    equal(site.send(fromCustomer(packet)).length, 1)
    conserved(site)
  })

  test('the underlay changes, and the next packet goes the new way', () => {
    const site = node()
    const destination = Uint8Array.of(2, 0, 0, 0, 0, 9)
    site.underlay.change({ port: 0, source: NODE_MAC, destination, mtu: 1600 })
    const packet = ipv4({ source: '10.1.2.3', destination: '172.16.0.5' }, segmentOfTcp)
    const [frame] = site.send(fromCustomer(packet))
    deepEqual(frame!.subarray(0, 6), destination)
    site.underlay.change(undefined)
    deepEqual(site.send(fromCustomer(packet)), [])
    equal(site.totals('acme')!.drops['underlay-unresolved'], 2, 'the packet, and the error about it')
  })
})

test('the entropy port is in the dynamic range whatever the hash', () => {
  for (const hash of [0, 1, 0xffffffff]) ok(entropyPort(hash) >= 49_152 && entropyPort(hash) <= 65_535)
})
