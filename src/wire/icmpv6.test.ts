import { deepEqual, equal } from 'node:assert/strict'
import { test } from 'node:test'
import * as build from './build.ts'
import { codecSuite, hex } from './codec-suite.ts'
import { icmpEcho } from './icmp.ts'
import { checkIcmpv6, ICMPV6_TYPE, icmpv6, isIcmpv6Error, writeIcmpv6Checksum } from './icmpv6.ts'

// As scapy draws them.
const echo = hex(`
  60000000 000d 3a 40  20010db8000000000000000000000001  20010db8000000000000000000000002
  80 00 e06d 0001 0002 68656c6c6f`)
const packetTooBig = hex(`
  60000000 0038 3a 40  20010db8000000000000000000000009  20010db8000000000000000000000001
  02 00 c045 00000578
  60000000 05b4 11 40  20010db8000000000000000000000001  20010db8000000000000000000000002
  0400 0035 05b4 0001`)

const check = (frame: DataView, at: number, end: number): number => checkIcmpv6(frame, at, end, at - 40)

codecSuite({
  table: icmpv6,
  check,
  sample: packetTooBig,
  at: 40,
  fields: { type: ICMPV6_TYPE.packetTooBig, code: 0, checksum: 0xc045, rest: 1400 },
  wrong: [
    ['a changed MTU', (frame, at) => icmpv6.rest.set(frame, at, 1280), 'bad-checksum'],
    ['another source address', (frame, at) => frame.setUint8(at - 40 + 23, 8), 'bad-checksum'],
    ['another destination address', (frame, at) => frame.setUint8(at - 40 + 39, 2), 'bad-checksum'],
  ],
})

codecSuite({
  table: icmpEcho,
  check,
  sample: echo,
  at: 40,
  fields: { type: ICMPV6_TYPE.echoRequest, code: 0, checksum: 0xe06d, identifier: 1, sequence: 2 },
  wrong: [
    [
      'an error that quotes less than a header',
      (frame, at) => {
        icmpv6.type.set(frame, at, ICMPV6_TYPE.timeExceeded)
        writeIcmpv6Checksum(frame, at, frame.byteLength, at - 40)
      },
      'truncated',
    ],
  ],
})

test('errors are told from the rest', () => {
  deepEqual([1, 2, 3, 4, 127, 128, 129, 135, 255].map(isIcmpv6Error), [...Array(5).fill(true), ...Array(4).fill(false)])
})

test('messages are drawn as scapy draws them', () => {
  const hello = build.icmpv6Echo({ identifier: 1, sequence: 2 }, build.text('hello'))
  deepEqual(build.ipv6({}, hello).bytes, echo)
  equal(build.icmpv6Echo({ reply: true }).bytes[0], ICMPV6_TYPE.echoReply)
  const error = build.icmpv6({ type: ICMPV6_TYPE.packetTooBig, rest: 1400 }, packetTooBig.subarray(48))
  deepEqual(build.ipv6({ source: '2001:db8::9', destination: '2001:db8::1' }, error).bytes, packetTooBig)
})
