/** What the switch does in the rack and for the fabric: whole frames in, whole frames out, and what the books say. */

import { deepEqual, equal, notDeepEqual, ok } from 'node:assert/strict'
import { suite, test } from 'node:test'
import { unaccounted } from '../dataplane/ledger.ts'
import {
  ethernet,
  gre,
  icmpEcho,
  icmpError,
  icmpv6,
  ipv4,
  ipv6,
  type Layer,
  type Payload,
  tcp,
  text,
  udp,
  vxlan,
} from '../wire/build.ts'
import { ICMP_TYPE, ICMP_UNREACHABLE } from '../wire/icmp.ts'
import { ICMPV6_TYPE, ICMPV6_UNREACHABLE } from '../wire/icmpv6.ts'
import {
  HOST,
  HOST6,
  MTU,
  NODES,
  OWN,
  OWN6,
  PATHS,
  portMacs,
  SampleSwitch,
  UNRESOLVED,
  UNRESOLVED6,
  VIP,
  VIP6,
} from './sample-switch.ts'
import { TRANSIT_ROW } from './shared.ts'

const CHUNKS = 511
const SENDER = '10.9.0.1'
const SENDER6 = 'fd00:ffff::5'

type Sent = Record<string, Uint8Array[]>

const portOf = (sent: Sent): string => {
  const ports = Object.keys(sent)
  equal(ports.length, 1, `sent by ${ports.join(', ') || 'no port'}`)
  return ports[0]!
}

/** A tenant's TCP segment of a flow, in one direction or the other. */
function flow(number: number, back = false): Layer {
  const there = { source: '192.168.1.2', destination: '172.16.0.5' }
  const ip = back ? { source: there.destination, destination: there.source } : there
  const ports = { sourcePort: 1024 + number, destinationPort: 80 }
  return ipv4(ip, tcp(back ? { sourcePort: 80, destinationPort: ports.sourcePort } : ports))
}

function flow6(number: number, back = false): Layer {
  const there = { source: 'fd01::2', destination: 'fd02::2' }
  const ip = back ? { source: there.destination, destination: there.source } : there
  const ports = { sourcePort: 1024 + number, destinationPort: 80 }
  return ipv6(ip, tcp(back ? { sourcePort: 80, destinationPort: ports.sourcePort } : ports))
}

const onWire = (packet: Layer) => ethernet({}, packet)
const framed = (packet: Layer) => ethernet({}, packet)
const vxlanIn = (inner: Layer, sourcePort = 50_000) =>
  udp({ sourcePort, destinationPort: 4789, checksum: false }, vxlan({ vni: 1001 }, framed(inner)))
const to4 = (destination: string, payload: Layer, over: Parameters<typeof ipv4>[0] = {}) =>
  ipv4({ source: SENDER, destination, ...over }, payload)
const to6 = (destination: string, payload: Layer, over: Parameters<typeof ipv6>[0] = {}) =>
  ipv6({ source: SENDER6, destination, ...over }, payload)

function conserved(site: SampleSwitch): void {
  equal(site.pool.free, CHUNKS)
  equal(unaccounted(site.totals()), 0)
  for (let row = 1; row < 10; row++) equal(unaccounted(site.row(row)), 0, `row ${row}`)
}

suite('a packet to a VIP behind the switch', () => {
  test('is routed to one of the nodes: new MAC addresses, a TTL less by one, all else as it was', () => {
    const site = new SampleSwitch()
    const sent = site.send('path-a', onWire(to4(VIP, vxlanIn(flow(1)), { ttl: 9, tos: 0xb8, id: 7 })))
    const node = portOf(sent)
    ok((NODES as readonly string[]).includes(node))
    const routed = to4(VIP, vxlanIn(flow(1)), { ttl: 8, tos: 0xb8, id: 7 })
    deepEqual(sent[node], [ethernet(portMacs(node), routed)])
    equal(site.row(TRANSIT_ROW).sent, 1)
    conserved(site)
  })

  test('meets the same node in both directions and in whatever tunnel, by IPv4 and IPv6 alike', () => {
    const site = new SampleSwitch()
    const bare = (inner: Layer): Payload => inner
    const bridged = (inner: Layer): Payload => framed(inner)
    const used = new Set<string>()
    for (let number = 0; number < 30; number++) {
      for (const make of [flow, flow6]) {
        const ways = [false, true].flatMap((back) => {
          const inner = make(number, back)
          return [
            to4(VIP, vxlanIn(inner, 49_152 + number)),
            to4(VIP, gre({ key: 7 }, bare(inner))),
            to4(VIP, gre({ key: 8, sequence: 5, checksum: true }, bridged(inner))),
            to6(VIP6, vxlanIn(inner)),
            to6(VIP6, gre({ key: 9 }, bare(inner))),
            to6(VIP6, gre({}, bridged(inner))),
          ].map((packet) => portOf(site.send(back ? 'host-1' : 'path-a', onWire(packet))))
        })
        equal(new Set(ways).size, 1, `flow ${number} went to ${ways.join()}`)
        used.add(ways[0]!)
      }
    }
    deepEqual(used, new Set(NODES))
    conserved(site)
  })

  test('that is in no tunnel goes by its own flow', () => {
    const site = new SampleSwitch()
    const used = new Set<string>()
    for (let number = 0; number < 40; number++) {
      const ports = { sourcePort: 2000 + number, destinationPort: 443 }
      const packet = onWire(to4(VIP, tcp(ports)))
      const node = portOf(site.send('path-a', packet))
      equal(portOf(site.send('path-b', packet)), node)
      used.add(node)
    }
    deepEqual(used, new Set(NODES))
  })

  test('meets its node again after others have died and come back', () => {
    const site = new SampleSwitch()
    const nodesOf = () =>
      Array.from({ length: 60 }, (_, number) => portOf(site.send('path-a', onWire(to4(VIP, vxlanIn(flow(number)))))))
    const before = nodesOf()
    site.setNodes(['fn-1', 'fn-3'])
    const during = nodesOf()
    for (const [i, node] of before.entries()) if (node !== 'fn-2') equal(during[i], node)
    ok(!during.includes('fn-2'))
    site.setNodes(NODES)
    deepEqual(nodesOf(), before)
  })

  test('meets the same node behind another switch of the rack', () => {
    const nodesOf = (site: SampleSwitch) =>
      Array.from({ length: 60 }, (_, number) => portOf(site.send('path-b', onWire(to4(VIP, vxlanIn(flow(number)))))))
    deepEqual(nodesOf(new SampleSwitch({ pathSalt: 1 })), nodesOf(new SampleSwitch({ pathSalt: 2 })))
  })

  test('is dropped as group-empty when no node is alive, and its sender is told', () => {
    const site = new SampleSwitch()
    site.setNodes([])
    const packet = to4(VIP, tcp({}))
    const sent = site.send('host-1', onWire(packet))
    const error = icmpError({ type: ICMP_TYPE.destinationUnreachable, code: ICMP_UNREACHABLE.host }, packet)
    deepEqual(sent, { [portOf(sent)]: [answer4(portOf(sent), error)] })
    deepEqual(site.drops(), { 'group-empty': 1 })
    conserved(site)
  })

  test('whose inside cannot be read goes by its outer headers: the switch is not its judge', () => {
    const site = new SampleSwitch()
    const nonsense = udp({ sourcePort: 50_000, destinationPort: 4789, checksum: false }, text('nothing at all'))
    portOf(site.send('path-a', onWire(to4(VIP, nonsense))))
    portOf(site.send('path-a', onWire(to4(VIP, gre({ key: 1 }, ipv4({ protocol: 200 }, text('x')))))))
    portOf(site.send('path-a', onWire(to4(VIP, vxlanIn(flow(1)), { moreFragments: true }))))
    conserved(site)
  })
})

/** An ICMP error of the switch to SENDER, as it leaves by a port. */
function answer4(port: string, error: Layer): Uint8Array {
  return ethernet(portMacs(port), ipv4({ source: OWN, destination: SENDER, tos: 0xc0, ttl: 64 }, error))
}

function answer6(port: string, error: Layer): Uint8Array {
  const ip = { source: OWN6, destination: SENDER6, trafficClass: 0xc0, hopLimit: 64 }
  return ethernet(portMacs(port), ipv6(ip, error))
}

suite('a packet in transit', () => {
  test('goes where the routes say', () => {
    const site = new SampleSwitch()
    deepEqual(site.send('fn-1', onWire(to4(HOST, gre({ key: 5 }, flow(1)), { ttl: 64 }))), {
      'host-1': [ethernet(portMacs('host-1'), to4(HOST, gre({ key: 5 }, flow(1)), { ttl: 63 }))],
    })
    deepEqual(site.send('fn-1', onWire(to6(HOST6, vxlanIn(flow(1)), { hopLimit: 3 }))), {
      'host-1': [ethernet(portMacs('host-1'), to6(HOST6, vxlanIn(flow(1)), { hopLimit: 2 }))],
    })
    conserved(site)
  })

  test('of 9,000 bytes passes in its chunks', () => {
    const site = new SampleSwitch()
    site.layPort('host-1', { ...site.adjacency('host-1'), mtu: 9216 })
    const big = (ttl: number) => to4(HOST, udp({}, new Uint8Array(9000)), { ttl })
    deepEqual(site.send('fn-1', onWire(big(64))), { 'host-1': [ethernet(portMacs('host-1'), big(63))] })
    conserved(site)
  })

  test('loses the padding of its frame', () => {
    const site = new SampleSwitch()
    const short = onWire(to4(HOST, udp({}, text('a'))))
    const padded = new Uint8Array(60)
    padded.set(short)
    const [frame] = site.send('path-a', padded)['host-1']!
    equal(frame!.length, short.length)
  })

  test('takes one path a flow, by the entropy that its sender gave it: VXLAN by the outer source port', () => {
    const site = new SampleSwitch()
    const pathOf = (packet: Layer) => portOf(site.send('fn-1', onWire(packet)))
    const edge = '10.9.7.7'
    const used = new Set<string>()
    for (let port = 49_152; port < 49_192; port++) {
      const path = pathOf(to4(edge, vxlanIn(flow(1), port)))
      equal(pathOf(to4(edge, vxlanIn(flow(2), port))), path)
      used.add(path)
    }
    deepEqual(used, new Set(PATHS))
  })

  test('takes one path a flow: GRE, whose outer headers have no entropy, by the inner flow', () => {
    const site = new SampleSwitch()
    const used = new Set<string>()
    for (let number = 0; number < 40; number++)
      used.add(portOf(site.send('fn-1', onWire(to4('10.9.7.7', gre({ key: 1 }, flow(number)))))))
    deepEqual(used, new Set(PATHS))
  })

  test('takes its path independently of the next switch’s choice', () => {
    const pathsOf = (pathSalt: number) => {
      const site = new SampleSwitch({ pathSalt })
      return Array.from({ length: 64 }, (_, number) =>
        portOf(site.send('fn-1', onWire(to4('10.9.7.7', gre({ key: 1 }, flow(number)))))),
      )
    }
    const [first, second] = [pathsOf(1), pathsOf(2)]
    notDeepEqual(first, second)
    const onA = second.filter((_, i) => first[i] === 'path-a')
    deepEqual(new Set(onA), new Set(PATHS))
  })

  test('whose TTL or hop limit is used up is answered by time exceeded and counted', () => {
    const site = new SampleSwitch()
    for (const ttl of [0, 1]) {
      const packet = to4(HOST, udp({}, text('hello')), { ttl })
      const sent = site.send('path-a', onWire(packet))
      const error = icmpError({ type: ICMP_TYPE.timeExceeded }, packet)
      deepEqual(sent, { [portOf(sent)]: [answer4(portOf(sent), error)] })
    }
    const packet = to6(HOST6, udp({}, text('hello')), { hopLimit: 1 })
    const sent = site.send('path-a', onWire(packet))
    const error = icmpv6({ type: ICMPV6_TYPE.timeExceeded }, packet.bytes)
    deepEqual(sent, { [portOf(sent)]: [answer6(portOf(sent), error)] })
    deepEqual(site.drops(), { 'ttl-exceeded': 3 })
    conserved(site)
  })

  test('that is too big is answered with the MTU and counted', () => {
    const site = new SampleSwitch()
    const fits = to4(HOST, udp({}, new Uint8Array(MTU - 28)))
    equal(site.send('path-a', onWire(fits))['host-1']!.length, 1)
    const packet = to4(HOST, udp({}, new Uint8Array(MTU - 27)), { dontFragment: true })
    const sent = site.send('path-a', onWire(packet))
    const options = {
      type: ICMP_TYPE.destinationUnreachable,
      code: ICMP_UNREACHABLE.fragmentationNeeded,
      mtu: MTU,
    }
    deepEqual(sent, { [portOf(sent)]: [answer4(portOf(sent), icmpError(options, packet.bytes.slice(0, 548)))] })
    const six = to6(HOST6, udp({}, new Uint8Array(MTU - 47)))
    const sent6 = site.send('path-a', onWire(six))
    const error6 = icmpv6({ type: ICMPV6_TYPE.packetTooBig, rest: MTU }, six.bytes.slice(0, 1232))
    deepEqual(sent6, { [portOf(sent6)]: [answer6(portOf(sent6), error6)] })
    deepEqual(site.drops(), { 'too-big': 2 })
    conserved(site)
  })

  test('without a route, or whose next hop does not answer, is told so and counted', () => {
    const site = new SampleSwitch()
    const lost = to4('203.0.113.1', udp({}))
    const sent = site.send('path-a', onWire(lost))
    const unreachable = { type: ICMP_TYPE.destinationUnreachable, code: ICMP_UNREACHABLE.host }
    deepEqual(sent, { [portOf(sent)]: [answer4(portOf(sent), icmpError(unreachable, lost))] })
    const lost6 = to6(UNRESOLVED6, udp({}))
    const sent6 = site.send('path-a', onWire(lost6))
    const error6 = icmpv6({ type: ICMPV6_TYPE.destinationUnreachable, code: ICMPV6_UNREACHABLE.noRoute }, lost6.bytes)
    deepEqual(sent6, { [portOf(sent6)]: [answer6(portOf(sent6), error6)] })
    site.send('path-a', onWire(to4(UNRESOLVED, udp({}))))
    deepEqual(site.drops(), { 'no-route': 1, 'underlay-unresolved': 2 })
    conserved(site)
  })

  test('is not answered when it is an error itself, a later fragment, or from nobody', () => {
    const site = new SampleSwitch()
    const error = icmpError({ type: ICMP_TYPE.timeExceeded }, to4(HOST, udp({})))
    for (const packet of [
      to4(HOST, error, { ttl: 1 }),
      to4(HOST, udp({}), { ttl: 1, fragmentOffset: 8 }),
      to4(HOST, udp({}), { ttl: 1, source: '0.0.0.0' }),
      to4(HOST, udp({}), { ttl: 1, source: '224.0.0.1' }),
    ])
      deepEqual(site.send('path-a', onWire(packet)), {})
    deepEqual(site.drops(), { 'ttl-exceeded': 4 })
    conserved(site)
  })

  test('is answered no more than a thousand times a second, and what is not said is counted', () => {
    const site = new SampleSwitch()
    const packet = onWire(to4(HOST, udp({}), { ttl: 1 }))
    const answers = () => Object.values(site.send('path-a', ...Array.from({ length: 200 }, () => packet))).flat().length
    equal(answers(), 50)
    site.advance(10)
    equal(answers(), 10)
    deepEqual(site.drops(), { 'ttl-exceeded': 400, 'icmp-rate': 340 })
    conserved(site)
  })

  for (const [version, packet] of [
    ['IPv4', to4(HOST, udp({}), { ttl: 1 })],
    ['IPv6', to6(HOST6, udp({}), { hopLimit: 1 })],
  ] as const)
    test(`of ${version} is not answered while no chunk is free, and that is counted`, () => {
      const site = new SampleSwitch()
      site.inject('path-a', onWire(packet))
      const taken: number[] = []
      while (site.pool.free > 0) taken.push(site.pool.take())
      site.run()
      for (const chunk of taken) site.pool.give(chunk)
      deepEqual(site.sent(), {})
      deepEqual(site.drops(), { 'ttl-exceeded': 1, 'no-frames': 1 })
      conserved(site)
    })

  // What nodes send comes from the VIP, and so only from these errors do they learn of paths that take less.
  for (const { version, toVip, fromVip, error } of [
    {
      version: 'IPv4',
      toVip: (inner: Layer) => to4(VIP, gre({ key: 5 }, inner)),
      fromVip: (inner: Layer, ttl: number) =>
        to4(HOST, gre({ key: 5 }, inner), { source: VIP, dontFragment: true, ttl }),
      error: (about: Layer, isTooBig: boolean) => {
        const { destinationUnreachable, timeExceeded } = ICMP_TYPE
        const what = isTooBig
          ? { type: destinationUnreachable, code: ICMP_UNREACHABLE.fragmentationNeeded, mtu: MTU }
          : { type: timeExceeded }
        return ipv4({ source: OWN, destination: VIP, tos: 0xc0 }, icmpError(what, about.bytes.slice(0, 548)))
      },
    },
    {
      version: 'IPv6',
      toVip: (inner: Layer) => to6(VIP6, gre({ key: 5 }, inner)),
      fromVip: (inner: Layer, hopLimit: number) => to6(HOST6, gre({ key: 5 }, inner), { source: VIP6, hopLimit }),
      error: (about: Layer, isTooBig: boolean) => {
        const { packetTooBig, timeExceeded } = ICMPV6_TYPE
        const what = isTooBig ? { type: packetTooBig, rest: MTU } : { type: timeExceeded }
        return ipv6({ source: OWN6, destination: VIP6, trafficClass: 0xc0 }, icmpv6(what, about.bytes.slice(0, 1232)))
      },
    },
  ])
    test(`of ${version} from a VIP that is spread here: the node of its flow is told of the error`, () => {
      const site = new SampleSwitch()
      const used = new Set<string>()
      for (let number = 0; number < 30; number++) {
        const inner = (bytes: number) => ipv4({}, udp({ sourcePort: 2000 + number }, new Uint8Array(bytes)))
        const node = portOf(site.send('path-a', onWire(toVip(inner(8)))))
        for (const [packet, isTooBig] of [
          [fromVip(inner(MTU), 64), true],
          [fromVip(inner(8), 1), false],
        ] as const)
          deepEqual(site.send(node, onWire(packet)), { [node]: [ethernet(portMacs(node), error(packet, isTooBig))] })
        used.add(node)
        site.advance(10)
      }
      deepEqual(used, new Set(NODES))
      deepEqual(site.drops(), { 'too-big': 30, 'ttl-exceeded': 30 })
      site.setNodes([])
      deepEqual(site.send('fn-1', onWire(fromVip(flow(1), 1))), {})
      equal(site.drops()['group-empty'], 1, 'the error found nobody')
      conserved(site)
    })

  test('to the switch itself is the kernel’s, and counted if it comes here all the same', () => {
    const site = new SampleSwitch()
    deepEqual(site.send('path-a', onWire(to4(OWN, icmpEcho()))), {})
    deepEqual(site.drops(), { 'not-a-tunnel': 1 })
    conserved(site)
  })

  for (const [what, frame, reason] of [
    ['that is not IP', ethernet({ etherType: 0x88cc }, text('lldp')), 'not-ip'],
    ['with a wrong version', spoiled(onWire(to4(HOST, udp({}))), 14, 0x65), 'bad-version'],
    ['with a wrong checksum', spoiled(onWire(to4(HOST, udp({}))), 24), 'bad-checksum'],
    ['with a length beyond its frame', spoiled(onWire(to6(HOST6, udp({}))), 18, 0x10), 'bad-header-length'],
    ['cut in its header', onWire(to4(HOST, udp({}))).slice(0, 30), 'truncated'],
    ['cut in its Ethernet header', onWire(to4(HOST, udp({}))).slice(0, 10), 'truncated'],
  ] as const)
    test(`${what} is dropped as ${reason}`, () => {
      const site = new SampleSwitch()
      deepEqual(site.send('path-a', frame), {})
      deepEqual(site.drops(), { [reason]: 1 })
      conserved(site)
    })
})

function spoiled(frame: Uint8Array, at: number, value = frame[at]! ^ 0xff): Uint8Array {
  const out = frame.slice()
  out[at] = value
  return out
}
