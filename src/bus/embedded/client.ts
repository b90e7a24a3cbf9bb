/**
 * The embedded bus as a module sees it. Nothing here blocks on the server: what is plain is sent or dropped and
 * counted, what wants an answer has a time limit, and what goes on (subscriptions, watches, consumers, leases) takes up
 * again after a lost connection by itself.
 */

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
import { HeldLease } from '../held-lease.ts'
import { checkName } from '../subject.ts'
import { whenConnected } from '../when-connected.ts'
import { decodeHolder, LEASES } from './leases.ts'
import { Link, type LinkOptions } from './link.ts'
import type { ToClient } from './protocol.ts'
import { RemoteBucket } from './remote-bucket.ts'
import { RemoteStream } from './remote-stream.ts'
import { Watch } from './watch.ts'

/** A sentence and the name of what failed; not a stack. */
const REASON_LENGTH_MAX = 1000

/** Starts to connect, and keeps connecting until it is closed. */
export function connectBus(options: LinkOptions): Bus {
  checkName('subject', options.name)
  return new EmbeddedBus(options)
}

interface Subscribed {
  readonly pattern: string
  readonly onMessage: ((message: BusMessage) => void) | undefined
  readonly onRequest: ((message: BusMessage) => Uint8Array | Promise<Uint8Array>) | undefined
  readonly ready: PromiseWithResolvers<void>
}

class EmbeddedBus implements Bus {
  readonly counters: BusCounters = { published: 0, received: 0, dropped: 0, missed: 0, connects: 0 }
  readonly #link: Link
  readonly #subscribed = new Map<number, Subscribed>()
  readonly #listeners = new Set<(connected: boolean) => void>()
  readonly #leases = new Set<HeldLease>()
  #nextSubscription = 1

  constructor(options: LinkOptions) {
    this.#link = new Link(options, {
      onConnection: (connected) => this.#onLink(connected),
      onEvent: (event) => this.#onEvent(event),
    })
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
    checkSize(payload)
    if (this.#link.sendPlain({ type: 'publish', subject, payload })) this.counters.published++
    else this.counters.dropped++
  }

  subscribe(pattern: string, handler: (message: BusMessage) => void): Subscription {
    return this.#subscribe(pattern, { onMessage: handler, onRequest: undefined })
  }

  async request(subject: string, payload: Uint8Array, options: { timeout_ms: number }): Promise<Uint8Array> {
    checkName('subject', subject)
    checkSize(payload)
    const answer = await this.#link.call('done', { type: 'request', subject, payload }, options)
    return answer.payload
  }

  respond(pattern: string, handler: (message: BusMessage) => Uint8Array | Promise<Uint8Array>): Subscription {
    return this.#subscribe(pattern, { onMessage: undefined, onRequest: handler })
  }

  stream(name: string, limits: StreamLimits): Stream {
    checkName('name', name)
    return new RemoteStream(this.#link, name, limits)
  }

  bucket(name: string): Bucket {
    checkName('name', name)
    return new RemoteBucket(this.#link, name)
  }

  async acquireLease(name: string, { holder, ttl_ms }: LeaseOptions): Promise<Lease> {
    checkName('key', name)
    checkName('subject', holder)
    assert(ttl_ms >= 100 && ttl_ms <= 3_600_000, `a lease of ${ttl_ms} ms`)
    const link = this.#link
    const sent_us = link.clock.now_us()
    const { number: epoch } = await link.call('done', { type: 'acquire', lease: name, holder, ttl_ms })
    const lease = new HeldLease(
      { name, holder, epoch, ttl_ms, sent_us },
      {
        clock: link.clock,
        renew: async (timeout_ms) =>
          void (await link.call('done', { type: 'renew', lease: name, epoch }, { timeout_ms })),
        release: async () => void (await link.call('done', { type: 'release', lease: name, epoch })),
        onEnd: (over) => void this.#leases.delete(over),
      },
    )
    this.#leases.add(lease)
    return lease
  }

  watchLease(name: string, handler: (holder: LeaseHolder | undefined) => void): Subscription {
    checkName('key', name)
    let told = false
    const watch = new Watch(this.#link, LEASES, name, ({ value, revision }) => {
      told = true
      handler(value && { holder: decodeHolder(value).holder, epoch: revision })
    })
    watch.ready.then(
      () => told || handler(undefined),
      () => {},
    )
    return watch
  }

  async close(): Promise<void> {
    await this.#link.close()
    for (const { ready } of this.#subscribed.values()) ready.reject(new BusError('closed', 'the bus was closed'))
    this.#subscribed.clear()
    for (const lease of this.#leases) lease.lose()
  }

  #onLink(connected: boolean): void {
    this.counters.connects = this.#link.connects
    if (connected) {
      for (const [id, subscribed] of this.#subscribed) void this.#announce(id, subscribed)
      for (const lease of this.#leases) void lease.renew()
    }
    for (const listener of [...this.#listeners]) listener(connected)
  }

  #onEvent(event: Extract<ToClient, { type: 'message' | 'request' | 'missed' }>): void {
    if (event.type === 'missed') {
      this.counters.missed += event.count
      return
    }
    const subscribed = this.#subscribed.get(event.subscription)
    if (!subscribed) return
    const { subject, payload } = event
    if (event.type === 'message') {
      this.counters.received++
      subscribed.onMessage?.({ subject, payload })
    } else if (subscribed.onRequest) {
      void this.#respond(event.request, subscribed.onRequest, { subject, payload })
    }
  }

  #subscribe(pattern: string, handlers: Pick<Subscribed, 'onMessage' | 'onRequest'>): Subscription {
    checkName('pattern', pattern)
    const id = this.#nextSubscription++
    const ready = Promise.withResolvers<void>()
    // Whoever does not look at `ready` need not handle it.
    ready.promise.catch(() => {})
    const subscribed = { pattern, ...handlers, ready }
    this.#subscribed.set(id, subscribed)
    if (this.#link.connected) void this.#announce(id, subscribed)
    return {
      ready: ready.promise,
      close: () => {
        if (!this.#subscribed.delete(id)) return
        ready.reject(new BusError('closed', `the subscription to ${pattern} was closed`))
        this.#link.send({ type: 'unsubscribe', subscription: id })
      },
    }
  }

  async #announce(subscription: number, { pattern, onRequest, ready }: Subscribed): Promise<void> {
    try {
      await this.#link.call('done', { type: 'subscribe', subscription, responds: onRequest ? 1 : 0, pattern })
      ready.resolve()
    } catch (error) {
      if (!(error instanceof BusError)) throw error
      if (this.#link.connected) ready.reject(error)
    }
  }

  async #respond(request: number, handler: NonNullable<Subscribed['onRequest']>, message: BusMessage): Promise<void> {
    try {
      const payload = await handler(message)
      checkSize(payload)
      this.#link.send({ type: 'answer', request, payload })
    } catch (error) {
      if (error instanceof AssertionError) throw error
      const reason = error instanceof Error ? error.message : String(error)
      this.#link.send({ type: 'refuse', request, message: reason.slice(0, REASON_LENGTH_MAX) })
    }
  }
}
