/**
 * The bus over three nats-servers, with everything on all three: leaders and followers are killed under those who write,
 * read, watch and hold leases. It prints how long each had to wait; what it asserts is that nothing is lost or doubled,
 * and that all go on.
 */

import { deepEqual, equal, ok } from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { NatsCluster } from '../../lab/nats/cluster.ts'
import { lacks } from '../../lab/needs.ts'
import { systemClock } from '../../src/base/clock.ts'
import { type Bus, campaign } from '../../src/bus/bus.ts'
import { namesOf } from '../../src/bus/nats/names.ts'
import { appendOnce, bytes, codeOf, collect, limits, PATIENCE_ms, Seen, text } from '../../src/bus/suite/site.ts'
import { natsClient, SITE } from './nats-clients.ts'

const skip = lacks('nats-server')
const { signal } = new AbortController()

class Cluster {
  readonly nats: NatsCluster
  readonly #clients: Bus[] = []

  static async start(t: TestContext): Promise<Cluster> {
    const cluster = new Cluster(await NatsCluster.start())
    t.after(() => cluster.#stop())
    return cluster
  }

  constructor(nats: NatsCluster) {
    this.nats = nats
  }

  /** Connected, to any of them, and JetStream has a leader. */
  async join(name: string): Promise<Bus> {
    const bus = natsClient(this.nats.addresses, name, { replicas: 3 })
    this.#clients.push(bus)
    await bus.whenConnected(PATIENCE_ms)
    await persist(bus, () => bus.bucket('joined').put(name, bytes('')))
    return bus
  }

  async #stop(): Promise<void> {
    await Promise.all(this.#clients.map((bus) => bus.close()))
    await this.nats.stop()
  }
}

/** While nobody leads, calls time out. */
async function persist<T>(bus: Bus, call: () => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await call()
    } catch (error) {
      const code = codeOf(error)
      ok(attempt < 10 && ['disconnected', 'timeout', 'storage', 'failed'].includes(code), String(error))
      await bus.whenConnected(PATIENCE_ms)
    }
  }
}

/** The longest that one call took. */
class Longest {
  ms = 0

  async of<T>(call: () => Promise<T>): Promise<T> {
    const before_us = systemClock.now_us()
    const result = await call()
    this.ms = Math.max(this.ms, (systemClock.now_us() - before_us) / 1000)
    return result
  }

  toString(): string {
    return `${(this.ms / 1000).toFixed(2)} s`
  }
}

test('leaders and followers are killed under a writer, a consumer and a watch', { skip }, async (t) => {
  const cluster = await Cluster.start(t)
  const [writer, reader] = [await cluster.join('writer'), await cluster.join('reader')]
  const stream = writer.stream('s', limits)
  const bucket = writer.bucket('b')
  await persist(writer, () => stream.append(bytes('1'), { expectLast: 0 }))
  await persist(writer, () => bucket.put('last', bytes('1')))
  const [entries, values] = [new Seen<number>(), new Seen<number>()]
  await reader.bucket('b').watch('last', ({ value }) => values.add(Number(text(value)))).ready
  const abort = new AbortController()
  const consuming = (async () => {
    for await (const entry of reader.stream('s', limits).consume(1, { signal: abort.signal }))
      entries.add(entry.sequence)
  })()
  const names = namesOf(SITE)
  let last = 1
  const advance = async (): Promise<string> => {
    const [appending, putting] = [new Longest(), new Longest()]
    for (const end = last + 100; last < end; last++) {
      await appending.of(() => appendOnce(writer, stream, bytes(String(last + 1)), last))
      await putting.of(() => persist(writer, () => bucket.put('last', bytes(String(last + 1)))))
    }
    return `append ${appending}, put ${putting}`
  }
  t.diagnostic(`nothing is killed: ${await advance()}`)
  for (const victim of ['leader', 'follower'] as const)
    for (const place of [names.stream('s'), names.bucket('b')]) {
      const killed = (await cluster.nats.rolesOf(place.stream))[victim]
      await killed.kill()
      t.diagnostic(`${place.stream}'s ${victim} is killed: ${await advance()}`)
      await Promise.all([entries.until((list) => list.at(-1) === last), values.until((list) => list.at(-1) === last)])
      await killed.start()
      t.diagnostic(`it comes back: ${await advance()}`)
    }
  await Promise.all([entries.until((list) => list.at(-1) === last), values.until((list) => list.at(-1) === last)])
  abort.abort()
  await consuming
  const expected = Array.from({ length: last }, (_, i) => i + 1)
  deepEqual(entries.list, expected)
  deepEqual(
    values.list,
    values.list.toSorted((a, b) => a - b),
  )
  const stored = await collect(reader.stream('s', limits), last)
  deepEqual(
    stored.map(({ payload }) => Number(text(payload))),
    expected,
  )
})

test('plain messages and requests go on while a stream has no leader', { skip }, async (t) => {
  const cluster = await Cluster.start(t)
  const [asker, responder] = [await cluster.join('asker'), await cluster.join('responder')]
  await persist(asker, () => asker.stream('s', limits).append(bytes('1')))
  await responder.respond('ask', ({ payload }) => payload).ready
  const { leader } = await cluster.nats.rolesOf(namesOf(SITE).stream('s').stream)
  const waiting = new Longest()
  await leader.kill()
  const stalled = new Longest()
  const appending = stalled.of(() => persist(asker, () => asker.stream('s', limits).append(bytes('2'))))
  for (let i = 0; i < 100; i++) {
    const ask = async (): Promise<Uint8Array> => {
      for (const end_us = systemClock.now_us() + PATIENCE_ms * 1000; ; ) {
        try {
          return await asker.request('ask', bytes(String(i)), { timeout_ms: 200 })
        } catch (error) {
          ok(systemClock.now_us() < end_us, String(error))
          await asker.whenConnected(PATIENCE_ms)
        }
      }
    }
    equal(text(await waiting.of(ask)), String(i))
  }
  await appending
  t.diagnostic(`a request waited ${waiting} at most, an append ${stalled}`)
})

test('a lease is held again after its holder died, and after the leader of the leases did', {
  skip,
}, async (t) => {
  const cluster = await Cluster.start(t)
  const [holder, heir] = [await cluster.join('holder'), await cluster.join('heir')]
  const ttl_ms = 1000
  const first = await persist(holder, () => holder.acquireLease('x', { holder: 'holder', ttl_ms }))
  const waiting = campaign(heir, 'x', { holder: 'heir', ttl_ms }, signal)
  await holder.close()
  const freed = new Longest()
  const second = await freed.of(() => waiting)
  t.diagnostic(`a holder that dies, of ${ttl_ms} ms: the next after ${freed}`)
  ok(second.epoch > first.epoch)
  const { leader } = await cluster.nats.rolesOf(namesOf(SITE).leases.stream)
  await leader.kill()
  // The election takes longer than the lease lasts.
  const again = second.lost.then(() => campaign(heir, 'x', { holder: 'heir', ttl_ms }, signal))
  const third = await freed.of(() => again)
  t.diagnostic(`a leader of the leases that dies: held again after ${freed}`)
  ok(third.held && third.epoch > second.epoch)
  await third.release()
})
