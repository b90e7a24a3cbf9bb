/** Ways that break under next hops that stand for others: which way packets take then. The rest is `program.test.ts`'s. */

import { deepEqual, equal, ok } from 'node:assert/strict'
import { suite, test } from 'node:test'
import { parseAddress } from '../base/address.ts'
import { ethernet, ipv4, tcp, udp, vxlan } from '../wire/build.ts'
import { RouteColumnsBuilder } from '../wire/control/columns.ts'
import type { FibBatch, NextHop } from '../wire/control/fib.ts'
import { UDP_PORT } from '../wire/udp.ts'
import { MemoryNode } from './memory-node.ts'
import { ACME, EDGE, GATEWAY_MAC, HOST, PEER_MAC, sampleBatch, VIP } from './sample-site.ts'

const OTHER_VNI = 2001
const OTHER_EDGE = '10.0.0.2'
const address = (text: string): Uint8Array => parseAddress(text)!
const HOP = { primary: 101, second: 151, group: 152, failover: 153 } as const
const mac = Uint8Array.of(2, 0, 0, 0, 0x0c, 1)

/** ACME of the sample site with a second connection behind another switch. */
function scene(): MemoryNode {
  const node = new MemoryNode()
  const sample = sampleBatch([ACME])
  const [tenant] = sample.tenants
  const [first] = tenant!.segments
  ok(first?.kind === 'connection')
  const interfaces = [{ ...first.interfaces[0]!, address: address('192.168.2.1') }]
  const other = { ...first, id: 15, name: 'other', vni: OTHER_VNI, remote: address(OTHER_EDGE), interfaces }
  const plain = { ...other, peers: [], speakers: [], sessions: [], probes: [] }
  const whose = { tenant: ACME.id }
  const more: NextHop[] = [
    {
      ...{
        kind: 'peer',
        id: HOP.second,
        ...whose,
        segment: 15,
        vni: OTHER_VNI,
        remote: address(OTHER_EDGE),
        mtu: 0,
        mac,
      },
      address: address('192.168.2.2'),
    },
    {
      ...{ kind: 'group', id: HOP.group, ...whose },
      members: [HOP.primary, HOP.second].map((nextHop) => ({ nextHop, weight: 1 })),
    },
    { kind: 'failover', id: HOP.failover, ...whose, members: Uint32Array.of(HOP.primary, HOP.second), choice: '' },
  ]
  const routes4 = new RouteColumnsBuilder(1)
  routes4.add4(ACME.id, 0x0a140000, 16, HOP.failover)
  routes4.add4(ACME.id, 0x0a150000, 16, HOP.group)
  const batch: FibBatch = {
    ...sample,
    tenants: [{ ...tenant!, segments: [...tenant!.segments, plain] }],
    nextHops: [...more.toReversed(), ...sample.nextHops],
    routes4: routes4.build(),
    routes6: new RouteColumnsBuilder(4).build(),
  }
  equal(node.apply(batch), undefined)
  node.send()
  return node
}

/** The switches that packets of many flows to the address leave for. */
function waysTo(node: MemoryNode, destination: string): string[] {
  const sent = Array.from({ length: 20 }, (_, i) => {
    const inner = ipv4({ source: '172.16.0.5', destination }, tcp({ sourcePort: 1024 + i }))
    const frame = ethernet({ source: PEER_MAC, destination: GATEWAY_MAC }, inner)
    const tunnel = udp({ sourcePort: 50_000, destinationPort: UDP_PORT.vxlan }, vxlan({ vni: ACME.vni }, frame))
    const [out] = node.send(ethernet({}, ipv4({ source: EDGE, destination: VIP }, tunnel)))
    return out ? out.subarray(30, 34).join('.') : 'nowhere'
  })
  return [...new Set(sent)].sort()
}

const primary = { vni: ACME.vni, remote: address(EDGE), peer: undefined }
const second = { vni: OTHER_VNI, remote: undefined, peer: address('192.168.2.2') }

suite('a primary and its backup', () => {
  const FAILOVER = '10.20.0.1'

  test('packets take the primary, the backup while that is broken, and the primary again', () => {
    const node = scene()
    deepEqual(waysTo(node, FAILOVER), [EDGE])
    node.break({ source: 'edge-1', broken: [primary] })
    deepEqual(waysTo(node, FAILOVER), [OTHER_EDGE])
    node.break({ source: 'edge-1', broken: [] })
    deepEqual(waysTo(node, FAILOVER), [EDGE])
  })

  test('a backup that is broken is none, and of two that are both the primary is taken', () => {
    const node = scene()
    node.break({ source: 'routing-1', broken: [second] })
    deepEqual(waysTo(node, FAILOVER), [EDGE])
    node.break({ source: 'edge-1', broken: [primary] })
    deepEqual(waysTo(node, FAILOVER), [EDGE])
    node.break({ source: 'routing-1', broken: [] })
    deepEqual(waysTo(node, FAILOVER), [OTHER_EDGE])
  })

  test('what was broken before a batch comes is so after it', () => {
    const node = scene()
    node.break({ source: 'edge-1', broken: [primary] })
    const sample = sampleBatch([ACME])
    const changed = sample.nextHops
      .filter(({ id }) => id === HOP.primary)
      .map((hop) => ({ ...hop, mtu: 1400 }) as NextHop)
    const none = { v4: new RouteColumnsBuilder(1).build(), v6: new RouteColumnsBuilder(4).build() }
    const difference = { ...sample, snapshot: false, base: 1, generation: 2, tenants: [], nextHops: changed }
    equal(node.apply({ ...difference, routes4: none.v4, routes6: none.v6 }), undefined)
    deepEqual(waysTo(node, FAILOVER), [OTHER_EDGE])
    node.break({ source: 'edge-1', broken: [] })
    deepEqual(waysTo(node, FAILOVER), [EDGE])
  })

  test('members in another order are taken over in place: routes keep their slot, and what is broken stays so', () => {
    const node = scene()
    const slots = (): number[] => {
      const { row } = node.holdings.tenant(ACME.id)!
      return Array.from(node.fib.routes(row), ({ slot }) => slot)
    }
    const before = slots()
    const none = { routes4: new RouteColumnsBuilder(1).build(), routes6: new RouteColumnsBuilder(4).build() }
    const prefer = (generation: number, ...members: number[]): string | undefined => {
      const hop = {
        kind: 'failover',
        id: HOP.failover,
        tenant: ACME.id,
        members: Uint32Array.from(members),
        choice: '',
      }
      const difference = {
        ...sampleBatch([ACME]),
        ...none,
        snapshot: false,
        base: generation - 1,
        generation,
        tenants: [],
      }
      return node.apply({ ...difference, nextHops: [hop as NextHop] })
    }
    equal(prefer(2, HOP.second, HOP.primary), undefined)
    deepEqual(waysTo(node, FAILOVER), [OTHER_EDGE])
    deepEqual(slots(), before)
    node.break({ source: 'routing-1', broken: [second] })
    deepEqual(waysTo(node, FAILOVER), [EDGE])
    equal(prefer(3, HOP.primary, HOP.second), undefined)
    node.break({ source: 'routing-1', broken: [] })
    deepEqual(waysTo(node, FAILOVER), [EDGE])
    // Fewer members are another next hop, to which routes go over.
    equal(prefer(4, HOP.second), undefined)
    deepEqual(waysTo(node, FAILOVER), [OTHER_EDGE])
    deepEqual(slots().length, before.length)
  })

  test('nothing is left of those that are gone', () => {
    const node = scene()
    equal(node.apply({ ...sampleBatch([ACME]), generation: 2 }), undefined)
    node.break({ source: 'edge-1', broken: [primary, second] })
    deepEqual(waysTo(node, '10.1.0.1'), [EDGE])
    deepEqual(waysTo(node, FAILOVER), [HOST.ip], 'the sender is told that there is no route')
  })
})

test('a group leaves out its members that are broken, and none when all are', () => {
  const node = scene()
  const GROUP = '10.21.0.1'
  deepEqual(waysTo(node, GROUP), [EDGE, OTHER_EDGE])
  node.break({ source: 'routing-1', broken: [second] })
  deepEqual(waysTo(node, GROUP), [EDGE])
  node.break({ source: 'edge-1', broken: [primary] })
  deepEqual(waysTo(node, GROUP), [EDGE, OTHER_EDGE])
  node.break({ source: 'routing-1', broken: [] })
  deepEqual(waysTo(node, GROUP), [OTHER_EDGE])
})
