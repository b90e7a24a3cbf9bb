/**
 * The bus over NATS JetStream. Plain messages and requests are NATS's own, under subjects of the site; streams, buckets
 * and leases are JetStream's, replicated by its Raft groups if the site asks for it. What each call promises stands in
 * bus.ts, and what NATS makes of the promises in docs/decisions/0011-two-buses-and-what-each-guarantees.md.
 */

import { headers, type Msg, type Subscription as NatsSubscription } from '@nats-io/transport-node'
import { AssertionError, assert } from '../../base/assert.ts'
import {
  type Bucket,
  type Bus,
  type BusCounters,
  BusError,
  type BusMessage,
  checkSize,
  type Lease,
  type LeaseHolder,
  type LeaseOptions,
  type Stream,
  type StreamLimits,
  type Subscription,
} from '../bus.ts'
import { checkName } from '../subject.ts'
import { whenConnected } from '../when-connected.ts'
import { busErrorOf, FAILED_HEADER } from './failure.ts'
import { Leases } from './leases.ts'
import { Link, type NatsOptions, type Wire } from './link.ts'
import { type Names, namesOf } from './names.ts'
import { NatsBucket } from './nats-bucket.ts'
import { NatsStream } from './nats-stream.ts'
import { Gaps, NUMBER_HEADER, Numberer } from './numbering.ts'

export type { NatsOptions } from './link.ts'

/** A sentence and the name of what failed; not a stack. */
const REASON_LENGTH_MAX = 1000

/** Starts to connect, and keeps connecting until it is closed. */
export function connectNats(options: NatsOptions): Bus {
  checkName('subject', options.name)
  return new NatsBus(options, namesOf(options.site))
}

type Responder = (message: BusMessage) => Uint8Array | Promise<Uint8Array>

interface Subscribed {
  /** As NATS knows it. */
  readonly pattern: string
  readonly receive: (message: Msg) => void
  readonly ready: PromiseWithResolvers<void>
  /** On the connection of the moment. */
  standing: NatsSubscription | undefined
}

class NatsBus implements Bus {
  readonly counters: BusCounters = { published: 0, received: 0, dropped: 0, missed: 0, connects: 0 }
  readonly #names: Names
  readonly #link: Link
  readonly #numberer: Numberer
  readonly #leases: Leases
  readonly #subscribed = new Set<Subscribed>()
  readonly #listeners = new Set<(connected: boolean) => void>()

  constructor(options: NatsOptions, names: Names) {
    this.#names = names
    this.#numberer = new Numberer(options.random)
    this.#link = new Link(options, {
      onConnected: (wire) => {
        for (const subscribed of this.#subscribed) void this.#announce(wire, subscribed)
      },
      onConnection: (connected) => this.#onLink(connected),
    })
    this.#leases = new Leases(this.#link, names.leases)
  }

  get connected(): boolean {
    return this.#link.connected
  }

  whenConnected(timeout_ms: number): Promise<void> {
    return whenConnected(this.#link, timeout_ms)
  }

  onConnection(handler: (connected: boolean) => void): () => void {
    this.#listeners.add(handler)
    return () => this.#listeners.delete(handler)
  }

  publish(subject: string, payload: Uint8Array): void {
    checkName('subject', subject)
    const copy = new Uint8Array(checkSize(payload))
    const wire = this.#link.wireForPlain(copy.length)
    if (!wire) {
      this.counters.dropped++
      return
    }
    const numbered = headers()
    numbered.set(NUMBER_HEADER, this.#numberer.next(subject))
    wire.connection.publish(`${this.#names.plain}${subject}`, copy, { headers: numbered })
    this.counters.published++
  }

  subscribe(pattern: string, handler: (message: BusMessage) => void): Subscription {
    checkName('pattern', pattern)
    const { plain } = this.#names
    const gaps = new Gaps()
    return this.#subscribe(`${plain}${pattern}`, (message) => {
      const subject = message.subject.slice(plain.length)
      this.counters.missed += gaps.missedBefore(subject, message.headers?.get(NUMBER_HEADER) ?? '')
      this.counters.received++
      handler({ subject, payload: new Uint8Array(message.data) })
    })
  }

  async request(subject: string, payload: Uint8Array, { timeout_ms }: { timeout_ms: number }): Promise<Uint8Array> {
    checkName('subject', subject)
    const copy = new Uint8Array(checkSize(payload))
    const asked = `${this.#names.ask}${subject}`
    const answer = await this.#link.ask(subject, asked, copy, timeout_ms)
    if (answer.headers?.has(FAILED_HEADER)) throw new BusError('failed', answer.string())
    return new Uint8Array(answer.data)
  }

  respond(pattern: string, handler: Responder): Subscription {
    checkName('pattern', pattern)
    return this.#subscribe(`${this.#names.ask}${pattern}`, (message) => void this.#respond(message, handler))
  }

  stream(name: string, limits: StreamLimits): Stream {
    checkName('name', name)
    return new NatsStream(this.#link, this.#names.stream(name), limits)
  }

  bucket(name: string): Bucket {
    checkName('name', name)
    return new NatsBucket(this.#link, this.#names.bucket(name))
  }

  async acquireLease(name: string, options: LeaseOptions): Promise<Lease> {
    checkName('key', name)
    checkName('subject', options.holder)
    assert(options.ttl_ms >= 100 && options.ttl_ms <= 3_600_000, `a lease of ${options.ttl_ms} ms`)
    return this.#leases.acquire(name, options)
  }

  watchLease(name: string, handler: (holder: LeaseHolder | undefined) => void): Subscription {
    checkName('key', name)
    return this.#leases.watch(name, handler)
  }

  async close(): Promise<void> {
    await this.#link.close()
    for (const { ready } of this.#subscribed) ready.reject(new BusError('closed', 'the bus was closed'))
    this.#subscribed.clear()
    this.#leases.loseAll()
  }

  #onLink(connected: boolean): void {
    this.counters.connects = this.#link.connects
    if (connected) this.#leases.renewAll()
    for (const listener of [...this.#listeners]) listener(connected)
  }

  #subscribe(pattern: string, receive: (message: Msg) => void): Subscription {
    const ready = Promise.withResolvers<void>()
    // Whoever does not look at `ready` need not handle it.
    ready.promise.catch(() => {})
    const subscribed: Subscribed = { pattern, receive, ready, standing: undefined }
    this.#subscribed.add(subscribed)
    if (this.#link.wire) void this.#announce(this.#link.wire, subscribed)
    return {
      ready: ready.promise,
      close: () => {
        if (!this.#subscribed.delete(subscribed)) return
        ready.reject(new BusError('closed', `the subscription to ${pattern} was closed`))
        subscribed.standing?.unsubscribe()
      },
    }
  }

  async #announce({ connection }: Wire, subscribed: Subscribed): Promise<void> {
    const { pattern, receive, ready } = subscribed
    try {
      subscribed.standing = connection.subscribe(pattern, {
        callback: (error, message) => {
          if (error) ready.reject(busErrorOf(error, `subscribing to ${pattern}`))
          else if (this.#subscribed.has(subscribed)) guarded(() => receive(message))
        },
      })
      await connection.flush()
      ready.resolve()
    } catch (error) {
      // On the next connection it is announced again.
      if (!connection.isClosed()) ready.reject(busErrorOf(error, `subscribing to ${pattern}`))
    }
  }

  async #respond(message: Msg, handler: Responder): Promise<void> {
    const subject = message.subject.slice(this.#names.ask.length)
    try {
      const answer = await handler({ subject, payload: new Uint8Array(message.data) })
      this.#answer(message, new Uint8Array(checkSize(answer)), false)
    } catch (error) {
      if (error instanceof AssertionError) throw error
      const reason = error instanceof Error ? error.message : String(error)
      this.#answer(message, Buffer.from(reason.slice(0, REASON_LENGTH_MAX)), true)
    }
  }

  /** An answer for a connection that is gone has nobody to go to. */
  #answer(message: Msg, payload: Uint8Array, isFailure: boolean): void {
    const wire = this.#link.wire
    if (!message.reply || !wire || wire.connection.isClosed()) return
    const marks = headers()
    if (isFailure) marks.set(FAILED_HEADER, '1')
    wire.connection.publish(message.reply, payload, { headers: marks })
  }
}

/** What a handler throws is its own mistake and ends the process; the library's reader must not swallow it. */
function guarded(handle: () => void): void {
  try {
    handle()
  } catch (error) {
    queueMicrotask(() => {
      throw error
    })
  }
}
