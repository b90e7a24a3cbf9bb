/**
 * The connection to the NATS servers: one at a time, made anew by us and not by the library, with a growing and
 * jittered delay. So nothing is kept back for a server that may come later: what is pending when a connection ends
 * fails by name, and whoever goes on makes its consumers and subscriptions again on the next one. It also keeps the
 * queue to the server bounded, which the library does not: it counts the bytes that the server has not yet shown to
 * have read.
 */

import { isDeepStrictEqual } from 'node:util'
import { type JetStreamClient, type JetStreamManager, jetstreamManager, type StreamConfig } from '@nats-io/jetstream'
import {
  type Authenticator,
  connect,
  credsAuthenticator,
  type Msg,
  type NatsConnection,
  type NodeConnectionOptions,
  nkeyAuthenticator,
  tokenAuthenticator,
  usernamePasswordAuthenticator,
} from '@nats-io/transport-node'
import type { Clock, Timer } from '../../base/clock.ts'
import type { Random } from '../../base/random.ts'
import { BusError } from '../bus.ts'
import { busErrorOf, isJetStreamFailure, isUnanswered, JetStreamFailure } from './failure.ts'

/** The first retry is soon, for a server that is being restarted; the last ones cost nothing. */
const RETRY_FIRST_ms = 20
const RETRY_LAST_ms = 2000
const CONNECT_TIMEOUT_ms = 5000
/** A server that is cut off without a word is given up after two of them. */
const PING_INTERVAL_ms = 5000
/** Above what the election of a new leader takes (five to nine seconds were seen). */
const CALL_TIMEOUT_ms = 10_000
/** While nobody leads a stream: often enough to lose little, seldom enough to disturb nobody. */
const UNANSWERED_RETRY_ms = 100
/** How often a stream is looked for that is being made. */
const APPEARS_ms = 1000
/** Many times what it takes; a busy machine gets more. */
const AGAIN_FIRST_ms = 300
const CALLS_MAX = 16_384
/** Towards the server. From here on plain messages are dropped, and twice that far calls are refused. */
const QUEUE_BYTES_MAX = 8 * 1024 * 1024
/** After so many bytes the server is asked whether it has read them. */
const PROBE_BYTES = 256 * 1024
/** What a message costs beside its payload: subjects, headers, the protocol's line. */
const MESSAGE_OVERHEAD_BYTES = 128

export type NatsCredentials =
  | { readonly user: string; readonly password: string }
  | { readonly token: string }
  /** The seed of a user's key (`SU...`), which itself is never sent. */
  | { readonly nkeySeed: string }
  /** The text of a credentials file: a JWT and the seed of the key in it. */
  | { readonly creds: string }

/** PEM. Without `ca` the system's authorities are believed. */
export interface NatsTls {
  readonly ca?: string
  readonly cert?: string
  readonly key?: string
}

export interface NatsOptions {
  /** `host:port`. */
  readonly servers: readonly string[]
  /** Sites that share servers do not see each other. */
  readonly site: string
  /** What this client is called in the servers' lists: `forwarding.node1`. */
  readonly name: string
  readonly clock: Clock
  readonly random: Random
  /** On how many servers streams, buckets and leases are kept. */
  readonly replicas?: 1 | 3
  readonly credentials?: NatsCredentials
  /** Without it, TLS is used where the server asks for it, and the system's authorities are believed. */
  readonly tls?: NatsTls
}

/** One connection and what hangs on it. */
export interface Wire {
  readonly connection: NatsConnection
  readonly manager: JetStreamManager
  readonly jetStream: JetStreamClient
  /** Streams that were found or made on this connection. */
  readonly opened: Map<string, Promise<void>>
}

export interface LinkHandler {
  /** The connection stands; what the handler sends now leaves before anything else. */
  onConnected(wire: Wire): void
  onConnection(connected: boolean): void
}

export interface CallOptions {
  readonly timeout_ms?: number
  /** Of the payload. */
  readonly bytes?: number
}

type StreamWish = Pick<StreamConfig, 'name' | 'subjects'> & Partial<StreamConfig>
type Ask<T> = (wire: Wire, timeout_ms: number) => Promise<T>

export class Link {
  readonly clock: Clock
  readonly random: Random
  readonly replicas: 1 | 3
  closed = false
  connects = 0
  /** Why the latest attempt failed. */
  failure: Error = new BusError('disconnected', 'not connected yet')
  readonly #options: NatsOptions
  readonly #handler: LinkHandler
  readonly #awaiting = new Set<() => void>()
  #wire: Wire | undefined
  #retry: Timer | undefined
  #failures = 0
  #calls = 0
  #unread_bytes = 0
  #unprobed_bytes = 0

  constructor(options: NatsOptions, handler: LinkHandler) {
    this.clock = options.clock
    this.random = options.random
    this.replicas = options.replicas ?? 1
    this.#options = options
    this.#handler = handler
    void this.#connect()
  }

  get connected(): boolean {
    return this.#wire !== undefined
  }

  get wire(): Wire | undefined {
    return this.#wire
  }

  /** The connection, for a plain message of so many bytes; undefined: there is none, or the queue is too full. */
  wireForPlain(bytes: number): Wire | undefined {
    if (!this.#wire || this.#wire.connection.isClosed() || this.#unread_bytes > QUEUE_BYTES_MAX) return undefined
    this.#count(bytes)
    return this.#wire
  }

  /**
   * Asks the server. What nobody took is asked again within the time limit, as while a stream's leader is elected.
   * Rejects with a `BusError`.
   */
  async call<T>(what: string, ask: Ask<T>, options: CallOptions = {}): Promise<T> {
    if (this.closed) throw new BusError('closed', `${what}: the bus was closed`)
    const wire = this.#wire
    if (!wire) throw new BusError('disconnected', `${what} without a connection`)
    if (this.#calls >= CALLS_MAX) throw new BusError('too-many', `${CALLS_MAX} calls are pending`)
    if (this.#unread_bytes > 2 * QUEUE_BYTES_MAX) throw new BusError('overloaded', 'the server is behind')
    this.#count(options.bytes ?? 0)
    this.#calls++
    const timeout_ms = options.timeout_ms ?? CALL_TIMEOUT_ms
    const late = Promise.withResolvers<never>()
    const timer = this.clock.after(timeout_ms, () => {
      late.reject(new BusError('timeout', `${what} after ${timeout_ms} ms`))
    })
    try {
      return await Promise.race([this.#persist(wire, ask, timeout_ms), late.promise])
    } catch (error) {
      if (this.closed) throw new BusError('closed', `${what}: the bus was closed`)
      if (isUnanswered(error)) throw new BusError('timeout', `${what}: nobody leads what it is about`)
      throw busErrorOf(error, what)
    } finally {
      timer.cancel()
      this.#calls--
    }
  }

  /**
   * The same for what may be asked twice. What went to a server that had just died is lost without a word, as is what only
   * the leader of all of JetStream hears while there is none: it is soon asked again, with twice the patience each time.
   */
  async callAgain<T>(what: string, ask: Ask<T>, first_ms = AGAIN_FIRST_ms): Promise<T> {
    const end_us = this.clock.now_us() + CALL_TIMEOUT_ms * 1000
    for (let patience_ms = first_ms; ; patience_ms *= 2) {
      const left_ms = (end_us - this.clock.now_us()) / 1000
      try {
        return await this.call(what, ask, { timeout_ms: Math.min(patience_ms, left_ms) })
      } catch (error) {
        const isOver = (end_us - this.clock.now_us()) / 1000 < AGAIN_FIRST_ms
        if (isOver || !(error instanceof BusError) || error.code !== 'timeout') throw error
      }
    }
  }

  /** A request of NATS's own, which is sent once. Rejects with a `BusError`, such as 'no-responders'. */
  ask(what: string, subject: string, payload: Uint8Array, timeout_ms: number): Promise<Msg> {
    const request: Ask<Msg> = async ({ connection }) => {
      try {
        return await connection.request(subject, payload, { timeout: timeout_ms })
      } catch (error) {
        // Nobody being there is an answer here, not a reason to ask again.
        throw this.closed ? error : busErrorOf(error, what)
      }
    }
    return this.call(what, request, { timeout_ms, bytes: payload.length })
  }

  /** Makes the stream if need be, and gives it this configuration; once a connection. */
  open(config: StreamWish): Promise<void> {
    const { name } = config
    const opened = this.#wire?.opened
    const known = opened?.get(name)
    if (known) return known
    const opening = this.#open(config)
    opened?.set(name, opening)
    opening.catch(() => opened?.delete(name))
    return opening
  }

  /**
   * One that is there is found without the leader of all of JetStream, which may have died with the stream's. To make one twice
   * while it is being made confuses the servers, so that is asked once; of two clients that ask for the same at the same time
   * only one may be answered, so each looks for it as well.
   */
  async #open(config: StreamWish): Promise<void> {
    if (await this.#isThere(config)) return
    const settled = new AbortController()
    try {
      await Promise.race([this.#make(config), this.#appears(config, settled.signal)])
    } finally {
      settled.abort()
    }
    // Its leader answers, so what is appended now, in order, meets it.
    await this.#isThere(config)
  }

  async #isThere(config: StreamWish): Promise<boolean> {
    const found = await this.callAgain(`looking for ${config.name}`, ({ manager }) =>
      manager.streams.info(config.name).catch((error) => {
        if (!isJetStreamFailure(error, JetStreamFailure.streamNotFound)) throw error
      }),
    )
    return found !== undefined && isLike(found.config, config)
  }

  async #appears(config: StreamWish, signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await this.pause(APPEARS_ms)
      // What goes wrong is told by the call that makes it.
      if (!signal.aborted && (await this.#isThere(config).catch(() => false))) return
    }
  }

  #make(config: StreamWish): Promise<void> {
    const { name } = config
    return this.call(`opening ${name}`, async ({ manager }) => {
      try {
        await manager.streams.add(config)
      } catch (error) {
        if (!isJetStreamFailure(error, JetStreamFailure.nameInUse)) throw error
        await manager.streams.update(name, config)
      }
    })
  }

  /** The stream is not what it was; it is opened again when it is needed. */
  forget(stream: string): void {
    this.#wire?.opened.delete(stream)
  }

  /** Resolves when connected, closed or aborted: look which. */
  async untilConnected(signal: AbortSignal): Promise<void> {
    if (this.connected || this.closed || signal.aborted) return
    await new Promise<void>((resolve) => {
      const settle = (): void => {
        this.#awaiting.delete(settle)
        signal.removeEventListener('abort', settle)
        resolve()
      }
      this.#awaiting.add(settle)
      signal.addEventListener('abort', settle)
    })
  }

  /** For what takes several calls: a signal that fires when their time is over. */
  async within<T>(what: string, run: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const abort = new AbortController()
    const timer = this.clock.after(CALL_TIMEOUT_ms, () => abort.abort())
    try {
      return await run(abort.signal)
    } catch (error) {
      if (this.closed) throw new BusError('closed', `${what}: the bus was closed`)
      throw abort.signal.aborted ? new BusError('timeout', `${what} after ${CALL_TIMEOUT_ms} ms`) : error
    } finally {
      timer.cancel()
    }
  }

  pause(delay_ms: number): Promise<void> {
    return new Promise((resolve) => this.clock.after(delay_ms * this.#jitter(), resolve))
  }

  /** What was sent before still leaves. */
  async close(): Promise<void> {
    if (this.closed) return
    this.closed = true
    this.#retry?.cancel()
    this.#release()
    const connection = this.#wire?.connection
    if (!connection) return
    await new Promise<void>((resolve) => {
      const timer = this.clock.after(1000, resolve)
      const settle = (): void => {
        timer.cancel()
        resolve()
      }
      connection.flush().then(settle, settle)
    })
    await connection.close()
  }

  async #connect(): Promise<void> {
    let wire: Wire
    try {
      const connection = await connect(connectionOptions(this.#options))
      const manager = await jetstreamManager(connection, { checkAPI: false, timeout: CALL_TIMEOUT_ms })
      wire = { connection, manager, jetStream: manager.jetstream(), opened: new Map() }
    } catch (error) {
      this.failure = busErrorOf(error, `connecting to ${this.#options.servers.join(', ')}`)
      if (!this.closed) this.#retryLater()
      return
    }
    if (this.closed) return void wire.connection.close()
    this.#stands(wire)
    const reason = await wire.connection.closed()
    this.#lost(reason)
  }

  #stands(wire: Wire): void {
    this.#unread_bytes = 0
    this.#unprobed_bytes = 0
    this.#failures = 0
    this.#wire = wire
    this.connects++
    this.failure = new BusError('disconnected', 'the connection was lost')
    this.#handler.onConnected(wire)
    this.#handler.onConnection(true)
    this.#release()
  }

  #lost(reason: unknown): void {
    this.#wire = undefined
    if (reason instanceof Error) this.failure = busErrorOf(reason, 'the connection was lost')
    if (!this.closed) this.#retryLater()
    this.#handler.onConnection(false)
  }

  #retryLater(): void {
    const delay_ms = Math.min(RETRY_FIRST_ms * 2 ** this.#failures, RETRY_LAST_ms)
    if (delay_ms < RETRY_LAST_ms) this.#failures++
    this.#retry = this.clock.after(delay_ms * this.#jitter(), () => void this.#connect())
  }

  #jitter(): number {
    return 0.5 + this.random.below(512) / 1024
  }

  #release(): void {
    for (const settle of [...this.#awaiting]) settle()
  }

  async #persist<T>(wire: Wire, ask: Ask<T>, timeout_ms: number): Promise<T> {
    const end_us = this.clock.now_us() + timeout_ms * 1000
    for (;;) {
      const left_ms = Math.max((end_us - this.clock.now_us()) / 1000, 1)
      try {
        return await ask(wire, left_ms)
      } catch (error) {
        if (!isUnanswered(error) || left_ms <= UNANSWERED_RETRY_ms || this.closed) throw error
      }
      await this.pause(UNANSWERED_RETRY_ms)
      if (this.#wire !== wire) throw new BusError('disconnected', 'the connection was lost')
    }
  }

  /** A PONG says that the server has read what was sent before the PING. */
  #count(payload_bytes: number): void {
    const bytes = payload_bytes + MESSAGE_OVERHEAD_BYTES
    this.#unread_bytes += bytes
    this.#unprobed_bytes += bytes
    if (this.#unprobed_bytes < PROBE_BYTES) return
    const wire = this.#wire!
    const probed = this.#unprobed_bytes
    this.#unprobed_bytes = 0
    wire.connection.flush().then(
      () => {
        if (this.#wire === wire) this.#unread_bytes -= probed
      },
      // The connection is lost, and the count with it.
      () => {},
    )
  }
}

/** What is wanted is so; the rest is the server's own choice. */
function isLike(found: StreamConfig, wanted: Partial<StreamConfig>): boolean {
  const names = Object.keys(wanted) as (keyof StreamConfig)[]
  return names.every((name) => isDeepStrictEqual(found[name], wanted[name]))
}

function connectionOptions({ servers, name, credentials, tls, random }: NatsOptions): NodeConnectionOptions {
  return {
    name,
    servers: shuffled(servers, random),
    noRandomize: true,
    reconnect: false,
    timeout: CONNECT_TIMEOUT_ms,
    pingInterval: PING_INTERVAL_ms,
    maxPingOut: 2,
    noAsyncTraces: true,
    ...(credentials && { authenticator: authenticatorOf(credentials) }),
    ...(tls && { tls }),
  }
}

function authenticatorOf(credentials: NatsCredentials): Authenticator {
  if ('user' in credentials) return usernamePasswordAuthenticator(credentials.user, credentials.password)
  if ('token' in credentials) return tokenAuthenticator(credentials.token)
  if ('creds' in credentials) return credsAuthenticator(Buffer.from(credentials.creds))
  return nkeyAuthenticator(Buffer.from(credentials.nkeySeed))
}

/** Clients spread over the servers, and one that is down is not everybody's first. */
function shuffled(servers: readonly string[], random: Random): string[] {
  const order = [...servers]
  for (let i = order.length - 1; i > 0; i--) {
    const j = random.below(i + 1)
    const swapped = order[i]!
    order[i] = order[j]!
    order[j] = swapped
  }
  return order
}
