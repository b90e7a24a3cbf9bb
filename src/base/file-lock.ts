/**
 * A lock on a file that the kernel lets go of when the process ends, however it ends; never a stale one to clean up.
 * Node's runtime has no flock(2), but SQLite takes fcntl(2) record locks, so the lock is an empty database held in an
 * exclusive transaction. Children do not inherit it, so it is free again even while they live on.
 */

import { DatabaseSync } from 'node:sqlite'

const SQLITE_BUSY = 5

export interface FileLock {
  release(): void
}

/**
 * Undefined if another process, or another holder in this one, has it. Makes the file; throws what opening it throws.
 */
export function lockFile(path: string): FileLock | undefined {
  const database = new DatabaseSync(path, { timeout: 0 })
  try {
    database.exec('BEGIN EXCLUSIVE')
    return { release: () => database.close() }
  } catch (error) {
    database.close()
    if ((error as { errcode?: number }).errcode === SQLITE_BUSY) return undefined
    throw error
  }
}
