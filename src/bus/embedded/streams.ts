/** The streams of the embedded bus by name: their limits in SQLite, their entries in a `Log` each. */

import { join } from 'node:path'
import type { StatementSync } from 'node:sqlite'
import { BusError, type StreamLimits } from '../bus.ts'
import type { Database } from './database.ts'
import { Log } from './log.ts'
import type { Item } from './protocol.ts'

/** Each has files open: at the limit below, and 8 MB a segment, some thousand at most. */
const STREAMS_MAX = 256
const BYTES_MAX = 1024 * 1024 * 1024
/** 8 bytes of index a record: 80 MB. */
const ENTRIES_MAX = 10_000_000

export class Streams {
  readonly #directory: string
  readonly #onSyncError: (error: Error) => void
  readonly #logs = new Map<string, Log>()
  readonly #save: StatementSync

  constructor(directory: string, database: Database, onSyncError: (error: Error) => void) {
    this.#directory = directory
    this.#onSyncError = onSyncError
    this.#save = database.sql.prepare(
      `INSERT INTO streams (name, entries_max, bytes_max) VALUES (?, ?, ?)
       ON CONFLICT (name) DO UPDATE SET entries_max = excluded.entries_max, bytes_max = excluded.bytes_max`,
    )
    for (const row of database.sql.prepare('SELECT name, entries_max, bytes_max FROM streams').all()) {
      const { name, entries_max, bytes_max } = row as { name: string; entries_max: number; bytes_max: number }
      this.#logs.set(name, this.#open(name, { entriesMax: entries_max, bytesMax: bytes_max }))
    }
  }

  /** Makes the stream, or gives it new limits. */
  open(name: string, wanted: StreamLimits): Log {
    const limits = {
      entriesMax: Math.min(Math.max(wanted.entriesMax, 1), ENTRIES_MAX),
      bytesMax: Math.min(Math.max(wanted.bytesMax, 1), BYTES_MAX),
    }
    const known = this.#logs.get(name)
    if (!known && this.#logs.size >= STREAMS_MAX) {
      throw new BusError('too-many', `there are ${STREAMS_MAX} streams already`)
    }
    this.#save.run(name, limits.entriesMax, limits.bytesMax)
    known?.setLimits(limits)
    const log = known ?? this.#open(name, limits)
    this.#logs.set(name, log)
    return log
  }

  /** `expectation` as in the protocol. Throws 'wrong-sequence', or what the file system throws. */
  append(name: string, payload: Uint8Array, expectation: number): number {
    const log = this.#log(name)
    if (expectation !== 0 && expectation !== log.last + 1) {
      throw new BusError('wrong-sequence', `stream ${name} ends at ${log.last}, not ${expectation - 1}`)
    }
    return log.append(payload)
  }

  /** Throws 'wrong-sequence' if the stream was never that long. */
  page(name: string, from: number): { items: Item[]; first: number; last: number } {
    const log = this.#log(name)
    if (from > log.last + 1) throw new BusError('wrong-sequence', `stream ${name} ends at ${log.last}, before ${from}`)
    return { items: log.page(from), first: log.first, last: log.last }
  }

  bounds(name: string): { first: number; last: number } {
    const { first, last } = this.#log(name)
    return { first, last }
  }

  sync(): void {
    for (const log of this.#logs.values()) log.sync()
  }

  close(): void {
    for (const log of this.#logs.values()) log.close()
  }

  #log(name: string): Log {
    const log = this.#logs.get(name)
    if (!log) throw new BusError('bad-name', `there is no stream ${name}`)
    return log
  }

  #open(name: string, limits: StreamLimits): Log {
    return new Log(join(this.#directory, name), limits, this.#onSyncError)
  }
}
