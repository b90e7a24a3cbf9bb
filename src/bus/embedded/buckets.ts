/**
 * The buckets of the embedded bus. An entry's revision is its bucket's counter at the entry's last change, so "what
 * changed behind revision N" is one walk over an index; a watch is nothing but that question asked again and again, and
 * a slow or returning watcher costs no memory here. A deletion stays as an entry without a value for those who come
 * back; the oldest are forgotten in time, and `floor` is the revision up to which that has happened. The counter itself
 * needs no storing: it is the highest revision of an entry, or the floor.
 */

import type { StatementSync } from 'node:sqlite'
import { BusError } from '../bus.ts'
import { matches } from '../subject.ts'
import type { Database } from './database.ts'
import { type Item, itemBytes, PAGE_BYTES_MAX } from './protocol.ts'

/** A returning watcher that missed more deletions than these is told to start over. */
const DELETIONS_KEPT = 1024
/** How many deletions between two rounds of forgetting. */
const DELETIONS_ROUND = 256
/** Entries looked at for one page, matching or not: some milliseconds during which nobody else is served. */
const SCAN_ROWS_MAX = 4096
/** A bucket is for a kind of thing, of which a site has dozens. */
const BUCKETS_MAX = 1024

interface Bucket {
  readonly id: number
  revision: number
  floor: number
  deletionsSinceRound: number
}

interface EntryRow {
  readonly key: string
  readonly revision: number
  readonly value: Uint8Array | null
}

export interface Scan {
  readonly items: Item[]
  /** The revision that the next scan goes on behind. */
  readonly after: number
  /** What the next scan may claim to know everything up to. */
  readonly since: number
}

export class Buckets {
  readonly #buckets = new Map<string, Bucket>()
  readonly #insertBucket: StatementSync
  readonly #setFloor: StatementSync
  readonly #select: StatementSync
  readonly #upsert: StatementSync
  readonly #scan: StatementSync
  readonly #oldestKept: StatementSync
  readonly #forget: StatementSync

  constructor(database: Database) {
    const { sql } = database
    this.#insertBucket = sql.prepare('INSERT INTO buckets (name, floor) VALUES (?, 0)')
    this.#setFloor = sql.prepare('UPDATE buckets SET floor = ? WHERE id = ?')
    this.#select = sql.prepare('SELECT key, revision, value FROM entries WHERE bucket = ? AND key = ?')
    this.#upsert = sql.prepare(
      `INSERT INTO entries (bucket, key, revision, value) VALUES (?, ?, ?, ?)
       ON CONFLICT (bucket, key) DO UPDATE SET revision = excluded.revision, value = excluded.value`,
    )
    this.#scan = sql.prepare(
      'SELECT key, revision, value FROM entries WHERE bucket = ? AND revision > ? ORDER BY revision LIMIT ?',
    )
    this.#oldestKept = sql.prepare(
      'SELECT revision FROM entries WHERE bucket = ? AND value IS NULL ORDER BY revision DESC LIMIT 1 OFFSET ?',
    )
    this.#forget = sql.prepare('DELETE FROM entries WHERE bucket = ? AND value IS NULL AND revision <= ?')
    const highest = sql.prepare('SELECT max(revision) AS revision FROM entries WHERE bucket = ?')
    for (const row of sql.prepare('SELECT id, name, floor FROM buckets').all()) {
      const { id, name, floor } = row as { id: number; name: string; floor: number }
      const { revision } = highest.get(id) as { revision: number | null }
      this.#buckets.set(name, { id, revision: Math.max(revision ?? 0, floor), floor, deletionsSinceRound: 0 })
    }
  }

  /** Undefined if the key is not there. */
  get(name: string, key: string): Item | undefined {
    const bucket = this.#buckets.get(name)
    const row = bucket && (this.#select.get(bucket.id, key) as EntryRow | undefined)
    return row?.value ? itemOf(row) : undefined
  }

  /**
   * Sets the key's value, or deletes it if that is null, and returns the new revision. `expectation` as in the
   * protocol. Throws 'wrong-revision', 'too-many', or what SQLite throws; nothing has changed then.
   */
  put(name: string, key: string, value: Uint8Array | null, expectation: number): number {
    const bucket = this.#bucket(name)
    const row = this.#select.get(bucket.id, key) as EntryRow | undefined
    const present = row?.value ? row.revision : 0
    if (expectation !== 0 && expectation !== present + 1) {
      throw new BusError('wrong-revision', `${name}/${key} is at revision ${present}, not ${expectation - 1}`)
    }
    if (value === null && present === 0) return bucket.revision
    const revision = bucket.revision + 1
    this.#upsert.run(bucket.id, key, revision, value)
    bucket.revision = revision
    if (value === null) bucket.deletionsSinceRound++
    return revision
  }

  /**
   * A page of what matches and changed behind `after`, deletions included. A reader that starts takes 0 for `after` and
   * `since`, and for the next page what this one returned; once the two are the same it has seen all that there was.
   * Throws 'wrong-revision' when it must start over: deletions behind `since` are forgotten, or the bucket is another.
   */
  scan(name: string, pattern: string, after: number, since: number): Scan {
    const bucket = this.#buckets.get(name)
    const revision = bucket?.revision ?? 0
    const floor = bucket?.floor ?? 0
    if (after > revision || (after > 0 && floor > since)) {
      throw new BusError('wrong-revision', `changes of ${name} behind revision ${since} are no longer known`)
    }
    const items: Item[] = []
    let bytes = 0
    let through = after
    let rows = 0
    if (!bucket) return { items, after: 0, since: 0 }
    for (const raw of this.#scan.iterate(bucket.id, after, SCAN_ROWS_MAX)) {
      const row = raw as unknown as EntryRow
      if (matches(pattern, row.key)) {
        const item = itemOf(row)
        bytes += itemBytes(item)
        if (items.length > 0 && bytes > PAGE_BYTES_MAX) {
          return { items, after: through, since: after === 0 ? revision : since }
        }
        items.push(item)
      }
      through = row.revision
      rows++
    }
    if (rows < SCAN_ROWS_MAX) return { items, after: revision, since: revision }
    return { items, after: through, since: after === 0 ? revision : since }
  }

  /** Every entry of a bucket that is known to be small. */
  all(name: string): Item[] {
    const bucket = this.#buckets.get(name)
    const rows = bucket ? (this.#scan.all(bucket.id, 0, -1) as unknown as EntryRow[]) : []
    return rows.map(itemOf).filter((item) => !item.deleted)
  }

  /** Every so many deletions, forgets the oldest. Throws what SQLite throws. */
  forgetDeletions(name: string): void {
    const bucket = this.#buckets.get(name)
    if (!bucket || bucket.deletionsSinceRound < DELETIONS_ROUND) return
    bucket.deletionsSinceRound = 0
    const row = this.#oldestKept.get(bucket.id, DELETIONS_KEPT) as { revision: number } | undefined
    if (!row) return
    // First the floor: a floor that is too high makes watchers start over, one that is too low makes them miss
    // something.
    this.#setFloor.run(row.revision, bucket.id)
    bucket.floor = row.revision
    this.#forget.run(bucket.id, row.revision)
  }

  #bucket(name: string): Bucket {
    const known = this.#buckets.get(name)
    if (known) return known
    if (this.#buckets.size >= BUCKETS_MAX) throw new BusError('too-many', `there are ${BUCKETS_MAX} buckets already`)
    const id = Number(this.#insertBucket.run(name).lastInsertRowid)
    const bucket = { id, revision: 0, floor: 0, deletionsSinceRound: 0 }
    this.#buckets.set(name, bucket)
    return bucket
  }
}

function itemOf(row: EntryRow): Item {
  return { key: row.key, number: row.revision, deleted: row.value === null, payload: row.value ?? new Uint8Array(0) }
}
