/** Traffic as whoever runs it sees it: started, looked at, stopped, and summed up a tenant. */

import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { createInterface } from 'node:readline'
import type { Lab } from '../namespaces.ts'
import { Histogram, type HistogramData } from './histogram.ts'
import type { PingLosses, TrafficPlan, TrafficReport } from './plan.ts'

/** Since the start. */
export interface TenantTraffic {
  readonly name: string
  readonly ping: {
    readonly sent: number
    readonly lost: number
    readonly p50_us: number
    readonly p99_us: number
    readonly latency: HistogramData
  }
  readonly tcp: { readonly bytes: number; readonly failed: number }
  readonly http: {
    readonly requests: number
    readonly failed: number
    readonly p50_us: number
    readonly p99_us: number
  }
  readonly trouble: string | undefined
}

export class Traffic {
  /** The latest that is known, in the order of the plan's tenants. */
  tenants: readonly TenantTraffic[] = []
  pings: readonly PingLosses[] = []
  readonly #process: ChildProcess
  readonly #names: readonly string[]
  #onReady: () => void = () => {}
  #final = false

  /** Servers listen when it resolves; nothing is sent yet. */
  static async prepare(lab: Lab, plan: TrafficPlan): Promise<Traffic> {
    const file = `${lab.folder}/traffic.json`
    const inFull = <T extends { namespace: string }>(each: T): T => ({
      ...each,
      namespace: lab.fullName(each.namespace),
    })
    const { pings, servers, clients, ...pace } = plan
    const resolved = { pings: pings.map(inFull), servers: servers.map(inFull), clients: clients.map(inFull), ...pace }
    writeFileSync(file, JSON.stringify(resolved))
    const main = new URL('./main.ts', import.meta.url).pathname
    const args = ['--disable-warning=ExperimentalWarning', main, file]
    const process_ = lab.spawn(undefined, process.execPath, args, { stdio: ['pipe', 'pipe', 'inherit'] })
    const traffic = new Traffic(process_, [...new Set(clients.map(({ tenant }) => tenant))])
    const ready = new Promise<void>((resolve) => {
      traffic.#onReady = resolve
    })
    await Promise.race([
      ready,
      once(process_, 'exit').then(() => Promise.reject(new Error('lab: no traffic, see above'))),
    ])
    return traffic
  }

  private constructor(process_: ChildProcess, names: readonly string[]) {
    this.#process = process_
    this.#names = names
    createInterface({ input: process_.stdout! }).on('line', (line) => {
      const { kind, reports }: { kind: string; reports: TrafficReport[] } = JSON.parse(line)
      if (kind === 'ready') this.#onReady()
      else {
        this.tenants = names.map((name) => sumOf(name, reports))
        this.pings = reports.flatMap(({ pings }) => pings ?? [])
      }
      if (kind === 'final') this.#final = true
    })
  }

  start(): void {
    this.tenants = this.#names.map((name) => sumOf(name, []))
    this.#process.stdin!.write('start\n')
  }

  /** Ends everything in good order; `tenants` is complete then. */
  async stop(): Promise<void> {
    if (this.#process.exitCode === null && this.#process.signalCode === null) {
      const closed = once(this.#process, 'close')
      this.#process.stdin!.end('stop\n')
      await closed
    }
    if (!this.#final) throw new Error('lab: the traffic ended before its time')
  }
}

function sumOf(name: string, all: readonly TrafficReport[]): TenantTraffic {
  const reports = all.filter(({ tenant }) => tenant === name)
  const sum = (of: (report: TrafficReport) => number | undefined): number =>
    reports.reduce((total, report) => total + (of(report) ?? 0), 0)
  const [pings, fetches] = [new Histogram(), new Histogram()]
  for (const { ping, http } of reports) {
    pings.merge(ping?.latency ?? [])
    fetches.merge(http?.latency ?? [])
  }
  const percentiles = (histogram: Histogram) => {
    return { p50_us: histogram.percentile_us(0.5), p99_us: histogram.percentile_us(0.99) }
  }
  return {
    name,
    ping: {
      sent: sum(({ ping }) => ping?.sent),
      lost: sum(({ ping }) => ping?.lost),
      ...percentiles(pings),
      latency: pings.data(),
    },
    tcp: { bytes: sum(({ tcp }) => tcp?.bytes), failed: sum(({ tcp }) => tcp?.failed) },
    http: {
      requests: sum(({ http }) => http?.requests),
      failed: sum(({ http }) => http?.failed),
      ...percentiles(fetches),
    },
    trouble: reports.find((report) => report.trouble)?.trouble,
  }
}
