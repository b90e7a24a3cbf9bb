/**
 * A thread of the traffic process. A thread can enter a network namespace by itself, so one process carries all of a site's
 * traffic: one thread a customer, one a machine, and one for all pings, whose timing nothing else is to disturb.
 */

import { isMainThread, parentPort, workerData } from 'node:worker_threads'
import { systemClock } from '../../src/base/clock.ts'
import { enterNamespace, withNamespace } from '../../src/linux/namespace.ts'
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
    | { readonly kind: 'server'; readonly server: ServerPlan }
    | { readonly kind: 'client'; readonly client: ClientPlan }
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

async function serve({ server }: { server: ServerPlan }): Promise<Work> {
  enterNamespace(server.namespace)
  const servers = await Promise.all(server.addresses.flatMap((address) => [streamServer(address), httpServer(address)]))
  return {
    start() {},
    async stop() {
      for (const each of servers) each.close()
    },
    reports: () => [],
  }
}

function connect({ client, ...pace }: Pace & { client: ClientPlan }): Work {
  enterNamespace(client.namespace)
  let streams: StreamClient[] = []
  const fetchers = client.fetches.map((plan) => new Fetcher(plan))
  return {
    start() {
      streams = client.streams.map((plan) => new StreamClient(plan, pace.streamRate_bit_per_s))
      for (const fetcher of fetchers) fetcher.start(pace.fetchInterval_ms)
    },
    async stop() {
      await Promise.all([...streams, ...fetchers].map((each) => each.stop()))
    },
    reports() {
      const tcp = streams.map((stream) => stream.report)
      const http = fetchers.map((fetcher) => fetcher.report)
      const trouble = [...tcp, ...http].find((report) => report.trouble)?.trouble
      const { tenant } = client
      return [{ tenant, tcp: sumOfStreams(tcp), http: sumOfFetches(http), ...(trouble && { trouble }) }]
    },
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

function ping({ pings, pingInterval_ms }: Pace & { pings: readonly PingPlan[] }): Work {
  const sets: { tenant: string; set: PingSet }[] = []
  for (const [namespace, plans] of Map.groupBy(pings, (plan) => plan.namespace)) {
    const destinations = plans!.map(({ to }) => to)
    sets.push({ tenant: plans![0]!.tenant, set: withNamespace(namespace, () => new PingSet(destinations, 1)) })
  }
  return {
    start() {
      for (const { set } of sets) set.start(pingInterval_ms)
    },
    async stop() {
      await Promise.all(sets.map(({ set }) => set.stop()))
    },
    reports: () => sets.map(({ tenant, set }) => ({ tenant, ping: set.report() })),
  }
}

async function main(): Promise<void> {
  const job: Job = workerData
  const tell = (news: News): void => parentPort!.postMessage(news)
  const work = job.kind === 'server' ? await serve(job) : job.kind === 'client' ? connect(job) : ping(job)
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
