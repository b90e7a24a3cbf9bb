/** What the suite runs on: a harness from the implementation, clients, and words to write its cases in. */

import { equal, ok } from 'node:assert/strict'
import { systemClock } from '../../base/clock.ts'
import { type Bus, BusError, type BusErrorCode, type Stream, type StreamEntry } from '../bus.ts'

/** Above what a busy machine of two cores needs. */
export const PATIENCE_ms = 20_000

export interface SpawnedClient {
  /** The next line that it prints. */
  line(): Promise<string>
  pause(): void
  resume(): void
  /** kill -9. */
  kill(): Promise<void>
}

export interface BusHarness {
  /** A new client; the suite closes it. */
  client(name: string): Bus
  /** kill -9. Resolves when the process is gone. */
  kill(): Promise<void>
  start(): Promise<void>
  /**
   * A client in a process of its own that runs `clientSource` (an async function body with `bus` and `clock` in scope).
   */
  spawnClient(clientSource: string): Promise<SpawnedClient>
  stop(): Promise<void>
}

export const bytes = (text: string): Uint8Array => Buffer.from(text)
export const text = (payload: Uint8Array | undefined): string | undefined => payload && Buffer.from(payload).toString()
export const withCode = (code: BusErrorCode) => (error: unknown) => error instanceof BusError && error.code === code
export const limits = { entriesMax: 100_000, bytesMax: 64 * 1024 * 1024 }

/** So many entries from the first on, read page by page. */
export async function collect(stream: Stream, count: number): Promise<StreamEntry[]> {
  const found: StreamEntry[] = []
  for (let from = 1; found.length < count; from = found.at(-1)!.sequence + 1) {
    const page = await stream.read(from)
    ok(page.length > 0, `${found.length} of ${count} acknowledged entries are there`)
    found.push(...page)
  }
  return found
}

export function codeOf(error: unknown): BusErrorCode {
  if (error instanceof BusError) return error.code
  throw error
}

/** Appends until it stands; `last` is where the stream ended before. Returns how often its outcome was unknown. */
export async function appendOnce(bus: Bus, stream: Stream, payload: Uint8Array, last: number): Promise<number> {
  for (let unknown = 0; ; unknown++) {
    try {
      equal(await stream.append(payload, { expectLast: last }), last + 1)
      return unknown
    } catch (error) {
      const code = codeOf(error)
      if (code === 'wrong-sequence') {
        ok(unknown > 0, 'nobody else writes')
        return unknown
      }
      ok(code === 'disconnected' || code === 'timeout', code)
      await bus.whenConnected(PATIENCE_ms)
    }
  }
}

/** Collects what a handler gets, and waits until that is as it should be. */
export class Seen<T> {
  readonly list: T[] = []
  #check = (): void => {}

  readonly add = (value: T): void => {
    this.list.push(value)
    this.#check()
  }

  until(condition: (list: readonly T[]) => boolean): Promise<void> {
    return new Promise((resolve, reject) => {
      const timer = systemClock.after(PATIENCE_ms, () =>
        reject(new Error(`still only ${JSON.stringify(this.list.slice(-5))}`)),
      )
      this.#check = () => {
        if (!condition(this.list)) return
        timer.cancel()
        resolve()
      }
      this.#check()
    })
  }

  count(wanted: number): Promise<void> {
    return this.until((list) => list.length >= wanted)
  }
}

export interface BusSite {
  harness: BusHarness
  /** A client that is connected, closed after the test. */
  join(name: string): Promise<Bus>
}

/** A case a row: what must be so, and the test of it. */
export type SuiteCases = Readonly<Record<string, (site: BusSite) => Promise<void>>>
