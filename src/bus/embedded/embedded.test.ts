/** The embedded bus under the suite of every bus, and what only it promises: its socket, its files and its limits. */

import { deepEqual, equal, ok, rejects } from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, statSync } from 'node:fs'
import { connect, createServer, Server, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { ManualClock, systemClock } from '../../base/clock.ts'
import { silent } from '../../base/log.ts'
import { freshSeed, Random } from '../../base/random.ts'
import { type Bus, BusError } from '../bus.ts'
import { ended, spawnModule } from '../suite/child.ts'
import type { BusHarness, SpawnedClient } from '../suite/site.ts'
import { busSuite } from '../suite.ts'
import { connectBus } from './client.ts'
import { busSocket } from './main.ts'
import {
  clientCodec,
  FrameSplitter,
  MAGIC,
  serverCodec,
  type ToClient,
  type ToServer,
  toServer,
  VERSION_HIGHEST,
  VERSION_LOWEST,
} from './protocol.ts'
import { type BusServer, startServer } from './server.ts'

const here = import.meta.dirname

function client(socketPath: string, name: string): Bus {
  return connectBus({ socketPath, name, clock: systemClock, random: new Random(freshSeed()) })
}

async function harness(): Promise<BusHarness> {
  const directory = mkdtempSync(join(tmpdir(), 'bus-'))
  const children = new Set<ChildProcess>()
  let server: ChildProcess
  const start = async (): Promise<void> => {
    const { child, line } = spawnModule(`
      const { runBus } = await import('${here}/main.ts')
      const { silent } = await import('${here}/../../base/log.ts')
      await runBus({ directory: '${directory}', stateDirectory: '${directory}', log: silent })
      console.log('up')`)
    server = child
    children.add(child)
    equal(await line(), 'up')
  }
  const kill = async (child: ChildProcess): Promise<void> => {
    child.kill('SIGKILL')
    await ended(child)
    children.delete(child)
  }
  await start()
  return {
    client: (name) => client(busSocket(directory), name),
    start,
    kill: () => kill(server),
    async spawnClient(source): Promise<SpawnedClient> {
      const { child, line } = spawnModule(`
        const { connectBus } = await import('${here}/client.ts')
        const { systemClock: clock } = await import('${here}/../../base/clock.ts')
        const { Random } = await import('${here}/../../base/random.ts')
        const socketPath = '${busSocket(directory)}'
        const bus = connectBus({ socketPath, name: 'child', clock, random: new Random(process.pid) })
        await bus.whenConnected(10_000)
        ${source}`)
      children.add(child)
      const signal = (name: NodeJS.Signals) => () => void child.kill(name)
      return { line, kill: () => kill(child), pause: signal('SIGSTOP'), resume: signal('SIGCONT') }
    },
    async stop() {
      await Promise.all([...children].map(kill))
      rmSync(directory, { recursive: true })
    },
  }
}

busSuite('a Unix socket', harness)

interface Here {
  server: BusServer
  clock: ManualClock
  socketPath: string
  directory: string
  join(name: string): Promise<Bus>
}

/** A server in this process, whose clock stands still. */
async function serverHere(t: TestContext): Promise<Here> {
  const directory = mkdtempSync(join(tmpdir(), 'bus-'))
  const socketPath = join(directory, 'bus.sock')
  const clock = new ManualClock()
  const server = await startServer({ socketPath, directory: join(directory, 'bus'), clock, log: silent })
  const clients: Bus[] = []
  t.after(async () => {
    await Promise.all(clients.map((bus) => bus.close()))
    await server.close()
    rmSync(directory, { recursive: true })
  })
  const joining = async (name: string): Promise<Bus> => {
    const bus = client(socketPath, name)
    clients.push(bus)
    await bus.whenConnected(5000)
    return bus
  }
  return { server, clock, socketPath, directory, join: joining }
}

/** Speaks to the server in frames, or in what are none. */
async function raw(t: TestContext, socketPath: string): Promise<{ socket: Socket; frames: ToClient[] }> {
  const socket = connect(socketPath)
  const frames: ToClient[] = []
  const splitter = new FrameSplitter()
  socket.on('data', (chunk) => splitter.push(chunk as Buffer, (frame) => frames.push(clientCodec.decode(frame)!) > 0))
  socket.on('error', () => {})
  t.after(() => socket.destroy())
  await once(socket, 'connect')
  return { socket, frames }
}

const hello = { type: 'hello', magic: MAGIC, lowest: VERSION_LOWEST, highest: VERSION_HIGHEST, name: 'raw' } as const

test('a second server over the same directory, or at the same socket, is refused', async (t) => {
  const { socketPath, directory, join: joinBus } = await serverHere(t)
  const options = { clock: systemClock, log: silent }
  const other = join(directory, 'other')
  await rejects(startServer({ ...options, socketPath: other, directory: join(directory, 'bus') }), /runs over/)
  await rejects(startServer({ ...options, socketPath, directory: other }), /listens on/)
  ok((await joinBus('still')).connected)
})

test('nobody else may connect, from the moment that the socket is there', async (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'bus-'))
  const before = process.umask(0)
  t.after(() => {
    process.umask(before)
    rmSync(directory, { recursive: true })
  })
  const socketPath = join(directory, 'socket')
  const modes: number[] = []
  const listen = Server.prototype.listen
  t.mock.method(Server.prototype, 'listen', function (this: Server, ...args: Parameters<typeof listen>) {
    listen.apply(this, args)
    modes.push(statSync(socketPath).mode & 0o777)
    return this
  })
  await (await startServer({ socketPath, directory: join(directory, 'bus'), clock: systemClock, log: silent })).close()
  deepEqual(modes, [0o600])
  equal(process.umask(), 0)
})

test('a client that speaks only later versions is refused by name', async (t) => {
  const { server, socketPath } = await serverHere(t)
  const { socket, frames } = await raw(t, socketPath)
  socket.write(serverCodec.encode({ ...hello, lowest: VERSION_HIGHEST + 1, highest: VERSION_HIGHEST + 3 }))
  await once(socket, 'close')
  deepEqual(frames, [{ type: 'refused', lowest: VERSION_LOWEST, highest: VERSION_HIGHEST }])
  equal(server.counters.incompatible, 1)
})

test('a server of another version is named as the reason', async (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'bus-'))
  const socketPath = join(directory, 'bus.sock')
  const server = createServer((socket) => socket.end(clientCodec.encode({ type: 'refused', lowest: 7, highest: 9 })))
  await once(server.listen(socketPath), 'listening')
  const bus = client(socketPath, 'old')
  t.after(async () => {
    await bus.close()
    server.close()
    rmSync(directory, { recursive: true })
  })
  await rejects(bus.whenConnected(200), (error) => error instanceof BusError && error.code === 'incompatible')
})

test('without a server whenConnected says so, and closing ends it all', async () => {
  const bus = client('/nonexistent/bus.sock', 'early')
  const watch = bus.bucket('x').watch('>', () => {})
  const subscription = bus.subscribe('x', () => {})
  await rejects(bus.whenConnected(50), /disconnected: .*ENOENT/)
  const waiting = bus.whenConnected(10_000)
  await Promise.all([rejects(waiting, /closed/), rejects(watch.ready, /closed/), bus.close()])
  await rejects(subscription.ready, /closed/)
  await rejects(bus.bucket('x').get('a'), /closed/)
})

test('whoever says nothing is disconnected after five seconds, and so is whoever does not begin with hello', async (t) => {
  const { server, clock, socketPath } = await serverHere(t)
  const mute = await raw(t, socketPath)
  const rude = await raw(t, socketPath)
  rude.socket.write(serverCodec.encode({ type: 'publish', subject: 'a', payload: new Uint8Array(0) }))
  await once(rude.socket, 'close')
  equal(server.counters.malformed, 1)
  const closed = once(mute.socket, 'close')
  clock.advance(5000)
  await closed
})

test('a slow reader loses plain messages, which the server counts and tells it; it stays connected', async (t) => {
  const { server, socketPath, join: joinBus } = await serverHere(t)
  const { socket, frames } = await raw(t, socketPath)
  const publisher = await joinBus('publisher')
  socket.write(serverCodec.encode(hello))
  socket.write(serverCodec.encode({ type: 'subscribe', id: 1, subscription: 1, responds: 0, pattern: 'flood' }))
  const count = 200
  await settled(() => frames.length === 2)
  socket.pause()
  for (let i = 0; i < count; i++) {
    publisher.publish('flood', new Uint8Array(100_000))
    if (i % 10 === 0) await publisher.bucket('pace').put('x', new Uint8Array(0))
  }
  await publisher.bucket('pace').put('x', new Uint8Array(0))
  ok(server.counters.dropped > 50 && server.counters.dropped < count, `${server.counters.dropped} dropped`)
  socket.resume()
  await settled(() => frames.at(-1)?.type === 'missed')
  const missed = frames.at(-1) as Extract<ToClient, { type: 'missed' }>
  equal(missed.count, server.counters.dropped)
  equal(frames.filter(({ type }) => type === 'message').length + missed.count, count)
})

test('a client that asks for much and reads nothing costs a bounded queue', async (t) => {
  const { socketPath, join: joinBus } = await serverHere(t)
  const bus = await joinBus('writer')
  await bus.bucket('big').put('key', new Uint8Array(1_000_000))
  const { socket, frames } = await raw(t, socketPath)
  socket.write(serverCodec.encode(hello))
  await settled(() => frames.length === 1)
  socket.pause()
  const before = process.memoryUsage().arrayBuffers
  for (let id = 1; id <= 100; id++) socket.write(serverCodec.encode({ type: 'get', id, bucket: 'big', key: 'key' }))
  for (let i = 0; i < 20; i++) await bus.bucket('big').get('other')
  const grown = process.memoryUsage().arrayBuffers - before
  ok(grown < 32e6, `${grown} bytes more`)
  socket.resume()
  await settled(() => frames.length === 101)
})

test('too many subscriptions are refused by name, and one may go for another', async (t) => {
  const { join: joinBus } = await serverHere(t)
  const bus = await joinBus('greedy')
  const subscriptions = Array.from({ length: 4097 }, (_, i) => bus.subscribe(`s.${i}`, () => {}))
  await Promise.all(subscriptions.slice(0, 4096).map(({ ready }) => ready))
  await rejects(subscriptions[4096]!.ready, (error) => error instanceof BusError && error.code === 'too-many')
  subscriptions[0]!.close()
  await bus.subscribe('s.again', () => {}).ready
})

test('a requester learns at once that its responder has left', async (t) => {
  const { join: joinBus } = await serverHere(t)
  const [leaver, asker] = [await joinBus('leaver'), await joinBus('asker')]
  await leaver.respond('ask', () => {
    void leaver.close()
    return new Promise(() => {})
  }).ready
  await rejects(asker.request('ask', new Uint8Array(0), { timeout_ms: 60_000 }), /no-responders: .*went away/)
})

test('a responder whose refusal is not UTF-8, and too long once it is, is heard up to the limit', async (t) => {
  const { socketPath, join: joinBus } = await serverHere(t)
  const { socket, frames } = await raw(t, socketPath)
  socket.write(serverCodec.encode(hello))
  socket.write(serverCodec.encode({ type: 'subscribe', id: 1, subscription: 1, responds: 1, pattern: 'ask' }))
  await settled(() => frames.length === 2)
  const asker = await joinBus('asker')
  const answer = asker.request('ask', new Uint8Array(0), { timeout_ms: 60_000 })
  await settled(() => frames.length === 3)
  const refusal = Buffer.alloc(4 + 1 + 4 + 2 + 65_535, 0xff)
  refusal.writeUInt32BE(refusal.length - 4, 0)
  refusal.writeUInt8(toServer.refuse[0], 4)
  refusal.writeUInt32BE((frames[2] as Extract<ToClient, { type: 'request' }>).request, 5)
  refusal.writeUInt16BE(65_535, 9)
  socket.write(refusal)
  await rejects(answer, (error) => error instanceof BusError && error.detail === '\ufffd'.repeat(65_535 / 3))
})

test('a text that is too long is cut between two characters', () => {
  const error = { type: 'error', id: 1, failure: 1 } as const
  const sent = clientCodec.encode({ ...error, message: `${'x'.repeat(65_533)}\u{1f600}` })
  deepEqual(clientCodec.decode(sent.subarray(4)), { ...error, message: 'x'.repeat(65_533) })
})

test('a lease ends when its time by the server is over, not before; a new server gives it its whole time', async (t) => {
  const { server, clock, directory, socketPath, join: joinBus } = await serverHere(t)
  const { socket, frames } = await raw(t, socketPath)
  const answer = async (message: ToServer): Promise<ToClient> => {
    const before = frames.length
    socket.write(serverCodec.encode(message))
    await settled(() => frames.length > before)
    return frames[before]!
  }
  await answer(hello)
  const taken = await answer({ type: 'acquire', id: 1, lease: 'x', holder: 'raw', ttl_ms: 1000 })
  const epoch = (taken as Extract<ToClient, { type: 'done' }>).number
  const bus = await joinBus('other')
  const acquire = () => bus.acquireLease('x', { holder: 'other', ttl_ms: 1000 })
  clock.advance(900)
  equal((await answer({ type: 'renew', id: 2, lease: 'x', epoch })).type, 'done')
  clock.advance(999)
  await rejects(acquire(), /lease-held/)
  await server.close()
  await settled(() => !bus.connected)
  const later = new ManualClock()
  const options = { socketPath, directory: join(directory, 'bus'), clock: later, log: silent }
  const second = await startServer(options)
  t.after(() => second.close())
  await bus.whenConnected(5000)
  later.advance(999)
  await rejects(acquire(), /lease-held/)
  later.advance(2)
  ok((await acquire()).epoch > epoch)
})

test('a client in another network namespace is as good as any', {
  skip: process.getuid!() !== 0 && 'needs root',
}, async (t) => {
  const { socketPath, join: joinBus } = await serverHere(t)
  const bus = await joinBus('here')
  const heard = new Promise<string>((resolve) => bus.subscribe('far', ({ subject }) => resolve(subject)))
  const source = `
    const { connectBus } = await import('${here}/client.ts')
    const { systemClock } = await import('${here}/../../base/clock.ts')
    const { Random } = await import('${here}/../../base/random.ts')
    const bus = connectBus({ socketPath: '${socketPath}', name: 'far', clock: systemClock, random: new Random(1) })
    await bus.whenConnected(5000)
    bus.publish('far', new Uint8Array(0))
    await bus.close()`
  const far = spawn('unshare', ['--net', process.execPath, '--input-type=module', '--eval', source], {
    stdio: 'inherit',
  })
  t.after(() => far.kill('SIGKILL'))
  equal(await heard, 'far')
  await ended(far)
})

test('a store that was replaced is noticed: watches start over, consumers are told', async (t) => {
  const { server, directory, socketPath, join: joinBus } = await serverHere(t)
  const bus = await joinBus('old')
  const stream = bus.stream('s', { entriesMax: 10, bytesMax: 1000 })
  await stream.append(new Uint8Array(1))
  await bus.bucket('b').put('gone', new Uint8Array(1))
  const changes: string[] = []
  await bus.bucket('b').watch('>', ({ key, value }) => changes.push(`${key} ${value?.length}`)).ready
  const consuming = (async () => {
    for await (const _ of stream.consume(1, { signal: new AbortController().signal }));
  })()
  const told = rejects(consuming, (error) => error instanceof BusError && error.code === 'wrong-sequence')
  await server.close()
  await settled(() => !bus.connected)
  // The other store has seen more than the old one, so that nothing but its name gives it away.
  const other = { directory: join(directory, 'other'), clock: systemClock, log: silent }
  const before = await startServer({ ...other, socketPath: join(directory, 'other.sock') })
  const writer = client(join(directory, 'other.sock'), 'writer')
  await writer.whenConnected(5000)
  for (let i = 0; i < 5; i++) await writer.bucket('b').put('fresh', new Uint8Array(2))
  for (let i = 0; i < 5; i++) await writer.stream('s', { entriesMax: 10, bytesMax: 1000 }).append(new Uint8Array(1))
  await writer.close()
  await before.close()
  const second = await startServer({ ...other, socketPath })
  t.after(() => second.close())
  await told
  await settled(() => changes.length === 3)
  deepEqual(changes.toSorted(), ['fresh 2', 'gone 1', 'gone undefined'])
})

/** Waits for what only shows in state: looks after each turn of the event loop. */
async function settled(condition: () => boolean): Promise<void> {
  const end = performance.now() + 10_000
  while (!condition()) {
    ok(performance.now() < end, 'it never came about')
    await new Promise((resolve) => setImmediate(resolve))
  }
}
