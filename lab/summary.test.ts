import { deepEqual, equal } from 'node:assert/strict'
import { suite, test } from 'node:test'
import { acme, moment, node, ping, session, totals } from './sample-moments.ts'
import { isFlawless, type Moment, summaryOf } from './summary.ts'

const start: Moment = moment({ seconds: 0, tenants: [], modules: [node({ totals: totals() })] })

suite('the summary of a demo', () => {
  test('has every number a program may ask for', () => {
    const idle = node({ totals: totals() })
    const two = moment({
      modules: [node(), node({ name: 'fn-2', kernelDrops: 3 })],
      outside: { 'host-1:no-machine': 1 },
    })
    deepEqual(summaryOf(moment({ tenants: [], modules: [idle, idle] }), two), {
      tenants: [
        {
          name: 'acme',
          ping: { sent: 40, lost: 0, p50_us: 311, p99_us: 903 },
          tcp: { bytes: 250e6, gbit_per_s: 1, failed: 0 },
          http: { requests: 100, failed: 0 },
        },
      ],
      sessions: { established: 1, flapped: 0 },
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
      drops: { 'no-route': 4, kernel: 3, 'host-1:no-machine': 1 },
      conserved: true,
    })
  })

  test('counts from the start of the traffic: what was dropped before is nobody’s loss', () => {
    const before = totals({ received: 8, sent: 2, drops: { 'group-empty': 6 } })
    const early = moment({ modules: [node({ totals: before, kernelDrops: 5 })], outside: { wire: 7 } })
    const after = totals({ received: 108, sent: 102, drops: { 'group-empty': 6 } })
    const late = moment({ modules: [node({ totals: after, kernelDrops: 5 })], outside: { wire: 7 } })
    const summary = summaryOf(early, late)
    deepEqual(summary.drops, {})
    deepEqual([summary.nodes[0]!.received, summary.nodes[0]!.sent, summary.nodes[0]!.kernel_drops], [100, 100, 0])
    equal(isFlawless(summary), true)
  })

  test('counts latencies from when the start’s tenants were looked at, and losses from the first packet', () => {
    const early = moment({ tenants: [acme({ ping: ping({ sent: 38, latency: ping().latency.slice(0, 1) }) })] })
    deepEqual(summaryOf(early, moment()).tenants[0]!.ping, { sent: 40, lost: 0, p50_us: 903, p99_us: 903 })
  })

  test('is flawless only when nothing was lost and all is accounted for', () => {
    const whole = node({ totals: totals({ received: 10, sent: 10 }) })
    const flawless = (values: Partial<Moment> = {}): boolean =>
      isFlawless(summaryOf(start, moment({ modules: [whole], ...values })))
    equal(flawless(), true)
    const flaws: Partial<Moment>[] = [
      { tenants: [] },
      { tenants: [acme(), acme({ ping: ping({ lost: 1 }) })] },
      { tenants: [acme({ ping: ping({ sent: 0 }) })] },
      { tenants: [acme({ tcp: { bytes: 1, failed: 1 } })] },
      { tenants: [acme({ http: { requests: 1, failed: 1, p50_us: 1, p99_us: 1 } })] },
      { modules: [node({ totals: totals({ received: 2, sent: 1 }) })] },
      { modules: [node({ totals: undefined })] },
      { modules: [node({ ...whole, pid: 4712 })] },
      { modules: [node({ ...whole, kernelDrops: 1 })] },
      { outside: { wire: 1 } },
      { sessions: [session({ row: undefined })] },
      { sessions: [session({ row: { name: 'acme-1', state: 'idle', flaps: 1 } })] },
      { sessions: [session({ row: { name: 'acme-1', state: 'established', flaps: 1 } })] },
      { sessions: [session({ pid: 4713 })] },
    ]
    for (const flaw of flaws) equal(flawless(flaw), false, JSON.stringify(flaw))
  })

  test('takes every drop for a loss but what hosts say to their neighbours', () => {
    const dropped = (reason: string): boolean =>
      isFlawless(
        summaryOf(start, moment({ modules: [node({ totals: totals({ received: 1, drops: { [reason]: 1 } }) })] })),
      )
    const lost = ['port-full', 'port-down', 'no-frames', 'dispatch-full', 'too-big', 'underlay-unresolved', 'no-route']
    for (const reason of lost) equal(dropped(reason), false, reason)
    for (const reason of ['arp-ignored', 'nd-ignored', 'multicast', 'link-local', 'link-control'])
      equal(dropped(reason), true, reason)
  })
})
