import { deepEqual, equal, notEqual } from 'node:assert/strict'
import { test } from 'node:test'
import * as build from './build.ts'
import { checksumHolds } from './checksum.ts'
import { codecSuite, faultName, framed, hex } from './codec-suite.ts'
import { Fault } from './fault.ts'
import {
  checkIpv4,
  checkIpv4Header,
  decrementTtl,
  hasDontFragment,
  IPV4_OPTION,
  ipv4,
  ipv4FragmentOffset,
  ipv4HeaderBytes,
  ipv4Option,
  isIpv4Fragment,
  isSourceRouted,
  PROTOCOL,
  setTos,
  writeIpv4Checksum,
} from './ipv4.ts'

const AT = 3

// UDP from 10.0.0.1 to 10.0.0.2, DSCP EF, do not fragment, as scapy draws it.
const datagram = hex(`
  45 b8 0021  1234 4000  40 11 13de  0a000001  0a000002
  0400 0035 000d a3ca 68656c6c6f`)

type Spoil = (frame: DataView, at: number) => void

/** The same with a checksum that fits, so that the checksum is not what is found wrong. */
function summed(spoil: Spoil): Spoil {
  return (frame, at) => {
    spoil(frame, at)
    writeIpv4Checksum(frame, at)
  }
}

codecSuite({
  table: ipv4,
  check: checkIpv4,
  sample: datagram,
  fields: {
    versionIhl: 0x45,
    tos: 0xb8,
    totalLength: 33,
    id: 0x1234,
    flagsFragment: 0x4000,
    ttl: 64,
    protocol: PROTOCOL.udp,
    checksum: 0x13de,
    source: 0x0a000001,
    destination: 0x0a000002,
  },
  wrong: [
    ['version 6', summed((frame, at) => frame.setUint8(at, 0x65)), 'bad-version'],
    ['a header length of 16', summed((frame, at) => frame.setUint8(at, 0x44)), 'bad-header-length'],
    ['a header longer than the frame', (frame, at) => frame.setUint8(at, 0x4f), 'truncated'],
    [
      'a header longer than the packet',
      summed((frame, at) => ipv4.totalLength.set(frame, at, 19)),
      'bad-header-length',
    ],
    ['a packet longer than the frame', summed((frame, at) => ipv4.totalLength.set(frame, at, 34)), 'bad-header-length'],
    ['a changed TTL', (frame, at) => ipv4.ttl.set(frame, at, 63), 'bad-checksum'],
    ['a checksum off by one', (frame, at) => ipv4.checksum.set(frame, at, 0x13df), 'bad-checksum'],
  ],
})

function lastByteIsAnOption(frame: DataView, at: number): void {
  frame.setUint8(at + 22, 6)
  frame.setUint8(at + 27, 7)
}

// A no-operation and a loose source route over 10.0.0.9.
const sourceRouted = hex(`
  47 00 0029  0001 0000  40 11 5231  0a000001  0a000002
  01 83 07 04 0a000009
  0400 0035 000d c3c3 68656c6c6f`)

codecSuite({
  table: ipv4,
  check: checkIpv4,
  sample: sourceRouted,
  fields: {
    versionIhl: 0x47,
    tos: 0,
    totalLength: 41,
    id: 1,
    flagsFragment: 0,
    ttl: 64,
    protocol: PROTOCOL.udp,
    checksum: 0x5231,
    source: 0x0a000001,
    destination: 0x0a000002,
  },
  wrong: [
    ['an option of length 0', summed((frame, at) => frame.setUint8(at + 22, 0)), 'bad-option'],
    ['an option of length 1', summed((frame, at) => frame.setUint8(at + 22, 1)), 'bad-option'],
    ['an option longer than the header', summed((frame, at) => frame.setUint8(at + 22, 8)), 'bad-option'],
    ['an option without its length', summed(lastByteIsAnOption), 'bad-option'],
    ['a changed option', (frame, at) => frame.setUint8(at + 27, 10), 'bad-checksum'],
  ],
})

test('options are found by type, and a source route is told from other options', () => {
  const frame = framed(sourceRouted)
  equal(ipv4HeaderBytes(frame, AT), 28)
  equal(ipv4Option(frame, AT, IPV4_OPTION.looseSourceRoute), AT + 21)
  equal(ipv4Option(frame, AT, IPV4_OPTION.strictSourceRoute), 0)
  equal(isSourceRouted(frame, AT), true)
  equal(isSourceRouted(framed(datagram), AT), false)
  const routerAlert = framed(build.ipv4({ options: hex('94 04 0000'), protocol: 2 }, hex('')).bytes)
  equal(checkIpv4(routerAlert, AT, routerAlert.byteLength), Fault.none)
  equal(isSourceRouted(routerAlert, AT), false)
})

test('what follows the end of the options is not one', () => {
  const frame = framed(build.ipv4({ options: hex('00 83 07 04 0a000009'), protocol: 2 }, hex('')).bytes)
  equal(checkIpv4(frame, AT, frame.byteLength), Fault.none)
  equal(isSourceRouted(frame, AT), false)
})

test('an option without its length is not looked for behind the header', () => {
  const frame = framed(build.ipv4({ options: hex('01 01 01 07'), protocol: 2 }, hex('')).bytes)
  equal(faultName(checkIpv4(frame, AT, frame.byteLength)), 'bad-option')
})

test('padding behind the packet is no part of it', () => {
  const padded = framed(new Uint8Array([...datagram, ...hex('000000000000')]))
  equal(checkIpv4(padded, AT, padded.byteLength), Fault.none)
})

test('a quoted header is judged without the packet that was cut off behind it', () => {
  const quoted = framed(datagram.subarray(0, 28))
  equal(faultName(checkIpv4(quoted, AT, quoted.byteLength)), 'bad-header-length')
  equal(checkIpv4Header(quoted, AT, quoted.byteLength), Fault.none)
})

test('fragments are told from whole packets', () => {
  const read = (options: build.Ipv4Options): unknown[] => {
    const frame = framed(build.ipv4({ protocol: PROTOCOL.udp, ...options }, hex('0011223344556677')).bytes)
    return [isIpv4Fragment(frame, AT), ipv4FragmentOffset(frame, AT), hasDontFragment(frame, AT)]
  }
  deepEqual(read({}), [false, 0, false])
  deepEqual(read({ dontFragment: true }), [false, 0, true])
  deepEqual(read({ moreFragments: true }), [true, 0, false])
  deepEqual(read({ moreFragments: true, fragmentOffset: 1480 }), [true, 1480, false])
  deepEqual(read({ fragmentOffset: 65528 }), [true, 65528, false])
})

test('every TTL is decremented and every TOS set with a checksum that still holds', () => {
  for (let value = 1; value < 256; value++) {
    const frame = framed(build.ipv4({ ttl: value, id: value * 257 }, build.udp({})).bytes)
    decrementTtl(frame, AT)
    equal(ipv4.ttl.get(frame, AT), value - 1)
    equal(checkIpv4(frame, AT, frame.byteLength), Fault.none)
    setTos(frame, AT, value)
    equal(ipv4.tos.get(frame, AT), value)
    equal(checkIpv4(frame, AT, frame.byteLength), Fault.none)
  }
})

test('packets are drawn as scapy draws them', () => {
  const hello = build.udp({ sourcePort: 1024, destinationPort: 53 }, build.text('hello'))
  deepEqual(build.ipv4({ tos: 0xb8, id: 0x1234, dontFragment: true }, hello).bytes, datagram)
  const drawn = build.ipv4({ id: 1, options: hex('01 83 07 04 0a000009') }, hello).bytes
  deepEqual(drawn.subarray(0, 34), sourceRouted.subarray(0, 34))
  // The sums of the payload differ: scapy's covers the route's last hop, ours the header's destination.
  notEqual(drawn[34], undefined)
  equal(checksumHolds(framed(drawn), AT, AT + 28), true)
})
