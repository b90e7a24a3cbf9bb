/**
 * The history of the BGP speaker: every session event and every update that came, on disk, for whoever has to find out
 * later what happened (DSR section 8.2). It is written by a thread of its own (history-thread.ts) from the memory that the
 * session thread hands to the route thread anyway, and when it cannot keep up it loses chunks and not time.
 *
 *   session thread --- tap.ts: up, chunks by reference, down ---> history thread --> segments with notes
 *                  <== bytes taken, in shared memory ===========
 */

import { MessageChannel, type MessagePort, Worker } from 'node:worker_threads'
import type { Routing } from '../../config/routing.ts'
import type { KnownNeighbour } from './recorder.ts'

export interface HistorySettings {
  /** Its own: whatever else is in it stays, but segments. */
  readonly directory: string
  readonly size_bytes: number
  /** The process that speaks. */
  readonly node: string
}

export interface HistoryOptions extends HistorySettings {
  readonly routing: Pick<Routing, 'as' | 'neighbours'>
  /** Something is not written; `isOver` when nothing will be any more. Sessions go on. */
  readonly failed: (error: Error, isOver: boolean) => void
}

export interface HistoryThreadSetup extends HistorySettings {
  readonly as: number
  readonly neighbours: readonly KnownNeighbour[]
  readonly sessions: MessagePort
  readonly taken: SharedArrayBuffer
}

export type ToHistoryThread =
  | { readonly kind: 'neighbours'; readonly neighbours: readonly KnownNeighbour[] }
  | { readonly kind: 'close' }

export type FromHistory = { readonly kind: 'failed'; readonly message: string } | { readonly kind: 'closed' }

/** What the session thread gets of it, to be transferred. */
export interface HistoryEnd {
  readonly port: MessagePort
  readonly taken: SharedArrayBuffer
}

export class History {
  readonly end: HistoryEnd
  readonly #worker: Worker
  readonly #closed = Promise.withResolvers<void>()
  #isOver = false

  constructor({ routing, failed, ...settings }: HistoryOptions) {
    const { port1, port2 } = new MessageChannel()
    const taken = new SharedArrayBuffer(4)
    const neighbours = neighboursOf(routing)
    const workerData: HistoryThreadSetup = { ...settings, as: routing.as, neighbours, sessions: port1, taken }
    this.end = { port: port2, taken }
    this.#worker = new Worker(new URL('./history-thread.ts', import.meta.url), { workerData, transferList: [port1] })
    this.#worker.on('message', (message: FromHistory) => {
      if (message.kind === 'failed') failed(new Error(message.message), false)
      else this.#closed.resolve()
    })
    this.#worker.on('error', (error) => {
      this.#isOver = true
      failed(error as Error, true)
    })
    this.#worker.on('exit', () => this.#closed.resolve())
  }

  /** Another site file: to be said before the sessions hear of it. */
  reload(routing: Pick<Routing, 'neighbours'>): void {
    this.#tell({ kind: 'neighbours', neighbours: neighboursOf(routing) })
  }

  #tell(message: ToHistoryThread): void {
    if (!this.#isOver) this.#worker.postMessage(message)
  }

  /** Writes what has come, and ends. */
  async close(): Promise<void> {
    this.#tell({ kind: 'close' })
    await this.#closed.promise
    await this.#worker.terminate()
  }
}

function neighboursOf({ neighbours }: Pick<Routing, 'neighbours'>): KnownNeighbour[] {
  return neighbours.map(({ name, as, tenant }) => ({ name, as, tenant }))
}
