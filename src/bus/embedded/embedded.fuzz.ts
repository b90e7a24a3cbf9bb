/**
 * Malformed input to both ends of the embedded bus: decoders are fed mutated and random frames and may not throw; a
 * live server is fed the same and must close those connections, count them, and serve the others as before.
 */

import { deepEqual, equal, ok } from 'node:assert/strict'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { systemClock } from '../../base/clock.ts'
import { silent } from '../../base/log.ts'
import { freshSeed, Random } from '../../base/random.ts'
import { connectBus } from './client.ts'
import { clientCodec, FrameSplitter, MAGIC, serverCodec, type ToServer, toServer } from './protocol.ts'
import { startServer } from './server.ts'

const seed = Number(process.env['FUZZ_SEED'] ?? freshSeed())
const rounds = Number(process.env['FUZZ_N'] ?? 300)
const names = ['a', 'a.b', '>', '*.b', '$leases', 'jobs', '', 'x'.repeat(300), 'ü', '../../etc', 'a\0b']

function anyMessage(random: Random): ToServer {
  const type = random.pick(Object.keys(toServer)) as ToServer['type']
  const values: Record<string, unknown> = { type }
  for (const field of Object.keys(toServer[type][1])) {
    if (field === 'payload') values[field] = random.bytes(random.below(50))
    else if (['subject', 'pattern', 'stream', 'bucket', 'key', 'lease', 'holder', 'name', 'message'].includes(field))
      values[field] = random.pick(names)
    else values[field] = field === 'magic' ? MAGIC : random.below(random.pick([2, 4, 200]))
  }
  return values as unknown as ToServer
}

function mutated(frame: Buffer, random: Random): Buffer {
  const copy = Buffer.from(frame)
  for (let flips = random.below(4); flips > 0; flips--) copy[random.below(copy.length)] = random.u32()
  const cut = random.chance(0.2) ? copy.subarray(0, random.below(copy.length)) : copy
  return random.chance(0.1) ? Buffer.concat([cut, random.bytes(random.below(30))]) : cut
}

test(`decoders take whatever comes (FUZZ_SEED=${seed})`, () => {
  const random = new Random(seed)
  for (let i = 0; i < rounds * 300; i++) {
    const frame = mutated(serverCodec.encode(anyMessage(random)).subarray(4), random)
    const message = serverCodec.decode(frame)
    if (message) deepEqual(serverCodec.decode(serverCodec.encode(message).subarray(4)), message)
    if (frame.length > 0) frame[0] = 128 + random.below(20)
    clientCodec.decode(frame)
  }
})

test(`a frame comes out whole however the bytes are cut (FUZZ_SEED=${seed})`, () => {
  const random = new Random(seed)
  for (let i = 0; i < rounds; i++) {
    const frames = Array.from({ length: 10 }, () => serverCodec.encode(anyMessage(random)))
    const bytes = Buffer.concat(frames)
    const splitter = new FrameSplitter()
    const found: Buffer[] = []
    for (let at = 0; at < bytes.length; ) {
      const length = random.chance(0.5) ? 1 : random.below(200)
      ok(splitter.push(bytes.subarray(at, at + length), (frame) => found.push(Buffer.from(frame)) > 0))
      at += length
    }
    deepEqual(
      found,
      frames.map((frame) => frame.subarray(4)),
    )
  }
})

test(`a server outlives whatever its clients send (FUZZ_SEED=${seed})`, async (t) => {
  const random = new Random(seed)
  const directory = mkdtempSync(join(tmpdir(), 'bus-fuzz-'))
  const socketPath = join(directory, 'bus.sock')
  const server = await startServer({ socketPath, directory, clock: systemClock, log: silent })
  const bus = connectBus({ socketPath, name: 'honest', clock: systemClock, random })
  t.after(async () => {
    await bus.close()
    await server.close()
    rmSync(directory, { recursive: true })
  })
  await bus.whenConnected(5000)
  await bus.respond('honest', ({ payload }) => payload).ready
  await bus.bucket('honest').put('key', Buffer.from('value'))
  for (let round = 0; round < rounds; round++) {
    const socket = connect(socketPath)
    const closed = once(socket, 'close').catch(() => {})
    socket.on('error', () => {})
    socket.resume()
    const hello = { type: 'hello', magic: MAGIC, lowest: 1, highest: 1, name: 'fuzz' } as const
    if (random.chance(0.9)) socket.write(serverCodec.encode(hello))
    for (let i = 0; i < 20; i++) {
      const frame = serverCodec.encode(anyMessage(random))
      socket.write(random.chance(0.9) ? frame : mutated(frame, random))
    }
    // Surely malformed, so that each connection ends by the server's hand.
    socket.write(Buffer.alloc(2_000_000, 0xff))
    const echoed = bus.request('honest', Buffer.from([round]), { timeout_ms: 5000 })
    await closed
    deepEqual([...(await echoed)], [round % 256])
  }
  ok(server.counters.malformed + server.counters.incompatible >= rounds * 0.9, JSON.stringify(server.counters))
  equal(Buffer.from((await bus.bucket('honest').get('key'))!.value).toString(), 'value')
  equal(bus.counters.connects, 1)
})
