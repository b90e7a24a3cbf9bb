import { deepEqual, equal } from 'node:assert/strict'
import { test } from 'node:test'
import * as build from './build.ts'
import { codecSuite, faultName, framed, hex } from './codec-suite.ts'
import { Fault } from './fault.ts'
import { PROTOCOL } from './ipv4.ts'
import {
  authenticationHeader,
  checkIpv6,
  checkIpv6Header,
  FRAGMENT,
  flowLabel,
  ipv6,
  ipv6End,
  ipv6Extension,
  ipv6Fragment,
  ipv6Walk,
  setTrafficClass,
  trafficClass,
  walkIpv6,
} from './ipv6.ts'

const AT = 3

const source = hex('20010db8 00000000 00000000 00000001')
const destination = hex('20010db8 00000000 00000000 00000002')

// UDP, traffic class b8, flow label 12345, as scapy draws it.
const datagram = hex(`
  6b812345 000d 11 40  20010db8000000000000000000000001  20010db8000000000000000000000002
  0400 0035 000d 5c58 68656c6c6f`)

codecSuite({
  table: ipv6,
  check: checkIpv6,
  sample: datagram,
  fields: {
    versionClassFlow: 0x6b812345,
    payloadLength: 13,
    nextHeader: PROTOCOL.udp,
    hopLimit: 64,
    source,
    destination,
  },
  wrong: [
    ['version 4', (frame, at) => frame.setUint8(at, 0x4b), 'bad-version'],
    ['a payload longer than the frame', (frame, at) => ipv6.payloadLength.set(frame, at, 14), 'bad-header-length'],
    ['the longest payload', (frame, at) => ipv6.payloadLength.set(frame, at, 65535), 'bad-header-length'],
  ],
})

/** The fault of check and walk together; the headers behind the fixed one begin at AT + 40. */
function checkAndWalk(frame: DataView, end: number): number {
  const fault = checkIpv6(frame, AT, end)
  return fault === Fault.none ? walkIpv6(frame, AT, ipv6End(frame, AT), ipv6Walk()) : fault
}

// Hop-by-hop, destination options, first fragment, UDP, as scapy draws it.
const extended = hex(`
  60000000 0025 00 40  20010db8000000000000000000000001  20010db8000000000000000000000002
  3c 00 010400000000
  2c 00 010400000000
  11 00 0001 00000007
  0400 0035 000d 0000 68656c6c6f`)

codecSuite({
  table: ipv6Extension,
  check: (frame, at, end) => (at > end - ipv6Extension.BYTES ? Fault.truncated : checkAndWalk(frame, end)),
  sample: extended,
  at: 40,
  fields: { nextHeader: PROTOCOL.destinationOptions, extensionLength: 0 },
  wrong: [
    ['a header that ends behind the packet', (frame, at) => frame.setUint8(at + 1, 4), 'bad-header-length'],
    ['a header that ends within the packet', (frame, at) => frame.setUint8(at + 1, 3), 'truncated'],
    ['hop-by-hop that is not the first', (frame, at) => frame.setUint8(at, PROTOCOL.hopByHop), 'bad-option'],
  ],
})

codecSuite({
  table: ipv6Fragment,
  check: (frame, at, end) => (at > end - ipv6Fragment.BYTES ? Fault.truncated : checkAndWalk(frame, end)),
  sample: extended,
  at: 56,
  fields: { nextHeader: PROTOCOL.udp, reserved: 0, offsetMore: 1, id: 7 },
  wrong: [],
})

// Authentication, UDP, as scapy draws it.
const authenticated = hex(`
  60000000 0021 33 40  20010db8000000000000000000000001  20010db8000000000000000000000002
  11 04 0000 00000100 00000001 000000000000000000000000
  0400 0035 0009 0000 78`)

codecSuite({
  table: authenticationHeader,
  check: (frame, at, end) => (at > end - authenticationHeader.BYTES ? Fault.truncated : checkAndWalk(frame, end)),
  sample: authenticated,
  at: 40,
  fields: { nextHeader: PROTOCOL.udp, payloadLength: 4, reserved: 0, spi: 256, sequence: 1 },
  wrong: [['a header that ends behind the packet', (frame, at) => frame.setUint8(at + 1, 7), 'bad-header-length']],
})

function walked(bytes: Uint8Array): unknown {
  const frame = framed(bytes)
  const walk = ipv6Walk()
  const fault = checkIpv6(frame, AT, frame.byteLength) || walkIpv6(frame, AT, ipv6End(frame, AT), walk)
  return fault === Fault.none ? [walk.protocol, walk.at - AT, walk.fragment] : faultName(fault)
}

test('a walk ends at the upper layer, wherever it is', () => {
  const { hopByHop, destinationOptions, routing, fragment6, authentication } = build
  const carrying = (...extensions: build.Layer[]): unknown => walked(build.ipv6({ extensions }, build.udp({})).bytes)
  deepEqual(carrying(), [PROTOCOL.udp, 40, FRAGMENT.none])
  deepEqual(carrying(hopByHop(), routing()), [PROTOCOL.udp, 56, FRAGMENT.none])
  deepEqual(carrying(authentication(), destinationOptions()), [PROTOCOL.udp, 72, FRAGMENT.none])
  deepEqual(carrying(fragment6({ offset: 0, more: false })), [PROTOCOL.udp, 48, FRAGMENT.none])
  deepEqual(carrying(fragment6({ offset: 0, more: true })), [PROTOCOL.udp, 48, FRAGMENT.first])
  deepEqual(carrying(hopByHop(), fragment6({ offset: 8, more: true })), [PROTOCOL.udp, 56, FRAGMENT.later])
  deepEqual(carrying(fragment6({ offset: 65528, more: false })), [PROTOCOL.udp, 48, FRAGMENT.later])
  deepEqual(walked(extended), [PROTOCOL.udp, 64, FRAGMENT.first])
  deepEqual(walked(authenticated), [PROTOCOL.udp, 64, FRAGMENT.none])
})

test('a walk tells where the upper layer is named', () => {
  const { hopByHop, destinationOptions, fragment6 } = build
  for (const [extensions, at] of [
    [[], 6],
    [[hopByHop(), destinationOptions()], 48],
    [[destinationOptions(), fragment6({ offset: 8, more: true })], 48],
  ] as const) {
    const frame = framed(build.ipv6({ extensions: [...extensions] }, build.udp({})).bytes)
    const walk = ipv6Walk()
    walkIpv6(frame, AT, ipv6End(frame, AT), walk)
    equal(walk.namedAt - AT, at)
    equal(frame.getUint8(walk.namedAt), PROTOCOL.udp)
  }
})

test('what a later fragment holds is not walked, it is a piece of anything', () => {
  const piece = build.ipv6(
    { extensions: [build.fragment6({ offset: 1232, more: true })], protocol: PROTOCOL.destinationOptions },
    hex('ffffffffffffffff'),
  )
  deepEqual(walked(piece.bytes), [PROTOCOL.destinationOptions, 48, FRAGMENT.later])
})

test('a first fragment that does not hold all headers is truncated', () => {
  const extensions = [build.fragment6({ offset: 0, more: true })]
  equal(walked(build.ipv6({ extensions, protocol: PROTOCOL.routing }, hex('')).bytes), 'truncated')
})

test('eight extension headers are walked, nine are refused', () => {
  const chain = (count: number): unknown =>
    walked(build.ipv6({ extensions: Array.from({ length: count }, build.destinationOptions) }, build.udp({})).bytes)
  deepEqual(chain(8), [PROTOCOL.udp, 104, FRAGMENT.none])
  equal(chain(9), 'bad-option')
})

test('one walk object serves packet after packet', () => {
  const walk = ipv6Walk()
  const later = framed(build.ipv6({ extensions: [build.fragment6({ offset: 8, more: false })] }, build.udp({})).bytes)
  const plain = framed(datagram)
  walkIpv6(later, AT, ipv6End(later, AT), walk)
  walkIpv6(plain, AT, ipv6End(plain, AT), walk)
  deepEqual(walk, { protocol: PROTOCOL.udp, at: AT + 40, namedAt: AT + 6, fragment: FRAGMENT.none })
})

test('traffic class and flow label are read, and the class is set without touching its neighbours', () => {
  const frame = framed(datagram)
  equal(trafficClass(frame, AT), 0xb8)
  equal(flowLabel(frame, AT), 0x12345)
  setTrafficClass(frame, AT, 0xff)
  equal(ipv6.versionClassFlow.get(frame, AT), 0x6ff12345)
  setTrafficClass(frame, AT, 0)
  equal(ipv6.versionClassFlow.get(frame, AT), 0x60012345)
})

test('a quoted header is judged without the packet that was cut off behind it', () => {
  const quoted = framed(datagram.subarray(0, 44))
  equal(faultName(checkIpv6(quoted, AT, quoted.byteLength)), 'bad-header-length')
  equal(checkIpv6Header(quoted, AT, quoted.byteLength), Fault.none)
})

test('packets are drawn as scapy draws them', () => {
  const hello = build.udp({ sourcePort: 1024, destinationPort: 53 }, build.text('hello'))
  deepEqual(build.ipv6({ trafficClass: 0xb8, flowLabel: 0x12345 }, hello).bytes, datagram)
  const unsummed = build.udp({ sourcePort: 1024, destinationPort: 53, checksum: false }, build.text('hello'))
  const extensions = [build.hopByHop(), build.destinationOptions(), build.fragment6({ offset: 0, more: true, id: 7 })]
  deepEqual(build.ipv6({ extensions }, unsummed).bytes, extended)
})
