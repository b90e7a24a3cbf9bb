/**
 * BFD in a thread of its own: sockets, sessions and timers. Whatever the thread that asks for sessions is busy with, a
 * table of a million routes or the collection of its garbage, its peers hear from it in time. `service-thread.ts` is the
 * other side.
 *
 *   agent                               thread, under SCHED_RR
 *     --- open, close, enable, list --->    speaker --- UDP ---> peers
 *     <-- news, sessions ---------------
 *     === the pulse, in shared memory ==>   stands still: AdminDown
 *
 * The price is that the thread would go on saying that all is well when nothing else of the process works any more. So
 * who serves others beats a pulse; when it stands still for seconds, the sessions are taken down until it beats again.
 */

import { Worker as Thread } from 'node:worker_threads'
import type { BfdStateName } from './session.ts'
import type { Bfd, BfdHandle, BfdNews, BfdPeer, BfdPeerOptions } from './speaker.ts'

/** How often a pulse is to be beaten at least. */
export const PULSE_ms = 500

export interface BfdServiceOptions {
  /** Sessions may come up. */
  readonly enabled: boolean
  /** Every change of every session. */
  news(news: BfdNews): void
  /** How sessions are to be held that strangers ask for; absent, there are none. */
  readonly accept?: BfdPeerOptions | undefined
  /**
   * Without a pulse for so long sessions are taken down. A multiple of PULSE_ms, and longer than anything that the agent
   * does in one go. Absent: whatever the agent does, they stay up.
   */
  readonly standstill_ms?: number | undefined
  /** For BGP's neighbours, see transport.ts. */
  readonly neighbours?: boolean
  /** The thread is gone: peers hear nothing any more, and the process should end. */
  onDeath(error: Error): void
}

export interface BfdSessionState {
  readonly peer: BfdPeer
  readonly state: BfdStateName
}

/** What the thread is started with. */
export interface BfdThreadSetup {
  readonly enabled: boolean
  readonly accept: BfdPeerOptions | undefined
  /** Undefined: the pulse is not looked at. */
  readonly standstill_ms: number | undefined
  readonly neighbours: boolean
  /** One word, which moves. */
  readonly pulse: SharedArrayBuffer
}

/** An `id` is one opened session's. A question is answered once it was obeyed. */
export type ToBfdThread =
  | { readonly kind: 'open'; readonly id: number; readonly peer: BfdPeer; readonly options: BfdPeerOptions }
  | { readonly kind: 'close'; readonly id: number }
  | { readonly kind: 'enable'; readonly question: number; readonly enabled: boolean }
  | { readonly kind: 'list'; readonly question: number }
  | { readonly kind: 'stop' }

export type FromBfdThread =
  | { readonly kind: 'news'; readonly news: readonly BfdThreadNews[] }
  | { readonly kind: 'answer'; readonly question: number; readonly sessions: readonly BfdSessionState[] }

/** Without an id it is of a session that a stranger asked for. */
export interface BfdThreadNews extends BfdNews {
  readonly id: number | undefined
}

class RemoteHandle implements BfdHandle {
  state: BfdStateName
  readonly #close: () => void

  constructor(state: BfdStateName, close: () => void) {
    this.state = state
    this.#close = close
  }

  close(): void {
    this.#close()
  }
}

export class BfdService implements Bfd {
  readonly #options: BfdServiceOptions
  readonly #thread: Thread
  readonly #ended: Promise<void>
  readonly #pulse = new Int32Array(new SharedArrayBuffer(4))
  readonly #handles = new Map<number, RemoteHandle>()
  readonly #questions = new Map<number, (sessions: readonly BfdSessionState[]) => void>()
  #enabled: boolean
  #next = 0
  #isStopped = false

  /** Its sockets are in the calling thread's network namespace. */
  constructor(options: BfdServiceOptions) {
    const { enabled, accept, standstill_ms, neighbours = false } = options
    this.#options = options
    this.#enabled = enabled
    const pulse = this.#pulse.buffer
    const workerData: BfdThreadSetup = { enabled, accept, standstill_ms, neighbours, pulse }
    this.#thread = new Thread(new URL('./service-thread.ts', import.meta.url), { workerData })
    this.#thread.on('message', (message: FromBfdThread) => this.#hear(message))
    this.#thread.on('error', (error) => this.#died(error as Error))
    this.#ended = new Promise((resolve) => {
      this.#thread.once('exit', () => {
        this.#died(new Error('the thread of BFD ended by itself'))
        resolve()
      })
    })
  }

  /** To a peer that was closed, the new session is another one: no news of the old one is told any more. */
  open(peer: BfdPeer, options: BfdPeerOptions): BfdHandle {
    const id = this.#next++
    const handle = new RemoteHandle(this.#enabled ? 'down' : 'adminDown', () => {
      if (this.#handles.delete(id)) this.#tell({ kind: 'close', id })
    })
    this.#handles.set(id, handle)
    const own = { ...peer, local: peer.local.slice(), remote: peer.remote.slice() }
    this.#tell({ kind: 'open', id, peer: own, options })
    return handle
  }

  /** Ready, or not ready any more. Resolves once the peers have been told. */
  async setEnabled(enabled: boolean): Promise<void> {
    this.#enabled = enabled
    await this.#ask((question) => ({ kind: 'enable', question, enabled }))
  }

  /** All sessions, those of strangers too. */
  sessions(): Promise<readonly BfdSessionState[]> {
    return this.#ask((question) => ({ kind: 'list', question }))
  }

  /** The agent, and whatever it looks after, is alive. */
  beat(): void {
    Atomics.add(this.#pulse, 0, 1)
  }

  async stop(): Promise<void> {
    this.#isStopped = true
    this.#tell({ kind: 'stop' })
    await this.#ended
  }

  #tell(message: ToBfdThread): void {
    this.#thread.postMessage(message)
  }

  /** Without a thread that could answer, there are none. */
  #ask(make: (question: number) => ToBfdThread): Promise<readonly BfdSessionState[]> {
    if (this.#isStopped) return Promise.resolve([])
    const question = this.#next++
    return new Promise((resolve) => {
      this.#questions.set(question, resolve)
      this.#tell(make(question))
    })
  }

  #hear(message: FromBfdThread): void {
    if (message.kind === 'answer') {
      this.#questions.get(message.question)?.(message.sessions)
      this.#questions.delete(message.question)
      return
    }
    for (const { id, ...news } of message.news) {
      if (id !== undefined) {
        const handle = this.#handles.get(id)
        if (!handle) continue
        handle.state = news.state
      }
      this.#options.news(news)
    }
  }

  #died(error: Error): void {
    for (const resolve of this.#questions.values()) resolve([])
    this.#questions.clear()
    if (this.#isStopped) return
    this.#isStopped = true
    this.#options.onDeath(error)
  }
}
