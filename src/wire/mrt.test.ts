import { deepEqual, equal } from 'node:assert/strict'
import { suite, test } from 'node:test'
import { parseAddress } from '../base/address.ts'
import { KEEPALIVE } from './bgp/message.ts'
import { hex } from './codec-suite.ts'
import { MrtReader, type MrtRecord, type MrtSession, messageRecord, stateRecord } from './mrt.ts'

const session: MrtSession = {
  peerAs: 4_200_000_001,
  localAs: 65_001,
  interfaceIndex: 3,
  peer: parseAddress('10.0.0.2')!,
  local: parseAddress('10.0.0.1')!,
}
const session6: MrtSession = { ...session, peer: parseAddress('2001:db8::2')!, local: parseAddress('2001:db8::1')! }
const AT_us = 1_790_000_000_000_000 + 123_456

/** A keepalive of a peer, drawn: time, BGP4MP_ET, MESSAGE_AS4, length, microseconds, ASes, interface, AFI, addresses. */
const DRAWN = hex(`6ab13b80 0011 0004 0000002b 0001e240
  fa56ea01 0000fde9 0003 0001 0a000002 0a000001
  ffffffff ffffffff ffffffff ffffffff 0013 04`)
/** Established to Idle, as a collector of routes writes it that knows no microseconds. */
const PLAIN = hex('6ab13b80 0010 0000 00000014 fde8 fde9 0000 0001 0a000002 0a000001 0006 0001')

function recordsOf(...records: Uint8Array[]): { read: MrtRecord[]; reader: MrtReader } {
  const reader = new MrtReader(Buffer.concat(records))
  const read: MrtRecord[] = []
  for (let record = reader.next(); record; record = reader.next()) read.push(record)
  return { read, reader }
}

suite('MRT', () => {
  test('a message is written as RFC 6396 draws it, and read as it was written', () => {
    const form = { as4: true, addPath: false, isOurs: false }
    const record = messageRecord(session, form, KEEPALIVE, AT_us)
    deepEqual(Buffer.from(record).toString('hex'), Buffer.from(DRAWN).toString('hex'))
    const at = { at_us: AT_us, recordAt: 0, messageAt: DRAWN.length - 19, messageEnd: DRAWN.length }
    deepEqual(recordsOf(DRAWN).read, [{ kind: 'message', ...session, ...form, ...at }])
  })

  test('every form of a message, of both address families, keeps what was said of it', () => {
    for (const whose of [session, session6])
      for (const as4 of [true, false])
        for (const addPath of [true, false])
          for (const isOurs of [true, false]) {
            const form = { as4, addPath, isOurs }
            const { read, reader } = recordsOf(messageRecord(whose, form, KEEPALIVE, AT_us))
            const [got] = read
            equal(reader.skipped, 0)
            // An AS number of four octets has no place in two: RFC 6793's stands there.
            const expected = { ...whose, ...form, peerAs: as4 ? whose.peerAs : 23_456, at_us: AT_us }
            deepEqual({ ...got, ...expected }, got)
          }
  })

  test('a change of state is written and read, with microseconds or without', () => {
    const record = stateRecord(session6, 'openConfirm', 'established', AT_us)
    const { read } = recordsOf(record, PLAIN)
    deepEqual(read, [
      { kind: 'state', ...session6, at_us: AT_us, from: 'openConfirm', to: 'established', recordAt: 0 },
      {
        kind: 'state',
        ...session,
        ...{ peerAs: 65_000, interfaceIndex: 0, at_us: AT_us - 123_456 },
        ...{ from: 'established', to: 'idle', recordAt: record.length },
      },
    ])
  })

  test('a file that ends in a record is good up to there', () => {
    const whole = messageRecord(session, { as4: true, addPath: false, isOurs: false }, KEEPALIVE, AT_us)
    for (let length = 0; length < whole.length; length++) {
      const { read, reader } = recordsOf(PLAIN, whole.subarray(0, length))
      deepEqual([read.length, reader.isCut], [1, length > 0], `${length} bytes of it`)
    }
  })

  test('what is of another type, or contradicts itself, is skipped, and what follows is read', () => {
    const change = (at: number, value: number): Uint8Array => {
      const bytes = DRAWN.slice()
      bytes[at] = value
      return bytes
    }
    const wrong = {
      'a table': change(5, 13),
      'a subtype that nobody knows': change(7, 12),
      'an entry of a table, deprecated': change(7, 2),
      'an AFI that is neither': change(27, 3),
      'a million microseconds': change(13, 0x10),
      'a message shorter than it says': change(DRAWN.length - 2, 0x14),
      'a message without its marker': change(DRAWN.length - 19, 0),
      'a state that there is none': hex('6ab13b80 0010 0000 00000014 fde8 fde9 0000 0001 0a000002 0a000001 0006 0007'),
      'a change with more behind it': hex(
        '6ab13b80 0010 0000 00000015 fde8 fde9 0000 0001 0a000002 0a000001 00060001 00',
      ),
      'no room for the time': hex('6ab13b80 0011 0004 00000003 010203'),
    }
    for (const [what, record] of Object.entries(wrong)) {
      const { read, reader } = recordsOf(record, PLAIN)
      deepEqual([read.map(({ kind }) => kind), reader.skipped, reader.isCut], [['state'], 1, false], what)
    }
  })

  test('a length that cannot be is the end', () => {
    const { read, reader } = recordsOf(PLAIN, hex('6ab13b80 0011 0004 ffffffff'), PLAIN)
    deepEqual([read.length, reader.isCut], [1, true])
  })
})
