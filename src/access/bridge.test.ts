/** What the switch does at the edge: whole frames in, whole frames out, and what the books say. */

import { deepEqual, equal, notEqual, ok } from 'node:assert/strict'
import { suite, test } from 'node:test'
import { entropyPort } from '../dataplane/encapsulate.ts'
import { flowHash4, flowHash6, flowHashEthernet } from '../dataplane/flow.ts'
import { unaccounted } from '../dataplane/ledger.ts'
import {
  arpRequest,
  bfd,
  ethernet,
  gre,
  icmpEcho,
  ipv4,
  ipv6,
  type Layer,
  tcp,
  text,
  udp,
  vxlan,
} from '../wire/build.ts'
import { ETHERTYPE } from '../wire/ethernet.ts'
import {
  ACME,
  CUSTOMER_MTU,
  GATEWAY,
  GATEWAY6,
  GLOBEX,
  HOOLI,
  HOOLI_BRANCH,
  INITECH,
  MTU,
  OWN,
  OWN6,
  PATHS,
  portMacs,
  SampleSwitch,
} from './sample-switch.ts'
import { rowOfAttachment } from './shared.ts'

const CHUNKS = 511
const CUSTOMER = '02:00:00:00:0c:01'
const STATION = '02:00:00:00:0c:02'
const GATEWAY_MAC = '02:67:68:00:00:01'
const BROADCAST = 'ff:ff:ff:ff:ff:ff'

const toGateway = (packet: Layer, vlan?: number) =>
  ethernet({ source: CUSTOMER, destination: GATEWAY_MAC, ...(vlan !== undefined && { vlan }) }, packet)
const fromGateway = (packet: Layer, vlan?: number) =>
  ethernet({ source: GATEWAY_MAC, destination: CUSTOMER, ...(vlan !== undefined && { vlan }) }, packet)

const data = (destinationPort = 80, bytes = 20) => tcp({ sourcePort: 40_000, destinationPort }, new Uint8Array(bytes))
const packet = (over: Parameters<typeof ipv4>[0] = {}, payload = data()) =>
  ipv4({ source: '192.168.1.2', destination: '172.16.0.5', ...over }, payload)

const viewOf = (bytes: Uint8Array) => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
const hashOf4 = ({ bytes }: Layer) => flowHash4(viewOf(bytes), 0, bytes.length)

/** The frame in the tunnel to the gateway, as it leaves by a path. */
function tunnelled(path: string, vni: number, frame: Uint8Array, hash: number, tos = 0): Uint8Array {
  const headers = { sourcePort: entropyPort(hash), destinationPort: 4789, checksum: false }
  const ip = { source: OWN, destination: GATEWAY, tos, dontFragment: true }
  return ethernet(portMacs(path), ipv4(ip, udp(headers, vxlan({ vni }, frame))))
}

/** From the gateway to the edge, as it comes in. */
function fromTunnel(
  vni: number,
  frame: Uint8Array,
  outer: Parameters<typeof ipv4>[0] = {},
  checksum = false,
): Uint8Array {
  const ip = { source: GATEWAY, destination: OWN, ...outer }
  return ethernet({}, ipv4(ip, udp({ sourcePort: 50_000, destinationPort: 4789, checksum }, vxlan({ vni }, frame))))
}

/** The only frame that came out, and its port. */
function only(sent: Record<string, Uint8Array[]>): [string, Uint8Array] {
  const all = Object.entries(sent).flatMap(([port, frames]) => frames.map((frame) => [port, frame] as const))
  equal(all.length, 1, `${all.length} frames came out`)
  return [...all[0]!]
}

/** Every chunk is back in the pool and every frame accounted for, in each row. */
function conserved(site: SampleSwitch): void {
  equal(site.pool.free, CHUNKS)
  equal(unaccounted(site.totals()), 0)
  for (let row = 1; row < 10; row++) equal(unaccounted(site.row(row)), 0, `row ${row}`)
}

suite('a frame from a customer', () => {
  test('goes to its tenant’s gateway in VXLAN, over one of the paths, with the entropy of its flow', () => {
    const site = new SampleSwitch()
    const frame = toGateway(packet())
    const [path, sent] = only(site.send('acme', frame))
    ok(path === 'path-a' || path === 'path-b')
    deepEqual(sent, tunnelled(path, ACME.vni, frame, hashOf4(packet())))
    equal(site.row(rowOfAttachment(1)).sent, 1)
    conserved(site)
  })

  test('leaves its tag behind', () => {
    const site = new SampleSwitch()
    const [path, sent] = only(site.send('trunk', toGateway(packet(), GLOBEX.vlan)))
    deepEqual(sent, tunnelled(path, GLOBEX.vni, toGateway(packet()), hashOf4(packet())))
    conserved(site)
  })

  test('with a priority tag counts as untagged', () => {
    const site = new SampleSwitch()
    const tagged = toGateway(packet(), 0x6000)
    const [path, sent] = only(site.send('acme', tagged))
    deepEqual(sent, tunnelled(path, ACME.vni, toGateway(packet()), hashOf4(packet())))
  })

  test('goes by IPv6 where the gateway’s VIP is IPv6, with the entropy in the flow label too', () => {
    const site = new SampleSwitch()
    const inner = ipv6({ source: 'fd01::2', destination: 'fd02::2', trafficClass: 0xb8 }, data())
    const hash = flowHash6(viewOf(inner.bytes), 0, inner.bytes.length)
    const [path, sent] = only(site.send('trunk', toGateway(inner, INITECH.vlan)))
    const headers = { sourcePort: entropyPort(hash), destinationPort: 4789, checksum: false }
    const tunnel = udp(headers, vxlan({ vni: INITECH.vni }, toGateway(inner)))
    const ip = { source: OWN6, destination: GATEWAY6, trafficClass: 0xb8, flowLabel: hash & 0xfffff }
    deepEqual(sent, ethernet(portMacs(path), ipv6(ip, tunnel)))
    conserved(site)
  })

  test('that is not IP goes too: ARP, and what nobody here knows', () => {
    const site = new SampleSwitch()
    const request = arpRequest({ senderMac: CUSTOMER, senderIp: '192.168.1.2', targetIp: '192.168.1.1' })
    const arp = ethernet({ source: CUSTOMER, destination: BROADCAST }, request)
    const other = ethernet({ source: CUSTOMER, destination: GATEWAY_MAC, etherType: 0x88b5 }, text('experiment'))
    for (const frame of [arp, other]) {
      const [path, sent] = only(site.send('acme', frame))
      deepEqual(sent, tunnelled(path, ACME.vni, frame, flowHashEthernet(viewOf(frame), 0)))
    }
    conserved(site)
  })

  test('takes its DSCP and ECN to the outer header', () => {
    const site = new SampleSwitch()
    const frame = toGateway(packet({ tos: 0xb9 }))
    const [path, sent] = only(site.send('acme', frame))
    deepEqual(sent, tunnelled(path, ACME.vni, frame, hashOf4(packet()), 0xb9))
  })

  test('takes the path of its flow: one flow one path, many flows all paths', () => {
    const site = new SampleSwitch()
    const paths = new Map<number, Set<string>>()
    for (let round = 0; round < 3; round++) {
      for (let flow = 0; flow < 40; flow++) {
        const [path] = only(site.send('acme', toGateway(packet({}, data(1000 + flow)))))
        paths.set(flow, (paths.get(flow) ?? new Set()).add(path))
      }
    }
    ok([...paths.values()].every((used) => used.size === 1))
    deepEqual(new Set([...paths.values()].flatMap((used) => [...used])), new Set(PATHS))
  })

  test('as large as the path allows passes in one piece; a byte more is dropped as too big', () => {
    const site = new SampleSwitch()
    const overhead = 20 + 8 + 8 + 14 + 20 + 20
    const largest = toGateway(packet({}, data(80, MTU - overhead)))
    const [path, sent] = only(site.send('acme', largest))
    deepEqual(sent, tunnelled(path, ACME.vni, largest, hashOf4(packet())))
    deepEqual(site.send('acme', toGateway(packet({}, data(80, MTU - overhead + 1)))), {})
    deepEqual(site.drops(), { 'too-big': 1 })
    conserved(site)
  })

  test('of 9,000 bytes, in three chunks, passes where the path is as large', () => {
    const site = new SampleSwitch()
    for (const name of PATHS) {
      const wide = { ...site.adjacency(name), mtu: 9216 }
      site.layTunnels(name, wide)
    }
    const frame = toGateway(packet({}, data(80, 8946)), GLOBEX.vlan)
    const [path, sent] = only(site.send('trunk', frame))
    deepEqual(sent, tunnelled(path, GLOBEX.vni, toGateway(packet({}, data(80, 8946))), hashOf4(packet())))
    conserved(site)
  })

  for (const [what, port, frame, reason] of [
    ['of a VLAN that is nobody’s', 'trunk', toGateway(packet(), 201), 'unknown-vlan'],
    ['without a tag where all are tagged', 'trunk', toGateway(packet()), 'unknown-vlan'],
    ['with a tag where none is', 'acme', toGateway(packet(), 200), 'unknown-vlan'],
    ['with a second tag', 'trunk', ethernet({ serviceVlan: 200, vlan: 7 }, packet()), 'unknown-vlan'],
    ['with two customer tags', 'trunk', twice(GLOBEX.vlan, 7), 'inner-vlan'],
    [
      'of spanning tree',
      'acme',
      ethernet({ destination: '01:80:c2:00:00:00', etherType: 0x26 }, text('stp')),
      'link-control',
    ],
    [
      'of LLDP',
      'acme',
      ethernet({ destination: '01:80:c2:00:00:0e', etherType: 0x88cc }, text('lldp')),
      'link-control',
    ],
    ['from a group address', 'acme', ethernet({ source: '03:00:00:00:00:01' }, packet()), 'bad-field'],
    ['cut in its header', 'acme', toGateway(packet()).slice(0, 13), 'truncated'],
    ['cut in its tag', 'trunk', toGateway(packet(), GLOBEX.vlan).slice(0, 17), 'truncated'],
  ] as const)
    test(`${what} is dropped as ${reason}`, () => {
      const site = new SampleSwitch()
      deepEqual(site.send(port, frame), {})
      deepEqual(site.drops(), { [reason]: 1 })
      conserved(site)
    })

  test('is dropped while there is no way to the gateway', () => {
    const site = new SampleSwitch()
    for (const path of PATHS) site.layTunnels(path, undefined)
    deepEqual(site.send('acme', toGateway(packet())), {})
    deepEqual(site.drops(), { 'underlay-unresolved': 1 })
    conserved(site)
  })

  test('whose path has died takes the other', () => {
    const site = new SampleSwitch()
    const frame = toGateway(packet())
    const [path] = only(site.send('acme', frame))
    const other = PATHS.find((one) => one !== path)!
    site.setPaths([other])
    equal(only(site.send('acme', frame))[0], other)
  })
})

function twice(outer: number, inner: number): Uint8Array {
  const tagged = ethernet({ source: CUSTOMER, destination: GATEWAY_MAC, vlan: inner }, packet())
  const out = new Uint8Array(tagged.length + 4)
  out.set(tagged.subarray(0, 12))
  out.set([0x81, 0, outer >>> 8, outer], 12)
  out.set(tagged.subarray(12), 16)
  return out
}

suite('packets of BFD', () => {
  const probe = (over: Parameters<typeof ipv4>[0], destinationPort = 3784) =>
    toGateway(packet({ ttl: 255, ...over }, udp({ sourcePort: 50_000, destinationPort }, bfd())))
  const pathsOf = (frames: Uint8Array[]) => {
    const site = new SampleSwitch()
    return new Set(frames.flatMap((frame) => Object.keys(site.send('acme', frame))))
  }
  const many = (make: (i: number) => Uint8Array) => Array.from({ length: 40 }, (_, i) => make(i + 1))

  for (const [what, port] of [
    ['over one hop', 3784],
    ['over several', 4784],
    ['as echoes', 3785],
  ] as const)
    test(`${what} take all paths by their identification, so that a dead path costs some of them only`, () => {
      deepEqual(pathsOf(many((id) => probe({ id }, port))), new Set(PATHS))
    })

  test('with one identification take one path: a retransmission in the customer’s network is no new packet', () => {
    equal(pathsOf(many(() => probe({ id: 7 }))).size, 1)
  })

  test('that carry no identification take all paths: IPv4 with DF and 0, and IPv6', () => {
    deepEqual(pathsOf(many(() => probe({ id: 0, dontFragment: true }))), new Set(PATHS))
    const six = toGateway(ipv6({ hopLimit: 255 }, udp({ sourcePort: 50_000, destinationPort: 3784 }, bfd())))
    deepEqual(pathsOf(many(() => six)), new Set(PATHS))
  })

  test('differ in their outer source port, where other flows do not', () => {
    const site = new SampleSwitch()
    const portOf = (frame: Uint8Array) => viewOf(only(site.send('acme', frame))[1]).getUint16(34)
    notEqual(portOf(probe({ id: 1 })), portOf(probe({ id: 2 })))
    equal(portOf(toGateway(packet({ id: 1 }))), portOf(toGateway(packet({ id: 2 }))))
  })
})

suite('a packet out of the tunnel', () => {
  test('leaves by the wire of its VNI as it was', () => {
    const site = new SampleSwitch()
    const frame = fromGateway(packet())
    deepEqual(site.send('path-a', fromTunnel(ACME.vni, frame)), { acme: [frame] })
    equal(site.row(rowOfAttachment(1)).received, 1)
    conserved(site)
  })

  test('gets the tag of its wire', () => {
    const site = new SampleSwitch()
    deepEqual(site.send('path-b', fromTunnel(GLOBEX.vni, fromGateway(packet()))), {
      trunk: [fromGateway(packet(), GLOBEX.vlan)],
    })
    conserved(site)
  })

  test('loses the padding of its outer frame and keeps its own', () => {
    const site = new SampleSwitch()
    const short = fromGateway(ipv4({}, icmpEcho()))
    const padded = new Uint8Array(60)
    padded.set(short)
    const outer = fromTunnel(ACME.vni, padded)
    const withTrailer = new Uint8Array(outer.length + 9).fill(0xee)
    withTrailer.set(outer)
    deepEqual(site.send('path-a', withTrailer), { acme: [padded] })
  })

  test('comes over IPv6 as over IPv4', () => {
    const site = new SampleSwitch()
    const frame = fromGateway(packet())
    const tunnel = udp({ sourcePort: 50_000, destinationPort: 4789 }, vxlan({ vni: INITECH.vni }, frame))
    const outer = ethernet({}, ipv6({ source: GATEWAY6, destination: OWN6 }, tunnel))
    deepEqual(site.send('path-a', outer), { trunk: [fromGateway(packet(), INITECH.vlan)] })
    conserved(site)
  })

  test('of 9,000 bytes passes where the wire is as large', () => {
    const site = new SampleSwitch()
    const vni = 1009
    site.attach({ port: site.port('branch'), vlan: 9, vni, tunnel: 1, mtu: 9000 })
    const inner = packet({}, data(80, 8960))
    deepEqual(site.send('path-a', fromTunnel(vni, fromGateway(inner))), { branch: [fromGateway(inner, 9)] })
    conserved(site)
  })

  test('tells of congestion in the fabric (RFC 6040)', () => {
    const site = new SampleSwitch()
    const capable = fromGateway(packet({ tos: 2 }))
    deepEqual(site.send('path-a', fromTunnel(ACME.vni, capable, { tos: 3 })), {
      acme: [fromGateway(packet({ tos: 3 }))],
    })
    const six = (trafficClass: number) => fromGateway(ipv6({ trafficClass }, data()))
    deepEqual(site.send('path-a', fromTunnel(ACME.vni, six(0xb9), { tos: 3 })), { acme: [six(0xbb)] })
    deepEqual(site.send('path-a', fromTunnel(ACME.vni, fromGateway(packet()), { tos: 3 })), {})
    deepEqual(site.drops(), { 'ecn-mismatch': 1 })
    conserved(site)
  })

  const frame = fromGateway(packet())
  for (const [what, outer, reason] of [
    ['of a VNI without a wire here', fromTunnel(77, frame), 'no-attachment'],
    ['from a forged source', fromTunnel(ACME.vni, frame, { source: '10.9.9.9' }), 'unknown-remote'],
    ['in a fragment', fromTunnel(ACME.vni, frame, { moreFragments: true }), 'outer-fragment'],
    ['with a tag in it', fromTunnel(ACME.vni, fromGateway(packet(), 5)), 'inner-vlan'],
    ['with a wrong UDP checksum', spoiled(fromTunnel(ACME.vni, frame, {}, true), 40), 'bad-checksum'],
    ['with a wrong header checksum', spoiled(fromTunnel(ACME.vni, frame), 24), 'bad-checksum'],
    ['without the VNI flag', spoiled(fromTunnel(ACME.vni, frame), 42, 0x00), 'bad-field'],
    ['to another UDP port', spoiled(fromTunnel(ACME.vni, frame), 36, 0x11), 'not-a-tunnel'],
    [
      'that is GRE',
      ethernet({}, ipv4({ source: GATEWAY, destination: OWN }, gre({ key: 1 }, packet()))),
      'not-a-tunnel',
    ],
    ['larger than the wire', fromTunnel(ACME.vni, fromGateway(packet({}, data(80, CUSTOMER_MTU - 39)))), 'too-big'],
    ['whose inner frame is cut', fromTunnel(ACME.vni, frame.slice(0, 13)), 'truncated'],
  ] as const)
    test(`${what} is dropped as ${reason}`, () => {
      const site = new SampleSwitch()
      deepEqual(site.send('path-a', outer), {})
      deepEqual(site.drops(), { [reason]: 1 })
      conserved(site)
    })
})

function spoiled(frame: Uint8Array, at: number, value = frame[at]! ^ 0xff): Uint8Array {
  const out = frame.slice()
  out[at] = value
  return out
}

suite('a tenant with two wires on the switch', () => {
  const hello = (source: string, destination = BROADCAST) => ethernet({ source, destination }, packet())
  const tagged = (source: string, destination = BROADCAST) =>
    ethernet({ source, destination, vlan: HOOLI.vlan }, packet())

  test('hears broadcasts on the other wire and at the gateway', () => {
    const site = new SampleSwitch()
    const sent = site.send('branch', hello(CUSTOMER))
    deepEqual(sent['trunk'], [tagged(CUSTOMER)])
    const path = PATHS.find((one) => sent[one])!
    deepEqual(sent[path], [tunnelled(path, HOOLI.vni, hello(CUSTOMER), hashOf4(packet()))])
    equal(site.totals().originated, 1)
    conserved(site)
  })

  test('is switched here, once both stations were heard', () => {
    const site = new SampleSwitch()
    site.send('branch', hello(CUSTOMER))
    deepEqual(site.send('trunk', tagged(STATION, CUSTOMER)), { branch: [hello(STATION, CUSTOMER)] })
    deepEqual(site.send('branch', hello(CUSTOMER, STATION)), { trunk: [tagged(CUSTOMER, STATION)] })
    conserved(site)
  })

  test('is heard by the gateway alone, once the gateway was heard', () => {
    const site = new SampleSwitch()
    const flooded = site.send('path-a', fromTunnel(HOOLI.vni, hello(GATEWAY_MAC)))
    deepEqual(flooded, { branch: [hello(GATEWAY_MAC)], trunk: [tagged(GATEWAY_MAC)] })
    equal(only(site.send('branch', hello(CUSTOMER, GATEWAY_MAC)))[0].startsWith('path-'), true)
    conserved(site)
  })

  test('gets a frame out of the tunnel on the right wire, and on all wires while nobody knows', () => {
    const site = new SampleSwitch()
    const down = fromTunnel(HOOLI.vni, hello(GATEWAY_MAC, STATION))
    deepEqual(Object.keys(site.send('path-a', down)).sort(), ['branch', 'trunk'])
    site.send('trunk', tagged(STATION))
    deepEqual(site.send('path-a', down), { trunk: [tagged(GATEWAY_MAC, STATION)] })
    conserved(site)
  })

  test('is not sent back by the wire that it came from', () => {
    const site = new SampleSwitch()
    site.send('branch', hello(STATION))
    deepEqual(site.send('branch', hello(CUSTOMER, STATION)), {})
    site.send('path-a', fromTunnel(HOOLI.vni, hello(GATEWAY_MAC)))
    deepEqual(site.send('path-a', fromTunnel(HOOLI.vni, hello('02:00:00:00:0c:09', GATEWAY_MAC))), {})
    deepEqual(site.drops(), { 'same-port': 2 })
    conserved(site)
  })

  test('is found on its new wire when it has moved, and flooded for when it was silent for five minutes', () => {
    const site = new SampleSwitch()
    site.send('branch', hello(STATION))
    site.send('trunk', tagged(STATION))
    const down = fromTunnel(HOOLI.vni, hello(GATEWAY_MAC, STATION))
    deepEqual(Object.keys(site.send('path-a', down)), ['trunk'])
    site.advance(301_000)
    deepEqual(Object.keys(site.send('path-a', down)).sort(), ['branch', 'trunk'])
  })

  test('does not reach a wire that was taken away, nor the tenant that has its number now', () => {
    const site = new SampleSwitch()
    site.attach({ port: site.port('trunk'), vlan: 401, vni: HOOLI.vni, tunnel: 1 })
    site.send('branch', hello(STATION))
    const branch = [1, 2, 3, 4, 5].find((number) => site.row(rowOfAttachment(number)).received === 1)!
    site.detach(branch)
    const down = fromTunnel(HOOLI.vni, hello(GATEWAY_MAC, STATION))
    deepEqual(Object.keys(site.send('path-a', down)), ['trunk'])
    const again = site.attach({ port: site.port('branch'), vlan: HOOLI_BRANCH.vlan, vni: 2001, tunnel: 1 })
    equal(again, branch)
    deepEqual(Object.keys(site.send('path-a', down)), ['trunk'])
  })

  test('loses copies, not frames, when buffers run out, and each loss is counted', () => {
    const site = new SampleSwitch({ chunks: 4 })
    const sent = site.send('branch', hello(CUSTOMER), hello(CUSTOMER), hello(CUSTOMER))
    equal(Object.values(sent).flat().length >= 3, true)
    const { originated, drops } = site.totals()
    equal(originated, 3)
    ok((drops['no-frames'] ?? 0) >= 1)
    equal(unaccounted(site.totals()), 0)
  })

  test('may be flooded to by the hundred: more copies than a batch holds', () => {
    const site = new SampleSwitch()
    for (let vlan = 1; vlan <= 4; vlan++) site.attach({ port: site.port('trunk'), vlan, vni: HOOLI.vni, tunnel: 1 })
    const sent = site.send('branch', ...Array.from({ length: 60 }, () => hello(CUSTOMER)))
    equal(sent['trunk']!.length, 60 * 5)
    equal(site.totals().originated, 60 * 5)
    equal(site.pool.free, CHUNKS)
    equal(unaccounted(site.totals()), 0)
  })

  test('is carried in jumbo frames too, copy and original alike', () => {
    const site = new SampleSwitch()
    const vni = 2002
    for (const vlan of [11, 12]) site.attach({ port: site.port('trunk'), vlan, vni, tunnel: 1 })
    const inner = packet({}, data(80, 8800))
    const frame = ethernet({ source: GATEWAY_MAC, destination: BROADCAST }, inner)
    const on = (vlan: number) => ethernet({ source: GATEWAY_MAC, destination: BROADCAST, vlan }, inner)
    const sent = site.send('path-a', fromTunnel(vni, frame))
    deepEqual(
      sent['trunk']!.sort((a, b) => a[15]! - b[15]!),
      [on(11), on(12)],
    )
    conserved(site)
  })
})

test('the EtherType of a tag is the customer’s, 0x8100', () => {
  const site = new SampleSwitch()
  const [frame] = site.send('path-a', fromTunnel(GLOBEX.vni, fromGateway(packet())))['trunk']!
  equal(viewOf(frame!).getUint16(12), ETHERTYPE.vlan)
})
