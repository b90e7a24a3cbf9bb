/** Plain messages and requests. */

import { deepEqual, equal, ok, rejects, throws } from 'node:assert/strict'
import { PAYLOAD_BYTES_MAX } from '../bus.ts'
import { bytes, limits, Seen, type SuiteCases, text, withCode } from './site.ts'

const timeout_ms = 5000

export const messages: SuiteCases = {
  'messages of one publisher arrive in the order of sending, also at itself': async (site) => {
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
  },

  'a star is one token and a last > is one or more': async (site) => {
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
  },

  'a closed subscription hears nothing more': async (site) => {
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
  },

  'what is malformed or too large is refused before it leaves': async (site) => {
    const bus = await site.join('strict')
    for (const subject of ['', '.', 'a..b', 'a.', 'a b', 'a.*', '>', 'é', 'x'.repeat(300)])
      throws(() => bus.publish(subject, bytes('')), withCode('bad-name'), subject)
    for (const pattern of ['', 'a.>.b', 'a*', '.>', 'a.b>'])
      throws(() => bus.subscribe(pattern, () => {}), withCode('bad-name'), pattern)
    throws(() => bus.publish('large', new Uint8Array(PAYLOAD_BYTES_MAX + 1)), withCode('too-large'))
    await rejects(bus.bucket('strict').put('a..b', bytes('')), withCode('bad-name'))
    await rejects(bus.bucket('strict').put('a', new Uint8Array(PAYLOAD_BYTES_MAX + 1)), withCode('too-large'))
    throws(() => bus.bucket('a.b'), withCode('bad-name'))
  },

  'the largest payload passes whole, everywhere': async (site) => {
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
  },

  'what is handed in is copied before the call returns': async (site) => {
    const bus = await site.join('copy')
    const payload = bytes('before')
    const stream = bus.stream('copy', limits)
    const writes = [stream.append(payload), bus.bucket('copy').put('key', payload)]
    payload.fill(0)
    await Promise.all(writes)
    equal(text((await stream.read(1))[0]?.payload), 'before')
    equal(text((await bus.bucket('copy').get('key'))?.value), 'before')
  },

  'a request is answered, by whoever is first of several': async (site) => {
    const [a, b, asker] = [await site.join('a'), await site.join('b'), await site.join('asker')]
    await a.respond('double.*', async ({ subject, payload }) => bytes(`${subject} ${text(payload)}${text(payload)}`))
      .ready
    equal(text(await asker.request('double.x', bytes('ab'), { timeout_ms })), 'double.x abab')
    await b.respond('double.y', () => bytes('b')).ready
    await a.respond('double.y', () => new Promise(() => {})).ready
    const answer = text(await asker.request('double.y', bytes('z'), { timeout_ms }))
    ok(answer === 'b' || answer === 'double.y zz')
  },

  'without a responder it fails at once, and plain subscribers are none': async (site) => {
    const bus = await site.join('lonely')
    const seen = new Seen<string>()
    await bus.subscribe('lonely', ({ subject }) => seen.add(subject)).ready
    await rejects(bus.request('lonely', bytes(''), { timeout_ms }), withCode('no-responders'))
    deepEqual(seen.list, [])
  },

  'a responder that is silent costs a time-out, one that fails a named failure': async (site) => {
    const bus = await site.join('bad')
    await bus.respond('silent', () => new Promise(() => {})).ready
    await bus.respond('failing', () => Promise.reject(new Error('no such tenant'))).ready
    await rejects(bus.request('silent', bytes(''), { timeout_ms: 50 }), withCode('timeout'))
    await rejects(bus.request('failing', bytes(''), { timeout_ms }), /failed: no such tenant/)
  },

  'a responder that leaves without an answer does not hold up the requester for good': async (site) => {
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
  },

  'hundreds of requests at once find their own answers': async (site) => {
    const [server, asker] = [await site.join('server'), await site.join('asker')]
    await server.respond('echo', ({ payload }) => payload).ready
    const asked = Array.from({ length: 500 }, (_, i) => String(i))
    const answers = await Promise.all(asked.map((one) => asker.request('echo', bytes(one), { timeout_ms })))
    deepEqual(answers.map(text), asked)
  },
}
