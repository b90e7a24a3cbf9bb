/**
 * Frames that together meet every branch of the pipeline on the sample site. A node replays them before it says that it is
 * ready, so that no tenant's first IPv6 or first expired packet pays for the compiler (2 to 10 ms otherwise); the fuzzer
 * starts from them too.
 */

import {
  arpReply,
  destinationOptions,
  ethernet,
  fragment6,
  icmpEcho,
  icmpError,
  icmpv6Echo,
  ipv4,
  ipv6,
  type Layer,
  neighbourAdvertisement,
  tcp,
  udp,
} from '../wire/build.ts'
import { arpFor, fromCustomer, fromEdge, fromHost, NO_KEY, solicitationFor } from './sample-packets.ts'
import { ACME, GATEWAY_MAC, GLOBEX, HOST, PEER_MAC } from './sample-site.ts'

const CUSTOMER = '10.1.2.3'
const CUSTOMER6 = '2001:db8:a::3'
const SYN = 0x02

const open = tcp({ sourcePort: 40_000, destinationPort: 80, flags: SYN, mss: 8960 })
const data = tcp({ sourcePort: 40_000, destinationPort: 80 }, new Uint8Array(64))
const query = udp({ sourcePort: 5353, destinationPort: 53 }, new Uint8Array(32))

const from4 = (destination: string, payload: Layer, more: object = {}) =>
  ipv4({ source: CUSTOMER, destination, ...more }, payload)
const from6 = (destination: string, payload: Layer, more: object = {}) =>
  ipv6({ source: CUSTOMER6, destination, ...more }, payload)

export function corpus(): Uint8Array[] {
  return [...forwarded(), ...answered(), ...refused()]
}

function forwarded(): Uint8Array[] {
  const machines4 = ['172.16.0.5', '172.16.0.6', '172.16.0.7', '10.8.0.1', '10.1.9.9']
  const machines6 = ['2001:db8:16::5', '2001:db8:16::6', '2001:db8:16::7', '2001:db8:a::9']
  const payloads = [open, data, query]
  const toMachines = payloads.flatMap((payload) => [
    ...machines4.map((machine) => fromCustomer(from4(machine, payload))),
    ...machines6.map((machine) => fromCustomer(from6(machine, payload))),
  ])
  const back = payloads.flatMap((payload) => {
    const packet4 = ipv4({ source: '172.16.0.5', destination: CUSTOMER }, payload)
    const packet6 = ipv6({ source: '2001:db8:16::5', destination: CUSTOMER6 }, payload)
    const framed = ethernet({ source: PEER_MAC, destination: GATEWAY_MAC }, packet4)
    return [fromHost(packet4), fromHost(packet6), fromHost(framed, ACME.vni, HOST.ethernet)]
  })
  return [
    ...toMachines,
    ...back,
    fromCustomer(from4('172.16.0.5', icmpEcho()), GLOBEX.vni),
    fromCustomer(from6('2001:db8:16::5', icmpv6Echo())),
    fromCustomer(from4('172.16.0.5', query, { moreFragments: true, id: 7 })),
    fromCustomer(from4('172.16.0.5', query, { fragmentOffset: 64, id: 7 })),
    fromCustomer(from4('172.16.0.5', icmpError({ type: 3, code: 4, mtu: 1400 }, from4('172.16.0.5', data)))),
    fromCustomer(from4('172.16.0.5', query, { options: Uint8Array.of(148, 4, 0, 0) })),
    fromCustomer(from6('2001:db8:16::5', query, { extensions: [destinationOptions()] })),
    fromCustomer(from6('2001:db8:16::5', query, { extensions: [fragment6({ offset: 0, more: true, id: 9 })] })),
    fromCustomer(from4('172.16.0.5', data, { tos: 2 }), ACME.vni, { tos: 3 }),
    fromCustomer(from6('2001:db8:16::5', data, { trafficClass: 2 }), ACME.vni, { tos: 3 }),
    fromCustomer(from4('172.16.0.5', udp({}, new Uint8Array(3000)))),
    fromCustomer(from4('172.16.0.5', udp({}, new Uint8Array(8000)))),
    padded(ethernet({ source: PEER_MAC, destination: GATEWAY_MAC }, from4('172.16.0.5', data))),
  ]
}

/** In a chain of chunks, as nobody needs and anybody may send. */
function padded(frame: Uint8Array): Uint8Array {
  const whole = new Uint8Array(6000)
  whole.set(frame)
  return fromEdge(whole)
}

function answered(): Uint8Array[] {
  const advertisement = neighbourAdvertisement({ target: '2001:db8:1::2', targetMac: PEER_MAC })
  const advertised = ipv6({ source: '2001:db8:1::2', destination: '2001:db8:1::1', hopLimit: 255 }, advertisement)
  const reply = arpReply({ senderMac: PEER_MAC, senderIp: '192.168.1.50', targetIp: '192.168.1.1' })
  return [
    fromEdge(arpFor('192.168.1.1')),
    fromEdge(arpFor('192.168.1.7')),
    padded(arpFor('192.168.1.1')),
    padded(solicitationFor('2001:db8:1::1')),
    fromEdge(ethernet({ source: PEER_MAC, destination: GATEWAY_MAC }, reply)),
    fromEdge(solicitationFor('2001:db8:1::1')),
    fromEdge(solicitationFor('2001:db8:1::1', '::')),
    fromEdge(solicitationFor('2001:db8:1::77')),
    fromEdge(ethernet({ source: PEER_MAC, destination: GATEWAY_MAC }, advertised)),
    fromCustomer(from4('192.168.1.1', icmpEcho())),
    fromCustomer(from6('2001:db8:1::1', icmpv6Echo())),
    fromCustomer(from4('192.168.1.1', data)),
    fromCustomer(from6('2001:db8:1::1', data)),
    fromCustomer(from4('172.16.0.5', data, { ttl: 1 })),
    fromCustomer(from6('2001:db8:16::5', data, { hopLimit: 1 })),
    fromCustomer(from4('203.0.113.1', data)),
    fromCustomer(from6('2001:db8:ffff::1', data)),
    fromCustomer(from4('172.16.0.5', udp({}, new Uint8Array(3000)), { dontFragment: true })),
    fromCustomer(from6('2001:db8:16::5', udp({}, new Uint8Array(3000)))),
  ]
}

function refused(): Uint8Array[] {
  const frame = (more: object, packet: Layer) => fromEdge(ethernet({ destination: GATEWAY_MAC, ...more }, packet))
  const packet = from4('172.16.0.5', data)
  return [
    fromCustomer(packet, 4242),
    fromHost(packet, 4242),
    fromHost(packet, NO_KEY),
    fromCustomer(packet, ACME.vni, { source: '10.0.0.66' }),
    frame({ vlan: 5 }, packet),
    frame({ destination: '02:00:00:00:00:99' }, packet),
    frame({ destination: '01:00:5e:00:00:05' }, from4('224.0.0.5', query)),
    frame({ etherType: 0x88cc }, packet),
    fromCustomer(from4('10.66.0.1', data)),
    fromCustomer(from6('2001:db8:66::1', data)),
    fromCustomer(from4('10.9.0.1', data)),
    fromCustomer(from4('192.168.1.50', data)),
    fromCustomer(ipv4({ source: '127.0.0.1', destination: '172.16.0.5' }, data)),
    fromCustomer(ipv6({ source: '::1', destination: '2001:db8:16::5' }, data)),
    fromCustomer(from4('172.16.0.5', data), ACME.vni, { tos: 3 }),
    fromCustomer(packet).slice(0, 60),
    fromCustomer(packet).slice(0, 20),
    ethernet({}, from4('172.16.0.5', data)),
    ethernet({}, from6('2001:db8:16::5', data)),
    new Uint8Array(60),
  ]
}
