/**
 * Searches many tables side by side. A search waits for memory at each of its steps, since where it looks next depends on
 * what it has read; so all searches of a group read their first line, then all their second, and the waits fall together.
 */

import { Table } from './layout.ts'
import { chooseChunk4, chooseChunk6, matchInChunk4, matchInChunk6, scanTable4, scanTable6 } from './table-search.ts'

export class TableGroup {
  /** What each search is for: a row of the caller's columns. */
  readonly #rows: Int32Array
  readonly #tables: Int32Array
  /** How many chunks the table has; then the one that was chosen. */
  readonly #chunks: Int32Array
  #count = 0
  /** Of no use but to make the reading of it, which brings the line, look useful to the compiler. */
  read = 0

  constructor(capacity: number) {
    this.#rows = new Int32Array(capacity)
    this.#tables = new Int32Array(capacity)
    this.#chunks = new Int32Array(capacity)
  }

  /** Adds a search; nothing of the table is read yet. */
  add(row: number, table: number): void {
    this.#rows[this.#count] = row
    this.#tables[this.#count++] = table
  }

  /** Searches for IPv4 addresses, writes the slots found into their rows, and is empty again. */
  search4(words: Int32Array, addresses: Uint32Array, slots: Uint32Array): void {
    const rows = this.#rows
    const tables = this.#tables
    const chunks = this.#chunks
    const count = this.#readCounts(words)
    let several = 0
    for (let i = 0; i < count; i++) {
      const row = rows[i]!
      const table = tables[i]!
      if (chunks[i] === 1) {
        slots[row] = scanTable4(words, table, addresses[row]!)
      } else {
        rows[several] = row
        tables[several] = table
        chunks[several++] = chooseChunk4(words, table, addresses[row]!)
      }
    }
    this.#readChunks(words, several)
    for (let i = 0; i < several; i++) {
      const row = rows[i]!
      slots[row] = matchInChunk4(words, tables[i]!, chunks[i]!, addresses[row]!)
    }
  }

  /** The same for IPv6 addresses, 16 bytes each at `at` of their row. */
  search6(words: Int32Array, frame: DataView, at: Uint32Array, slots: Uint32Array): void {
    const rows = this.#rows
    const tables = this.#tables
    const chunks = this.#chunks
    const count = this.#readCounts(words)
    let several = 0
    for (let i = 0; i < count; i++) {
      const row = rows[i]!
      const table = tables[i]!
      if (chunks[i] === 1) {
        slots[row] = scanTable6(words, table, frame, at[row]!)
      } else {
        rows[several] = row
        tables[several] = table
        chunks[several++] = chooseChunk6(words, table, frame, at[row]!)
      }
    }
    this.#readChunks(words, several)
    for (let i = 0; i < several; i++) {
      const row = rows[i]!
      slots[row] = matchInChunk6(words, tables[i]!, chunks[i]!, frame, at[row]!)
    }
  }

  #readCounts(words: Int32Array): number {
    const tables = this.#tables
    const chunks = this.#chunks
    const count = this.#count
    this.#count = 0
    for (let i = 0; i < count; i++) chunks[i] = words[tables[i]! + Table.counts]! >>> 16
    return count
  }

  #readChunks(words: Int32Array, count: number): void {
    const chunks = this.#chunks
    let read = 0
    for (let i = 0; i < count; i++) read ^= words[chunks[i]!]!
    this.read = read
  }
}
