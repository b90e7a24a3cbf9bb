/**
 * What the embedded bus keeps: its streams, buckets and leases in one directory, and the calls that clients make on
 * them. Every call is answered once: with its result, or with a named failure.
 */

import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { unreachable } from '../../base/assert.ts'
import type { Clock, Timer } from '../../base/clock.ts'
import type { Logger } from '../../base/log.ts'
import { BusError, checkSize } from '../bus.ts'
import { isWellFormed, type NameKind } from '../subject.ts'
import { Buckets } from './buckets.ts'
import type { Connection } from './connection.ts'
import { Database } from './database.ts'
import { LEASES, Leases } from './leases.ts'
import type { Item, ToServer } from './protocol.ts'
import { Streams } from './streams.ts'
import { type Waiter, Waiters } from './waiters.ts'

/** What a power cut may cost of the streams. */
const SYNC_INTERVAL_ms = 1000

type Call = Extract<ToServer, { id: number }>
type StorageCall = Exclude<Call, { type: 'subscribe' | 'request' | 'cancel' }>

const NOTHING = new Uint8Array(0)

export class Storage {
  /** Tells one data directory from another. */
  readonly id: string
  readonly #database: Database
  readonly #streams: Streams
  readonly #buckets: Buckets
  readonly #leases: Leases
  readonly #waiters = new Waiters()
  readonly #log: Logger
  readonly #sync: Timer

  constructor(directory: string, clock: Clock, log: Logger) {
    mkdirSync(directory, { recursive: true, mode: 0o700 })
    this.#log = log
    this.#database = new Database(join(directory, 'bus.sqlite'))
    this.id = this.#database.id
    this.#streams = new Streams(join(directory, 'streams'), this.#database, (error) => this.#onError(error))
    this.#buckets = new Buckets(this.#database)
    this.#leases = new Leases(
      clock,
      (name, value) => this.#writeLease(name, value),
      (error) => this.#onError(error),
    )
    for (const { key, number, payload } of this.#buckets.all(LEASES)) this.#leases.resume(key, number, payload)
    this.#sync = clock.every(SYNC_INTERVAL_ms, () => this.#streams.sync())
  }

  handle(connection: Connection, call: StorageCall): void {
    try {
      this.#perform(connection, call)
    } catch (error) {
      this.#fail(connection, call.id, error)
    }
  }

  cancel(connection: Connection, id: number): void {
    this.#waiters.cancel(connection, id)
  }

  leave(connection: Connection): void {
    this.#waiters.leave(connection)
  }

  close(): void {
    this.#sync.cancel()
    this.#leases.close()
    this.#streams.close()
    this.#database.close()
  }

  #perform(connection: Connection, call: StorageCall): void {
    switch (call.type) {
      case 'openStream':
      case 'append':
      case 'read':
        demand('name', call.stream)
        this.#onStream(connection, call)
        break
      case 'get':
      case 'put':
      case 'delete':
        demand('name', call.bucket)
        demand('key', call.key)
        this.#onEntry(connection, call)
        break
      case 'scan':
        if (call.bucket !== LEASES) demand('name', call.bucket)
        demand('pattern', call.pattern)
        connection.whenRoom(() => this.#scan(connection, call))
        break
      case 'acquire':
      case 'renew':
      case 'release':
        demand('key', call.lease)
        this.#done(connection, call.id, this.#onLease(call))
        break
      default:
        unreachable(call)
    }
  }

  #onStream(connection: Connection, call: Extract<StorageCall, { type: 'openStream' | 'append' | 'read' }>): void {
    if (call.type === 'read') {
      connection.whenRoom(() => this.#read(connection, call))
    } else if (call.type === 'openStream') {
      const { first, last } = this.#streams.open(call.stream, call)
      connection.send({ type: 'page', id: call.id, first, last, items: [] })
    } else {
      checkSize(call.payload)
      const sequence = this.#streams.append(call.stream, call.payload, call.expectation)
      this.#done(connection, call.id, sequence)
      this.#appended(call.stream, sequence)
    }
  }

  #onEntry(connection: Connection, call: Extract<StorageCall, { type: 'get' | 'put' | 'delete' }>): void {
    const { id, bucket, key } = call
    if (call.type === 'get') {
      connection.whenRoom(() => this.#get(connection, id, bucket, key))
    } else {
      const value = call.type === 'put' ? checkSize(call.payload) : null
      const revision = this.#buckets.put(bucket, key, value, call.expectation)
      this.#done(connection, id, revision)
      this.#changed(bucket, key, revision)
    }
  }

  /** Returns the epoch. */
  #onLease(call: Extract<StorageCall, { type: 'acquire' | 'renew' | 'release' }>): number {
    if (call.type === 'acquire') {
      demand('subject', call.holder)
      return this.#leases.acquire(call.lease, call.holder, call.ttl_ms)
    }
    if (call.type === 'renew') this.#leases.renew(call.lease, call.epoch)
    else this.#leases.release(call.lease, call.epoch)
    return call.epoch
  }

  #get(connection: Connection, id: number, bucket: string, key: string): void {
    const item = this.#buckets.get(bucket, key)
    connection.send({ type: 'page', id, first: 0, last: 0, items: item ? [item] : [] })
  }

  #read(connection: Connection, call: { id: number; stream: string; waits: number; from: number }): void {
    const { id, stream, from } = call
    this.#answer(connection, id, () => {
      const page = this.#streams.page(stream, from)
      if (page.items.length > 0 || call.waits === 0) return page
      return { connection, id, of: streamKey(stream), pattern: undefined, after: from - 1 }
    })
  }

  #scan(connection: Connection, call: Omit<Extract<StorageCall, { type: 'scan' }>, 'type'>): void {
    const { id, bucket, pattern } = call
    this.#answer(connection, id, () => {
      const { items, after, since } = this.#buckets.scan(bucket, pattern, call.after, call.since)
      if (items.length > 0 || call.waits === 0 || after !== since) return { items, first: after, last: since }
      return { connection, id, of: bucketKey(bucket), pattern, after }
    })
  }

  /** Sends the page, keeps the waiter, or says what went wrong: also when it runs long after the call came. */
  #answer(
    connection: Connection,
    id: number,
    look: () => { items: Item[]; first: number; last: number } | Waiter,
  ): void {
    try {
      const result = look()
      if ('items' in result) connection.send({ type: 'page', id, ...result })
      else if (!this.#waiters.add(result)) throw new BusError('too-many', 'too many reads wait for more')
    } catch (error) {
      this.#fail(connection, id, error)
    }
  }

  #appended(stream: string, sequence: number): void {
    for (const { connection, id, after } of this.#waiters.take(streamKey(stream), '', sequence)) {
      connection.whenRoom(() => this.#read(connection, { id, stream, waits: 1, from: after + 1 }))
    }
  }

  #changed(bucket: string, key: string, revision: number): void {
    for (const { connection, id, pattern = '>', after } of this.#waiters.take(bucketKey(bucket), key, revision)) {
      connection.whenRoom(() => this.#scan(connection, { id, bucket, pattern, waits: 1, after, since: after }))
    }
    try {
      this.#buckets.forgetDeletions(bucket)
    } catch (error) {
      this.#onError(error)
    }
  }

  #writeLease(name: string, value: Uint8Array | null): number {
    const put = (): number => this.#buckets.put(LEASES, name, value, 0)
    const revision = value ? this.#database.safely(put) : put()
    this.#changed(LEASES, name, revision)
    return revision
  }

  #done(connection: Connection, id: number, number: number): void {
    connection.send({ type: 'done', id, number, payload: NOTHING })
  }

  /** For what nobody waits for. */
  #onError(error: unknown): void {
    this.#log.error({ error: String(error) }, 'the disk refused')
  }

  #fail(connection: Connection, id: number, error: unknown): void {
    const failure = error instanceof BusError ? error : new BusError('storage', String(error))
    if (failure.code === 'storage')
      this.#log.error({ error: failure.detail, client: connection.name }, 'the disk refused')
    connection.fail(id, failure.code, failure.detail)
  }
}

// Streams and buckets of one name are two things that can be waited for.
const streamKey = (name: string): string => `stream ${name}`
const bucketKey = (name: string): string => `bucket ${name}`

function demand(kind: NameKind, text: string): void {
  if (!isWellFormed(kind, text)) throw new BusError('bad-name', `that is not a ${kind}`)
}
