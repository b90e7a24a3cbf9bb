/**
 * The SQLite file of the embedded bus: its schema and how it writes. A commit is a write to the journal, so it survives
 * the death of every process; it waits for the disk only inside `safely`. A power cut may cost the commits of the last
 * seconds otherwise, never the consistency of the file.
 */

import { randomUUID } from 'node:crypto'
import { DatabaseSync } from 'node:sqlite'

const SCHEMA = `
  CREATE TABLE IF NOT EXISTS store (id TEXT NOT NULL);
  CREATE TABLE IF NOT EXISTS streams (name TEXT PRIMARY KEY, entries_max INTEGER NOT NULL, bytes_max INTEGER NOT NULL);
  CREATE TABLE IF NOT EXISTS buckets (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, floor INTEGER NOT NULL);
  CREATE TABLE IF NOT EXISTS entries (
    bucket INTEGER NOT NULL, key TEXT NOT NULL, revision INTEGER NOT NULL, value BLOB,
    UNIQUE (bucket, key), UNIQUE (bucket, revision));
  CREATE INDEX IF NOT EXISTS deletions ON entries (bucket, revision) WHERE value IS NULL;
`

export class Database {
  readonly sql: DatabaseSync
  /** Made up when the file was: tells clients whether it is still the one that they know. */
  readonly id: string

  constructor(path: string) {
    this.sql = new DatabaseSync(path)
    this.sql.exec('PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL')
    this.sql.exec(SCHEMA)
    const row = this.sql.prepare('SELECT id FROM store').get()
    this.id = typeof row?.['id'] === 'string' ? row['id'] : randomUUID()
    if (!row) this.sql.prepare('INSERT INTO store VALUES (?)').run(this.id)
  }

  /** What `work` commits is on the disk when this returns. */
  safely<T>(work: () => T): T {
    this.sql.exec('PRAGMA synchronous = FULL')
    try {
      return work()
    } finally {
      this.sql.exec('PRAGMA synchronous = NORMAL')
    }
  }

  close(): void {
    this.sql.close()
  }
}
