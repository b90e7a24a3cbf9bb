import { deepEqual, equal } from 'node:assert/strict'
import { test } from 'node:test'
import * as build from './build.ts'
import { codecSuite, faultName, framed, hex } from './codec-suite.ts'
import { checkGre, gre, greHeaderBytes, greKey, greSequence, writeGreChecksum } from './gre.ts'

const AT = 3

// Checksum, key and sequence number, around an empty IPv4 packet, as scapy draws it.
const full = hex(`
  b000 0800  aa58 0000  deadbeef  00000009
  45 00 0014 0001 0000 40 3b 66ac 0a000001 0a000002`)

type Spoil = (frame: DataView, at: number) => void

const flags =
  (value: number): Spoil =>
  (frame, at) =>
    gre.flagsVersion.set(frame, at, value)

codecSuite({
  table: gre,
  check: checkGre,
  sample: full,
  // A sound IPv4 header adds nothing to a sum, so the sum does not miss it when it is gone.
  covered: 16,
  fields: { flagsVersion: 0xb000, protocol: 0x0800 },
  wrong: [
    ['version 1, of PPTP', flags(0xb001), 'bad-version'],
    ['version 4', flags(0xb004), 'bad-version'],
    ['routing, of RFC 1701', flags(0xf000), 'reserved-bits'],
    ['a strict source route, of RFC 1701', flags(0xb800), 'reserved-bits'],
    ['recursion control, of RFC 1701', flags(0xb400), 'reserved-bits'],
    ['a changed key', (frame, at) => frame.setUint8(at + 8, 0), 'bad-checksum'],
    ['a changed payload', (frame, at) => frame.setUint8(at + 35, 0), 'bad-checksum'],
  ],
})

// A key alone, around a bridged frame.
codecSuite({
  table: gre,
  check: checkGre,
  sample: hex('2000 6558 deadbeef 61626364'),
  covered: 8,
  fields: { flagsVersion: 0x2000, protocol: 0x6558 },
  wrong: [['a sum that is none', flags(0xa000), 'bad-checksum']],
})

test('each combination of optional fields has its length, and its key and sequence number their places', () => {
  const combinations: [options: build.GreOptions, bytes: number][] = [
    [{}, 4],
    [{ key: 0xfffffffe }, 8],
    [{ sequence: 5 }, 8],
    [{ checksum: true }, 8],
    [{ key: 7, sequence: 0xffffffff }, 12],
    [{ key: 7, checksum: true }, 12],
    [{ sequence: 5, checksum: true }, 12],
    [{ key: 0, sequence: 0, checksum: true }, 16],
  ]
  for (const [options, bytes] of combinations) {
    const frame = framed(build.gre(options, hex('0102030405')).bytes)
    equal(faultName(checkGre(frame, AT, frame.byteLength)), 'none')
    equal(greHeaderBytes(gre.flagsVersion.get(frame, AT)), bytes)
    equal(frame.byteLength - AT - bytes, 5)
    equal(greKey(frame, AT), options.key ?? -1)
    equal(greSequence(frame, AT), options.sequence ?? -1)
  }
})

test('reserved bits that RFC 2784 lets pass, pass', () => {
  const frame = framed(hex('03f8 0800'))
  equal(faultName(checkGre(frame, AT, frame.byteLength)), 'none')
})

test('a checksum is written over whatever stood there', () => {
  const frame = framed(full)
  frame.setUint32(AT + 4, 0x12345678)
  writeGreChecksum(frame, AT, frame.byteLength)
  deepEqual(new Uint8Array(frame.buffer, AT).slice(), full)
})

test('tunnels are drawn as scapy draws them', () => {
  const inner = build.ipv4({ id: 1, protocol: 59 }, hex(''))
  deepEqual(build.gre({ checksum: true, key: 0xdeadbeef, sequence: 9 }, inner).bytes, full)
  const hello = build.udp({ sourcePort: 1024, destinationPort: 53 }, build.text('hello'))
  deepEqual(
    build.ipv4({}, build.gre({ key: 7 }, build.ipv6({}, hello))).bytes,
    hex(`
      45000051 00000000 402f667c 0a000001 0a000002
      2000 86dd 00000007
      60000000 000d 11 40  20010db8000000000000000000000001  20010db8000000000000000000000002
      0400 0035 000d 5c58 68656c6c6f`),
  )
})
