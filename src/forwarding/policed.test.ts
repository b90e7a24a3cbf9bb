/** Tenants' policies on a node: which way packets take, and what becomes of them while that way is broken. */

import { deepEqual, equal, ok } from 'node:assert/strict'
import { suite, test } from 'node:test'
import { parseAddress, parsePrefix } from '../base/address.ts'
import { unaccounted } from '../dataplane/ledger.ts'
import {
  destinationOptions,
  ethernet,
  fragment6,
  icmpEcho,
  icmpv6Echo,
  ipv4,
  ipv6,
  type Layer,
  tcp,
  udp,
  vxlan,
} from '../wire/build.ts'
import { RouteColumnsBuilder } from '../wire/control/columns.ts'
import type { FibBatch, FibPolicy, FibRule, NextHop } from '../wire/control/fib.ts'
import { UDP_PORT } from '../wire/udp.ts'
import { MemoryNode } from './memory-node.ts'
import { fromHost } from './sample-packets.ts'
import { ACME, EDGE, GATEWAY_MAC, HOST, PEER_MAC, SPEAKER, sampleBatch, VIP } from './sample-site.ts'

const OTHER_VNI = 2001
const OTHER_EDGE = '10.0.0.2'
const address = (text: string): Uint8Array => parseAddress(text)!
const mac = Uint8Array.of(2, 0, 0, 0, 0x0c, 1)
/** Connections' segments. */
const [MPLS, INTERNET] = [11, 15]
const HOP = { mpls: 101, internet: 151, failover: 152, group: 153, policy: 154, none: 155 } as const
const WAY = { internet: 501, inOrder: 502, balanced: 503, mpls: 504 } as const

const anything: FibRule = {
  ...{ source: undefined, destination: undefined, protocol: undefined },
  ...{ sourcePorts: undefined, destinationPorts: undefined, dscp: undefined },
}
const rule = (more: Partial<FibRule>): FibRule => ({ ...anything, ...more })
const port = (from: number, to = from) => ({ from, to })

function policy(name: string, way: number, rules: FibRule[], more: Partial<FibPolicy> = {}): FibPolicy {
  const segments = way === WAY.internet ? [INTERNET] : way === WAY.mpls ? [MPLS] : [INTERNET, MPLS]
  return {
    name,
    rules,
    way,
    segments: Uint32Array.from(way === 0 ? [] : segments),
    balanced: false,
    only: false,
    ...more,
  }
}

/**
 * ACME of the sample site with a second connection. Its ordinary route to 10.20/16 and 2001:db8:20::/48 is by the first one,
 * which is all that leads to 10.21/16.
 */
function batchWith(policies: readonly FibPolicy[], more: Partial<FibBatch> = {}): FibBatch {
  const sample = sampleBatch([ACME])
  const [tenant] = sample.tenants
  const [first] = tenant!.segments
  ok(first?.kind === 'connection')
  const interfaces = [{ ...first.interfaces[0]!, address: address('192.168.2.1') }]
  const other = { ...first, id: INTERNET, name: 'internet', vni: OTHER_VNI, remote: address(OTHER_EDGE), interfaces }
  const plain = { ...other, peers: [], speakers: [], sessions: [], probes: [] }
  const whose = { tenant: ACME.id }
  const on = { segment: INTERNET, vni: OTHER_VNI, remote: address(OTHER_EDGE), mtu: 0, mac }
  const members = [HOP.mpls, HOP.internet].map((nextHop) => ({ nextHop, weight: 1 }))
  const hops: NextHop[] = [
    { ...{ kind: 'peer', id: HOP.internet, ...whose, ...on }, address: address('192.168.2.2') },
    {
      ...{ kind: 'failover', id: HOP.failover, ...whose, choice: '' },
      members: Uint32Array.of(HOP.internet, HOP.mpls),
    },
    { kind: 'group', id: HOP.group, ...whose, members },
    {
      ...{ kind: 'policy', id: HOP.policy, ...whose, ordinary: HOP.mpls, choice: 'all' },
      ways: [
        { way: WAY.internet, nextHop: HOP.internet },
        { way: WAY.inOrder, nextHop: HOP.failover },
        { way: WAY.balanced, nextHop: HOP.group },
        { way: WAY.mpls, nextHop: HOP.mpls },
      ],
    },
    { kind: 'policy', id: HOP.none, ...whose, ordinary: HOP.mpls, ways: [], choice: 'none' },
  ]
  const routes4 = new RouteColumnsBuilder(1)
  routes4.add4(ACME.id, 0x0a140000, 16, HOP.policy)
  routes4.add4(ACME.id, 0x0a150000, 16, HOP.none)
  routes4.add4(ACME.id, 0xc0a80100, 24, 105)
  routes4.add4(ACME.id, 0xc0a80101, 32, 106)
  routes4.add4(ACME.id, 0xac100005, 32, 102)
  const routes6 = new RouteColumnsBuilder(4)
  routes6.add6(ACME.id, [0x20010db8, 0x00200000, 0, 0], 48, HOP.policy)
  return {
    ...sample,
    tenants: [{ ...tenant!, segments: [...tenant!.segments, plain], policies }],
    nextHops: [...hops.toReversed(), ...sample.nextHops],
    routes4: routes4.build(),
    routes6: routes6.build(),
    ...more,
  }
}

function nodeWith(...policies: FibPolicy[]): MemoryNode {
  const node = new MemoryNode()
  equal(node.apply(batchWith(policies)), undefined)
  node.send()
  return node
}

/** By which edge switch a machine's packet leaves, or why not. */
function wayOf(node: MemoryNode, packet: Layer): string {
  const before = node.totals('acme')!.drops
  const [out] = node.send(fromHost(packet, ACME.vni))
  const reason = Object.entries(node.totals('acme')!.drops).find(
    ([name, count]) => count !== (before as Record<string, number>)[name],
  )
  equal(node.pool.free, 511)
  equal(unaccounted(node.totals('acme')!), 0)
  const edge = out?.subarray(30, 34).join('.')
  if (reason) return edge === HOST.ip ? `${reason[0]}, told` : reason[0]
  return edge === EDGE ? 'mpls' : edge === OTHER_EDGE ? 'internet' : 'nowhere'
}

const MACHINE = '172.16.0.5'
const to = (destination: string, payload: Layer, more: object = {}) =>
  ipv4({ source: MACHINE, destination, ...more }, payload)
const web = (more: object = {}, destination = '10.20.0.1') =>
  to(destination, tcp({ sourcePort: 40_000, destinationPort: 80 }), more)
const dns = (destination = '10.20.0.1') => to(destination, udp({ sourcePort: 5353, destinationPort: 53 }))
const voice = { tos: 46 << 2 }
const mplsIsBroken = { source: 'edge-1', broken: [{ vni: ACME.vni, remote: address(EDGE), peer: undefined }] }
const internetIsBroken = {
  source: 'routing-1',
  broken: [{ vni: OTHER_VNI, remote: undefined, peer: address('192.168.2.2') }],
}

test('a packet takes the way of the first policy that it matches, and else the ordinary one', () => {
  const node = nodeWith(
    policy('voice', WAY.internet, [rule({ dscp: 46 })]),
    policy('dns', WAY.internet, [rule({ protocol: 17, destinationPorts: port(53) })]),
    policy('odd', WAY.internet, [rule({ sourcePorts: port(1, 1023) }), rule({ sourcePorts: port(5000, 6000) })]),
    policy('rest', WAY.mpls, [rule({ source: parsePrefix('172.16.0.0/24')! })]),
    policy('never', 0, [anything]),
  )
  equal(wayOf(node, web()), 'mpls')
  equal(wayOf(node, web(voice)), 'internet')
  equal(wayOf(node, dns()), 'internet')
  equal(wayOf(node, to('10.20.0.1', tcp({ sourcePort: 1023, destinationPort: 53 }))), 'internet')
  equal(wayOf(node, to('10.20.0.1', tcp({ sourcePort: 1024, destinationPort: 53 }))), 'mpls')
  equal(wayOf(node, to('10.20.0.1', tcp({ sourcePort: 5353, destinationPort: 9 }))), 'internet')
  equal(wayOf(node, to('10.20.0.1', icmpEcho())), 'mpls')
  equal(wayOf(node, web({ source: '172.16.1.5' })), 'policy-discard')
  equal(wayOf(node, web({}, '10.1.0.1')), 'no-route, told', 'there is nothing to choose from')
})

test('each policy tells how much it has decided, and goes on counting when others come', () => {
  const policies = [policy('voice', WAY.internet, [rule({ dscp: 46 })]), policy('rest', 0, [anything])]
  const node = nodeWith(...policies)
  wayOf(node, web(voice))
  wayOf(node, web(voice))
  wayOf(node, web())
  deepEqual(node.policies('acme'), { voice: '2 80', rest: '1 40' })
  equal(node.apply(batchWith([policy('first', WAY.mpls, [rule({ dscp: 8 })]), policies[0]!])), undefined)
  wayOf(node, web(voice))
  deepEqual(node.policies('acme'), { first: '0 0', voice: '3 120' })
})

suite('while the way is broken', () => {
  test('a packet takes its ordinary way, and the other one again when that is back', () => {
    const node = nodeWith(policy('voice', WAY.internet, [rule({ dscp: 46 })]))
    equal(wayOf(node, web(voice)), 'internet')
    node.break(internetIsBroken)
    equal(wayOf(node, web(voice)), 'mpls')
    node.break({ source: 'routing-1', broken: [] })
    equal(wayOf(node, web(voice)), 'internet')
    node.break({ source: 'routing-1', broken: [...internetIsBroken.broken, ...mplsIsBroken.broken] })
    equal(wayOf(node, web(voice)), 'mpls', 'where nothing is up, what is known may be wrong')
  })

  test('it is dropped under a reason of its own where the policy allows no other, and the sender is told', () => {
    const node = nodeWith(policy('voice', WAY.internet, [rule({ dscp: 46 })], { only: true }))
    node.break(internetIsBroken)
    equal(wayOf(node, web(voice)), 'policy-no-way, told')
    equal(wayOf(node, web()), 'mpls')
    node.break({ source: 'routing-1', broken: [] })
    equal(wayOf(node, web(voice)), 'internet')
  })

  test('it takes the next of several connections, in their order', () => {
    const node = nodeWith(policy('voice', WAY.inOrder, [rule({ dscp: 46 })], { only: true }))
    equal(wayOf(node, web(voice)), 'internet')
    node.break(internetIsBroken)
    equal(wayOf(node, web(voice)), 'mpls')
    node.break(mplsIsBroken)
    equal(wayOf(node, web(voice)), 'policy-no-way, told')
  })

  test('flows that are balanced over several keep to those that are up', () => {
    const node = nodeWith(policy('all', WAY.balanced, [anything], { balanced: true }))
    const ways = (): string[] => {
      const packets = Array.from({ length: 20 }, (_, i) => to('10.20.0.1', tcp({ sourcePort: 1024 + i })))
      return [...new Set(packets.map((packet) => wayOf(node, packet)))].sort()
    }
    deepEqual(ways(), ['internet', 'mpls'])
    node.break(mplsIsBroken)
    deepEqual(ways(), ['internet'])
  })

  test('what the underlay has lost is no way either', () => {
    const node = nodeWith(policy('voice', WAY.internet, [rule({ dscp: 46 })], { only: true }))
    node.underlay.change(undefined)
    node.send(fromHost(web(voice), ACME.vni))
    // The second one is the answer, which has no way either.
    deepEqual(node.totals('acme')!.drops, { 'policy-no-way': 1, 'underlay-unresolved': 1 })
  })
})

test('where no route leads by the way, a packet takes the ordinary one, or none', () => {
  const policies = [
    policy('voice', WAY.internet, [rule({ dscp: 46 })]),
    policy('dns', WAY.internet, [rule({ protocol: 17 })], { only: true }),
  ]
  const node = nodeWith(...policies)
  equal(wayOf(node, web(voice, '10.21.0.1')), 'mpls')
  equal(wayOf(node, dns('10.21.0.1')), 'policy-no-way, told')
})

suite('what has no ports', () => {
  const byPort = [
    policy('web', WAY.internet, [rule({ destinationPorts: port(80) })]),
    policy('all tcp', WAY.internet, [rule({ protocol: 6, dscp: 46 })]),
  ]

  test('fragments, ICMP and other protocols meet no policy that asks for ports', () => {
    const node = nodeWith(...byPort)
    equal(wayOf(node, web()), 'internet')
    equal(wayOf(node, web({ moreFragments: true })), 'mpls', 'as those behind it, which have none')
    equal(wayOf(node, web({ fragmentOffset: 64 })), 'mpls')
    equal(wayOf(node, web({ moreFragments: true, ...voice })), 'internet', 'the protocol is in all of them')
    equal(wayOf(node, web({ fragmentOffset: 64, ...voice })), 'internet')
    equal(wayOf(node, to('10.20.0.1', icmpEcho())), 'mpls')
    const gre = { bytes: Uint8Array.of(0, 80, 0, 80, 0, 80, 0, 80), protocol: 47 } as Layer
    equal(wayOf(node, to('10.20.0.1', gre, { protocol: 47 })), 'mpls')
    const sctp = { bytes: Uint8Array.of(0, 80, 0, 80, 0, 0, 0, 0, 0, 0, 0, 0), protocol: 132 } as Layer
    equal(wayOf(node, to('10.20.0.1', sctp, { protocol: 132 })), 'internet')
  })

  test('IPv6: the protocol is what comes after the extension headers, as far as they can be followed', () => {
    const node = nodeWith(
      ...byPort,
      policy('net', WAY.internet, [rule({ destination: parsePrefix('2001:db8:20:1::/64')! })]),
      policy('ping', WAY.internet, [rule({ protocol: 58, source: parsePrefix('2001:db8:16::5/128')! })]),
    )
    const from6 = (payload: Layer, more: object = {}) =>
      ipv6({ source: '2001:db8:16::5', destination: '2001:db8:20::1', ...more }, payload)
    const segment = tcp({ sourcePort: 40_000, destinationPort: 80 })
    equal(wayOf(node, from6(segment)), 'internet')
    equal(wayOf(node, from6(tcp({ destinationPort: 81 }))), 'mpls')
    equal(wayOf(node, from6(segment, { extensions: [destinationOptions()] })), 'internet')
    equal(wayOf(node, from6(segment, { extensions: [fragment6({ offset: 0, more: true })] })), 'mpls')
    equal(wayOf(node, from6(segment, { extensions: [fragment6({ offset: 64, more: false })] })), 'mpls')
    const marked = { trafficClass: 46 << 2 }
    equal(wayOf(node, from6(segment, { ...marked, extensions: [fragment6({ offset: 64, more: false })] })), 'internet')
    equal(wayOf(node, from6(segment, { ...marked, extensions: new Array(9).fill(destinationOptions()) })), 'mpls')
    equal(wayOf(node, from6(tcp({}), { destination: '2001:db8:20:1::9' })), 'internet')
    equal(wayOf(node, from6(icmpv6Echo())), 'internet')
    equal(wayOf(node, from6(icmpv6Echo(), { source: '2001:db8:16::6' })), 'mpls')
  })
})

suite('what is on a connection itself', () => {
  test('is none of a policy that comes later only until it is there', () => {
    const node = nodeWith()
    equal(wayOf(node, dns('192.168.1.2')), 'mpls')
    equal(node.apply(batchWith([policy('no-dns', 0, [rule({ destinationPorts: port(53) })])])), undefined)
    equal(wayOf(node, dns('192.168.1.2')), 'policy-discard')
    equal(wayOf(node, web({}, '192.168.1.2')), 'mpls')
  })

  test('is reached over that connection alone, and no further than policies allow', () => {
    const node = nodeWith(
      policy('voice', WAY.internet, [rule({ dscp: 46 })], { only: true }),
      policy('own', WAY.mpls, [rule({ protocol: 6 })], { only: true }),
      policy('no-dns', 0, [rule({ destinationPorts: port(53) })]),
      policy('rest', WAY.internet, [anything]),
    )
    equal(wayOf(node, web(voice, '192.168.1.2')), 'policy-no-way, told')
    equal(wayOf(node, web({}, '192.168.1.2')), 'mpls')
    equal(wayOf(node, dns('192.168.1.2')), 'policy-discard')
    equal(wayOf(node, to('192.168.1.2', icmpEcho())), 'mpls')
    // Policies go and come: neighbours that were found before follow.
    equal(node.apply(batchWith([])), undefined)
    equal(wayOf(node, dns('192.168.1.2')), 'mpls')
    equal(node.apply(batchWith([policy('no-dns', 0, [rule({ destinationPorts: port(53) })])])), undefined)
    equal(wayOf(node, dns('192.168.1.2')), 'policy-discard')
  })
})

test('what the gateway and routing nodes send is none of their business', () => {
  const node = nodeWith(policy('all', WAY.internet, [anything]))
  const [answer] = node.send(fromHost(ipv4({ source: '10.20.0.9', destination: '192.168.1.1' }, icmpEcho()), ACME.vni))
  equal(answer!.subarray(30, 34).join('.'), EDGE)
  for (const destinationPort of [179, 3784]) {
    const said = ipv4(
      { source: '192.168.1.1', destination: '10.20.0.1', ttl: 255 },
      udp({ sourcePort: 50_000, destinationPort }),
    )
    const frame = ethernet({ source: GATEWAY_MAC, destination: PEER_MAC }, said)
    const tunnel = udp({ sourcePort: 50_000, destinationPort: UDP_PORT.vxlan }, vxlan({ vni: ACME.vni }, frame))
    const [out] = node.send(ethernet({}, ipv4({ source: SPEAKER, destination: VIP }, tunnel)))
    equal(out!.subarray(30, 34).join('.'), EDGE)
  }
  equal(wayOf(node, web()), 'internet')
})

suite('batches', () => {
  test('others than before take effect at once, and none are none', () => {
    const node = nodeWith(policy('voice', WAY.internet, [rule({ dscp: 46 })]))
    equal(node.apply(batchWith([policy('web', WAY.internet, [rule({ destinationPorts: port(80) })])])), undefined)
    equal(wayOf(node, web(voice)), 'internet')
    equal(wayOf(node, dns()), 'mpls')
    equal(node.apply(batchWith([])), undefined)
    equal(wayOf(node, web(voice)), 'mpls')
    deepEqual(node.policies('acme'), {})
  })

  test('ways that change keep the slot that routes lead to', () => {
    const node = nodeWith(policy('voice', WAY.internet, [rule({ dscp: 46 })], { only: true }))
    const slots = () => Array.from(node.fib.routes(node.holdings.tenant(ACME.id)!.row), ({ slot }) => slot)
    const before = slots()
    const batch = batchWith([policy('voice', WAY.internet, [rule({ dscp: 46 })], { only: true })])
    const without = batch.nextHops.map((hop) => {
      return hop.kind === 'policy' ? { ...hop, ways: hop.ways.filter(({ way }) => way !== WAY.internet) } : hop
    })
    equal(node.apply({ ...batch, nextHops: without }), undefined)
    equal(wayOf(node, web(voice)), 'policy-no-way, told')
    deepEqual(slots(), before)
    equal(node.apply(batch), undefined)
    equal(wayOf(node, web(voice)), 'internet')
    node.break(internetIsBroken)
    equal(wayOf(node, web(voice)), 'policy-no-way, told')
    deepEqual(slots(), before)
  })

  test('a tenant that goes leaves nothing to the one that takes its place', () => {
    const node = nodeWith(policy('all', 0, [anything]))
    equal(wayOf(node, web()), 'policy-discard')
    equal(node.apply({ ...batchWith([]), tenants: [], nextHops: [], ...noRoutes }), undefined)
    equal(node.apply({ ...batchWith([]), tenants: [], nextHops: [], ...noRoutes }), undefined)
    equal(node.apply(batchWith([])), undefined)
    equal(wayOf(node, web()), 'mpls')
  })

  test('rules for which there is no room are refused by name, and those of before hold', () => {
    const node = nodeWith(policy('voice', WAY.internet, [rule({ dscp: 46 })]))
    const many = Array.from({ length: 5000 }, (_, i) => rule({ sourcePorts: port(i) }))
    equal(node.apply(batchWith([policy('many', 0, many)])), 'tenant acme: rules of policies are exhausted')
    equal(wayOf(node, web(voice)), 'internet')
  })

  test('a thousand changes leave as much room as there was', () => {
    const node = nodeWith()
    for (let i = 0; i < 1000; i++) {
      const rules = Array.from({ length: 1 + (i % 200) }, (_, j) => rule({ sourcePorts: port(j) }))
      equal(
        node.apply(batchWith([policy(`p${i % 7}`, WAY.internet, rules), policy('all', WAY.internet, [anything])])),
        undefined,
      )
      node.send()
    }
    equal(wayOf(node, web()), 'internet')
  })
})

const noRoutes = { routes4: new RouteColumnsBuilder(1).build(), routes6: new RouteColumnsBuilder(4).build() }
