/**
 * How modules talk, and what outlives them: publish/subscribe, request/reply, durable streams, key-value buckets and
 * leases. This file is the contract; `embedded/` keeps it on one host, and `suite.ts` holds every implementation to it.
 * It asks for nothing that NATS JetStream cannot give: subjects are NATS subjects, a stream is a JetStream stream, a
 * bucket is a KV bucket and a lease is a key in one.
 *
 * It is no data path: nothing that forwards a packet, and no failover, may wait on it. Every operation that returns a
 * promise settles, with a `BusError` if not with a result, within its time limit and at once when the connection is
 * lost. Subscriptions, watches, consumers and leases survive a lost connection and carry on by themselves.
 *
 * A payload is bytes that the bus does not look into, at most `PAYLOAD_BYTES_MAX`. What is handed in is copied before
 * the call returns; what is handed out belongs to the receiver.
 */

/**
 * One megabyte, as NATS's default of 1 MiB less room for its headers. Larger things are cut up by whoever sends them.
 */
export const PAYLOAD_BYTES_MAX = 1_000_000

/** What can go wrong, in the order of the wire's codes: append only. */
export const busFailures = [
  ['timeout', 'no answer within the time limit; whether it took effect is unknown'],
  ['disconnected', 'there is no connection, or it was lost before the answer; whether it took effect is unknown'],
  ['closed', 'the bus, or this handle on it, was closed'],
  ['incompatible', 'the two sides share no version of the protocol'],
  ['malformed', 'the other side sent what cannot be understood'],
  ['bad-name', 'a subject, key or name has a form that is not allowed'],
  ['too-large', 'a payload is above the limit'],
  ['too-many', 'a limit on how many of something there may be is reached'],
  ['overloaded', 'the queue towards the other side is full'],
  ['no-responders', 'nobody answers requests on this subject'],
  ['failed', 'the responder failed; the message is its own'],
  ['wrong-revision', 'the key was changed by someone else'],
  ['wrong-sequence', 'the stream does not end where it was expected to, or never reached the position asked for'],
  ['lease-held', 'somebody else holds the lease'],
  ['lease-lost', 'the lease expired or has a new holder'],
  ['storage', 'the disk refused'],
  ['unauthorized', 'one side does not accept who the other says it is, or what it asks for'],
] as const

export type BusErrorCode = (typeof busFailures)[number][0]

export class BusError extends Error {
  override readonly name = 'BusError'
  readonly code: BusErrorCode
  /** The message without the code in front. */
  readonly detail: string

  constructor(code: BusErrorCode, detail: string) {
    super(`${code}: ${detail}`)
    this.code = code
    this.detail = detail
  }
}

/** Throws 'too-large'. */
export function checkSize(payload: Uint8Array): Uint8Array {
  if (payload.length <= PAYLOAD_BYTES_MAX) return payload
  throw new BusError('too-large', `a payload of ${payload.length} bytes; the limit is ${PAYLOAD_BYTES_MAX}`)
}

export interface BusMessage {
  readonly subject: string
  readonly payload: Uint8Array
}

/** Something that goes on until it is closed, across lost connections. */
export interface Subscription {
  /**
   * Resolves once the server knows of it (a subscription) or once the values of the moment have been handed over (a
   * watch); later than the first connection therefore. Rejects when the server refuses it or it is closed before.
   */
  readonly ready: Promise<void>
  close(): void
}

/** Since the bus was made. What is lost is always counted, on the side that knows. */
export interface BusCounters {
  published: number
  /** Messages handed to subscriptions. */
  received: number
  /** Plain publishes that went nowhere, because there was no connection or the queue to the server was full. */
  dropped: number
  /** Messages for our subscriptions that the server threw away because we read too slowly. */
  missed: number
  connects: number
}

export interface Bus {
  readonly connected: boolean
  readonly counters: Readonly<BusCounters>
  /**
   * Resolves when connected. Rejects after `timeout_ms` with the reason of the latest attempt, such as 'incompatible'.
   */
  whenConnected(timeout_ms: number): Promise<void>
  /** Calls `handler` on every change of `connected`; returns what stops that. */
  onConnection(handler: (connected: boolean) => void): () => void

  /**
   * Sends to whoever is subscribed at this moment. At most once: it is dropped and counted when there is no connection
   * or a queue on the way is full. Messages of one publisher arrive in the order of sending. Throws only for a bad
   * subject or a payload that is too large.
   */
  publish(subject: string, payload: Uint8Array): void
  /** Subjects are tokens joined by dots; in a pattern `*` is any one token and a last `>` is any one or more. */
  subscribe(pattern: string, handler: (message: BusMessage) => void): Subscription

  /**
   * Asks whoever responds to the subject; of several responders the first answer counts. Rejects with 'no-responders',
   * 'timeout' or 'failed'. Requests and plain messages do not see each other, also on one subject.
   */
  request(subject: string, payload: Uint8Array, options: { timeout_ms: number }): Promise<Uint8Array>
  /** Answers requests. What the handler throws is the requester's 'failed'. */
  respond(pattern: string, handler: (message: BusMessage) => Uint8Array | Promise<Uint8Array>): Subscription

  /** The stream of this name, made on first use. Whoever opens it last sets its limits. */
  stream(name: string, limits: StreamLimits): Stream
  /** The bucket of this name, made on first use. */
  bucket(name: string): Bucket

  /**
   * One attempt at a lease; rejects with 'lease-held'. The same holder gets its lease again at once, under a new epoch
   * that ends the old one: a module that was killed need not wait for its own ghost to expire. To wait for one's turn,
   * see `campaign`.
   */
  acquireLease(name: string, options: LeaseOptions): Promise<Lease>
  /**
   * Tells the present holder, then every change; undefined when there is none. Of quick changes only the last may show.
   */
  watchLease(name: string, handler: (holder: LeaseHolder | undefined) => void): Subscription

  /**
   * Ends everything that goes on through this bus: what is pending rejects with 'closed', leases are left to expire.
   */
  close(): Promise<void>
}

/** The oldest entries go when either is exceeded; the newest entry always stays. */
export interface StreamLimits {
  readonly entriesMax: number
  readonly bytesMax: number
}

export interface StreamEntry {
  /** From 1, without gaps as appended. A reader that finds a gap came too late for what the limits removed. */
  readonly sequence: number
  readonly payload: Uint8Array
}

/**
 * A durable log. What is acknowledged survives the death of every process; the implementation says what a power cut may
 * cost. Readers keep their own position: whoever stores the last sequence together with what came of it, and consumes
 * from the one behind it, has each entry take effect exactly once.
 */
export interface Stream {
  /**
   * Resolves with the sequence once stored. With `expectLast` only if the stream's last sequence is that (0: empty),
   * else 'wrong-sequence'; a single writer repeats an append of unknown outcome safely that way. Without, repeating is
   * at least once.
   */
  append(payload: Uint8Array, options?: { expectLast?: number }): Promise<number>
  /**
   * The entries from `from` on that are there now, oldest first, as many as fit a page (at least one if there is one).
   * Rejects with 'wrong-sequence' if `from` is more than one behind the last: the stream is not the one it was.
   */
  read(from: number): Promise<StreamEntry[]>
  /**
   * The entries from `from` on and then those to come, each once and in order, until the signal. Waits while there is
   * no connection. No more is fetched than a page ahead of the reader. Throws what `read` rejects with, 'disconnected'
   * apart.
   */
  consume(from: number, options: { signal: AbortSignal }): AsyncIterable<StreamEntry>
  /** Empty: last is first - 1. */
  bounds(): Promise<{ first: number; last: number }>
}

export interface BucketEntry {
  readonly key: string
  readonly value: Uint8Array
  /** Grows with every change in the bucket, whatever the key. */
  readonly revision: number
}

/** `value` is undefined when the key was deleted. */
export type BucketChange = Omit<BucketEntry, 'value'> & { readonly value: Uint8Array | undefined }

/**
 * Keys are tokens of letters, digits and `_ = / -` joined by dots. Reads see every write acknowledged before. What is
 * acknowledged survives as a stream's entries do.
 */
export interface Bucket {
  get(key: string): Promise<BucketEntry | undefined>
  /**
   * Resolves with the new revision. With `revision` only if the key still has that one (0: the key is not there), else
   * 'wrong-revision'.
   */
  put(key: string, value: Uint8Array, options?: { revision?: number }): Promise<number>
  /** A key that is not there may be deleted, unless `revision` asks otherwise. */
  delete(key: string, options?: { revision?: number }): Promise<void>
  /** All entries whose key matches, in the order of their revisions. */
  entries(pattern: string): Promise<BucketEntry[]>
  /**
   * Hands over the entries that match and then every change, in order of revision; after a lost connection what changed
   * meanwhile. The last value of a key always arrives; of changes in quick succession those between may be left out.
   */
  watch(pattern: string, handler: (change: BucketChange) => void): Subscription
}

export interface LeaseOptions {
  /** Who asks: unique among those who may hold it, the same after a restart. */
  readonly holder: string
  readonly ttl_ms: number
}

export interface LeaseHolder {
  readonly holder: string
  readonly epoch: number
}

/**
 * At most one holder at a time by the server's clock. It is renewed by itself. A holder that was stopped or cut off may
 * believe in it for a moment too long, so whatever it writes under the lease carries the epoch, and whoever obeys it
 * rejects an epoch lower than one already seen.
 */
export interface Lease extends LeaseHolder {
  readonly name: string
  /** False as soon as the lease may have expired, judged by our own clock since the last renewal was sent. */
  readonly held: boolean
  /** Resolves, once, when it is no longer held, for whatever reason. */
  readonly lost: Promise<void>
  /** Lets go of it at once. */
  release(): Promise<void>
}

/** Waits for one's turn at a lease, across lost connections. Rejects with 'closed' after the signal or with the bus. */
export async function campaign(bus: Bus, name: string, options: LeaseOptions, signal: AbortSignal): Promise<Lease> {
  let changed = Promise.withResolvers<void>()
  const wake = (): void => changed.resolve()
  const watch = bus.watchLease(name, wake)
  const stopConnection = bus.onConnection(wake)
  signal.addEventListener('abort', wake)
  try {
    for (;;) {
      if (signal.aborted) throw new BusError('closed', `campaign for lease ${name} was stopped`)
      changed = Promise.withResolvers()
      const lease = await attempt(bus, name, options)
      if (lease === 'wait') await changed.promise
      else if (lease !== 'again') return lease
    }
  } finally {
    watch.close()
    stopConnection()
    signal.removeEventListener('abort', wake)
  }
}

async function attempt(bus: Bus, name: string, options: LeaseOptions): Promise<Lease | 'wait' | 'again'> {
  try {
    return await bus.acquireLease(name, options)
  } catch (error) {
    const code = error instanceof BusError ? error.code : undefined
    if (code === 'lease-held' || code === 'disconnected') return 'wait'
    if (code === 'timeout') return 'again'
    throw error
  }
}
