import { deepEqual, equal, match } from 'node:assert/strict'
import { suite, test } from 'node:test'
import type { Totals } from '../src/dataplane/ledger.ts'
import type { ModuleCounters } from './observe.ts'
import { isFlawless, lineOf, type Moment, screenOf, summaryOf } from './summary.ts'
import type { TenantTraffic } from './traffic/traffic.ts'

const totals = (values: Partial<Totals>): Totals => ({
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
const node = (values: Partial<ModuleCounters> = {}): ModuleCounters => ({
  name: 'fn-1',
  role: 'forwarding',
  pid: 4711,
  totals: totals({ received: 12, originated: 1, sent: 10, sentBytes: 125e6, delivered: 1, drops: { 'no-route': 2 } }),
  kernelDrops: 0,
  ...values,
})
const acme = (values: Partial<TenantTraffic> = {}): TenantTraffic => ({
  name: 'acme',
  ping: { sent: 40, lost: 0, p50_us: 310, p99_us: 900 },
  tcp: { bytes: 250e6, failed: 0 },
  http: { requests: 100, failed: 0, p50_us: 800, p99_us: 2000 },
  trouble: undefined,
  ...values,
})
const moment = (values: Partial<Moment> = {}): Moment => ({
  seconds: 2,
  tenants: [acme()],
  modules: [node()],
  ...values,
})

suite('the summary of a demo', () => {
  test('has every number a program may ask for', () => {
    deepEqual(summaryOf(moment({ modules: [node(), node({ name: 'fn-2', kernelDrops: 3 })] })), {
      tenants: [
        {
          name: 'acme',
          ping: { sent: 40, lost: 0, p50_us: 310, p99_us: 900 },
          tcp: { bytes: 250e6, gbit_per_s: 1, failed: 0 },
          http: { requests: 100, failed: 0 },
        },
      ],
      nodes: [0, 3].map((kernel_drops, i) => ({
        name: `fn-${i + 1}`,
        role: 'forwarding',
        received: 12,
        originated: 1,
        sent: 10,
        delivered: 1,
        drops: { 'no-route': 2 },
        kernel_drops,
        conserved: true,
      })),
      drops: { 'no-route': 4, kernel: 3 },
      conserved: true,
    })
  })

  test('is flawless only when nothing was lost and all is accounted for', () => {
    equal(isFlawless(summaryOf(moment())), true)
    const ping = { sent: 40, lost: 1, p50_us: 1, p99_us: 1 }
    const flaws: Partial<Moment>[] = [
      { tenants: [] },
      { tenants: [acme(), acme({ ping })] },
      { tenants: [acme({ ping: { ...ping, sent: 0, lost: 0 } })] },
      { tenants: [acme({ tcp: { bytes: 1, failed: 1 } })] },
      { tenants: [acme({ http: { requests: 1, failed: 1, p50_us: 1, p99_us: 1 } })] },
      { modules: [node({ totals: totals({ received: 2, sent: 1 }) })] },
      { modules: [node({ totals: undefined })] },
    ]
    for (const flaw of flaws) equal(isFlawless(summaryOf(moment(flaw))), false, JSON.stringify(flaw))
  })

  test('shows rates of the last second and counts since the start', () => {
    const later = moment({
      seconds: 3,
      tenants: [acme({ tcp: { bytes: 375e6, failed: 0 } })],
      modules: [node({ totals: totals({ received: 1012, sent: 1010, sentBytes: 250e6, drops: { 'no-route': 2 } }) })],
    })
    const screen = screenOf(moment(), later, ['2 s: fn-2 does not answer']).join('\n')
    match(screen, /acme +310 us +900 us +40 +0 +1\.000 +0 +0 +0/)
    match(screen, /fn-1 +1,000 +1,000 +1\.000 +2 +0/)
    match(screen, /dropped: no-route 2\n2 s: fn-2 does not answer/)
    match(
      lineOf(later),
      /^0:03 \| acme: ping 310 us, lost 0 of 40; TCP 1\.000 Gbit\/s, failed 0; HTTP 100, failed 0 \| dropped 2$/,
    )
  })

  test('says of a module that was started again what it has done since', () => {
    const again = moment({ seconds: 3, modules: [node({ totals: totals({ received: 5, sent: 5 }) })] })
    match(screenOf(moment(), again, []).join('\n'), /fn-1 +5 +5 /)
    const silent = moment({ seconds: 3, modules: [node({ totals: undefined })] })
    match(screenOf(moment(), silent, []).join('\n'), /fn-1 +does not answer/)
  })
})
