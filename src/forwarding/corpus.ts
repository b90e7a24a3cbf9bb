/**
 * Frames that together meet every branch of the pipeline on the sample site, over an IPv4 underlay and over IPv6. A node
 * replays them before it says that it is ready, so that no tenant's first IPv6 or first expired packet pays for the compiler
 * (2 to 10 ms otherwise); the fuzzer starts from them too.
 */

import {
  arpReply,
  authentication,
  destinationOptions,
  ethernet,
  fragment6,
  hopByHop,
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
} from '../wire/build.ts'
import {
  arpFor,
  fromCustomer,
  fromEdge,
  fromHost,
  fromSite,
  fromSpeaker,
  NO_KEY,
  type Outer,
  solicitationFor,
} from './sample-packets.ts'
import { ACME, GATEWAY_MAC, GLOBEX, HOST6, INITECH, PEER_MAC, underlayOf } from './sample-site.ts'

const CUSTOMER = '10.1.2.3'
const CUSTOMER6 = '2001:db8:a::3'
const SYN = 0x02

const open = tcp({ sourcePort: 40_000, destinationPort: 80, flags: SYN, mss: 8960 })
const data = tcp({ sourcePort: 40_000, destinationPort: 80 }, new Uint8Array(64))
const query = udp({ sourcePort: 5353, destinationPort: 53 }, new Uint8Array(32))

/** What a routing node has with a neighbour: a session that opens, from either end, one that is open, and BFD. */
const spoken = [
  tcp({ sourcePort: 40_000, destinationPort: 179, flags: SYN, mss: 8960 }),
  tcp({ sourcePort: 179, destinationPort: 40_000 }, new Uint8Array(64)),
  ...[3784, 3785, 4784].map((destinationPort) => udp({ sourcePort: 50_000, destinationPort }, new Uint8Array(24))),
]

/** The MSS behind other options, on an odd byte, too small to be lowered, and absent. */
const synchronizations = [
  [1, 1, 4, 2, 2, 4, 34, 0],
  [1, 2, 4, 34, 0],
  [2, 4, 1, 0],
  [4, 2],
  [1, 1, 0, 0],
  [8, 1],
].map((options) => tcp({ sourcePort: 40_000, destinationPort: 80, flags: SYN, options: Uint8Array.from(options) }))

const from4 = (destination: string, payload: Layer, more: object = {}) =>
  ipv4({ source: CUSTOMER, destination, ...more }, payload)
const from6 = (destination: string, payload: Layer, more: object = {}) =>
  ipv6({ source: CUSTOMER6, destination, ...more }, payload)
const toGateway = (packet: Layer) => ethernet({ source: PEER_MAC, destination: GATEWAY_MAC }, packet)

export function corpus(): Uint8Array[] {
  const tenants = [ACME, INITECH].flatMap(({ vni }) => [
    ...forwarded(vni),
    ...odd(vni),
    ...answered(vni),
    ...refused(vni),
    ...routed(vni),
    ...policed(vni),
    ...crossing(vni),
    ...betweenSites(vni),
  ])
  return [...tenants, ...hearsay(ACME.vni), fromCustomer(from4('172.16.0.5', icmpEcho()), GLOBEX.vni), ...noTunnel()]
}

/** What tenants have to say to each other, to and from every kind of next hop. */
function forwarded(vni: number): Uint8Array[] {
  const machines4 = ['172.16.0.5', '172.16.0.6', '172.16.0.7', '10.8.0.1', '10.1.9.9']
  const machines6 = ['2001:db8:16::5', '2001:db8:16::6', '2001:db8:16::7', '2001:db8:a::9']
  const payloads = [open, data, query]
  const { host } = underlayOf(vni)
  const toMachines = payloads.flatMap((payload) => [
    ...machines4.map((machine) => fromCustomer(from4(machine, payload), vni)),
    ...machines6.map((machine) => fromCustomer(from6(machine, payload), vni)),
  ])
  const back = payloads.flatMap((payload) => {
    const packet4 = ipv4({ source: '172.16.0.5', destination: CUSTOMER }, payload)
    const packet6 = ipv6({ source: '2001:db8:16::5', destination: CUSTOMER6 }, payload)
    return [
      fromHost(packet4, vni),
      fromHost(packet6, vni),
      fromHost(packet4, vni, { checksum: true, sequence: 7 }),
      fromHost(toGateway(packet4), vni, { source: host.ethernet }),
      fromEdge(toGateway(packet4), vni, { source: host.vxlan, checksum: true }),
    ]
  })
  return [...toMachines, ...back]
}

/** Where policies choose: each of them, none, and what has no ports that could be looked at. */
function policed(vni: number): Uint8Array[] {
  const payloads = [
    ...[open, data, query, icmpEcho()],
    udp({ sourcePort: 5060, destinationPort: 9 }),
    udp({ sourcePort: 9, destinationPort: 5061 }),
    tcp({ sourcePort: 40_000, destinationPort: 23 }),
  ]
  const later = { extensions: [fragment6({ offset: 64, more: false, id: 9 })] }
  const sources = ['172.16.0.5', CUSTOMER]
  const sources6 = ['2001:db8:16::5', CUSTOMER6]
  const packets = payloads.flatMap((payload) => [
    ...sources.map((source) => ipv4({ source, destination: '10.7.0.1' }, payload)),
    ...sources6.map((source) => ipv6({ source, destination: '2001:db8:7::1' }, payload)),
  ])
  const odd = [
    ipv4({ source: CUSTOMER, destination: '10.7.0.1', tos: 46 << 2 }, query),
    ipv6({ source: CUSTOMER6, destination: '2001:db8:7::1', trafficClass: 46 << 2 }, query),
    ipv4({ source: CUSTOMER, destination: '10.7.0.1', moreFragments: true }, query),
    ipv6({ source: CUSTOMER6, destination: '2001:db8:7::1', ...later }, query),
    ipv6({ source: CUSTOMER6, destination: '2001:db8:7::1', extensions: [destinationOptions()] }, query),
  ]
  return [...packets, ...odd].map((packet) => fromHost(packet, vni))
}

/** From VRF to VRF, where there are routes for it, and pings that are answered there. */
function crossing(vni: number): Uint8Array[] {
  const packets = [0, 1, 2, 3, 4, 5].flatMap((net) => [
    ipv4({ source: '172.16.0.5', destination: `10.6.${net}.1` }, data),
    ipv4({ source: '172.16.0.5', destination: `10.6.${net}.1`, tos: 46 << 2 }, query),
    ipv4({ source: `10.6.${net}.1`, destination: '192.168.1.1' }, icmpEcho()),
    ipv6({ source: '2001:db8:16::5', destination: `2001:db8:6:${net}::1` }, data),
    ipv6({ source: '2001:db8:16::5', destination: `2001:db8:6:${net}::1`, trafficClass: 46 << 2 }, query),
    ipv6({ source: `2001:db8:6:${net}::1`, destination: '2001:db8:1::1' }, icmpv6Echo()),
  ])
  return packets.map((packet) => fromHost(packet, vni))
}

/** To another site, and what comes from there: to ways of this one, to what would be sent back, and to us. */
function betweenSites(vni: number): Uint8Array[] {
  const there = ['10.30.0.1', '10.31.0.1', '10.32.0.1'].map((to) => from4(to, data))
  const here = ['10.1.0.1', '10.30.0.1', '10.31.0.1', '10.32.0.1', '10.8.0.1', '10.7.0.1', '172.16.0.5', '9.9.9.9']
  const away = { source: '10.30.0.1' }
  return [
    ...[...there, from6('2001:db8:20::1', data)].map((packet) => fromCustomer(packet, vni)),
    ...here.map((to) => fromSite(from4(to, data, away), vni)),
    fromSite(from4('192.168.1.1', icmpEcho(), away), vni),
    fromSite(from4('10.1.0.1', data, { ...away, ttl: 1 }), vni),
    ...['2001:db8:a::1', '2001:db8:20::1'].map((to) => fromSite(from6(to, data, { source: '2001:db8:20::9' }), vni)),
  ]
}

/** Fragments, options, marks of congestion, jumbo frames. */
function odd(vni: number): Uint8Array[] {
  const customer = (packet: Layer, outer?: Outer) => fromCustomer(packet, vni, outer)
  return [
    customer(from4('172.16.0.5', icmpEcho())),
    customer(from6('2001:db8:16::5', icmpv6Echo())),
    customer(from4('172.16.0.5', query, { moreFragments: true, id: 7 })),
    customer(from4('172.16.0.5', query, { fragmentOffset: 64, id: 7 })),
    customer(from4('172.16.0.5', icmpError({ type: 3, code: 4, mtu: 1400 }, from4('172.16.0.5', data)))),
    customer(from4('172.16.0.5', query, { options: Uint8Array.of(148, 4, 0, 0) })),
    customer(from6('2001:db8:16::5', query, { extensions: [destinationOptions()] })),
    customer(from6('2001:db8:16::5', open, { extensions: [destinationOptions()] })),
    customer(from6('2001:db8:16::5', query, { extensions: [fragment6({ offset: 0, more: true, id: 9 })] })),
    customer(from6('2001:db8:16::5', query, { extensions: [fragment6({ offset: 64, more: false, id: 9 })] })),
    customer(from4('172.16.0.5', query, { protocol: 6 })),
    ...synchronizations.flatMap((syn) => [customer(from4('172.16.0.5', syn)), customer(from6('2001:db8:16::5', syn))]),
    customer(from6('2001:db8:16::5', icmpv6({ type: 2, rest: 1400 }, from6('2001:db8:16::5', data)))),
    customer(from4('172.16.0.5', data, { tos: 2 }), { tos: 2 }),
    customer(from4('172.16.0.5', data, { tos: 2 }), { tos: 3 }),
    customer(from6('2001:db8:16::5', data, { trafficClass: 2 }), { tos: 3 }),
    fromEdge(arpFor('192.168.1.1'), vni, { tos: 2 }),
    customer(from4('172.16.0.5', udp({}, new Uint8Array(3000)))),
    customer(from4('172.16.0.5', udp({}, new Uint8Array(3000)), { options: Uint8Array.of(1, 148, 4, 0, 0, 7, 3, 4) })),
    customer(from4('172.16.0.5', udp({}, new Uint8Array(8000)))),
    customer(from4('172.16.0.5', udp({}, new Uint8Array(8000))), { checksum: true }),
    fromHost(ipv4({ source: '172.16.0.5', destination: CUSTOMER }, udp({}, new Uint8Array(8000))), vni, {
      checksum: true,
    }),
    padded(toGateway(from4('172.16.0.5', data)), vni),
  ]
}

/** In a chain of chunks, as nobody needs and anybody may send. */
function padded(frame: Uint8Array, vni: number): Uint8Array {
  const whole = new Uint8Array(6000)
  whole.set(frame)
  return fromEdge(whole, vni)
}

function answered(vni: number): Uint8Array[] {
  const customer = (packet: Layer) => fromCustomer(packet, vni)
  const edge = (frame: Uint8Array) => fromEdge(frame, vni)
  const advertisement = neighbourAdvertisement({ target: '2001:db8:1::2', targetMac: PEER_MAC })
  const advertised = ipv6({ source: '2001:db8:1::2', destination: '2001:db8:1::1', hopLimit: 255 }, advertisement)
  const reply = arpReply({ senderMac: PEER_MAC, senderIp: '192.168.1.50', targetIp: '192.168.1.1' })
  const linkLocal = { source: 'fe80::c', destination: 'fe80::67:68ff:fe00:1' }
  return [
    edge(arpFor('192.168.1.1')),
    edge(arpFor('192.168.1.7')),
    padded(arpFor('192.168.1.1'), vni),
    padded(solicitationFor('2001:db8:1::1'), vni),
    edge(toGateway(reply)),
    edge(solicitationFor('2001:db8:1::1')),
    edge(solicitationFor('2001:db8:1::1', '::')),
    edge(solicitationFor('2001:db8:1::77')),
    edge(toGateway(advertised)),
    customer(from4('192.168.1.1', icmpEcho())),
    customer(from6('2001:db8:1::1', icmpv6Echo())),
    customer(from6('2001:db8:1::1', icmpv6Echo(), { extensions: [destinationOptions()] })),
    customer(from6('2001:db8:1::1', query, { protocol: 50 })),
    customer(ipv6(linkLocal, icmpv6Echo())),
    customer(from4('192.168.1.1', icmpEcho({}, new Uint8Array(3000)))),
    customer(from4('192.168.1.1', data)),
    customer(from6('2001:db8:1::1', data)),
    customer(from4('172.16.0.5', data, { ttl: 1 })),
    customer(from6('2001:db8:16::5', data, { hopLimit: 1 })),
    customer(from4('192.168.1.1', query)),
    customer(from4('192.168.1.1', query, { protocol: 50 })),
    customer(from4('203.0.113.1', data)),
    customer(from6('2001:db8:ffff::1', data)),
    customer(from6('2001:db8:9::1', data)),
    customer(from4('203.0.113.1', data, { source: '203.0.113.9' })),
    customer(from4('203.0.113.1', data, { source: '192.168.1.1' })),
    customer(from4('172.16.0.5', udp({}, new Uint8Array(3000)), { dontFragment: true })),
    customer(from6('2001:db8:16::5', udp({}, new Uint8Array(3000)))),
  ]
}

/** Tenants' BGP and BFD, what looks like it, and what routing nodes send. */
function routed(vni: number): Uint8Array[] {
  const [opening, going, bfd] = [spoken[0]!, spoken[1]!, spoken[2]!]
  const to4 = { source: '192.168.1.2', destination: '192.168.1.1', ttl: 1 }
  const to6 = { source: '2001:db8:1::2', destination: '2001:db8:1::1', hopLimit: 255 }
  const from4 = { source: '192.168.1.1', destination: '192.168.1.2', ttl: 1 }
  const from6 = { source: '2001:db8:1::1', destination: '2001:db8:1::2', hopLimit: 1 }
  const neighbour = (packet: Layer) => fromCustomer(packet, vni)
  const speaker = (packet: Layer) => fromSpeaker(packet, vni)
  const asked = (frame: Uint8Array) => fromEdge(frame, vni, { source: underlayOf(vni).speaker })
  const advertisement = neighbourAdvertisement({ target: '2001:db8:1::1', targetMac: GATEWAY_MAC })
  return [
    ...spoken.flatMap((one) => [neighbour(ipv4(to4, one)), neighbour(ipv6(to6, one))]),
    ...spoken.flatMap((one) => [speaker(ipv4(from4, one)), speaker(ipv6(from6, one))]),
    neighbour(ipv4({ ...to4, source: '192.168.1.77' }, opening)),
    neighbour(ipv4({ ...to4, destination: '172.16.0.1' }, going)),
    neighbour(ipv4({ ...to4, moreFragments: true }, going)),
    neighbour(ipv6({ ...to6, extensions: [destinationOptions()] }, bfd)),
    neighbour(ipv6({ ...to6, extensions: [fragment6({ offset: 0, more: true })] }, bfd)),
    neighbour(ipv4(to4, tcp({ sourcePort: 179, destinationPort: 40_000 }, new Uint8Array(3000)))),
    neighbour(ipv6(to6, tcp({ sourcePort: 179, destinationPort: 40_000 }, new Uint8Array(3000)))),
    fromHost(ipv4(to4, opening), vni),
    speaker(ipv4(from4, tcp({ sourcePort: 179, destinationPort: 40_000 }, new Uint8Array(3000)))),
    speaker(ipv6(from6, tcp({ sourcePort: 179, destinationPort: 40_000 }, new Uint8Array(3000)))),
    speaker(ipv4({ ...from4, destination: '192.168.1.1' }, opening)),
    speaker(ipv4({ ...from4, destination: '192.168.1.50' }, opening)),
    speaker(ipv4({ ...from4, destination: '203.0.113.1' }, opening)),
    speaker(ipv6({ ...from6, destination: '2001:db8:ffff::1' }, bfd)),
    speaker(ipv6({ ...from6, destination: '2001:db8:1::2' }, advertisement)),
    asked(arpFor('192.168.1.2', '192.168.1.1')),
    asked(arpFor('192.168.1.1', '192.168.1.1')),
    asked(solicitationFor('2001:db8:1::2', '2001:db8:1::1')),
    asked(solicitationFor('2001:db8:1::1', '2001:db8:1::1')),
    asked(ethernet({ destination: '01:00:5e:00:00:05' }, ipv4(from4, opening))),
  ]
}

/** Neighbour discovery that is not to be believed, or that asks nothing of a gateway. */
function hearsay(vni: number): Uint8Array[] {
  const group = { source: '2001:db8:1::2', destination: 'ff02::1', hopLimit: 255 }
  const said = (over: object, type: number, body: Uint8Array) =>
    fromEdge(toGateway(ipv6({ ...group, ...over }, icmpv6({ type }, body))), vni)
  const target = new Uint8Array(16).fill(0x20)
  const withOption = (...option: number[]) => Uint8Array.of(...target, ...option, 0, 0, 0, 0, 0, 0)
  const link = { source: 'fe80::c' }
  return [
    ...[133, 134, 135, 136, 137].flatMap((type) =>
      [new Uint8Array(4), target, new Uint8Array(40), withOption(1, 1)].flatMap((body) => [
        said({}, type, body),
        said(link, type, body),
        said({ source: '::' }, type, body),
      ]),
    ),
    said({ hopLimit: 64 }, 135, target),
    said({}, 135, new Uint8Array(16).fill(0xff)),
    said({ destination: '2001:db8:1::1', source: '::' }, 135, target),
    said({}, 135, withOption(1, 0)),
    said({}, 135, withOption(1, 9)),
    said({}, 135, withOption(14, 1)),
    said({}, 136, withOption(2, 1)),
    fromHost(ipv6(group, icmpv6({ type: 135 }, target)), vni),
    fromEdge(ethernet({ source: PEER_MAC, destination: GATEWAY_MAC, etherType: 0x0806 }, new Uint8Array(20)), vni),
  ]
}

/** Of a tenant's packets, or what claims to be one. */
function refused(vni: number): Uint8Array[] {
  const frame = (more: object, packet: Layer) => fromEdge(ethernet({ destination: GATEWAY_MAC, ...more }, packet), vni)
  const customer = (packet: Layer, outer?: Outer) => fromCustomer(packet, vni, outer)
  const packet = from4('172.16.0.5', data)
  const { edge } = underlayOf(vni)
  return [
    customer(packet, { source: edge.includes(':') ? 'fd00::66' : '10.0.0.66' }),
    fromCustomer(packet, 4242, { source: edge }),
    fromHost(packet, 4242, { source: edge }),
    fromHost(packet, NO_KEY, { source: edge }),
    frame({ vlan: 5 }, packet),
    frame({ destination: '02:00:00:00:00:99' }, packet),
    frame({ destination: '01:00:5e:00:00:05' }, from4('224.0.0.5', query)),
    frame({ destination: '33:33:00:00:00:05' }, from6('2001:db8:16::5', query)),
    frame({ etherType: 0x88cc }, packet),
    customer(from4('224.0.0.5', query)),
    customer(from6('ff02::5', query)),
    customer(from4('10.66.0.1', data)),
    customer(from6('2001:db8:66::1', data)),
    customer(from4('203.0.113.1', icmpError({ type: 11 }, from4('172.16.0.5', data)))),
    customer(from6('2001:db8:ffff::1', icmpv6({ type: 3 }, from6('2001:db8:16::5', data)))),
    customer(from4('203.0.113.1', icmpError({ type: 3 }, from4('172.16.0.5', icmpError({ type: 3 }, query))))),
    customer(from6('2001:db8:ffff::1', icmpv6({ type: 3 }, from6('::1', icmpv6({ type: 3 }, query))))),
    customer(from4('203.0.113.1', query, { fragmentOffset: 64 })),
    customer(from6('2001:db8:ffff::1', query, { extensions: [fragment6({ offset: 64, more: false })] })),
    customer(from4('172.16.0.5', udp({}, new Uint8Array(3000)), { fragmentOffset: 65_000 })),
    customer(from6('2001:db8:16::5', query, { extensions: new Array(9).fill(destinationOptions()) })),
    customer(from6('2001:db8:16::5', query, { extensions: [destinationOptions(), hopByHop()] })),
    customer(from6('2001:db8:16::5', query, { extensions: [authentication()] })),
    customer(from4('10.9.0.1', data)),
    customer(from4('192.168.1.50', data)),
    customer(ipv4({ source: '127.0.0.1', destination: '172.16.0.5' }, data)),
    customer(ipv6({ source: '::1', destination: '2001:db8:16::5' }, data)),
    customer(ipv6({ source: 'fe80::c', destination: '2001:db8:16::5' }, data)),
    customer(from4('172.16.0.5', query, { options: Uint8Array.of(131, 3, 4, 0) })),
    customer(from4('192.168.1.1', icmpEcho({}, new Uint8Array(3000)), { dontFragment: true })),
    customer(from4('192.168.1.1', icmpEcho({ reply: true }))),
    customer(from6('2001:db8:1::1', icmpv6Echo({ reply: true }))),
    customer(packet, { tos: 3 }),
    customer(
      packet,
      edge.includes(':') ? { extensions: [fragment6({ offset: 0, more: true })] } : { moreFragments: true },
    ),
    customer(packet).slice(0, edge.includes(':') ? 80 : 60),
    customer(packet).slice(0, 20),
  ]
}

/** To the node itself, or nothing at all. */
function noTunnel(): Uint8Array[] {
  return [
    ethernet({}, from4('172.16.0.5', data)),
    ethernet({}, from6('2001:db8:16::5', data)),
    ethernet({}, ipv6({ source: HOST6.ip, extensions: [destinationOptions()] }, query)),
    new Uint8Array(60),
    new Uint8Array(10),
  ]
}
