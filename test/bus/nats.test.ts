/** The bus over NATS under the suite of every bus, on a real server, and what only it promises. */

import { deepEqual, equal, ok, rejects } from 'node:assert/strict'
import { test } from 'node:test'
import { type JetStreamManager, jetstreamManager } from '@nats-io/jetstream'
import { connect } from '@nats-io/transport-node'
import { NatsServer } from '../../lab/nats/server.ts'
import { lacks } from '../../lab/needs.ts'
import { ManualClock } from '../../src/base/clock.ts'
import { namesOf } from '../../src/bus/nats/names.ts'
import { type BusHarness, bytes, limits, Seen, text, withCode } from '../../src/bus/suite/site.ts'
import { busSuite } from '../../src/bus/suite.ts'
import { natsClient, natsHere, SITE } from './nats-clients.ts'
import { natsHarness } from './nats-harness.ts'

const skip = lacks('nats-server')

async function harness(): Promise<BusHarness> {
  const server = await NatsServer.start()
  const start = () => server.start()
  return natsHarness([server.address], { start, kill: () => server.kill(), stop: () => server.stop() })
}

if (skip) test('the bus over NATS', { skip }, () => {})
else busSuite('NATS', harness)

/** Does to the server's streams and consumers what nobody told our client of. */
async function behindItsBack(server: NatsServer, work: (manager: JetStreamManager) => Promise<void>): Promise<void> {
  const connection = await connect({ servers: server.address })
  await work(await jetstreamManager(connection))
  await connection.close()
}

/** What a watch and a consumer have seen, by a client that is told nothing. */
async function readers(here: Awaited<ReturnType<typeof natsHere>>) {
  const [writer, reader] = [await here.join('writer'), await here.join('reader')]
  const [stream, bucket] = [writer.stream('s', limits), writer.bucket('b')]
  await stream.append(bytes('1'))
  await bucket.put('a', bytes('1'))
  const [changes, entries] = [new Seen<string>(), new Seen<string>()]
  await reader.bucket('b').watch('>', ({ key, value }) => changes.add(`${key} ${text(value)}`)).ready
  const abort = new AbortController()
  const consuming = (async () => {
    for await (const { sequence } of reader.stream('s', limits).consume(1, { signal: abort.signal }))
      entries.add(`${sequence}`)
  })()
  await entries.count(1)
  const stop = async (): Promise<void> => {
    abort.abort()
    await consuming
  }
  return { stream, bucket, changes, entries, consuming, stop }
}

test('consumers that the server has forgotten are made again, and nothing is missed or told twice', {
  skip,
}, async (t) => {
  const here = await natsHere(t)
  const { stream, bucket, changes, entries, stop } = await readers(here)
  const names = namesOf(SITE)
  for (const round of [2, 3]) {
    await behindItsBack(here.server, async ({ consumers }) => {
      for (const { stream: name } of [names.stream('s'), names.bucket('b')])
        for (const { name: consumer } of await consumers.list(name).next()) await consumers.delete(name, consumer)
    })
    await stream.append(bytes('x'))
    await bucket.put('a', bytes(String(round)))
    await Promise.all([changes.count(round), entries.count(round)])
  }
  await stop()
  deepEqual(changes.list, ['a 1', 'a 2', 'a 3'])
  deepEqual(entries.list, ['1', '2', '3'])
})

test('a server that stands still for longer than its heartbeats is read on when it goes on', { skip }, async (t) => {
  const here = await natsHere(t)
  const { stream, bucket, changes, entries, stop } = await readers(here)
  here.server.signal('SIGSTOP')
  await rejects(bucket.get('a'), withCode('timeout'))
  here.server.signal('SIGCONT')
  await stream.append(bytes('2'))
  await bucket.put('a', bytes('2'))
  await Promise.all([changes.count(2), entries.count(2)])
  await stop()
  deepEqual(changes.list, ['a 1', 'a 2'])
  deepEqual(entries.list, ['1', '2'])
})

test('a stream or bucket that was replaced is noticed: consumers are told, watches start over', { skip }, async (t) => {
  const here = await natsHere(t)
  const { stream, bucket, changes, consuming } = await readers(here)
  await bucket.put('gone', bytes('1'))
  await changes.count(2)
  const told = rejects(consuming, withCode('wrong-sequence'))
  const names = namesOf(SITE)
  await behindItsBack(here.server, async ({ streams }) => {
    await streams.delete(names.stream('s').stream)
    await streams.delete(names.bucket('b').stream)
  })
  const other = await here.join('other')
  await other.stream('s', limits).append(bytes('other'))
  // It has seen more than the old one, so that nothing but its age gives it away.
  for (let i = 0; i < 9; i++) await other.bucket('b').put('passing', bytes('x'))
  await other.bucket('b').delete('passing')
  await other.bucket('b').put('a', bytes('other'))
  await told
  await changes.count(4)
  deepEqual(changes.list.slice(2).toSorted(), ['a other', 'gone undefined'])
  equal(text((await stream.read(1))[0]?.payload), 'other')
})

test('a lease is free after its whole time by the clock of whoever wants it, and its holder knows', {
  skip,
}, async (t) => {
  const here = await natsHere(t)
  const [ours, theirs] = [new ManualClock(), new ManualClock()]
  const holder = await here.join('holder', { clock: theirs })
  const heir = await here.join('heir', { clock: ours })
  const lease = await holder.acquireLease('x', { holder: 'holder', ttl_ms: 1000 })
  const shown = new Seen<string>()
  heir.watchLease('x', (present) => shown.add(present?.holder ?? 'nobody'))
  await shown.count(1)
  const acquire = () => heir.acquireLease('x', { holder: 'heir', ttl_ms: 1000 })
  await rejects(acquire(), withCode('lease-held'))
  ours.advance(999)
  await rejects(acquire(), withCode('lease-held'))
  // Renewed once, and so it has its whole time again.
  theirs.advance(334)
  await holder.bucket('other').get('x')
  await rejects(acquire(), withCode('lease-held'))
  ours.advance(999)
  await rejects(acquire(), withCode('lease-held'))
  ours.advance(2)
  await shown.count(2)
  const next = await acquire()
  ok(next.epoch > lease.epoch)
  theirs.advance(400)
  await lease.lost
  await shown.count(3)
  deepEqual(shown.list, ['holder', 'nobody', 'heir'])
})

test("renewals that overtake each other are all the holder's own, and it keeps its lease", { skip }, async (t) => {
  const here = await natsHere(t)
  const clock = new ManualClock()
  const holder = await here.join('holder', { clock })
  const lease = await holder.acquireLease('x', { holder: 'holder', ttl_ms: 1000 })
  // The server answers neither before it has got both.
  here.server.signal('SIGSTOP')
  clock.advance(334)
  clock.advance(334)
  here.server.signal('SIGCONT')
  for (let i = 0; i < 5; i++) await holder.bucket('other').put('key', bytes('x'))
  clock.advance(500)
  ok(lease.held)
})

test('what is published faster than the server reads is dropped and counted, and calls go on', {
  skip,
}, async (t) => {
  const here = await natsHere(t)
  const publisher = await here.join('publisher')
  here.server.signal('SIGSTOP')
  for (let i = 0; i < 300; i++) publisher.publish('flood', new Uint8Array(100_000))
  here.server.signal('SIGCONT')
  const { published, dropped } = publisher.counters
  equal(published + dropped, 300)
  ok(published > 50 && dropped > 150, `${published} published`)
  await publisher.bucket('b').put('key', bytes('x'))
  publisher.publish('flood', new Uint8Array(100_000))
  equal(publisher.counters.published, published + 1)
})

test('without a server whenConnected says so, and closing ends it all', async () => {
  const bus = natsClient(['127.0.0.1:1'], 'early')
  const watch = bus.bucket('x').watch('>', () => {})
  const subscription = bus.subscribe('x', () => {})
  await rejects(bus.whenConnected(50), /disconnected: .*refused/)
  const waiting = bus.whenConnected(10_000)
  await Promise.all([rejects(waiting, /closed/), rejects(watch.ready, /closed/), bus.close()])
  await rejects(subscription.ready, /closed/)
  await rejects(bus.bucket('x').get('a'), /closed/)
})

test('an entry that its stream could not keep is refused', { skip }, async (t) => {
  const here = await natsHere(t)
  const stream = (await here.join('writer')).stream('small', { entriesMax: 10, bytesMax: 1000 })
  await rejects(stream.append(new Uint8Array(1000)), withCode('too-large'))
  equal(await stream.append(new Uint8Array(500)), 1)
  equal((await stream.read(1))[0]?.payload.length, 500)
})

test('sites on one server do not see each other', { skip }, async (t) => {
  const here = await natsHere(t)
  const [ours, other] = [await here.join('a', { site: 'one' }), await here.join('a', { site: 'two' })]
  await ours.bucket('b').put('key', bytes('ours'))
  equal(await other.bucket('b').get('key'), undefined)
  const seen = new Seen<string>()
  await other.subscribe('>', ({ subject }) => seen.add(subject)).ready
  ours.publish('hello', bytes(''))
  await ours.bucket('b').get('key')
  other.publish('end', bytes(''))
  await seen.count(1)
  deepEqual(seen.list, ['end'])
})
