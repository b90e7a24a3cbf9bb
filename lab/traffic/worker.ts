/**
 * A thread of the traffic process: one carries all servers, one all clients, and one all pings, whose timing nothing
 * else is to disturb. Sockets lie in the namespaces of customers and machines, the threads in none of them.
 */

import { isMainThread, parentPort, workerData } from 'node:worker_threads'
import { systemClock, type Timer } from '../../src/base/clock.ts'
import { withNamespace } from '../../src/linux/namespace.ts'
import { Fetcher, httpServer } from './fetch.ts'
import { Histogram } from './histogram.ts'
import { PingSet } from './pinger.ts'
import type { ClientPlan, FetchReport, PingPlan, ServerPlan, StreamReport, TrafficReport } from './plan.ts'
import { StreamClient, streamServer } from './stream.ts'

interface Pace {
  readonly pingInterval_ms: number
  readonly fetchInterval_ms: number
  readonly streamRate_bit_per_s: number
}

/** Namespaces by their full names. */
export type Job = Pace &
  (
    | { readonly kind: 'servers'; readonly servers: readonly ServerPlan[] }
    | { readonly kind: 'clients'; readonly clients: readonly ClientPlan[] }
    | { readonly kind: 'pings'; readonly pings: readonly PingPlan[] }
  )

export type Order = 'start' | 'stop'

/** `ready` first, then a `report` now and then, and the `final` one last. */
export type News =
  | { readonly kind: 'ready' }
  | { readonly kind: 'report' | 'final'; readonly reports: readonly TrafficReport[] }

interface Work {
  start(): void
  /** Ends in good order: nothing of what was sent is on its way afterwards. */
  stop(): Promise<void>
  reports(): TrafficReport[]
}

const REPORT_INTERVAL_MS = 500
/** Within which all clients start. */
const START_SPREAD_MS = 1000

async function serve(plans: readonly ServerPlan[]): Promise<Work> {
  const servers = await Promise.all(
    plans.flatMap(({ namespace, addresses }) =>
      addresses.flatMap((address) => [streamServer(namespace, address), httpServer(namespace, address)]),
    ),
  )
  return {
    start() {},
    async stop() {
      for (const each of servers) each.close()
    },
    reports: () => [],
  }
}

/** A customer's end. */
class Client {
  readonly #plan: ClientPlan
  readonly #pace: Pace
  readonly #fetchers: readonly Fetcher[]
  #streams: readonly StreamClient[] = []

  constructor(plan: ClientPlan, pace: Pace) {
    this.#plan = plan
    this.#pace = pace
    this.#fetchers = plan.fetches.map((fetch) => new Fetcher(plan.namespace, fetch))
  }

  start(): void {
    const { namespace, streams } = this.#plan
    this.#streams = streams.map((plan) => new StreamClient(namespace, plan, this.#pace.streamRate_bit_per_s))
    for (const fetcher of this.#fetchers) fetcher.start(this.#pace.fetchInterval_ms)
  }

  async stop(): Promise<void> {
    await Promise.all([...this.#streams, ...this.#fetchers].map((each) => each.stop()))
  }

  report(): TrafficReport {
    const tcp = this.#streams.map((stream) => stream.report)
    const http = this.#fetchers.map((fetcher) => fetcher.report)
    const trouble = [...tcp, ...http].find((report) => report.trouble)?.trouble
    const { tenant } = this.#plan
    return { tenant, tcp: sumOfStreams(tcp), http: sumOfFetches(http), ...(trouble && { trouble }) }
  }
}

function connect(plans: readonly ClientPlan[], pace: Pace): Work {
  const clients = plans.map((plan) => new Client(plan, pace))
  const starts: Timer[] = []
  return {
    start() {
      // One after the other: hundreds of connections that open at once are a burst that nobody meant.
      for (const [i, client] of clients.entries())
        starts.push(systemClock.after((START_SPREAD_MS * i) / clients.length, () => client.start()))
    },
    async stop() {
      for (const start of starts) start.cancel()
      await Promise.all(clients.map((client) => client.stop()))
    },
    reports: () => clients.map((client) => client.report()),
  }
}

function sumOfStreams(reports: readonly StreamReport[]): StreamReport {
  const sum = { bytes: 0, failed: 0 }
  for (const { bytes, failed } of reports) {
    sum.bytes += bytes
    sum.failed += failed
  }
  return sum
}

function sumOfFetches(reports: readonly FetchReport[]): FetchReport {
  const sum = { requests: 0, failed: 0 }
  const latency = new Histogram()
  for (const report of reports) {
    sum.requests += report.requests
    sum.failed += report.failed
    latency.merge(report.latency)
  }
  return { ...sum, latency: latency.data() }
}

function ping(pings: readonly PingPlan[], { pingInterval_ms }: Pace): Work {
  const sets: { tenant: string; set: PingSet }[] = []
  for (const [namespace, plans] of Map.groupBy(pings, (plan) => plan.namespace)) {
    sets.push({ tenant: plans![0]!.tenant, set: withNamespace(namespace, () => new PingSet(plans!)) })
  }
  return {
    start() {
      for (const { set } of sets) set.start(pingInterval_ms)
    },
    async stop() {
      await Promise.all(sets.map(({ set }) => set.stop()))
    },
    reports: () => sets.map(({ tenant, set }) => ({ tenant, ping: set.report(), pings: set.losses() })),
  }
}

async function workOf(job: Job): Promise<Work> {
  if (job.kind === 'servers') return await serve(job.servers)
  return job.kind === 'clients' ? connect(job.clients, job) : ping(job.pings, job)
}

async function main(): Promise<void> {
  const job: Job = workerData
  const tell = (news: News): void => parentPort!.postMessage(news)
  const work = await workOf(job)
  let timer: { cancel(): void } | undefined
  parentPort!.on('message', async (order: Order) => {
    if (order === 'start') {
      work.start()
      timer = systemClock.every(REPORT_INTERVAL_MS, () => tell({ kind: 'report', reports: work.reports() }))
      return
    }
    timer?.cancel()
    await work.stop()
    tell({ kind: 'final', reports: work.reports() })
    parentPort!.close()
  })
  tell({ kind: 'ready' })
}

if (!isMainThread) await main()
