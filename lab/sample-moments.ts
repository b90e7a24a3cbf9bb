/** Moments of a demo that tests put together from the few numbers that they are about. */

import type { Totals } from '../src/dataplane/ledger.ts'
import type { ModuleCounters, SessionState } from './observe.ts'
import type { Moment } from './summary.ts'
import { Histogram } from './traffic/histogram.ts'
import type { TenantTraffic } from './traffic/traffic.ts'

export const totals = (values: Partial<Totals> = {}): Totals => ({
  received: 0,
  receivedBytes: 0,
  sent: 0,
  sentBytes: 0,
  delivered: 0,
  originated: 0,
  takenOver: 0,
  handedOver: 0,
  drops: {},
  ...values,
})

export const node = (values: Partial<ModuleCounters> = {}): ModuleCounters => ({
  name: 'fn-1',
  role: 'forwarding',
  pid: 4711,
  totals: totals({ received: 12, originated: 1, sent: 10, sentBytes: 125e6, delivered: 1, drops: { 'no-route': 2 } }),
  kernelDrops: 0,
  tenants: { acme: { 'no-route': 2 } },
  ...values,
})

/** 38 of 40 pings took 311 us or a little less, the others 903. */
export const ping = (values: Partial<TenantTraffic['ping']> = {}): TenantTraffic['ping'] => {
  const histogram = new Histogram()
  for (let i = 0; i < 40; i++) histogram.add(i < 38 ? 310 : 900)
  return { sent: 40, lost: 0, p50_us: 0, p99_us: 0, latency: histogram.data(), ...values }
}

export const acme = (values: Partial<TenantTraffic> = {}): TenantTraffic => ({
  name: 'acme',
  ping: ping(),
  tcp: { bytes: 250e6, failed: 0 },
  http: { requests: 100, failed: 0, p50_us: 800, p99_us: 2000 },
  trouble: undefined,
  ...values,
})

export const session = (values: Partial<SessionState> = {}): SessionState => ({
  name: 'acme-1',
  tenant: 'acme',
  pid: 4712,
  row: { name: 'acme-1', state: 'established', flaps: 0 },
  ...values,
})

export const moment = (values: Partial<Moment> = {}): Moment => ({
  seconds: 2,
  tenants: [acme()],
  modules: [node()],
  sessions: [session()],
  outside: {},
  ...values,
})
