/** What ends a consumer, and what it asks for, against a server that is played by the test. */

import { deepEqual, equal, rejects } from 'node:assert/strict'
import { test } from 'node:test'
import { headers, type Msg, type MsgCallback } from '@nats-io/transport-node'
import { ManualClock } from '../../base/clock.ts'
import { bytes, text, withCode } from '../suite/site.ts'
import { Consumer } from './consumer.ts'
import type { Link, Wire } from './link.ts'

const never = new AbortController().signal

interface Played {
  readonly consumer: Consumer
  readonly clock: ManualClock
  /** The pages asked for. */
  readonly asked: { batch: number; max_bytes: number }[]
  readonly deleted: string[]
  entry(number: number, sequence: number, payload?: string): void
  status(code: number, description: string, lastNumber?: number): void
  loseConnection(): void
}

async function played(): Promise<Played> {
  const clock = new ManualClock()
  const closed = Promise.withResolvers<void>()
  const asked: Played['asked'] = []
  const deleted: string[] = []
  let callback: MsgCallback<Msg> = () => {}
  const connection = {
    closed: () => closed.promise,
    isClosed: () => false,
    subscribe(_inbox: string, options: { callback: MsgCallback<Msg> }) {
      callback = options.callback
      return { getSubject: () => 'inbox', unsubscribe: () => {} }
    },
    publish: (_subject: string, page: string) => void asked.push(JSON.parse(page)),
  }
  const consumers = {
    add: async () => ({ name: 'c' }),
    delete: async (_stream: string, name: string) => deleted.push(name),
  }
  const wire = { connection, manager: { consumers } } as unknown as Wire
  const link = { clock, callAgain: (_what: string, ask: (wire: Wire) => unknown) => ask(wire) } as unknown as Link
  const consumer = await Consumer.open(link, { stream: 's' }, 1)
  const receive = (message: Partial<Msg>): void => void callback(null, message as Msg)
  return {
    consumer,
    clock,
    asked,
    deleted,
    entry: (number, sequence, payload = '') =>
      receive({ subject: 'x', reply: `$JS.ACK.s.c.1.${sequence}.${number}.1700000000.0`, data: bytes(payload) }),
    status(code, description, lastNumber) {
      const marks = headers(code, description)
      if (lastNumber !== undefined) marks.set('Nats-Last-Consumer', String(lastNumber))
      receive({ subject: 'inbox', data: bytes(''), headers: marks })
    },
    loseConnection: () => closed.resolve(),
  }
}

const mistrusted = (waiting: Promise<unknown>): Promise<void> => rejects(waiting, withCode('disconnected'))

test('what has arrived is handed over together, and a page is asked for once', async () => {
  const { consumer, asked, entry } = await played()
  const waiting = consumer.next(never)
  entry(1, 7, 'a')
  entry(2, 9, 'b')
  deepEqual(
    (await waiting).map(({ sequence, payload }) => `${sequence} ${text(payload)}`),
    ['7 a', '9 b'],
  )
  void consumer.next(never)
  equal(asked.length, 1)
})

test('no more is asked for before what came of a page was taken', async () => {
  const { consumer, asked, entry } = await played()
  const waiting = consumer.next(never)
  const { batch } = asked[0]!
  for (let i = 1; i <= batch; i++) entry(i, i)
  equal((await waiting).length, batch)
  equal(asked.length, 1)
  void consumer.next(never)
  equal(asked.length, 2)
})

for (const [code, description] of [
  [408, 'Request Timeout'],
  [409, 'Message Size Exceeds MaxBytes'],
] as const)
  test(`a page that ends with ${code} is followed by another one`, async () => {
    const { consumer, asked, entry, status } = await played()
    const waiting = consumer.next(never)
    status(code, description)
    await new Promise(setImmediate)
    equal(asked.length, 2)
    entry(1, 1)
    equal((await waiting).length, 1)
  })

test('silence for longer than some heartbeats ends it; heartbeats do not', async () => {
  const { consumer, clock, status } = await played()
  const ended = mistrusted(consumer.next(never))
  for (let i = 0; i < 5; i++) {
    clock.advance(3000)
    status(100, 'Idle Heartbeat', 0)
    await new Promise(setImmediate)
  }
  clock.advance(4001)
  await ended
})

test('a gap in what is handed out ends it, and so does a heartbeat that knows of more', async () => {
  const first = await played()
  first.entry(1, 1)
  await first.consumer.next(never)
  first.entry(3, 3)
  await mistrusted(first.consumer.next(never))
  const second = await played()
  const ended = mistrusted(second.consumer.next(never))
  second.status(100, 'Idle Heartbeat', 1)
  await ended
})

test('what arrived before the end is still handed over', async () => {
  const { consumer, entry, status } = await played()
  entry(1, 1)
  status(409, 'Consumer Deleted')
  equal((await consumer.next(never)).length, 1)
  await mistrusted(consumer.next(never))
})

for (const [code, description] of [
  [409, 'Consumer Deleted'],
  [409, 'Leadership Change'],
  [503, 'No Responders'],
  [400, 'Bad Request'],
] as const)
  test(`${code} ${description} ends it`, async () => {
    const { consumer, status } = await played()
    const ended = mistrusted(consumer.next(never))
    status(code, description)
    await ended
  })

test('a lost connection ends it, a signal only the waiting, and the server is told when it is closed', async () => {
  const { consumer, deleted, loseConnection } = await played()
  const abort = new AbortController()
  const stopped = consumer.next(abort.signal)
  abort.abort()
  deepEqual(await stopped, [])
  const ended = mistrusted(consumer.next(never))
  loseConnection()
  await ended
  consumer.close()
  deepEqual(deleted, ['c'])
})
