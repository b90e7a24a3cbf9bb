/**
 * From a path's delay to the routes of forwarding nodes: a routing node probes two web servers, which stand for what lies behind
 * a tenant's two connections, and a control module has the route over the better one. Everything but the wires is real.
 */

import { deepEqual, equal } from 'node:assert/strict'
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { type TestContext, test } from 'node:test'
import { busHere } from '../../src/agent/bus-here.ts'
import { BatchFollower } from '../../src/agent/follower.ts'
import { fibFeed, LIVENESS_SUBJECT } from '../../src/agent/names.ts'
import { formatAddress, parsePrefix } from '../../src/base/address.ts'
import { systemClock } from '../../src/base/clock.ts'
import { silent } from '../../src/base/log.ts'
import { parseSite } from '../../src/config/load.ts'
import { HeldFib } from '../../src/control/held-fib.ts'
import { keyOf } from '../../src/control/prefix-key.ts'
import { serveControl } from '../../src/control/serve.ts'
import { unprivileged } from '../../src/linux/scratch.ts'
import { Liveness } from '../../src/routing/liveness/liveness.ts'
import { PeerNumbers } from '../../src/routing/relay/peer-numbers.ts'
import { type FibBatch, fibBatch } from '../../src/wire/control/fib.ts'
import { livenessNews } from '../../src/wire/control/liveness.ts'

/** A web server that answers after its delay. */
async function serverHere(t: TestContext) {
  const path = { delay_ms: 40, port: 0 }
  const server = createServer((_, answer) => void systemClock.after(path.delay_ms, () => answer.end('here')))
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(() => {
    server.closeAllConnections()
    server.close()
  })
  path.port = (server.address() as AddressInfo).port
  return path
}

const siteOf = (mpls: number, internet: number): string => `
site: s
vips: [{ name: v1, address: 10.255.0.1 }]
clusters: [{ name: blue, vips: [v1], nodes: [{ name: b1, address: 10.0.1.1, ports: [a] }] }]
switches: [{ name: edge, address: 10.0.0.1, uplinks: [up], ports: [acme] }]
tenants:
  - name: acme
    vni: 1001
    vip: v1
    steer: latency
    connections:
      - { name: mpls, switch: edge, port: acme, gateway: [192.168.1.1/24], probes: [over-mpls] }
      - { name: internet, switch: edge, port: acme, vlan: 2, vni: 1002, gateway: [192.168.2.1/24], probes: [over-internet] }
    routes: [{ prefix: 10.1.0.0/16, via: [192.168.1.2, 192.168.2.2] }]
routing:
  as: 65001
  router_id: 10.0.0.9
  nodes: [{ name: routing-1, address: 127.0.0.1 }]
  probes:
    - { name: over-mpls, to: 127.0.0.1, http: { port: ${mpls} }, interval_ms: 100 }
    - { name: over-internet, to: 127.0.0.1, http: { port: ${internet} }, interval_ms: 100 }
`

test('a route leaves a path that has become slow, once, and one that is gone', {
  skip: unprivileged,
  timeout: 60_000,
}, async (t) => {
  const mpls = await serverHere(t)
  const internet = await serverHere(t)
  const { site, errors } = parseSite(siteOf(mpls.port, internet.port))
  equal(errors, undefined)
  const here = await busHere(t)
  const ways: string[] = []
  let wake = (): void => {}
  const held = new HeldFib()
  const follower = new BatchFollower<FibBatch>({
    ...{ bus: await here.join('b1'), feed: fibFeed('blue'), message: fibBatch as never, module: 'b1' },
    ...{ directory: here.directory, clock: systemClock, log: silent },
    apply(batch) {
      held.apply(batch)
      const [acme] = held.tenants.values()
      const hop = acme?.hops.get(acme.routes.get(keyOf(parsePrefix('10.1.0.0/16')!)) ?? 0)
      const first = hop?.kind === 'failover' ? acme!.hops.get(hop.members[0]!) : hop
      const way = first?.kind === 'peer' ? formatAddress(first.address) : `${first?.kind}`
      if (way !== ways.at(-1)) ways.push(way)
      wake()
      return undefined
    },
  })
  follower.start()
  here.atEnd(() => follower.close())
  const until = async (count: number): Promise<void> => {
    while (ways.length < count) {
      await new Promise<void>((resolve) => {
        wake = resolve
      })
    }
  }
  const options = { name: 'control', clock: systemClock, log: silent, site: site! }
  const control = serveControl({ ...options, bus: await here.join('control'), newIncarnation: () => 'i1' })
  here.atEnd(() => control.close())
  await until(1)
  const onDeath = (error: Error): void => {
    throw error
  }
  const watching = { site: site!, name: 'routing-1', bus: await here.join('routing'), numbers: new PeerNumbers() }
  const watch = new Liveness({ ...watching, clock: systemClock, log: silent, onDeath })
  const isMeasured = Promise.withResolvers<void>()
  const news = (await here.join('reader')).subscribe(LIVENESS_SUBJECT, ({ payload }) => {
    const decoded = livenessNews.decode(payload)
    const things = decoded.ok ? decoded.value.things : []
    if (things.filter(({ quality }) => quality!.answered >= 5).length === 2) isMeasured.resolve()
  })
  await news.ready
  watch.start()
  here.atEnd(() => watch.close())
  await isMeasured.promise
  deepEqual(ways, ['192.168.1.2'], 'as good as each other')
  mpls.delay_ms = 100
  await until(2)
  deepEqual(ways, ['192.168.1.2', '192.168.2.2'])
  // What is on its way back is the last choice but for one that is gone.
  mpls.delay_ms = 40
  internet.delay_ms = 2000
  await until(3)
  deepEqual(ways, ['192.168.1.2', '192.168.2.2', '192.168.1.2'])
})
