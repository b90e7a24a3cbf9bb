/**
 * Reads and scans that have seen everything and wait for more. Each is one client's call; it is tried again when what
 * it waits for may have come, and then answered or kept. A limit per client bounds them.
 */

import { matches } from '../subject.ts'
import type { Connection } from './connection.ts'

/** One for each consumer and watch that a client has. */
const WAITERS_MAX = 1024

export interface Waiter {
  readonly connection: Connection
  readonly id: number
  /** The stream or bucket. */
  readonly of: string
  /** Which keys of a bucket; undefined for a stream. */
  readonly pattern: string | undefined
  /** All up to it has been seen. */
  after: number
}

export class Waiters {
  readonly #byThing = new Map<string, Set<Waiter>>()
  readonly #byConnection = new Map<Connection, Map<number, Waiter>>()

  /** False if the client has too many, or one of this id already. */
  add(waiter: Waiter): boolean {
    const own = this.#byConnection.get(waiter.connection) ?? new Map<number, Waiter>()
    if (own.size >= WAITERS_MAX || own.has(waiter.id)) return false
    this.#byConnection.set(waiter.connection, own.set(waiter.id, waiter))
    const thing = this.#byThing.get(waiter.of) ?? new Set()
    this.#byThing.set(waiter.of, thing.add(waiter))
    return true
  }

  /** Takes out and returns whoever waits for this; the others of the thing need not look behind `number` again. */
  take(of: string, key: string, number: number): Waiter[] {
    const due: Waiter[] = []
    for (const waiter of this.#byThing.get(of) ?? []) {
      if (waiter.pattern === undefined || matches(waiter.pattern, key)) due.push(waiter)
      else waiter.after = number
    }
    for (const waiter of due) this.cancel(waiter.connection, waiter.id)
    return due
  }

  cancel(connection: Connection, id: number): void {
    const own = this.#byConnection.get(connection)
    const waiter = own?.get(id)
    if (!own || !waiter) return
    own.delete(id)
    if (own.size === 0) this.#byConnection.delete(connection)
    const thing = this.#byThing.get(waiter.of)
    thing?.delete(waiter)
    if (thing?.size === 0) this.#byThing.delete(waiter.of)
  }

  leave(connection: Connection): void {
    for (const id of [...(this.#byConnection.get(connection)?.keys() ?? [])]) this.cancel(connection, id)
  }
}
