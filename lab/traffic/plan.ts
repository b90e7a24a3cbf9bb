/**
 * What traffic there is to be, and what is told of it. A plan is made from a site's topology: each customer and each
 * machine of a tenant talk, over every family that both have.
 */

import { availableParallelism } from 'node:os'
import type { Customer, Topology } from '../topology.ts'
import type { HistogramData } from './histogram.ts'

export const STREAM_PORT = 5001
export const HTTP_PORT = 80

export interface Ping {
  readonly tenant: string
  readonly namespace: string
  readonly to: string
}

export interface PingPlan extends Ping {
  /** Of its echo requests, and by which its losses are told: no other ping has it. */
  readonly identifier: number
}

export interface StreamPlan {
  readonly from: string
  readonly to: string
  /** Seen from the customer. */
  readonly direction: 'up' | 'down'
}

export interface FetchPlan {
  readonly from: string
  readonly to: string
  /** A connection a request; otherwise one connection for all. */
  readonly fresh: boolean
}

export interface ClientPlan {
  readonly tenant: string
  readonly namespace: string
  readonly streams: readonly StreamPlan[]
  readonly fetches: readonly FetchPlan[]
}

export interface ServerPlan {
  readonly tenant: string
  readonly namespace: string
  readonly addresses: readonly string[]
}

export interface TrafficPlan {
  readonly pings: readonly PingPlan[]
  readonly servers: readonly ServerPlan[]
  readonly clients: readonly ClientPlan[]
  /** Between two echo requests of one ping. */
  readonly pingInterval_ms: number
  /** Between two requests of one fetch. */
  readonly fetchInterval_ms: number
  /** Of each stream. */
  readonly streamRate_bit_per_s: number
}

export interface TrafficRates {
  /** Of all streams together. */
  readonly total_bit_per_s: number
  /** Of all pings together. */
  readonly pings_per_s: number
  readonly fetches_per_s: number
}

/**
 * A packet of a demo passes five of our programs and six kernel stacks on one machine. Of two cores of a virtual machine
 * this takes about one, all in all, so that latencies are those of ten wake-ups in a row and not of a queue.
 */
const RATE_PER_CORE_bit_per_s = 60e6

const defaultRates: TrafficRates = {
  total_bit_per_s: RATE_PER_CORE_bit_per_s * availableParallelism(),
  pings_per_s: 200,
  fetches_per_s: 50,
}

/** No ping or fetch is more frequent, however few there are. */
const INTERVAL_MIN_MS = 20

export function planTraffic(topology: Topology, rates: TrafficRates = defaultRates): TrafficPlan {
  const machines = topology.hosts.flatMap((host) => host.machines)
  const pings: Ping[] = []
  const clients: ClientPlan[] = []
  for (const customer of topology.customers) {
    const streams: StreamPlan[] = []
    const fetches: FetchPlan[] = []
    for (const machine of machines.filter(({ tenant }) => tenant === customer.tenant))
      for (const [from, to] of pairsOf(customer, machine)) {
        pings.push({ tenant: customer.tenant, namespace: customer.namespace, to })
        pings.push({ tenant: customer.tenant, namespace: machine.namespace, to: from })
        for (const direction of ['up', 'down'] as const) streams.push({ from, to, direction })
        for (const fresh of [false, true]) fetches.push({ from, to, fresh })
      }
    clients.push({ tenant: customer.tenant, namespace: customer.namespace, streams, fetches })
  }
  const streams = clients.reduce((sum, client) => sum + client.streams.length, 0)
  const fetches = clients.reduce((sum, client) => sum + client.fetches.length, 0)
  return {
    pings: pings.map((ping, i) => ({ ...ping, identifier: i + 1 })),
    servers: machines.map(({ tenant, namespace, addresses }) => ({ tenant, namespace, addresses })),
    clients,
    pingInterval_ms: intervalOf(pings.length, rates.pings_per_s),
    fetchInterval_ms: intervalOf(fetches, rates.fetches_per_s),
    streamRate_bit_per_s: rates.total_bit_per_s / Math.max(streams, 1),
  }
}

function pairsOf(customer: Customer, machine: { addresses: readonly string[] }): [string, string][] {
  return customer.addresses.flatMap((from) =>
    machine.addresses.filter((to) => to.includes(':') === from.includes(':')).map((to): [string, string] => [from, to]),
  )
}

function intervalOf(count: number, perSecond: number): number {
  return Math.max(INTERVAL_MIN_MS, (count * 1000) / perSecond)
}

export interface PingReport {
  sent: number
  /** Not answered within a second. */
  lost: number
  latency: HistogramData
}

/** One ping's, by its identifier. */
export interface PingLosses {
  readonly identifier: number
  readonly sent: number
  readonly lost: number
}

export interface StreamReport {
  /** Arrived and were the right ones. */
  bytes: number
  /** Connections that broke, stalled or carried something else. */
  failed: number
}

export interface FetchReport {
  requests: number
  failed: number
  latency: HistogramData
}

/** Since the start. Of one worker, for one tenant; what the worker does not do is left out. */
export interface TrafficReport {
  readonly tenant: string
  readonly ping?: PingReport
  readonly pings?: readonly PingLosses[]
  readonly tcp?: StreamReport
  readonly http?: FetchReport
  /** What went wrong first, for people. */
  readonly trouble?: string
}
