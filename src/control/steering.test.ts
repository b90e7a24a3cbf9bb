/** Paths by what is said of probes: put together by hand, and then with a control module on a bus and a node that follows. */

import { deepEqual, equal, ok } from 'node:assert/strict'
import { suite, type TestContext, test } from 'node:test'
import { type BusHere, busHere } from '../agent/bus-here.ts'
import { BatchFollower } from '../agent/follower.ts'
import { BUCKET, fibFeed, LIVENESS_SUBJECT } from '../agent/names.ts'
import { askToShow } from '../agent/show.ts'
import { putSite } from '../agent/site-store.ts'
import { formatAddress, parsePrefix } from '../base/address.ts'
import { type Clock, ManualClock, systemClock } from '../base/clock.ts'
import { silent } from '../base/log.ts'
import { parseSite } from '../config/load.ts'
import type { Site } from '../config/site.ts'
import { type FibBatch, fibBatch, type NextHop } from '../wire/control/fib.ts'
import { type Liveness, livenessNews } from '../wire/control/liveness.ts'
import type { OfferedPath } from '../wire/control/offer.ts'
import { HeldFib } from './held-fib.ts'
import { keyOf } from './prefix-key.ts'
import { serveControl } from './serve.ts'
import { Steering } from './steering.ts'

const PREFIX = '10.1.0.0/16'
const MAC = new Uint8Array(6)
const LOSSES = 'mpls (as good as site-west), site-west (loss 19 % before 50 %), internet'

interface Wish {
  steer?: string
  mpls?: string
  internet?: string
  more?: string
}

function siteOf({
  steer = 'steer: latency',
  mpls = ', probes: [m1, m2]',
  internet = ', probes: [i1]',
  more = '',
}: Wish = {}): Site {
  const { site, errors } = parseSite(`
site: s
routing:
  as: 65001
  router_id: 10.0.0.9
  nodes: [{ name: routing-1, address: 10.0.3.1 }]
  probes:
    - { name: m1, tenant: acme, to: 192.168.1.2, icmp: {}, bandwidth: {} }
    - { name: m2, tenant: acme, to: 192.168.1.3, icmp: {} }
    - { name: i1, tenant: acme, to: 192.168.2.2, icmp: {}, bandwidth: {} }
vips: [{ name: v1, address: 10.255.0.1 }]
clusters: [{ name: blue, vips: [v1], nodes: [{ name: b1, address: 10.0.1.1, ports: [a] }] }]
switches: [{ name: edge, address: 10.0.0.1, uplinks: [up], ports: [acme] }]
tenants:
  - name: acme
    vni: 1001
    vip: v1
    ${steer}
    connections:
      - { name: mpls, switch: edge, port: acme, gateway: [192.168.1.1/24] ${mpls} }
      - { name: internet, switch: edge, port: acme, vlan: 2, vni: 1002, gateway: [192.168.2.1/24] ${internet} }
    routes: [{ prefix: 10.1.0.0/16, via: [192.168.1.2, 192.168.2.2] } ${more}]
  - { name: globex, vni: 1003, vip: v1 }
`)
  ok(site, JSON.stringify(errors))
  return site
}

/** `m1 20 1%`: up with so many milliseconds, and lost; `m1 down`. */
function thingOf(word: string, ended: number): Liveness {
  const [name = '', delay_ms, loss = '0%'] = word.split(' ')
  const delay_us = Number(delay_ms) * 1000
  if (delay_ms === 'down') return { name, kind: 'probe', isUp: false, reason: '', since_ms: ended, quality: undefined }
  const quality = {
    ...{ probes: 60, loss_ppm: Number.parseFloat(loss) * 10_000, jitter_us: 0, bandwidth_kbps: delay_us },
    ...{ delayMin_us: delay_us, delayAverage_us: delay_us, delayP99_us: delay_us },
    ...{ ended, answered: ended, delaySum_us: ended * delay_us },
  }
  return { name, kind: 'probe', isUp: true, reason: '', since_ms: ended, quality }
}

const thingsOf = (words: string) =>
  new Map(words.split(', ').map((word) => [word.split(' ')[0]!, thingOf(word, 100)] as const))

suite('of a tenant’s paths', () => {
  function orderOf(site: Site, things: string): string {
    const steering = new Steering()
    steering.setSite(site, thingsOf(things), 0)
    const order = steering.orders.get('acme')
    return order?.paths.map(({ name }) => `${name}${order.stateOf(name) > 0 ? ' down' : ''}`).join(', ') ?? 'none'
  }

  test('the quality is that of the best of its probes, and it is down when all of them are', () => {
    equal(orderOf(siteOf(), 'm1 40, m2 10, i1 20'), 'mpls, internet')
    equal(orderOf(siteOf(), 'm1 40, m2 30, i1 20'), 'internet, mpls')
    equal(orderOf(siteOf(), 'm1 down, m2 10, i1 20'), 'mpls, internet')
    equal(orderOf(siteOf(), 'm1 down, m2 down, i1 20'), 'internet, mpls down')
    equal(orderOf(siteOf(), 'm1 down, i1 20'), 'mpls, internet', 'nothing is known of one of its probes')
    const loss = siteOf({ steer: 'steer: loss' })
    equal(orderOf(loss, 'm1 10 20%, m2 10 0%, i1 10 10%'), 'mpls, internet')
    equal(orderOf(loss, 'm1 10 20%, m2 10 20%, i1 10 10%'), 'internet, mpls')
    // In this test what takes longer has more bandwidth.
    equal(orderOf(siteOf({ steer: 'steer: bandwidth' }), 'm1 10, m2 10, i1 20'), 'internet, mpls')
    equal(orderOf(siteOf({ steer: 'steer: bandwidth' }), 'm1 10, m2 30, i1 20'), 'mpls, internet')
  })

  test('the way by another site is as good as the path there and its best connection together', () => {
    const between = (probe: string) => ({
      ...{ name: 'west', cost: 5, preference: 100, mtu: 1500, stale_routes_s: 60 },
      ...(probe !== '' && { probe }),
    })
    const path = (name: string, latency_ms: number, more: Partial<OfferedPath> = {}): OfferedPath => ({
      ...{ name, isUp: true, preference: 100, cost: 1, isProbed: true, latency_us: latency_ms * 1000, probes: 60 },
      ...{ loss_ppm: 100_000, bandwidth_kbps: 20_000, ...more },
    })
    const best = (steer: string, things: string, paths: OfferedPath[], probe = 'm2'): string => {
      const remote = { remote: between(probe), vip: MAC, vips: [MAC], mac: MAC, paths }
      const site = siteOf({ steer, mpls: ', probes: [m1]', internet: ', cost: 7, probes: [i1]' })
      const steering = new Steering(() => [remote])
      steering.setSite({ ...site, remote_sites: [remote.remote] }, thingsOf(things), 0)
      return steering.orders.get('acme')!.show().join(', ')
    }
    const latency = 'steer: latency'
    const here = 'm1 40, i1 50'
    equal(
      best(latency, `${here}, m2 5`, [path('dc', 20), path('lte', 1)]),
      'site-west (latency 25 ms before 40 ms), mpls (latency 40 ms before 50 ms), internet',
    )
    const first = (text: string): string => text.split(' (')[0]!
    equal(first(best(latency, `${here}, m2 5`, [path('dc', 20, { isUp: false }), path('lte', 90)])), 'mpls')
    equal(first(best(latency, `${here}, m2 30`, [path('dc', 20)])), 'mpls', 'it adds')
    equal(first(best(latency, `${here}, m2 5`, [])), 'site-west', 'there are only machines')
    equal(first(best(latency, `${here}, m2 5`, [path('dc', 20, { preference: 101 })])), 'mpls')
    equal(first(best(latency, `${here}, m2 5`, [path('dc', 20, { latency_us: undefined, isProbed: false })])), 'mpls')
    equal(first(best(latency, here, [path('dc', 20)], '')), 'mpls', 'nobody measures the path there')
    const down = best(latency, `${here}, m2 down`, [path('dc', 1)])
    equal(down, 'mpls (latency 40 ms before 50 ms), internet (site-west is down), site-west')
    equal(best(latency, `${here}, m2 1`, [path('dc', 1, { isUp: false })]).at(-1), 't', 'all its connections are down')
    // It loses 10% of what comes through the 10% loss on the way there: 19%.
    equal(best('steer: loss', 'm1 9 19%, i1 9 50%, m2 9 10%', [path('dc', 9)]), LOSSES)
    equal(first(best('steer: bandwidth', 'm1 25, i1 2, m2 40', [path('dc', 1)])), 'mpls', '20 Mbit/s there, 25 here')
    equal(first(best('steer: bandwidth', 'm1 10, i1 2, m2 40', [path('dc', 1)])), 'site-west')
    equal(best('steer: cost', here, [path('dc', 1)]), 'mpls (cost 0 before 6), site-west (cost 6 before 7), internet')
  })

  test('another site is offered connections as the tenant uses them, the best first', () => {
    const steering = new Steering()
    const things = thingsOf('m1 40, m2 30, i1 20')
    steering.setSite(siteOf(), things, 0)
    const [acme] = siteOf().tenants
    const told = (isUp = (_: string) => true) =>
      steering.offered(acme!, things, isUp).map(({ name, latency_us, isUp: up }) => `${name} ${latency_us} ${up}`)
    deepEqual(told(), ['internet 20000 true', 'mpls 30000 true'])
    deepEqual(
      told((name) => name !== 'internet'),
      ['internet 20000 false', 'mpls 30000 true'],
    )
  })

  test('nothing is made an order where the site file says nothing of them', () => {
    equal(orderOf(siteOf({ steer: '', mpls: '', internet: '' }), 'm1 10'), 'none')
    equal(orderOf(siteOf({ steer: '', mpls: '', internet: ', preference: 5' }), 'm1 10'), 'internet, mpls')
    equal(orderOf(siteOf({ steer: '', internet: '' }), 'm1 down, m2 down'), 'internet, mpls down')
  })

  test('the order outlasts a change of the site, and goes with what the site says of it', () => {
    const steering = new Steering()
    steering.setSite(siteOf(), thingsOf('m1 10, m2 10, i1 10'), 0)
    const before = steering.orders.get('acme')
    steering.setSite(siteOf({ mpls: ', probes: [m1]' }), thingsOf('m1 10, i1 10'), 1)
    equal(steering.orders.get('acme'), before)
    deepEqual(steering.take(thingsOf('m1 10, i1 down'), 2), ['acme'])
    deepEqual(steering.take(thingsOf('m1 10, i1 down'), 3), [])
    steering.setSite(siteOf({ steer: '', mpls: '', internet: '' }), new Map(), 4)
    equal(steering.orders.size, 0)
  })
})

suite('with a control module', () => {
  let said_us = 0

  async function scene(t: TestContext, site: Site, kept?: string) {
    const here = await busHere(t)
    const bus = await here.join('routing')
    let ended = 0
    const newsOf = (words: string): Uint8Array => {
      ended++
      const things = words.split(', ').map((word) => thingOf(word, ended * 100))
      return livenessNews.encode({ node: 'routing-1', said_us: ++said_us, things })
    }
    if (kept !== undefined) await bus.bucket(BUCKET.liveness).put('routing-1', newsOf(kept))
    const lead = async (name: string, clock: Clock = systemClock) => {
      const options = { name: 'control', bus: await here.join(name), clock, log: silent, site }
      const control = serveControl({ ...options, newIncarnation: () => `i${said_us++}` })
      here.atEnd(() => control.close())
      return control
    }
    const node = await here.join('b1')
    const held = new HeldFib()
    let check = (): void => {}
    const follower = new BatchFollower<FibBatch>({
      ...{ bus: node, feed: fibFeed('blue'), message: fibBatch as never, module: 'b1', directory: here.directory },
      ...{ clock: systemClock, log: silent },
      apply(batch) {
        held.apply(batch)
        check()
        return undefined
      },
    })
    follower.start()
    here.atEnd(() => follower.close())
    const via = (prefix: string): string => {
      const acme = [...held.tenants.values()].find(({ record }) => record.name === 'acme')
      const text = (hop: NextHop | undefined): string => {
        if (hop?.kind === 'failover') return Array.from(hop.members, (id) => text(acme!.hops.get(id))).join(' or ')
        if (hop?.kind === 'group') return hop.members.map(({ nextHop }) => text(acme!.hops.get(nextHop))).join('+')
        return hop?.kind === 'peer' ? formatAddress(hop.address) : `${hop?.kind}`
      }
      return text(acme?.hops.get(acme.routes.get(keyOf(parsePrefix(prefix)!)) ?? 0))
    }
    return {
      ...{ here, bus, lead, via },
      tell: (words: string): void => bus.publish(LIVENESS_SUBJECT, newsOf(words)),
      /** Resolves once the route goes so. */
      until: (wanted: string, prefix = PREFIX): Promise<void> =>
        new Promise((resolve, reject) => {
          const late = systemClock.after(20_000, () => reject(new Error(`not ${wanted} but ${via(prefix)}`)))
          check = () => {
            if (via(prefix) !== wanted) return
            late.cancel()
            resolve()
          }
          check()
        }),
    }
  }

  const MPLS = '192.168.1.2 or 192.168.2.2'
  const INTERNET = '192.168.2.2 or 192.168.1.2'

  test('a route goes by the best path, leaves one that dies at once, and says why', async (t) => {
    const { bus, lead, tell, until } = await scene(t, siteOf(), 'm1 30, m2 30, i1 10')
    await lead('control')
    await until(INTERNET)
    const why = async () => {
      const routes = (await askToShow(bus, 'control', 'routes', 'acme')) as Record<string, unknown>[]
      const { via, why: reason } = routes.find(({ prefix }) => prefix === PREFIX)!
      return [via, reason]
    }
    await putSite(bus, siteOf({ mpls: ', probes: [m1, m2], preference: 50' }))
    await until(MPLS)
    deepEqual(await why(), [['192.168.1.2 on mpls', '192.168.2.2 on internet as backup'], 'preference 50 before 100'])
    await putSite(bus, siteOf())
    await until(INTERNET)
    deepEqual(await why(), [['192.168.2.2 on internet', '192.168.1.2 on mpls as backup'], 'latency 10 ms before 30 ms'])
    tell('m1 30, m2 30, i1 down')
    await until(MPLS)
    deepEqual(await why(), [['192.168.1.2 on mpls', '192.168.2.2 on internet as backup'], 'internet is down'])
    const both = { tenant: 'acme', preference: 100, cost: 0 }
    deepEqual(await askToShow(bus, 'control', 'paths', 'acme'), [
      { ...both, connection: 'mpls', place: 0, state: 'up', latency_ms: 30, loss_percent: 0, bandwidth_kbps: 30_000 },
      { ...both, connection: 'internet', place: 1, state: 'down' },
    ])
    deepEqual(await askToShow(bus, 'control', 'paths', 'globex'), [])
  })

  test('a path that dies is left by the news of it, and not when time has passed', async (t) => {
    const { lead, tell, until } = await scene(t, siteOf(), 'm1 10, m2 10, i1 10')
    await lead('control', new ManualClock())
    await until(MPLS)
    tell('m1 down, m2 down, i1 10')
    await until(INTERNET)
  })

  test('a route leaves a path that becomes bad and stays so', async (t) => {
    const { lead, tell, until, here } = await scene(t, siteOf(), 'm1 10, m2 10, i1 11')
    await lead('control')
    await until(MPLS)
    const news = systemClock.every(200, () => tell('m1 22, m2 22, i1 11'))
    here.atEnd(async () => news.cancel())
    await until(INTERNET)
  })

  test('another site file is another order', async (t) => {
    const { bus, lead, until } = await scene(t, siteOf({ steer: '', mpls: '', internet: '' }))
    await lead('control')
    await until('192.168.1.2+192.168.2.2')
    await putSite(bus, siteOf({ steer: '', mpls: ', preference: 200', internet: '' }))
    await until(INTERNET)
    await putSite(bus, siteOf({ steer: 'steer: cost', mpls: ', cost: 1', internet: ', cost: 2' }))
    await until(MPLS)
  })

  test('the next leader goes on with the order that it finds', { timeout: 60_000 }, async (t) => {
    const { here, bus, lead, tell, until, via } = await scene(t, siteOf(), 'm1 10, m2 10, i1 10')
    const first = await lead('control')
    await until(MPLS)
    tell('m1 down, m2 down, i1 10')
    await until(INTERNET)
    // The way back takes half a minute, of which the next one knows nothing but that it is not over.
    await kept(here, (paths) => paths === 'internet up, mpls')
    await first.close()
    await bus.bucket(BUCKET.liveness).delete('routing-1')
    await lead('control-2')
    await putSite(bus, siteOf({ more: ', { prefix: 10.2.0.0/16, via: [192.168.1.2] }' }))
    await until('192.168.1.2', '10.2.0.0/16')
    equal(via(PREFIX), INTERNET)
  })
})

/** Resolves once the order of paths that is on the bus is so. */
async function kept(here: BusHere, isSo: (paths: string) => boolean): Promise<void> {
  const seen = Promise.withResolvers<void>()
  const bus = await here.join(`reader-${joined++}`)
  const watch = bus.bucket(BUCKET.paths).watch('acme', ({ value }) => {
    const paths = JSON.parse(Buffer.from(value!).toString()) as { name: string; isUp: boolean }[]
    if (isSo(paths.map(({ name, isUp }) => (isUp ? `${name} up` : name)).join(', '))) seen.resolve()
  })
  await seen.promise
  watch.close()
}

let joined = 0
