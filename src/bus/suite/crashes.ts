/** A server that is killed, clients that are stopped. */

import { deepEqual, equal, ok, rejects } from 'node:assert/strict'
import { bytes, collect, limits, Seen, type SuiteCases, text, withCode } from './site.ts'

export const crashes: SuiteCases = {
  'what was acknowledged before the server was killed is there after it': async (site) => {
    const [writer, other] = [await site.join('writer'), await site.join('other')]
    const stream = writer.stream('durable', limits)
    const bucket = writer.bucket('durable')
    const lease = await writer.acquireLease('durable', { holder: 'writer', ttl_ms: 60_000 })
    const many = Promise.withResolvers<void>()
    let acknowledged = 0
    const writing = (async () => {
      for (let i = 1; ; i++) {
        await Promise.all([stream.append(bytes(String(i))), bucket.put('count', bytes(String(i)))])
        acknowledged = i
        if (i === 200) many.resolve()
      }
    })()
    const stopped = rejects(writing, withCode('disconnected'))
    await many.promise
    await site.harness.kill()
    await stopped
    await site.harness.start()
    await Promise.all([writer.whenConnected(10_000), other.whenConnected(10_000)])

    const there = await collect(other.stream('durable', limits), acknowledged)
    deepEqual(
      there.slice(0, acknowledged).map(({ sequence, payload }) => `${sequence} ${text(payload)}`),
      Array.from({ length: acknowledged }, (_, i) => `${i + 1} ${i + 1}`),
    )
    const stored = Number(text((await other.bucket('durable').get('count'))?.value))
    ok(stored === acknowledged || stored === acknowledged + 1, `${stored} stored, ${acknowledged} acknowledged`)
    ok(lease.held)
    await rejects(other.acquireLease('durable', { holder: 'other', ttl_ms: 1000 }), withCode('lease-held'))
    await lease.release()
  },

  'without a server nothing waits: plain messages are dropped and counted, the rest fails by name': async (site) => {
    const bus = await site.join('cut-off')
    await bus.respond('cut.silent', () => new Promise(() => {})).ready
    const connected = new Seen<boolean>()
    bus.onConnection(connected.add)
    const pending = rejects(bus.request('cut.silent', bytes(''), { timeout_ms: 20_000 }), withCode('disconnected'))
    await site.harness.kill()
    await Promise.all([pending, connected.count(1)])
    const { dropped } = bus.counters
    bus.publish('cut', bytes('into the void'))
    equal(bus.counters.dropped, dropped + 1)
    await rejects(bus.stream('cut', limits).append(bytes('x')), withCode('disconnected'))
    await rejects(bus.bucket('cut').put('x', bytes('x')), withCode('disconnected'))
    await rejects(bus.request('cut.silent', bytes(''), { timeout_ms: 100 }), withCode('disconnected'))
    await site.harness.start()
    await connected.count(2)
    deepEqual(connected.list, [false, true])
  },

  'subscriptions, watches and consumers go on by themselves when the server is back': async (site) => {
    const [writer, other] = [await site.join('writer'), await site.join('other')]
    const stream = writer.stream('resumed', limits)
    const bucket = writer.bucket('resumed')
    for (const key of ['kept', 'deleted']) await bucket.put(key, bytes('1'))
    const [changes, messages, entries] = [new Seen<string>(), new Seen<string>(), new Seen<string>()]
    await other.bucket('resumed').watch('>', ({ key, value }) => changes.add(`${key} ${text(value)}`)).ready
    await other.subscribe('resumed', ({ payload }) => messages.add(text(payload)!)).ready
    await writer.respond('resumed.ask', () => bytes('answer')).ready
    const reading = new AbortController()
    const consuming = (async () => {
      const source = other.stream('resumed', limits).consume(1, { signal: reading.signal })
      for await (const { sequence, payload } of source) entries.add(`${sequence} ${text(payload)}`)
    })()
    await stream.append(bytes('before'))
    await entries.count(1)
    const lost = [writer, other].map((bus) => new Promise((resolve) => bus.onConnection(resolve)))
    await site.harness.kill()
    await Promise.all(lost)

    await site.harness.start()
    await Promise.all([writer.whenConnected(10_000), other.whenConnected(10_000)])
    await bucket.delete('deleted')
    await bucket.put('after', bytes('1'))
    await stream.append(bytes('after'))
    await changes.count(4)
    deepEqual(changes.list, ['kept 1', 'deleted 1', 'deleted undefined', 'after 1'])
    await entries.count(2)
    deepEqual(entries.list, ['1 before', '2 after'])
    // Once a later subscription stands, so does the earlier one.
    await other.subscribe('resumed.later', () => {}).ready
    writer.publish('resumed', bytes('after'))
    await messages.count(1)
    equal(text(await other.request('resumed.ask', bytes(''), { timeout_ms: 5000 })), 'answer')
    reading.abort()
    await consuming
  },

  'a watcher that was stopped for long learns what is gone, though the bucket forgot two thousand deletions': async (
    site,
  ) => {
    const bucket = (await site.join('writer')).bucket('forgotten')
    for (const key of ['first', 'gone', 'stays']) await bucket.put(key, bytes('1'))
    const watcher = await site.harness.spawnClient(`
      const known = new Set()
      let told = 0
      const ended = Promise.withResolvers()
      await bus.bucket('forgotten').watch('>', ({ key, value }) => {
        if (key === 'stays') told++
        if (value) known.add(key)
        else known.delete(key)
        if (key === 'end') setImmediate(ended.resolve)
      }).ready
      console.log([...known].toSorted().join())
      await ended.promise
      console.log([...known].toSorted().join(), 'told', told)`)
    equal(await watcher.line(), 'first,gone,stays')
    watcher.pause()
    await bucket.delete('gone')
    for (let round = 0; round < 2; round++) {
      const keys = Array.from({ length: 1000 }, (_, i) => `passing.${round}.${i}`)
      await Promise.all(keys.map((key) => bucket.put(key, bytes('x'))))
      await Promise.all(keys.map((key) => bucket.delete(key)))
    }
    await bucket.put('end', bytes('1'))
    watcher.resume()
    equal(await watcher.line(), 'end,first,stays told 1')
    await watcher.kill()
  },

  'a subscriber that does not read costs others nothing': async (site) => {
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
  },
}
