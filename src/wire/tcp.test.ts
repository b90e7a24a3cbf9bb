import { deepEqual, equal } from 'node:assert/strict'
import { test } from 'node:test'
import * as build from './build.ts'
import { checksumHolds, pseudoHeader4 } from './checksum.ts'
import { codecSuite, framed, hex } from './codec-suite.ts'
import { Fault } from './fault.ts'
import { PROTOCOL } from './ipv4.ts'
import { checkTcp, clampMss, TCP_FLAG, TCP_OPTION, tcp, tcpHeaderBytes, tcpOption } from './tcp.ts'

const AT = 3

// A SYN with MSS 1460, window scale, SACK permitted and timestamps, as scapy draws it.
const syn = hex(`
  0400 0050 01020304 00000000 a0 02 ffff 2ba7 0000
  02 04 05b4  01 03 03 07  04 02 08 0a 00000001 00000000`)

codecSuite({
  table: tcp,
  check: checkTcp,
  sample: syn,
  fields: {
    sourcePort: 1024,
    destinationPort: 80,
    sequence: 0x01020304,
    acknowledgement: 0,
    dataOffset: 0xa0,
    flags: TCP_FLAG.syn,
    window: 65535,
    checksum: 0x2ba7,
    urgentPointer: 0,
  },
  wrong: [
    ['a header of 16 bytes', (frame, at) => tcp.dataOffset.set(frame, at, 0x40), 'bad-header-length'],
    ['a header longer than the packet', (frame, at) => tcp.dataOffset.set(frame, at, 0xb0), 'truncated'],
  ],
})

test('options are found by kind, behind others and behind padding', () => {
  const frame = framed(syn)
  equal(tcpHeaderBytes(frame, AT), 40)
  equal(tcpOption(frame, AT, TCP_OPTION.mss), AT + 20)
  equal(tcpOption(frame, AT, 8), AT + 30)
  equal(tcpOption(frame, AT, 5), 0)
})

test('an option behind a malformed one, behind the end or cut by the header is not found', () => {
  const find = (options: string): number => {
    const frame = framed(build.tcp({ options: hex(options) }).bytes)
    equal(checkTcp(frame, AT, frame.byteLength), Fault.none)
    return tcpOption(frame, AT, TCP_OPTION.mss)
  }
  equal(find('08 00 0000 02 04 05b4'), 0)
  equal(find('08 01 0000 02 04 05b4'), 0)
  equal(find('08 20 0000 02 04 05b4'), 0)
  equal(find('00 01 0101 02 04 05b4'), 0)
  equal(find('01 01 01 02'), 0)
  equal(find('01 01 02 04'), 0)
  equal(find('01 01 01 01 02 04 05b4'), AT + 24)
})

const IP = AT
const TCP = AT + 20

function segment(options: build.TcpOptions): DataView {
  return framed(build.ipv4({}, build.tcp({ flags: TCP_FLAG.syn, ...options })).bytes)
}

function holds(frame: DataView): boolean {
  const pseudo = pseudoHeader4(frame, IP, PROTOCOL.tcp, frame.byteLength - TCP)
  return checksumHolds(frame, TCP, frame.byteLength, pseudo)
}

test('a larger MSS is lowered, aligned or not, and the checksum still holds', () => {
  for (const mss of ['02 04 05b4', '01 02 04 05b4', '01 01 02 04 05b4', '04 02 01 02 04 ffff']) {
    for (const limit of [1400, 536, 0x0100, 0x00ff]) {
      const frame = segment({ options: hex(mss), sequence: limit * 65537 })
      equal(clampMss(frame, TCP, limit), true)
      equal(frame.getUint16(tcpOption(frame, TCP, TCP_OPTION.mss) + 2), limit)
      equal(holds(frame), true, `${mss} to ${limit}`)
    }
  }
})

test('a clamped SYN is the very SYN that scapy draws with the lower MSS', () => {
  const before = framed(hex('0400 0050 01020304 00000000 70 02 ffff ba7a 0000  01 02 04 05b4 000000'))
  equal(clampMss(before, AT, 1400), true)
  const after = hex('0400 0050 01020304 00000000 70 02 ffff f67a 0000  01 02 04 0578 000000')
  deepEqual(new Uint8Array(before.buffer, AT).slice(), after)
})

test('a smaller or equal MSS, no MSS, one of a wrong length and a segment without SYN are left alone', () => {
  const untouched = (options: build.TcpOptions): void => {
    const frame = segment(options)
    const before = frame.buffer.slice(0)
    equal(clampMss(frame, TCP, 1400), false)
    deepEqual(frame.buffer, before)
  }
  untouched({ mss: 1400 })
  untouched({ mss: 536 })
  untouched({})
  untouched({ options: hex('02 06 ffff 0000') })
  untouched({ mss: 1460, flags: TCP_FLAG.ack })
})
