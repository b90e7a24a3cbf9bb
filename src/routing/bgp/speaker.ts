/**
 * The BGP speaker of a process: its two threads and the agent's side of them.
 *
 *   agent ---- session thread: sockets, state machines, timers
 *     |             |
 *     +------ route thread: tables, decision, updates
 */

import { MessageChannel, Worker } from 'node:worker_threads'
import { parsePrefix } from '../../base/address.ts'
import type { Routing } from '../../config/routing.ts'
import type { RouteBatch } from '../../wire/control/route.ts'
import { History, type HistorySettings } from '../history/history.ts'
import type { WatchNews } from '../liveness/neighbour-bfd.ts'
import { type PolicySource, policySourceOf } from '../policy/policy-book.ts'
import type { RelayCounts } from '../relay/refusal.ts'
import { RelayAgent } from '../relay/relay-agent.ts'
import type { RelaySetup } from '../relay/ways.ts'
import { type AggregateSetting, PACE_WORDS, type RouteSettings } from './messages.ts'
import type { VrfTargets } from './rib/route-targets.ts'
import type { PolicyReload, RouteEngine } from './route-engine.ts'
import type { RouteThreadSetup } from './route-thread.ts'
import { routerIdOf } from './router-id.ts'
import type { HostEvent, MaximumWarning, SessionHost } from './session-host.ts'
import type { SessionThreadSetup } from './session-thread.ts'
import type { StrangerNews } from './strangers.ts'

export interface Question {
  readonly id: number
  readonly what: 'show' | 'close' | 'policies' | 'site' | 'originate' | 'replay' | 'members'
  /** Of `policies`, to the route thread. */
  readonly policies?: PolicySource
  readonly tenants?: Tenants
  /** Of `site`, to the session thread. */
  readonly site?: { readonly routing: Routing; readonly relay: RelaySetup | undefined }
  /** Of `originate`. */
  readonly batch?: RouteBatch
  /** Of `members`. */
  readonly members?: readonly string[]
}

/** By the numbers of their VRFs (their VNIs). */
type Tenants = readonly (readonly [vrf: number, name: string])[]

/** What of another site file a running speaker takes. */
export interface SpeakerSite {
  readonly routing: Routing
  readonly tenants?: Tenants
  /** By which tenants' neighbours are reached. A speaker that was started without does not begin to. */
  readonly relay?: RelaySetup | undefined
}

/** To the route thread: a batch of routes was passed on. */
export interface Published {
  readonly what: 'published'
}

export interface Answer {
  readonly kind: 'answer'
  readonly id: number
  readonly answer: unknown
}

type FromThread =
  | Answer
  | { readonly kind: 'ready' }
  | { readonly kind: 'event'; readonly event: HostEvent }
  | { readonly kind: 'watched'; readonly news: WatchNews }
  | { readonly kind: 'strangers'; readonly news: StrangerNews }
  | { readonly kind: 'near-maximum'; readonly warning: MaximumWarning }
  | { readonly kind: 'routes'; readonly batch: Uint8Array }

export interface SpeakerOptions extends SpeakerSite {
  /** A session that was established, or is no more. */
  readonly event: (event: HostEvent) => void
  /** A peer comes near to the number of routes that it may send. */
  readonly nearMaximum?: (warning: MaximumWarning) => void
  /** Connections came from where nobody is expected: once a second at most. */
  readonly strangers?: (news: StrangerNews) => void
  /** What BFD says of neighbours. */
  readonly watched?: (news: WatchNews) => void
  readonly targets?: readonly VrfTargets[]
  /** Who tells the control module of tenants' routes, and how: encoded `RouteBatch`es, one after another in this order. */
  readonly publisher?: { readonly origin: string; readonly publish: (batch: Uint8Array) => Promise<void> }
  /** Where what comes is recorded; absent, it is not. */
  readonly history?: HistorySettings | undefined
  /** Something is not recorded; `isOver` when nothing will be any more. */
  readonly historyFailed?: (error: Error, isOver: boolean) => void
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
  #published: Promise<void> = Promise.resolve()
  #isEnding = false

  constructor(worker: Worker, { event, watched, nearMaximum, strangers, onDeath, publisher }: SpeakerOptions) {
    this.#worker = worker
    const ready = Promise.withResolvers<void>()
    this.ready = ready.promise
    worker.on('message', (message: FromThread) => {
      if (message.kind === 'event') event(message.event)
      else if (message.kind === 'watched') watched?.(message.news)
      else if (message.kind === 'near-maximum') nearMaximum?.(message.warning)
      else if (message.kind === 'strangers') strangers?.(message.news)
      else if (message.kind === 'ready') ready.resolve()
      else if (message.kind === 'routes') this.#publish(message.batch, publisher!, onDeath)
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

  // In their order, and the thread hears of each: it keeps a few batches on their way and no more.
  #publish(
    batch: Uint8Array,
    { publish }: NonNullable<SpeakerOptions['publisher']>,
    onDeath: SpeakerOptions['onDeath'],
  ): void {
    this.#published = this.#published
      .then(() => publish(batch))
      .then(
        () => this.#worker.postMessage({ what: 'published' } satisfies Published),
        (error) => onDeath(error as Error),
      )
  }

  ask(what: Question['what'], more: Omit<Question, 'id' | 'what'> = {}): Promise<unknown> {
    const id = this.#next++
    const { promise, resolve } = Promise.withResolvers<unknown>()
    this.#waiting.set(id, resolve)
    this.#worker.postMessage({ id, what, ...more } satisfies Question)
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
  readonly #history: History | undefined
  readonly #relay: RelayAgent | undefined

  private constructor(
    sessions: Asked,
    routes: Asked,
    { history, relay }: { history: History | undefined; relay: RelayAgent | undefined },
  ) {
    this.#sessions = sessions
    this.#routes = routes
    this.#history = history
    this.#relay = relay
  }

  /** Resolves when peers may come. Rejects when an address to listen on is not to be had. */
  static async start(options: SpeakerOptions): Promise<Speaker> {
    const { routing, tenants = [], targets = [], publisher } = options
    const { port1, port2 } = new MessageChannel()
    const pace = new SharedArrayBuffer(SLOTS * PACE_WORDS * 4)
    const routerId = routerIdOf(routing.router_id)
    const clusterId = routing.cluster_id === undefined ? routerId : routerIdOf(routing.cluster_id)
    const policies = policySourceOf(routing)
    const settings: RouteSettings = {
      ...{ origin: publisher?.origin ?? '', tenants, targets, multipath: routing.multipath },
      aggregates: aggregatesOf(routing, tenants),
      nextHopTracking: routing.next_hop_tracking,
      ...{ as: routing.as, routerId, clusterId, alwaysCompareMed: routing.always_compare_med, policies },
    }
    const routes: RouteThreadSetup = { settings, sessions: port1, pace }
    const { historyFailed: failed = () => {} } = options
    const history = options.history && new History({ ...options.history, routing, failed })
    const relay = options.relay && (await RelayAgent.start(options.relay, options.onDeath))
    const end = await relay?.end()
    const sessions: SessionThreadSetup = { routing, routes: port2, pace, relay: end, history: history?.end }
    const routeThread = new Asked(threadOf('route-thread.ts', routes, port1), options)
    await routeThread.ready
    const sessionThread = new Asked(
      threadOf('session-thread.ts', sessions, port2, ...(history ? [history.end.port] : [])),
      options,
    )
    await sessionThread.ready
    return new Speaker(sessionThread, routeThread, { history, relay })
  }

  async sessions(): Promise<ReturnType<SessionHost['show']>> {
    return (await this.#sessions.ask('show')) as ReturnType<SessionHost['show']>
  }

  async counts(): Promise<ReturnType<RouteEngine['counts']>> {
    return (await this.#routes.ask('show')) as ReturnType<RouteEngine['counts']>
  }

  /**
   * Another site file. Its policies hold for the sessions as they are, and neighbours that are not in it as they were are
   * reset, end or begin; the sessions of all others go on.
   */
  async reload({ routing, tenants = [], relay }: SpeakerSite): Promise<PolicyReload> {
    const policies = policySourceOf(routing)
    const reload = (await this.#routes.ask('policies', { policies, tenants })) as PolicyReload
    if (relay) await this.#relay?.take(relay)
    this.#history?.reload(routing)
    const ended = (await this.#sessions.ask('site', { site: { routing, relay } })) as number
    return { ...reload, sessionsReset: reload.sessionsReset + ended }
  }

  /** Routes of tenants that their peers are to be told of as ours, such as their virtual networks. */
  async originate(batch: RouteBatch): Promise<void> {
    await this.#routes.ask('originate', { batch })
  }

  /** The control module is to be told all routes again, in a batch that replaces. */
  async replay(): Promise<void> {
    await this.#routes.ask('replay')
  }

  /** What went through the relay of tenants' sessions, and what was refused there and why; undefined without one. */
  async relayed(): Promise<RelayCounts | undefined> {
    return await this.#relay?.counts()
  }

  /** Which routing nodes live: a tenant's neighbour is one of theirs to hold. Until this is said, it is all of them. */
  async setMembers(members: readonly string[]): Promise<void> {
    await this.#relay?.setMembers(members)
    await this.#sessions.ask('members', { members })
  }

  /** Takes leave of the peers, and ends. */
  async close(): Promise<void> {
    await this.#sessions.ask('close')
    await this.#relay?.close()
    await this.#sessions.end()
    await this.#routes.ask('close')
    await this.#routes.end()
    await this.#history?.close()
  }
}

function aggregatesOf({ aggregates }: Routing, tenants: Tenants): AggregateSetting[] {
  return aggregates.flatMap(({ prefix, tenant, summary_only: summaryOnly }) => {
    const vrf = tenant === undefined ? 0 : tenants.find(([, name]) => name === tenant)?.[0]
    return vrf === undefined ? [] : [{ vrf, prefix: parsePrefix(prefix)!, summaryOnly }]
  })
}

function threadOf(file: string, workerData: RouteThreadSetup | SessionThreadSetup, ...ports: MessagePort[]): Worker {
  return new Worker(new URL(`./${file}`, import.meta.url), { workerData, transferList: ports })
}
