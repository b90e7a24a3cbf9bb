/**
 * The traffic of a site as a process: `node lab/traffic/main.ts PLAN.json`, which names namespaces in full. Says
 * `{"kind":"ready"}` on stdout when every server listens; on a line `start` on stdin it begins, and tells of it twice a
 * second; on `stop`, or when stdin ends, it ends everything in good order, tells one last time and exits.
 */

import { readFileSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { Worker } from 'node:worker_threads'
import { systemClock } from '../../src/base/clock.ts'
import type { TrafficPlan, TrafficReport } from './plan.ts'
import type { Job, News, Order } from './worker.ts'

const TELL_INTERVAL_MS = 500

/** A worker and the latest that it has told. */
class Helper {
  readonly ready: Promise<void>
  readonly final: Promise<void>
  reports: readonly TrafficReport[] = []
  readonly #worker: Worker

  constructor(job: Job) {
    this.#worker = new Worker(new URL('./worker.ts', import.meta.url), { workerData: job })
    this.#worker.on('error', (error) => {
      console.error(error)
      process.exit(1)
    })
    this.ready = this.#news('ready')
    this.final = this.#news('final')
  }

  #news(kind: News['kind']): Promise<void> {
    return new Promise((resolve) =>
      this.#worker.on('message', (news: News) => {
        if (news.kind !== 'ready') this.reports = news.reports
        if (news.kind === kind) resolve()
      }),
    )
  }

  order(order: Order): void {
    this.#worker.postMessage(order)
  }
}

const plan: TrafficPlan = JSON.parse(readFileSync(process.argv[2]!, 'utf8'))
const { pings, servers, clients, ...pace } = plan
const server = new Helper({ kind: 'servers', servers, ...pace })
const senders = [new Helper({ kind: 'pings', pings, ...pace }), new Helper({ kind: 'clients', clients, ...pace })]
const helpers = [server, ...senders]

function tell(kind: News['kind']): void {
  console.log(JSON.stringify({ kind, reports: helpers.flatMap((helper) => helper.reports) }))
}

async function stop(some: readonly Helper[]): Promise<void> {
  for (const helper of some) helper.order('stop')
  await Promise.all(some.map((helper) => helper.final))
}

await Promise.all(helpers.map((helper) => helper.ready))
let timer: { cancel(): void } | undefined
const orders = createInterface({ input: process.stdin })
orders.on('line', (line) => {
  if (line === 'stop') orders.close()
  else if (!timer) {
    for (const helper of helpers) helper.order('start')
    timer = systemClock.every(TELL_INTERVAL_MS, () => tell('report'))
  }
})
// Ctrl-C goes to the whole group of processes; it is for whoever started us to say when.
process.on('SIGINT', () => {})
process.once('SIGTERM', () => orders.close())
orders.once('close', async () => {
  timer?.cancel()
  await stop(senders)
  await stop([server])
  tell('final')
  process.exit(0)
})
tell('ready')
