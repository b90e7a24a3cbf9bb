import { deepEqual, equal } from 'node:assert/strict'
import { test } from 'node:test'
import { framed } from '../codec-suite.ts'
import { Reader } from '../cursor.ts'
import { drawn } from './drawn.ts'
import {
  BGP_HEADER_BYTES,
  checkHeader,
  EXTENDED_MESSAGE_BYTES_MAX,
  HEADER_ERROR,
  KEEPALIVE,
  MESSAGE,
  MESSAGE_BYTES_MAX,
  messageOf,
  openBody,
} from './message.ts'
import { headerError } from './notification.ts'

const SAMPLE = drawn(`
  ffffffff ffffffff ffffffff ffffffff  # marker
  0017                                 # length
  02                                   # UPDATE
  0000 0000
`)

function check(bytes: Uint8Array, bytesMax: number = MESSAGE_BYTES_MAX): number {
  return checkHeader(new Reader(bytes), bytesMax)
}

function withHeader(length: number, type: number): Uint8Array {
  const bytes = SAMPLE.slice()
  bytes.set([length >>> 8, length, type], 16)
  return bytes
}

test('a header tells the length of its message, and the body its type', () => {
  const frame = framed(SAMPLE)
  const bytes = new Uint8Array(frame.buffer)
  const at = bytes.length - SAMPLE.length
  const from = new Reader(bytes)
  from.window(at, bytes.length)
  equal(checkHeader(from, MESSAGE_BYTES_MAX), 23)
  equal(from.at, at + BGP_HEADER_BYTES)
  equal(openBody(from, at, 23), MESSAGE.update)
  deepEqual([from.at, from.remaining], [at + BGP_HEADER_BYTES, 4])
})

test('a message of a body is its header and the body', () => {
  deepEqual(messageOf(MESSAGE.update, new Uint8Array(4)), SAMPLE)
  deepEqual(KEEPALIVE, drawn('ffffffff ffffffff ffffffff ffffffff 0013 04'))
})

test('a header that is cut is no header', () => {
  for (let length = 0; length < BGP_HEADER_BYTES; length++) {
    const verdict = check(SAMPLE.subarray(0, length))
    equal(verdict, length < 16 ? -HEADER_ERROR.notSynchronised : -HEADER_ERROR.badLength, `${length} bytes`)
  }
})

test('each byte of the marker counts', () => {
  for (let at = 0; at < 16; at++) {
    const bytes = SAMPLE.slice()
    bytes[at] = 0xfe
    equal(check(bytes), -HEADER_ERROR.notSynchronised)
  }
})

for (const [what, length, type, verdict, bytesMax] of [
  ['shorter than its header', 18, MESSAGE.keepalive, -HEADER_ERROR.badLength],
  ['of no bytes', 0, MESSAGE.keepalive, -HEADER_ERROR.badLength],
  ['a KEEPALIVE', 19, MESSAGE.keepalive, 19],
  ['a KEEPALIVE with a body', 20, MESSAGE.keepalive, -HEADER_ERROR.badLength],
  ['an OPEN without its fixed part', 28, MESSAGE.open, -HEADER_ERROR.badLength],
  ['the shortest OPEN', 29, MESSAGE.open, 29],
  ['an UPDATE without its lengths', 22, MESSAGE.update, -HEADER_ERROR.badLength],
  ['the longest UPDATE', 4096, MESSAGE.update, 4096],
  ['a longer UPDATE', 4097, MESSAGE.update, -HEADER_ERROR.badLength],
  ['an extended UPDATE', 65535, MESSAGE.update, 65535, EXTENDED_MESSAGE_BYTES_MAX],
  ['an OPEN that is as long as an extended message', 4097, MESSAGE.open, -HEADER_ERROR.badLength, 65535],
  ['a NOTIFICATION without its codes', 20, MESSAGE.notification, -HEADER_ERROR.badLength],
  ['the shortest NOTIFICATION', 21, MESSAGE.notification, 21],
  ['a ROUTE-REFRESH', 23, MESSAGE.routeRefresh, 23],
  ['of type 0', 23, 0, -HEADER_ERROR.badType],
  ['of type 6', 23, 6, -HEADER_ERROR.badType],
  ['of type 255', 23, 255, -HEADER_ERROR.badType],
] as const)
  test(`a message that is ${what}: ${verdict}`, () => equal(check(withHeader(length, type), bytesMax), verdict))

test('the peer is told the field that was wrong', () => {
  const told = (bytes: Uint8Array) => headerError(new Reader(bytes), 0, check(bytes))
  deepEqual(told(withHeader(5000, 2)), { code: 1, subcode: 2, data: drawn('1388') })
  deepEqual(told(withHeader(23, 9)), { code: 1, subcode: 3, data: drawn('09') })
  deepEqual(told(new Uint8Array(19)), { code: 1, subcode: 1, data: new Uint8Array(0) })
})
