import { deepEqual, equal, notEqual, ok } from 'node:assert/strict'
import { test } from 'node:test'
import { Random } from '../../base/random.ts'
import { Writer } from '../cursor.ts'
import { HEADER_BYTES, VERSION } from './codec.ts'
import { RouteColumnsBuilder } from './columns.ts'
import { fibBatch } from './fib.ts'
import { cut, Joiner } from './pieces.ts'
import { ack } from './report.ts'
import { routeBatch } from './route.ts'
import { sampleFib, samples } from './samples.ts'
import { hostBatch, switchBatch } from './switch.ts'

test('every message comes out as it went in', () => {
  for (const { decode, bytes, value, name } of samples) {
    const decoded = decode(bytes)
    ok(decoded.ok, name)
    deepEqual(decoded.value, value, name)
  }
})

test('no two messages have the same kind, and one is not taken for another', () => {
  equal(new Set(samples.map(({ kind }) => kind)).size, samples.length)
  const decoded = switchBatch.decode(samples[0]!.bytes)
  deepEqual(decoded, {
    ok: false,
    failure: 'other-kind',
    message: 'a message of kind 2, where switch batch (3) belongs',
  })
})

test('a message cut off at any byte is refused, but for its end', () => {
  for (const { decode, bytes, name } of samples) {
    for (let length = 0; length < bytes.length; length++) {
      equal(decode(bytes.subarray(0, length)).ok, false, `${name} of ${length} bytes`)
    }
  }
})

test('bytes that are no message are refused by name', () => {
  equal((ack.decode(new Uint8Array(40)) as { failure?: string }).failure, 'not-a-message')
})

test('an older reader skips what a newer writer appended to the message and to its records', () => {
  const out = new Writer()
  for (const byte of [0x47, 0x48, VERSION + 1, VERSION, hostBatch.kind, 0]) out.u8(byte)
  section(out, 0, (w) => w.text('host-1'))
  section(out, 1, (w) => w.u53(4))
  section(out, 2, (w) => {
    w.u32(1)
    const record = w.open()
    w.u32(1001)
    w.u8(4)
    w.bytes(Uint8Array.of(10, 255, 0, 1))
    w.u32(0)
    w.text('a field of the next release')
    w.close(record)
  })
  section(out, 200, (w) => w.text('a section of the next release'))
  deepEqual(hostBatch.decode(out.finish()), {
    ok: true,
    value: {
      host: 'host-1',
      epoch: 4,
      exits: [{ key: 1001, vip: Uint8Array.of(10, 255, 0, 1), accepts: [] }],
    },
  })
})

test('a message that needs a newer reader is refused by name', () => {
  const bytes = ack.encode({ module: 'fn-1', incarnation: 'a1b2', epoch: 1, generation: 1, error: undefined }).slice()
  bytes[2] = VERSION + 2
  bytes[3] = VERSION + 1
  const decoded = ack.decode(bytes)
  equal(decoded.ok, false)
  deepEqual(decoded, {
    ok: false,
    failure: 'newer-version',
    message: `acknowledgement of version ${VERSION + 2} that asks for version ${VERSION + 1}; this is ${VERSION}`,
  })
})

test('routes with bits behind the prefix, or a prefix longer than the address, are refused', () => {
  const withRoute = (length: number, address: number) => {
    const builder = new RouteColumnsBuilder(1)
    builder.add4(0, address, length, 1)
    const empty = new RouteColumnsBuilder(4).build()
    const batch = { origin: 'o', preference: 1, replaces: false, tenants: ['t'], gateways: [[]] }
    return routeBatch.decode(routeBatch.encode({ ...batch, routes4: builder.build(), routes6: empty })).ok
  }
  deepEqual(
    [
      withRoute(24, 0x0a000000),
      withRoute(24, 0x0a000001),
      withRoute(33, 0),
      withRoute(0, 0x80000000),
      withRoute(32, 1),
    ],
    [true, false, false, false, true],
  )
})

test('a count that lies does not make the decoder reserve memory', () => {
  const { bytes } = samples.find(({ kind }) => kind === fibBatch.kind)!
  const before = process.memoryUsage().arrayBuffers
  for (let at = HEADER_BYTES; at + 4 < bytes.length; at++) {
    const lying = bytes.slice()
    lying.fill(0xff, at, at + 4)
    fibBatch.decode(lying)
  }
  ok(process.memoryUsage().arrayBuffers - before < 64e6)
})

test('320 K routes are encoded and decoded in a fraction of a second', () => {
  const batch = sampleFib(320_000, new Random(2))
  // Of this thread's own time, whoever else is at work: a column is a copy, and a row each would be seconds.
  const before = process.threadCpuUsage()
  const decoded = fibBatch.decode(fibBatch.encode(batch))
  const { user, system } = process.threadCpuUsage(before)
  ok(decoded.ok)
  equal(decoded.value.routes4.lengths.length, 320_000)
  ok(user + system < 800_000, `${user + system} us`)
})

test('a message larger than the bus takes is cut and joined', () => {
  const message = new Random(3).bytes(100_000)
  const pieces = cut(message, 4096)
  ok(pieces.every((piece) => piece.length <= 4096))
  const joiner = new Joiner()
  const results = pieces.map((piece) => joiner.push(piece))
  deepEqual(results.at(-1)?.message && Buffer.from(results.at(-1)!.message!), Buffer.from(message))
  equal(results.at(-2)?.wanting, 1)
})

test('a message of nothing is one piece', () => {
  const pieces = cut(new Uint8Array(0), 4096)
  equal(pieces.length, 1)
  deepEqual(new Joiner().push(pieces[0]!), { message: new Uint8Array(0) })
})

test('a message left unfinished is forgotten when the next one starts', () => {
  const joiner = new Joiner()
  const [first, second] = cut(new Uint8Array(100).fill(1), 80)
  joiner.push(first!)
  const [whole] = cut(Uint8Array.of(2), 80)
  deepEqual(joiner.push(whole!), { message: Uint8Array.of(2) })
  notEqual(joiner.push(second!).error, undefined)
})

test('pieces out of order are refused', () => {
  const [first, second, third] = cut(new Uint8Array(200), 90)
  const joiner = new Joiner()
  equal(joiner.push(first!).wanting, 2)
  equal(joiner.push(third!).error, 'piece 2 of 3 without the one before')
  equal(joiner.push(second!).error, 'piece 1 of 3 without the one before')
})

function section(out: Writer, tag: number, write: (out: Writer) => void): void {
  out.u8(tag)
  const opened = out.open()
  write(out)
  out.close(opened)
}
