import { deepEqual, equal, ok } from 'node:assert/strict'
import { suite, test } from 'node:test'
import { Random } from '../../../base/random.ts'
import {
  EXTENDED_MESSAGE_BYTES_MAX,
  KEEPALIVE,
  MESSAGE,
  MESSAGE_BYTES_MAX,
  messageOf,
} from '../../../wire/bgp/message.ts'
import { Framer } from './framer.ts'

/** Gives the framer bytes, as many at a time as it has room for and no more than `pieceBytes`; what came out, copied. */
function feed(framer: Framer, bytes: Uint8Array, pieceBytes = bytes.length): Uint8Array[] {
  const out: Uint8Array[] = []
  for (let at = 0; at < bytes.length; ) {
    const piece = bytes.subarray(at, at + Math.min(pieceBytes, framer.room()))
    framer.bytes.set(piece, framer.filled)
    framer.received(piece.length)
    at += piece.length
    while (framer.next()) {
      equal(framer.type, framer.bytes[framer.at + 18])
      out.push(framer.bytes.slice(framer.at, framer.end))
    }
    if (framer.fault) break
  }
  return out
}

function update(bytes: number, fill: number): Uint8Array {
  return messageOf(MESSAGE.update, new Uint8Array(bytes - 19).fill(fill))
}

function joined(messages: readonly Uint8Array[]): Uint8Array {
  return new Uint8Array(Buffer.concat(messages))
}

suite('a framer', () => {
  const messages = [KEEPALIVE, update(23, 1), update(4096, 2), KEEPALIVE, update(200, 3), update(4000, 4), KEEPALIVE]

  for (const pieceBytes of [1, 18, 19, 20, 1000, 100_000]) {
    test(`hands over whole messages from pieces of ${pieceBytes} bytes`, () => {
      deepEqual(feed(new Framer(new Uint8Array(8192)), joined(messages), pieceBytes), messages)
    })
  }

  test('hands over random messages in random pieces, in a buffer that is hardly larger than two', () => {
    const random = new Random(11)
    const framer = new Framer(new Uint8Array(8192))
    for (let round = 0; round < 50; round++) {
      const some = Array.from({ length: 20 }, (_, i) => update(23 + random.below(MESSAGE_BYTES_MAX - 22), i))
      deepEqual(feed(framer, joined(some), 1 + random.below(9000)), some)
    }
    equal(framer.fault, undefined)
  })

  test('begins small, and grows with what comes at once and with messages that are long', () => {
    const framer = new Framer()
    equal(framer.room(), 1024)
    deepEqual(feed(framer, joined(messages)), messages)
    const first = framer.bytes.length
    const many = Array.from({ length: 200 }, (_, i) => update(4096, i))
    deepEqual(feed(framer, joined(many)), many)
    ok(framer.bytes.length > first && framer.bytes.length <= 1 << 17)
    const long = new Framer()
    long.allow(EXTENDED_MESSAGE_BYTES_MAX)
    deepEqual(feed(long, update(EXTENDED_MESSAGE_BYTES_MAX, 5), 1000), [update(EXTENDED_MESSAGE_BYTES_MAX, 5)])
    deepEqual(feed(long, joined(messages)), messages)
  })

  test('works over memory that threads share', () => {
    const framer = new Framer(new Uint8Array(new SharedArrayBuffer(8192)))
    deepEqual(feed(framer, joined(messages), 700), messages)
    equal(framer.waiting_bytes, 0)
  })

  test('reads bodies by one reader, from behind the header to the end', () => {
    const framer = new Framer()
    feed(framer, update(24, 7).subarray(0, 24))
    const body = framer.body()
    deepEqual([body.remaining, body.u8(), body.rest().length], [5, 7, 4])
    feed(framer, KEEPALIVE)
    equal(framer.body(), body)
    equal(body.remaining, 0)
  })

  test('has no room left when nobody takes the messages, and has it again when somebody does', () => {
    const framer = new Framer(new Uint8Array(8192))
    const many = joined(new Array(1000).fill(KEEPALIVE))
    const room = framer.room()
    framer.bytes.set(many.subarray(0, room))
    framer.received(room)
    equal(framer.room(), 0)
    for (let i = 0; i < 400; i++) ok(framer.next())
    ok(framer.room() >= 400 * KEEPALIVE.length)
    let left = 0
    while (framer.next()) left++
    equal(left, Math.floor(8192 / KEEPALIVE.length) - 400)
  })

  test('lets long messages in once it is told to, from the next one on', () => {
    const framer = new Framer()
    const long = update(EXTENDED_MESSAGE_BYTES_MAX, 5)
    framer.allow(EXTENDED_MESSAGE_BYTES_MAX)
    deepEqual(feed(framer, joined([long, KEEPALIVE]), 10_000), [long, KEEPALIVE])
  })
})

suite('bytes that are no messages', () => {
  const header = (length: number, type: number, marker = 0xff): Uint8Array => {
    const out = new Uint8Array(19).fill(marker, 0, 16)
    out.set([length >> 8, length & 0xff, type], 16)
    return out
  }

  // RFC 4271 section 6.1: the subcode, and the field that was wrong as data.
  for (const [what, bytes, subcode, data] of [
    ['a marker that is none', header(19, 4, 0xfe), 1, []],
    ['a length below the header', header(18, 4), 2, [0, 18]],
    ['a length above the limit', header(4097, 2), 2, [0x10, 0x01]],
    ['a KEEPALIVE with a body', header(20, 4), 2, [0, 20]],
    ['an OPEN too short for its fields', header(28, 1), 2, [0, 28]],
    ['an UPDATE too short for its fields', header(22, 2), 2, [0, 22]],
    ['a NOTIFICATION too short for its fields', header(20, 3), 2, [0, 20]],
    ['a type that there is not', header(19, 6), 3, [6]],
    ['type 0', header(19, 0), 3, [0]],
  ] as const) {
    test(`${what} is answered, behind the messages before it, and nothing comes after`, () => {
      for (const pieceBytes of [1, 64]) {
        const framer = new Framer()
        deepEqual(feed(framer, joined([KEEPALIVE, bytes, KEEPALIVE]), pieceBytes), [KEEPALIVE])
        deepEqual([framer.fault!.code, framer.fault!.subcode, [...framer.fault!.data]], [1, subcode, data])
        equal(framer.next(), false)
      }
    })
  }

  test('are told by the header alone: the body is not waited for', () => {
    const framer = new Framer()
    feed(framer, header(60_000, 2))
    equal(framer.fault!.subcode, 2)
  })

  test('of a message that came before it was allowed to be long are refused', () => {
    const framer = new Framer()
    deepEqual(feed(framer, update(4097, 1)), [])
    equal(framer.fault!.subcode, 2)
  })
})
