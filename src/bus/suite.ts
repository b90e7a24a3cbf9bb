/**
 * What every bus must do, whatever it is made of. An implementation hands in a harness that runs its server, kills it the
 * hard way and starts it again over the same data; the tests then read as the contract in bus.ts does.
 */

import { deepEqual, equal, ok, rejects, throws } from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { type Bus, BusError, type BusErrorCode, campaign, PAYLOAD_BYTES_MAX, type StreamEntry } from './bus.ts'

export interface SpawnedClient {
  /** The next line that it prints. */
  line(): Promise<string>
  pause(): void
  resume(): void
  /** kill -9. */
  kill(): Promise<void>
}

export interface BusHarness {
  /** A new client; the suite closes it. */
  client(name: string): Bus
  /** kill -9. Resolves when the process is gone. */
  kill(): Promise<void>
  start(): Promise<void>
  /** A client in a process of its own that runs `clientSource` (an async function body with `bus` in scope), to be killed. */
  spawnClient(clientSource: string): Promise<SpawnedClient>
  stop(): Promise<void>
}

const bytes = (text: string): Uint8Array => Buffer.from(text)
const text = (payload: Uint8Array | undefined): string | undefined => payload && Buffer.from(payload).toString()
const withCode = (code: BusErrorCode) => (error: unknown) => error instanceof BusError && error.code === code
const limits = { entriesMax: 100_000, bytesMax: 64 * 1024 * 1024 }

/** Collects what a handler gets, and waits until that is as it should be. */
class Seen<T> {
  readonly list: T[] = []
  #check = (): void => {}

  readonly add = (value: T): void => {
    this.list.push(value)
    this.#check()
  }

  until(condition: (list: readonly T[]) => boolean): Promise<void> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error(`still only ${JSON.stringify(this.list.slice(-5))}`)), 10_000)
      this.#check = () => {
        if (!condition(this.list)) return
        clearTimeout(timer)
        resolve()
      }
      this.#check()
    })
  }

  count(wanted: number): Promise<void> {
    return this.until((list) => list.length >= wanted)
  }
}

interface Site {
  harness: BusHarness
  /** A client that is connected, closed after the test. */
  join(name: string): Promise<Bus>
}

export function busSuite(implementation: string, make: () => Promise<BusHarness>): void {
  describe(`bus over ${implementation}`, () => {
    const clients: Bus[] = []
    const site = {} as Site
    before(async () => {
      site.harness = await make()
      site.join = async (name) => {
        const bus = site.harness.client(name)
        clients.push(bus)
        await bus.whenConnected(10_000)
        return bus
      }
    })
    after(async () => {
      await Promise.all(clients.map((bus) => bus.close()))
      await site.harness?.stop()
    })
    publishing(site)
    requests(site)
    streams(site)
    buckets(site)
    leases(site)
    crashes(site)
  })
}

function publishing(site: Site): void {
  test('messages of one publisher arrive in the order of sending, also at itself', async () => {
    const [a, b] = [await site.join('a'), await site.join('b')]
    const [atA, atB] = [new Seen<string>(), new Seen<string>()]
    await a.subscribe('order.x', ({ payload }) => atA.add(text(payload)!)).ready
    await b.subscribe('order.x', ({ payload }) => atB.add(text(payload)!)).ready
    const sent = Array.from({ length: 5000 }, (_, i) => String(i))
    for (const one of sent) a.publish('order.x', bytes(one))
    await Promise.all([atA.count(sent.length), atB.count(sent.length)])
    deepEqual(atA.list, sent)
    deepEqual(atB.list, sent)
    equal(b.counters.received, sent.length)
  })

  test('a star is one token and a last > is one or more', async () => {
    const bus = await site.join('wild')
    const seen = new Seen<string>()
    for (const pattern of ['wild.*.c', 'wild.>', 'wild.b', '*.b'])
      await bus.subscribe(pattern, ({ subject }) => seen.add(`${pattern} ${subject}`)).ready
    for (const subject of ['wild', 'wild.b', 'wild.b.c', 'wild.b.c.d', 'other.b', 'wild.b.d']) {
      bus.publish(subject, bytes(''))
    }
    bus.publish('wild.end', bytes(''))
    await seen.until((list) => list.at(-1) === 'wild.> wild.end')
    deepEqual(seen.list.toSorted(), [
      '*.b other.b',
      '*.b wild.b',
      'wild.*.c wild.b.c',
      'wild.> wild.b',
      'wild.> wild.b.c',
      'wild.> wild.b.c.d',
      'wild.> wild.b.d',
      'wild.> wild.end',
      'wild.b wild.b',
    ])
  })

  test('a closed subscription hears nothing more', async () => {
    const bus = await site.join('close')
    const [first, second] = [new Seen<string>(), new Seen<string>()]
    const subscription = bus.subscribe('closing', ({ payload }) => first.add(text(payload)!))
    await subscription.ready
    await bus.subscribe('closing', ({ payload }) => second.add(text(payload)!)).ready
    bus.publish('closing', bytes('1'))
    await second.count(1)
    subscription.close()
    bus.publish('closing', bytes('2'))
    await second.count(2)
    deepEqual(first.list, ['1'])
  })

  test('what is malformed or too large is refused before it leaves', async () => {
    const bus = await site.join('strict')
    for (const subject of ['', '.', 'a..b', 'a.', 'a b', 'a.*', '>', 'é', 'x'.repeat(300)])
      throws(() => bus.publish(subject, bytes('')), withCode('bad-name'), subject)
    for (const pattern of ['', 'a.>.b', 'a*', '.>', 'a.b>'])
      throws(() => bus.subscribe(pattern, () => {}), withCode('bad-name'), pattern)
    throws(() => bus.publish('large', new Uint8Array(PAYLOAD_BYTES_MAX + 1)), withCode('too-large'))
    await rejects(bus.bucket('strict').put('a..b', bytes('')), withCode('bad-name'))
    await rejects(bus.bucket('strict').put('a', new Uint8Array(PAYLOAD_BYTES_MAX + 1)), withCode('too-large'))
    throws(() => bus.bucket('a.b'), withCode('bad-name'))
  })

  test('the largest payload passes whole, everywhere', async () => {
    const bus = await site.join('large')
    const payload = new Uint8Array(PAYLOAD_BYTES_MAX).map((_, i) => i * 7)
    const seen = new Seen<Uint8Array>()
    await bus.subscribe('large.>', (message) => seen.add(message.payload)).ready
    await bus.respond('large.echo', (message) => message.payload).ready
    bus.publish('large.x', payload)
    await seen.count(1)
    const stream = bus.stream('large', limits)
    await stream.append(payload)
    await bus.bucket('large').put('key', payload)
    const found = [
      seen.list[0],
      await bus.request('large.echo', payload, { timeout_ms: 5000 }),
      (await stream.read(1))[0]?.payload,
      (await bus.bucket('large').get('key'))?.value,
    ]
    for (const one of found) ok(one && Buffer.compare(one, payload) === 0)
  })

  test('what is handed in is copied before the call returns', async () => {
    const bus = await site.join('copy')
    const payload = bytes('before')
    const stream = bus.stream('copy', limits)
    const writes = [stream.append(payload), bus.bucket('copy').put('key', payload)]
    payload.fill(0)
    await Promise.all(writes)
    equal(text((await stream.read(1))[0]?.payload), 'before')
    equal(text((await bus.bucket('copy').get('key'))?.value), 'before')
  })
}

function requests(site: Site): void {
  const timeout_ms = 5000

  test('a request is answered, by whoever is first of several', async () => {
    const [a, b, asker] = [await site.join('a'), await site.join('b'), await site.join('asker')]
    await a.respond('double.*', async ({ subject, payload }) => bytes(`${subject} ${text(payload)}${text(payload)}`))
      .ready
    equal(text(await asker.request('double.x', bytes('ab'), { timeout_ms })), 'double.x abab')
    await b.respond('double.y', () => bytes('b')).ready
    await a.respond('double.y', () => new Promise(() => {})).ready
    const answer = text(await asker.request('double.y', bytes('z'), { timeout_ms }))
    ok(answer === 'b' || answer === 'double.y zz')
  })

  test('without a responder it fails at once, and plain subscribers are none', async () => {
    const bus = await site.join('lonely')
    const seen = new Seen<string>()
    await bus.subscribe('lonely', ({ subject }) => seen.add(subject)).ready
    await rejects(bus.request('lonely', bytes(''), { timeout_ms }), withCode('no-responders'))
    deepEqual(seen.list, [])
  })

  test('a responder that is silent costs a time-out, one that fails a named failure', async () => {
    const bus = await site.join('bad')
    await bus.respond('silent', () => new Promise(() => {})).ready
    await bus.respond('failing', () => Promise.reject(new Error('no such tenant'))).ready
    await rejects(bus.request('silent', bytes(''), { timeout_ms: 50 }), withCode('timeout'))
    await rejects(bus.request('failing', bytes(''), { timeout_ms }), /failed: no such tenant/)
  })

  test('a responder that leaves without an answer does not hold up the requester for good', async () => {
    const [leaver, asker] = [await site.join('leaver'), await site.join('asker')]
    const asked = Promise.withResolvers<void>()
    await leaver.respond('leaving', () => {
      asked.resolve()
      return new Promise(() => {})
    }).ready
    const outcome = rejects(
      asker.request('leaving', bytes(''), { timeout_ms: 1000 }),
      (error) => withCode('no-responders')(error) || withCode('timeout')(error),
    )
    await asked.promise
    await leaver.close()
    await outcome
  })

  test('hundreds of requests at once find their own answers', async () => {
    const [server, asker] = [await site.join('server'), await site.join('asker')]
    await server.respond('echo', ({ payload }) => payload).ready
    const asked = Array.from({ length: 500 }, (_, i) => String(i))
    const answers = await Promise.all(asked.map((one) => asker.request('echo', bytes(one), { timeout_ms })))
    deepEqual(answers.map(text), asked)
  })
}

async function take(source: AsyncIterable<StreamEntry>, count: number): Promise<string[]> {
  const found: string[] = []
  for await (const { sequence, payload } of source) {
    found.push(`${sequence} ${text(payload)}`)
    if (found.length === count) break
  }
  return found
}

function streams(site: Site): void {
  const never = new AbortController().signal

  test('a stream replays from any position and goes on with what is appended meanwhile', async () => {
    const [writer, reader] = [await site.join('writer'), await site.join('reader')]
    const stream = writer.stream('replay', limits)
    for (const one of ['a', 'b', 'c']) await stream.append(bytes(one))
    const consumed = take(reader.stream('replay', limits).consume(2, { signal: never }), 4)
    equal(await stream.append(bytes('d')), 4)
    equal(await stream.append(bytes('e')), 5)
    deepEqual(await consumed, ['2 b', '3 c', '4 d', '5 e'])
    deepEqual(await stream.bounds(), { first: 1, last: 5 })
  })

  test('a stream longer than a page is read whole, in order, while it grows', async () => {
    const [writer, reader] = [await site.join('writer'), await site.join('reader')]
    const stream = writer.stream('long', limits)
    const filler = 'x'.repeat(1000)
    const count = 2000
    const appends: Promise<number>[] = []
    const consumed = take(reader.stream('long', limits).consume(1, { signal: never }), count)
    for (let i = 1; i <= count; i++) appends.push(stream.append(bytes(`${i}${filler}`)))
    deepEqual(
      await Promise.all(appends),
      Array.from({ length: count }, (_, i) => i + 1),
    )
    deepEqual(
      await consumed,
      Array.from({ length: count }, (_, i) => `${i + 1} ${i + 1}${filler}`),
    )
  })

  test('the limits remove the oldest entries, and a late reader sees the gap', async () => {
    const bus = await site.join('limited')
    const counted = bus.stream('limited-count', { entriesMax: 3, bytesMax: 1e6 })
    for (let i = 1; i <= 10; i++) await counted.append(bytes(String(i)))
    deepEqual(await counted.bounds(), { first: 8, last: 10 })
    deepEqual(await take(counted.consume(1, { signal: never }), 3), ['8 8', '9 9', '10 10'])
    const sized = bus.stream('limited-bytes', { entriesMax: 1e6, bytesMax: 100_000 })
    for (let i = 1; i <= 50; i++) await sized.append(new Uint8Array(10_000))
    const { first, last } = await sized.bounds()
    equal(last, 50)
    ok(first > 40 && first <= 42, `first is ${first}`)
    equal((await sized.read(first))[0]?.sequence, first)
  })

  test('an append that expects another end is refused, so one writer can repeat itself safely', async () => {
    const bus = await site.join('expecting')
    const stream = bus.stream('expecting', limits)
    equal(await stream.append(bytes('a'), { expectLast: 0 }), 1)
    await rejects(stream.append(bytes('a'), { expectLast: 0 }), withCode('wrong-sequence'))
    equal(await stream.append(bytes('b'), { expectLast: 1 }), 2)
    deepEqual(
      (await stream.read(1)).map(({ payload }) => text(payload)),
      ['a', 'b'],
    )
  })

  test('a position that the stream never reached is an error, the end is not', async () => {
    const bus = await site.join('beyond')
    const stream = bus.stream('beyond', limits)
    await stream.append(bytes('a'))
    deepEqual(await stream.read(2), [])
    await rejects(stream.read(3), withCode('wrong-sequence'))
    await rejects(take(stream.consume(9, { signal: never }), 1), withCode('wrong-sequence'))
  })

  test('a consumer stops at its signal', async () => {
    const bus = await site.join('stopping')
    const abort = new AbortController()
    const found: number[] = []
    const stream = bus.stream('stopping', limits)
    await stream.append(bytes('a'))
    for await (const { sequence } of stream.consume(1, { signal: abort.signal })) {
      found.push(sequence)
      setImmediate(() => abort.abort())
    }
    deepEqual(found, [1])
  })

  test('a consumer that crashes goes on from the position that it stored', async () => {
    const bus = await site.join('writer')
    const stream = bus.stream('crashing', limits)
    for (let i = 1; i <= 20; i++) await stream.append(bytes(String(i)))
    const source = `
      const position = bus.bucket('crashing-position')
      const from = Number(Buffer.from((await position.get('reader'))?.value ?? Buffer.from('0'))) + 1
      const stream = bus.stream('crashing', ${JSON.stringify(limits)})
      for await (const { sequence } of stream.consume(from, { signal: new AbortController().signal })) {
        await bus.bucket('crashing-done').put(String(sequence), Buffer.from('x'), { revision: 0 })
        await position.put('reader', Buffer.from(String(sequence)))
        if (sequence === 7 || sequence === 20) console.log(sequence)
        if (sequence === 7) await new Promise(() => {})
      }`
    const first = await site.harness.spawnClient(source)
    equal(await first.line(), '7')
    await first.kill()
    const second = await site.harness.spawnClient(source)
    equal(await second.line(), '20')
    await second.kill()
    equal((await bus.bucket('crashing-done').entries('>')).length, 20)
  })
}

function buckets(site: Site): void {
  test('put, get, delete; every change has a higher revision; empty values are values', async () => {
    const bucket = (await site.join('kv')).bucket('kv')
    equal(await bucket.get('a'), undefined)
    const first = await bucket.put('a', bytes('1'))
    const second = await bucket.put('a', bytes(''))
    ok(second > first)
    const entry = await bucket.get('a')
    deepEqual([entry?.key, text(entry?.value), entry?.revision], ['a', '', second])
    await bucket.delete('a')
    equal(await bucket.get('a'), undefined)
    await bucket.delete('a')
    ok((await bucket.put('a', bytes('2'))) > second + 1)
  })

  test('a put that expects another revision loses', async () => {
    const bucket = (await site.join('cas')).bucket('cas')
    const first = await bucket.put('a', bytes('1'), { revision: 0 })
    await rejects(bucket.put('a', bytes('2'), { revision: 0 }), withCode('wrong-revision'))
    const second = await bucket.put('a', bytes('2'), { revision: first })
    await rejects(bucket.put('a', bytes('3'), { revision: first }), withCode('wrong-revision'))
    await rejects(bucket.delete('a', { revision: first }), withCode('wrong-revision'))
    await bucket.delete('a', { revision: second })
    await bucket.put('a', bytes('4'), { revision: 0 })
    equal(text((await bucket.get('a'))?.value), '4')
  })

  test('of writers that race with compare-and-set each counts once', async () => {
    const names = ['a', 'b', 'c', 'd']
    const increments = 50
    await Promise.all(
      names.map(async (name) => {
        const bucket = (await site.join(name)).bucket('race')
        for (let done = 0; done < increments; ) {
          const entry = await bucket.get('n')
          const next = bytes(String(Number(text(entry?.value) ?? 0) + 1))
          await bucket.put('n', next, { revision: entry?.revision ?? 0 }).then(
            () => done++,
            (error) => ok(withCode('wrong-revision')(error)),
          )
        }
      }),
    )
    const bucket = (await site.join('reader')).bucket('race')
    equal(text((await bucket.get('n'))?.value), String(names.length * increments))
  })

  test('a watch hands over what is there, is ready, and then every change', async () => {
    const [writer, watcher] = [await site.join('writer'), await site.join('watcher')]
    const bucket = writer.bucket('watched')
    for (const key of ['a.1', 'a.2', 'b.1']) await bucket.put(key, bytes(key))
    await bucket.delete('a.2')
    const seen = new Seen<string>()
    const watch = watcher.bucket('watched').watch('a.*', ({ key, value }) => seen.add(`${key} ${text(value)}`))
    await watch.ready
    deepEqual(seen.list, ['a.1 a.1'])
    await bucket.put('b.2', bytes('not ours'))
    await bucket.put('a.3', bytes('new'))
    await seen.count(2)
    await bucket.delete('a.1')
    await seen.count(3)
    watch.close()
    await bucket.put('a.4', bytes('too late'))
    equal(text((await watcher.bucket('watched').get('a.4'))?.value), 'too late')
    deepEqual(seen.list, ['a.1 a.1', 'a.3 new', 'a.1 undefined'])
  })

  test('a watch on an empty bucket is ready with nothing', async () => {
    const bus = await site.join('empty')
    const seen = new Seen<string>()
    await bus.bucket('empty').watch('>', ({ key }) => seen.add(key)).ready
    deepEqual(seen.list, [])
    await bus.bucket('empty').put('first', bytes('1'))
    await seen.count(1)
  })

  test('ten thousand keys are written, listed and watched', async () => {
    const [writer, watcher] = [await site.join('writer'), await site.join('watcher')]
    const bucket = writer.bucket('many')
    const keys = Array.from({ length: 10_000 }, (_, i) => `key.${i % 10}.${i}`)
    await Promise.all(keys.map((key) => bucket.put(key, bytes(`value of ${key}`))))
    const seen = new Seen<string>()
    await watcher.bucket('many').watch('>', ({ key }) => seen.add(key)).ready
    deepEqual(seen.list, keys)
    deepEqual(
      (await bucket.entries('key.3.*')).map(({ key }) => key),
      keys.filter((key) => key.startsWith('key.3.')),
    )
    await Promise.all(keys.slice(1000).map((key) => bucket.delete(key)))
    await seen.count(19_000)
    deepEqual((await bucket.entries('>')).length, 1000)
  })

  test('a watcher always gets the last value, however quickly it changes', async () => {
    const [writer, watcher] = [await site.join('writer'), await site.join('watcher')]
    const seen = new Seen<string>()
    await watcher.bucket('quick').watch('k', ({ value }) => seen.add(text(value)!)).ready
    const puts = Array.from({ length: 3000 }, (_, i) => writer.bucket('quick').put('k', bytes(String(i))))
    await Promise.all(puts)
    await seen.until((list) => list.at(-1) === '2999')
    const numbers = seen.list.map(Number)
    deepEqual(
      numbers,
      numbers.toSorted((a, b) => a - b),
    )
  })
}

function leases(site: Site): void {
  const ttl_ms = 400

  test('one holder at a time, and each new one has a higher epoch', async () => {
    const [a, b] = [await site.join('a'), await site.join('b')]
    const first = await a.acquireLease('leader', { holder: 'a', ttl_ms })
    await rejects(b.acquireLease('leader', { holder: 'b', ttl_ms }), withCode('lease-held'))
    ok(first.held)
    await first.release()
    ok(!first.held)
    await first.lost
    const second = await b.acquireLease('leader', { holder: 'b', ttl_ms })
    ok(second.epoch > first.epoch)
    await second.release()
  })

  test('it is renewed as long as its holder lives, and expires after it was killed', async () => {
    const bus = await site.join('heir')
    const holder = await site.harness.spawnClient(`
      const lease = await bus.acquireLease('mortal', { holder: 'mortal', ttl_ms: ${ttl_ms} })
      console.log(lease.epoch)
      await new Promise((resolve) => setTimeout(resolve, ${3 * ttl_ms}))
      console.log(lease.held)`)
    const epoch = Number(await holder.line())
    await rejects(bus.acquireLease('mortal', { holder: 'heir', ttl_ms }), withCode('lease-held'))
    equal(await holder.line(), 'true')
    await rejects(bus.acquireLease('mortal', { holder: 'heir', ttl_ms }), withCode('lease-held'))
    await holder.kill()
    const lease = await campaign(bus, 'mortal', { holder: 'heir', ttl_ms }, new AbortController().signal)
    ok(lease.epoch > epoch)
    await lease.release()
  })

  test('the same holder takes it from its former self, which learns of it', async () => {
    const [before, again] = [await site.join('before'), await site.join('again')]
    const old = await before.acquireLease('self', { holder: 'me', ttl_ms })
    const young = await again.acquireLease('self', { holder: 'me', ttl_ms })
    ok(young.epoch > old.epoch)
    await old.lost
    ok(young.held)
    await old.release()
    ok(young.held)
    await young.release()
  })

  test('a watch tells the holder, its end, and the next', async () => {
    const [a, watcher] = [await site.join('a'), await site.join('watcher')]
    const seen = new Seen<string>()
    watcher.watchLease('shown', (holder) => seen.add(holder ? holder.holder : 'nobody'))
    await seen.count(1)
    const lease = await a.acquireLease('shown', { holder: 'one', ttl_ms })
    await seen.count(2)
    await lease.release()
    await seen.count(3)
    const next = await a.acquireLease('shown', { holder: 'two', ttl_ms })
    await seen.count(4)
    await next.release()
    await seen.count(5)
    deepEqual(seen.list, ['nobody', 'one', 'nobody', 'two', 'nobody'])
  })

  test('campaigners take turns, and one that is stopped gives up', async () => {
    const [a, b, c] = [await site.join('a'), await site.join('b'), await site.join('c')]
    const { signal } = new AbortController()
    const first = await campaign(a, 'turns', { holder: 'a', ttl_ms }, signal)
    const abort = new AbortController()
    const third = rejects(campaign(c, 'turns', { holder: 'c', ttl_ms }, abort.signal), withCode('closed'))
    abort.abort()
    await third
    const second = campaign(b, 'turns', { holder: 'b', ttl_ms }, signal)
    await first.release()
    ok((await second).held)
    await (await second).release()
  })
}

function crashes(site: Site): void {
  test('a server killed in the middle: what was acknowledged is there, and all goes on by itself', async () => {
    const [writer, watcher] = [await site.join('writer'), await site.join('watcher')]
    const stream = writer.stream('durable', limits)
    const bucket = writer.bucket('durable')
    const changes = new Seen<string>()
    const messages = new Seen<string>()
    const entries = new Seen<string>()
    const connection = new Seen<boolean>()
    watcher.onConnection(connection.add)
    await watcher.bucket('durable').watch('>', ({ key, value }) => changes.add(`${key} ${text(value)}`)).ready
    await watcher.subscribe('durable', ({ payload }) => messages.add(text(payload)!)).ready
    await writer.respond('durable.ask', () => bytes('answer')).ready
    const reading = new AbortController()
    const consuming = (async () => {
      const source = watcher.stream('durable', limits).consume(1, { signal: reading.signal })
      for await (const { sequence, payload } of source) entries.add(`${sequence} ${text(payload)}`)
    })()
    const lease = await writer.acquireLease('durable', { holder: 'writer', ttl_ms: 10_000 })
    await bucket.put('kept', bytes('1'))
    await bucket.put('deleted', bytes('1'))

    const acknowledged: number[] = []
    const killed = Promise.withResolvers<void>()
    const writing = (async () => {
      try {
        for (let i = 1; ; i++) {
          await Promise.all([stream.append(bytes(String(i))), bucket.put('count', bytes(String(i)))])
          acknowledged.push(i)
          if (i === 200) killed.resolve()
        }
      } catch (error) {
        ok(error instanceof BusError && error.code === 'disconnected', String(error))
      }
    })()
    await killed.promise
    const waiting = rejects(watcher.request('durable.nobody', bytes(''), { timeout_ms: 5000 }))
    await site.harness.kill()
    await Promise.all([writing, waiting])
    await connection.until((list) => list.at(-1) === false)

    equal(writer.connected, false)
    const { dropped } = writer.counters
    writer.publish('durable', bytes('into the void'))
    equal(writer.counters.dropped, dropped + 1)
    await rejects(stream.append(bytes('x')), withCode('disconnected'))
    await rejects(bucket.put('x', bytes('x')), withCode('disconnected'))
    await rejects(writer.request('durable.ask', bytes(''), { timeout_ms: 100 }), withCode('disconnected'))

    await site.harness.start()
    await Promise.all([writer.whenConnected(10_000), watcher.whenConnected(10_000)])
    const count = acknowledged.length
    const { last } = await stream.bounds()
    ok(last === count || last === count + 1, `${count} acknowledged, ${last} there`)
    const stored = Number(text((await bucket.get('count'))?.value))
    ok(stored === count || stored === count + 1)
    ok(lease.held)
    await rejects(watcher.acquireLease('durable', { holder: 'watcher', ttl_ms: 1000 }), withCode('lease-held'))

    await bucket.delete('deleted')
    await bucket.put('after', bytes('1'))
    equal(await stream.append(bytes('last')), last + 1)
    await changes.until((list) => list.includes('after 1') && list.includes('deleted undefined'))
    await entries.until((list) => list.at(-1) === `${last + 1} last`)
    equal(entries.list.length, last + 1)
    await watcher.subscribe('durable.sync', () => {}).ready
    writer.publish('durable', bytes('after'))
    await messages.count(1)
    deepEqual(messages.list, ['after'])
    equal(text(await watcher.request('durable.ask', bytes(''), { timeout_ms: 5000 })), 'answer')
    reading.abort()
    await consuming
    await lease.release()
  })

  test('a watcher that was stopped for long learns what is gone, though the bucket forgot thousands of deletions', async () => {
    const bucket = (await site.join('writer')).bucket('forgotten')
    for (const key of ['first', 'gone', 'stays']) await bucket.put(key, bytes('1'))
    const watcher = await site.harness.spawnClient(`
      const known = new Set()
      const ended = Promise.withResolvers()
      await bus.bucket('forgotten').watch('>', ({ key, value }) => {
        if (value) known.add(key)
        else known.delete(key)
        if (key === 'end') setImmediate(ended.resolve)
      }).ready
      console.log([...known].toSorted().join())
      await ended.promise
      console.log([...known].toSorted().join())`)
    equal(await watcher.line(), 'first,gone,stays')
    watcher.pause()
    await bucket.delete('gone')
    for (let round = 0; round < 6; round++) {
      const keys = Array.from({ length: 1000 }, (_, i) => `passing.${round}.${i}`)
      await Promise.all(keys.map((key) => bucket.put(key, bytes('x'))))
      await Promise.all(keys.map((key) => bucket.delete(key)))
    }
    await bucket.put('end', bytes('1'))
    watcher.resume()
    equal(await watcher.line(), 'end,first,stays')
    await watcher.kill()
  })

  test('a subscriber that does not read costs others nothing', async () => {
    const [publisher, quick] = [await site.join('publisher'), await site.join('quick')]
    const slow = await site.harness.spawnClient(`
      await bus.subscribe('slow', () => {}).ready
      console.log('ready')
      await new Promise(() => {})`)
    await slow.line()
    slow.pause()
    const seen = new Seen<number>()
    await quick.subscribe('slow', ({ payload }) => seen.add(payload[0]!)).ready
    for (let i = 0; i < 300; i++) {
      publisher.publish('slow', new Uint8Array(100_000).fill(i))
      if (i % 20 === 19) await seen.count(i + 1)
    }
    await quick.bucket('slow').put('still', bytes('works'))
    slow.resume()
    await slow.kill()
  })
}
