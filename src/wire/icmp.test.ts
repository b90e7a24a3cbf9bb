import { deepEqual, equal } from 'node:assert/strict'
import { test } from 'node:test'
import * as build from './build.ts'
import { codecSuite, faultName, framed, hex } from './codec-suite.ts'
import {
  checkIcmp,
  ICMP_TYPE,
  ICMP_UNREACHABLE,
  icmp,
  icmpEcho,
  icmpError,
  isIcmpError,
  quoteEnd,
  writeIcmpChecksum,
} from './icmp.ts'
import { checkIpv4Header } from './ipv4.ts'

const AT = 3

// As scapy draws them.
const echoRequest = hex('08 00 b42a 0001 0002 68656c6c6f')
const fragmentationNeeded = hex(`
  03 04 ed54 00 00 05aa
  45 00 05dc 0001 0000 40 11 610e 0a000001 0a000002
  0400 0035 05c8 0000`)

codecSuite({
  table: icmp,
  check: checkIcmp,
  sample: echoRequest,
  fields: { type: ICMP_TYPE.echoRequest, code: 0, checksum: 0xb42a, rest: 0x00010002 },
  wrong: [['a changed sequence number', (frame, at) => icmpEcho.sequence.set(frame, at, 3), 'bad-checksum']],
})

codecSuite({
  table: icmpEcho,
  check: checkIcmp,
  sample: echoRequest,
  fields: { type: ICMP_TYPE.echoRequest, code: 0, checksum: 0xb42a, identifier: 1, sequence: 2 },
  wrong: [],
})

/** A length of the quote in words, with a checksum that fits. */
function quoting(words: number): (frame: DataView, at: number) => void {
  return (frame, at) => {
    icmpError.quotedLength.set(frame, at, words)
    writeIcmpChecksum(frame, at, frame.byteLength)
  }
}

codecSuite({
  table: icmpError,
  check: checkIcmp,
  sample: fragmentationNeeded,
  // The quoted IP header; the last bytes are zero, and a sum does not miss them.
  covered: 28,
  fields: {
    type: ICMP_TYPE.destinationUnreachable,
    code: ICMP_UNREACHABLE.fragmentationNeeded,
    checksum: 0xed54,
    pointer: 0,
    quotedLength: 0,
    nextHopMtu: 1450,
  },
  wrong: [
    ['a changed MTU', (frame, at) => icmpError.nextHopMtu.set(frame, at, 68), 'bad-checksum'],
    ['a quote that extensions follow, shorter than 128 bytes', quoting(7), 'bad-header-length'],
    ['a quote longer than the message', quoting(32), 'bad-header-length'],
  ],
})

test('an error that quotes less than a header is truncated', () => {
  const quoting = (bytes: number): string => {
    const frame = framed(build.icmpError({ type: ICMP_TYPE.timeExceeded }, new Uint8Array(bytes)).bytes)
    return faultName(checkIcmp(frame, AT, frame.byteLength))
  }
  equal(quoting(19), 'truncated')
  equal(quoting(20), 'none')
})

test('a quote ends where extensions begin, and otherwise with the message', () => {
  const plain = framed(fragmentationNeeded)
  equal(quoteEnd(plain, AT, plain.byteLength), plain.byteLength)
  // 128 bytes of quote, then an extension header of version 2 and no object.
  const extended = framed(new Uint8Array(8 + 128 + 4))
  icmpError.type.set(extended, AT, ICMP_TYPE.timeExceeded)
  quoting(32)(extended, AT)
  equal(faultName(checkIcmp(extended, AT, extended.byteLength)), 'none')
  equal(quoteEnd(extended, AT, extended.byteLength), AT + 8 + 128)
})

test('a redirect has an address where the others have a length', () => {
  const about = build.ipv4({}, build.udp({}))
  const bytes = build.icmpError({ type: ICMP_TYPE.redirect, code: 1 }, about).bytes
  const frame = framed(bytes)
  icmp.rest.set(frame, AT, 0x0a2000fe)
  writeIcmpChecksum(frame, AT, frame.byteLength)
  equal(faultName(checkIcmp(frame, AT, frame.byteLength)), 'none')
  equal(quoteEnd(frame, AT, frame.byteLength), frame.byteLength)
})

test('errors are told from queries', () => {
  const errors = Array.from({ length: 256 }, (_, type) => type).filter(isIcmpError)
  deepEqual(errors, [3, 4, 5, 11, 12])
})

test('messages are drawn as scapy draws them', () => {
  deepEqual(build.icmpEcho({ identifier: 1, sequence: 2 }, build.text('hello')).bytes, echoRequest)
  const quote = fragmentationNeeded.subarray(8)
  equal(faultName(checkIpv4Header(framed(quote), AT, AT + quote.length)), 'none')
  deepEqual(build.icmpError({ type: 3, code: 4, mtu: 1450 }, quote).bytes, fragmentationNeeded)
})
