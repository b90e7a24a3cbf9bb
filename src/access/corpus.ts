/**
 * Frames that together meet every branch of the switch program on the sample switch, with the port that each comes in
 * by. A switch replays them before it says that it is ready, so that no first IPv6 or expired packet pays for the
 * compiler (2 to 10 ms otherwise); the fuzzer starts from them too.
 */

import {
  arpRequest,
  bfd,
  destinationOptions,
  ethernet,
  fragment6,
  gre,
  icmpEcho,
  icmpError,
  icmpv6,
  icmpv6Echo,
  ipv4,
  ipv6,
  type Layer,
  tcp,
  text,
  udp,
  vxlan,
} from '../wire/build.ts'
import {
  ACME,
  GATEWAY,
  GATEWAY6,
  GLOBEX,
  HOOLI,
  HOST,
  HOST6,
  INITECH,
  OWN,
  OWN6,
  UNRESOLVED,
  VIP,
  VIP6,
} from './sample-switch.ts'

export interface CorpusFrame {
  readonly port: string
  readonly frame: Uint8Array
}

const STATIONS = ['02:00:00:00:0c:01', '02:00:00:00:0c:02', '02:67:68:00:00:01', 'ff:ff:ff:ff:ff:ff'] as const
const LINK_CONTROL = '01:80:c2:00:00:0e'

const data = tcp({ sourcePort: 40_000, destinationPort: 80 }, new Uint8Array(64))
const query = udp({ sourcePort: 5353, destinationPort: 53 }, new Uint8Array(32))
const probe = (destinationPort: number) => udp({ sourcePort: 50_000, destinationPort }, bfd())
const from4 = (payload: Layer, over: object = {}) =>
  ipv4({ source: '192.168.1.2', destination: '172.16.0.5', ...over }, payload)
const from6 = (payload: Layer, over: object = {}) =>
  ipv6({ source: 'fd01::2', destination: 'fd02::2', ...over }, payload)

/** What tenants say. */
function tenantPackets(): Layer[] {
  return [
    from4(data),
    from4(query),
    from4(icmpEcho()),
    from4(icmpError({ type: 3, code: 4, mtu: 1400 }, from4(data))),
    from4(query, { moreFragments: true, id: 7 }),
    from4(query, { options: Uint8Array.of(148, 4, 0, 0) }),
    from4(probe(3784), { id: 9, ttl: 255 }),
    from4(probe(4784), { dontFragment: true }),
    from6(data),
    from6(query),
    from6(icmpv6Echo()),
    from6(icmpv6({ type: 2, rest: 1400 }, from6(data).bytes)),
    from6(query, { extensions: [destinationOptions()] }),
    from6(query, { extensions: [fragment6({ offset: 0, more: true, id: 9 })] }),
    from6(probe(3785), { hopLimit: 255 }),
    arpRequest({ senderIp: '192.168.1.2', targetIp: '192.168.1.1' }),
    { bytes: text('nobody knows what'), etherType: 0x88b5 },
  ]
}

const frameOf = (packet: Layer, i = 0, vlan?: number): Uint8Array => {
  const ends = { source: STATIONS[i % 3]!, destination: STATIONS[(i + 1 + (i >> 1)) % 4]! }
  return ethernet(vlan === undefined ? ends : { ...ends, vlan }, packet)
}

const tunnel = (vni: number, frame: Uint8Array, checksum = false) =>
  udp({ sourcePort: 50_000, destinationPort: 4789, checksum }, vxlan({ vni }, frame))
const routed4 = (destination: string, payload: Layer, over: object = {}) =>
  ethernet({}, ipv4({ source: GATEWAY, destination, ...over }, payload))
const routed6 = (destination: string, payload: Layer, over: object = {}) =>
  ethernet({}, ipv6({ source: GATEWAY6, destination, ...over }, payload))

export function corpus(): CorpusFrame[] {
  return [
    ...fromCustomers(),
    ...outOfTunnels(),
    ...inTransit().map((frame) => ({ port: 'fn-1', frame })),
    ...refused().map((frame) => ({ port: 'path-b', frame })),
  ]
}

function fromCustomers(): CorpusFrame[] {
  const packets = tenantPackets()
  return [
    ...packets.map((packet, i) => ({ port: 'acme', frame: frameOf(packet, i) })),
    ...packets.map((packet, i) => ({ port: 'trunk', frame: frameOf(packet, i, GLOBEX.vlan) })),
    ...packets.map((packet, i) => ({ port: 'trunk', frame: frameOf(packet, i, INITECH.vlan) })),
    ...packets.map((packet, i) => ({ port: 'trunk', frame: frameOf(packet, i, HOOLI.vlan) })),
    ...packets.map((packet, i) => ({ port: 'branch', frame: frameOf(packet, i) })),
    { port: 'acme', frame: frameOf(from4(udp({}, new Uint8Array(8000)))) },
    { port: 'branch', frame: frameOf(from4(udp({}, new Uint8Array(8000))), 4) },
    { port: 'acme', frame: ethernet({ serviceVlan: 0, vlan: 7 }, from4(data)) },
    { port: 'trunk', frame: frameOf(from4(data), 0, 999) },
    { port: 'trunk', frame: ethernet({ serviceVlan: GLOBEX.vlan, vlan: 7 }, from4(data)) },
    { port: 'acme', frame: ethernet({ destination: LINK_CONTROL, etherType: 0x88cc }, text('lldp')) },
    { port: 'acme', frame: ethernet({ source: '03:00:00:00:00:01' }, from4(data)) },
  ]
}

function outOfTunnels(): CorpusFrame[] {
  const packets = tenantPackets()
  const frames = [ACME, GLOBEX, INITECH, HOOLI].flatMap(({ vni }) =>
    packets.flatMap((packet, i) => [
      routed4(OWN, tunnel(vni, frameOf(packet, i)), { tos: i % 4 }),
      routed6(OWN6, tunnel(vni, frameOf(packet, i), true), { trafficClass: i % 4 }),
    ]),
  )
  const marked = [from4(data, { tos: 2 }), from6(data, { trafficClass: 2 })].map((packet) =>
    routed4(OWN, tunnel(ACME.vni, frameOf(packet)), { tos: 3 }),
  )
  return [...frames, ...marked].map((frame, i) => ({ port: i % 2 === 0 ? 'path-a' : 'path-b', frame }))
}

function inTransit(): Uint8Array[] {
  const packets = tenantPackets()
  const toVips = packets.flatMap((packet, i) => {
    const frame = frameOf(packet, i)
    return [
      routed4(VIP, tunnel(ACME.vni, frame)),
      routed6(VIP6, tunnel(ACME.vni, frame)),
      routed4(VIP, gre({ key: 5 }, packet)),
      routed6(VIP6, gre({ key: 5, sequence: 1, checksum: true }, frame)),
    ]
  })
  return [
    ...toVips,
    ...[data, query, icmpEcho()].map((payload) => routed4(HOST, payload)),
    ...[data, query, icmpv6Echo()].map((payload) => routed6(HOST6, payload)),
    routed4('10.9.1.1', query),
    routed4(HOST, udp({}, new Uint8Array(8000))),
    routed4(HOST, query, { moreFragments: true }),
    routed6(HOST6, query, { extensions: [fragment6({ offset: 8, more: false })] }),
  ]
}

function refused(): Uint8Array[] {
  const frame = frameOf(from4(data))
  return [
    routed4(HOST, query, { ttl: 1 }),
    routed6(HOST6, query, { hopLimit: 1 }),
    routed4(HOST, udp({}, new Uint8Array(1800)), { dontFragment: true }),
    routed6(HOST6, udp({}, new Uint8Array(1800))),
    routed4('203.0.113.1', query),
    routed6('2001:db8::1', query),
    ...[VIP, OWN].map((source) => routed4(HOST, query, { ttl: 1, source })),
    ...[VIP6, OWN6].map((source) => routed6(HOST6, query, { hopLimit: 1, source })),
    routed4(UNRESOLVED, query),
    routed4(OWN, icmpEcho()),
    routed4(VIP, gre({ key: 5 }, text('short'))),
    routed6(HOST6, query, { extensions: new Array(9).fill(destinationOptions()) }),
    routed4(OWN, tunnel(77, frame)),
    routed4(OWN, tunnel(ACME.vni, frame), { source: '10.9.9.9' }),
    routed4(OWN, tunnel(ACME.vni, frame), { moreFragments: true }),
    routed4(OWN, tunnel(ACME.vni, frameOf(from4(data), 0, 5))),
    routed4(OWN, tunnel(ACME.vni, frameOf(from4(udp({}, new Uint8Array(1560)))))),
    ethernet({ etherType: 0x88cc }, text('lldp')),
    ethernet({}, from4(data)).slice(0, 20),
  ]
}
