/**
 * The BGP speaker of a process: its two threads and the agent's side of them.
 *
 *   agent ---- session thread: sockets, state machines, timers
 *     |             |
 *     +------ route thread: tables, decision, updates
 */

import { MessageChannel, Worker } from 'node:worker_threads'
import type { Routing } from '../../config/routing.ts'
import { type PolicySource, policySourceOf } from '../policy/policy-book.ts'
import { PACE_WORDS } from './messages.ts'
import type { PolicyReload, RouteEngine } from './route-engine.ts'
import type { RouteThreadSetup } from './route-thread.ts'
import { routerIdOf } from './router-id.ts'
import type { HostEvent, SessionHost } from './session-host.ts'
import type { SessionThreadSetup } from './session-thread.ts'

export interface Question {
  readonly id: number
  readonly what: 'show' | 'close' | 'policies'
  /** Of `policies`. */
  readonly policies?: PolicySource
}

export interface Answer {
  readonly kind: 'answer'
  readonly id: number
  readonly answer: unknown
}

type FromThread = Answer | { readonly kind: 'ready' } | { readonly kind: 'event'; readonly event: HostEvent }

export interface SpeakerOptions {
  readonly routing: Routing
  readonly event: (event: HostEvent) => void
  /** A thread is gone, and the process should end. */
  readonly onDeath: (error: Error) => void
}

/** Sessions that are up at a time. */
const SLOTS = 1 << 16

/** A thread that is asked questions. */
class Asked {
  readonly ready: Promise<void>
  readonly #worker: Worker
  readonly #waiting = new Map<number, (answer: unknown) => void>()
  #next = 1
  #isEnding = false

  constructor(worker: Worker, { event, onDeath }: SpeakerOptions) {
    this.#worker = worker
    const ready = Promise.withResolvers<void>()
    this.ready = ready.promise
    worker.on('message', (message: FromThread) => {
      if (message.kind === 'event') event(message.event)
      else if (message.kind === 'ready') ready.resolve()
      else {
        this.#waiting.get(message.id)?.(message.answer)
        this.#waiting.delete(message.id)
      }
    })
    worker.on('error', (error) => {
      ready.reject(error as Error)
      onDeath(error as Error)
    })
    worker.on('exit', () => {
      if (!this.#isEnding) onDeath(new Error('a thread of the BGP speaker ended'))
    })
  }

  ask(what: Question['what'], policies?: PolicySource): Promise<unknown> {
    const id = this.#next++
    const { promise, resolve } = Promise.withResolvers<unknown>()
    this.#waiting.set(id, resolve)
    this.#worker.postMessage({ id, what, ...(policies && { policies }) } satisfies Question)
    return promise
  }

  async end(): Promise<void> {
    this.#isEnding = true
    await this.#worker.terminate()
  }
}

export class Speaker {
  readonly #sessions: Asked
  readonly #routes: Asked

  private constructor(sessions: Asked, routes: Asked) {
    this.#sessions = sessions
    this.#routes = routes
  }

  /** Resolves when peers may come. Rejects when an address to listen on is not to be had. */
  static async start(options: SpeakerOptions): Promise<Speaker> {
    const { routing } = options
    const { port1, port2 } = new MessageChannel()
    const pace = new SharedArrayBuffer(SLOTS * PACE_WORDS * 4)
    const routerId = routerIdOf(routing.router_id)
    const clusterId = routing.cluster_id === undefined ? routerId : routerIdOf(routing.cluster_id)
    const policies = policySourceOf(routing)
    const settings = { as: routing.as, routerId, clusterId, alwaysCompareMed: routing.always_compare_med, policies }
    const routes: RouteThreadSetup = { settings, sessions: port1, pace }
    const sessions: SessionThreadSetup = { routing, routes: port2, pace }
    const routeThread = new Asked(threadOf('route-thread.ts', routes, port1), options)
    await routeThread.ready
    const sessionThread = new Asked(threadOf('session-thread.ts', sessions, port2), options)
    await sessionThread.ready
    return new Speaker(sessionThread, routeThread)
  }

  async sessions(): Promise<ReturnType<SessionHost['show']>> {
    return (await this.#sessions.ask('show')) as ReturnType<SessionHost['show']>
  }

  async counts(): Promise<ReturnType<RouteEngine['counts']>> {
    return (await this.#routes.ask('show')) as ReturnType<RouteEngine['counts']>
  }

  /** Policies of another site file, for the sessions as they are: none is reset. */
  async reloadPolicies(routing: Routing): Promise<PolicyReload> {
    return (await this.#routes.ask('policies', policySourceOf(routing))) as PolicyReload
  }

  /** Takes leave of the peers, and ends. */
  async close(): Promise<void> {
    await this.#sessions.ask('close')
    await this.#sessions.end()
    await this.#routes.end()
  }
}

function threadOf(file: string, workerData: RouteThreadSetup | SessionThreadSetup, port: MessagePort): Worker {
  return new Worker(new URL(`./${file}`, import.meta.url), { workerData, transferList: [port] })
}
