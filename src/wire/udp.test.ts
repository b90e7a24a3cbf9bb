import { deepEqual, equal } from 'node:assert/strict'
import { test } from 'node:test'
import * as build from './build.ts'
import { pseudoHeader4 } from './checksum.ts'
import { codecSuite, framed, hex } from './codec-suite.ts'
import { PROTOCOL } from './ipv4.ts'
import { checkUdp, udp, udpChecksumHolds, writeUdpChecksum } from './udp.ts'

const AT = 3
const UDP = AT + 20

const hello = hex('0400 0035 000d a3ca 68656c6c6f')

codecSuite({
  table: udp,
  check: checkUdp,
  sample: hello,
  fields: { sourcePort: 1024, destinationPort: 53, length: 13, checksum: 0xa3ca },
  wrong: [
    ['a length of 7', (frame, at) => udp.length.set(frame, at, 7), 'bad-header-length'],
    ['a length of 0', (frame, at) => udp.length.set(frame, at, 0), 'bad-header-length'],
    ['a length behind the packet', (frame, at) => udp.length.set(frame, at, 14), 'bad-header-length'],
  ],
})

const packet = (): DataView =>
  framed(build.ipv4({}, build.udp({ sourcePort: 1024, destinationPort: 53 }, build.text('hello'))).bytes)

const pseudo = (frame: DataView): number => pseudoHeader4(frame, AT, PROTOCOL.udp, udp.length.get(frame, UDP))

test('a datagram is drawn as scapy draws it', () => {
  deepEqual(new Uint8Array(packet().buffer, UDP).slice(), hello)
})

test('a checksum holds until a byte changes, and none always holds', () => {
  const frame = packet()
  equal(udpChecksumHolds(frame, UDP, pseudo(frame)), true)
  frame.setUint8(UDP + 8, 0)
  equal(udpChecksumHolds(frame, UDP, pseudo(frame)), false)
  udp.checksum.set(frame, UDP, 0)
  equal(udpChecksumHolds(frame, UDP, pseudo(frame)), true)
})

test('a checksum that comes out as 0 is sent as ffff', () => {
  const frame = packet()
  // The data's first word is what it takes for the sum to be ffff.
  frame.setUint16(UDP + 8, 0)
  writeUdpChecksum(frame, UDP, pseudo(frame))
  frame.setUint16(UDP + 8, udp.checksum.get(frame, UDP))
  writeUdpChecksum(frame, UDP, pseudo(frame))
  equal(udp.checksum.get(frame, UDP), 0xffff)
  equal(udpChecksumHolds(frame, UDP, pseudo(frame)), true)
})
