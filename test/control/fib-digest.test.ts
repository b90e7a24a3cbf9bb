/**
 * A node's FIB beside what it was told: a control module, a node in memory that follows it, and accidents in the node's memory
 * between them. What went wrong is found and mended within a few rounds, and what only changes is never taken for it.
 */

import { deepEqual, equal, ok } from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { busHere } from '../../src/agent/bus-here.ts'
import { BatchFollower } from '../../src/agent/follower.ts'
import { DIGESTS_SUBJECT, fibFeed, ROUTES_LIMITS, ROUTES_STREAM } from '../../src/agent/names.ts'
import { whenReady } from '../../src/agent/presence.ts'
import { askToShow } from '../../src/agent/show.ts'
import { putSite } from '../../src/agent/site-store.ts'
import { formatPrefix, parsePrefix } from '../../src/base/address.ts'
import { ManualClock, systemClock } from '../../src/base/clock.ts'
import { type Logger, silent } from '../../src/base/log.ts'
import { freshSeed, Random } from '../../src/base/random.ts'
import { parseSite } from '../../src/config/load.ts'
import type { Site } from '../../src/config/site.ts'
import { serveControl } from '../../src/control/serve.ts'
import { DigestRounds } from '../../src/forwarding/digest-rounds.ts'
import { MemoryNode } from '../../src/forwarding/memory-node.ts'
import { RouteColumnsBuilder } from '../../src/wire/control/columns.ts'
import { fibDigests } from '../../src/wire/control/digest.ts'
import { type FibBatch, fibBatch } from '../../src/wire/control/fib.ts'
import { routeBatch } from '../../src/wire/control/route.ts'

const ROUND_ms = 60_000
/** What is told again comes, and is looked at again, within so many. */
const ROUNDS_MAX = 20

function siteOf(peerMac = '02:00:00:00:0c:01', more = ''): Site {
  const { site, errors } = parseSite(`
    site: s
    gateway: { mac: 02:67:68:00:00:01 }
    vips: [{ name: v1, address: 10.255.0.1 }]
    clusters: [{ name: blue, vips: [v1], nodes: [{ name: b1, address: 10.0.1.1, ports: [a] }] }]
    switches: [{ name: edge, address: 10.0.0.1, uplinks: [up], ports: [acme, globex] }]
    hosts: [{ name: h1, address: 10.0.2.1, tunnel: gre }]
    tenants:
      - name: acme
        vni: 1001
        vip: v1
        connections:
          - name: dc
            switch: edge
            port: acme
            gateway: [192.168.1.1/24, 2001:db8:1::1/64]
            peers: [{ address: 192.168.1.2, mac: '${peerMac}' }, 192.168.1.3]
        vpcs: [{ name: prod, machines: [{ name: web, address: 172.16.0.5, host: h1 }] }]
        routes: [{ prefix: 10.1.0.0/16, via: [192.168.1.2] }, { prefix: 10.2.0.0/16, via: [192.168.1.2, 192.168.1.3] }${more}]
      - { name: globex, vni: 1002, vip: v1, connections: [{ name: dc, switch: edge, port: globex, gateway: [192.168.1.1/24] }] }`)
  ok(site, JSON.stringify(errors))
  return site
}

async function scene(t: TestContext) {
  const here = await busHere(t)
  const [bus, control] = [await here.join('node'), await here.join('control')]
  const errors: object[] = []
  const log: Logger = { ...silent, error: (details) => void errors.push(details) }
  const options = { name: 'control', bus: control, clock: systemClock, log, site: siteOf() }
  let incarnations = 0
  const one = serveControl({ ...options, newIncarnation: () => `i${incarnations++}` })
  here.atEnd(() => one.close())
  const node = new MemoryNode()
  const clock = new ManualClock()
  const follower = new BatchFollower<FibBatch>({
    ...{ bus, feed: fibFeed('blue'), message: fibBatch, module: 'b1', directory: here.directory },
    ...{ clock: systemClock, log: silent, apply: (batch) => node.apply(batch) },
  })
  const rounds = new DigestRounds({
    ...{ node: 'b1', cluster: 'blue', holdings: node.holdings, clock },
    incarnation: () => (follower.generation > 0 ? follower.incarnation : undefined),
    say: (news) => bus.publish(DIGESTS_SUBJECT, fibDigests.encode(news)),
  })
  here.atEnd(async () => {
    await rounds.close()
    await follower.close()
  })
  follower.start()
  await Promise.all([follower.holding, whenReady(bus, 'control', process.pid, AbortSignal.timeout(10_000))])
  /** All tenants have their turn. */
  const round = async (): Promise<void> => {
    clock.advance(ROUND_ms)
    for (const _ of node.holdings.tenants()) await rounds.turn()
    await rounds.turn()
  }
  const shown = async () => (await askToShow(bus, 'control', 'nodes'))[0] as { checked: number; mismatches: number }
  const table = (name: string): string[] => {
    const { row } = [...node.holdings.tenants()].find((tenant) => tenant.name === name)!
    return Array.from(node.fib.routes(row), ({ prefix, slot }) => `${formatPrefix(prefix)} ${slot}`)
  }
  /** Resolves when so many of this node's tenants were compared in the end. */
  const compared = async (more: number): Promise<{ checked: number; mismatches: number }> => {
    const before = (await shown()).checked
    for (let rest = ROUNDS_MAX; ; rest--) {
      ok(rest > 0, 'not compared')
      await round()
      const now = await shown()
      if (now.checked >= before + more) return now
    }
  }
  return { here, bus, errors, node, follower, round, shown, table, compared }
}

function rowOf(node: MemoryNode, name: string): number {
  return [...node.holdings.tenants()].find((tenant) => tenant.name === name)!.row
}

test('a route that leads elsewhere, is missing or is too much is found in the memory of a node, said and mended', async (t) => {
  const { errors, node, table, compared, shown, follower, round } = await scene(t)
  const acme = rowOf(node, 'acme')
  const [before, others] = [table('acme'), table('globex')]
  const slotOf = (text: string): number =>
    [...node.fib.routes(acme)].find(({ prefix }) => formatPrefix(prefix) === text)!.slot
  const insert = (prefix: string, slot: number) => node.fib.insert(acme, parsePrefix(prefix)!, slot)
  const accidents: Record<string, () => void> = {
    'a route by another next hop': () => insert('10.1.0.0/16', slotOf('10.2.0.0/16')),
    'a route by the next hop of another tenant': () =>
      insert('10.1.0.0/16', [...node.fib.routes(rowOf(node, 'globex'))][0]!.slot),
    'a route by a slot that is nobody’s': () => insert('10.1.0.0/16', 4000),
    'a route that is missing': () => node.fib.remove(acme, parsePrefix('172.16.0.5/32')!),
    'a route of IPv6 that is missing': () => node.fib.remove(acme, parsePrefix('2001:db8:1::1/128')!),
    'a route that is too much': () => insert('10.3.0.0/16', slotOf('10.1.0.0/16')),
    'a route of IPv6 that is too much': () => insert('2001:db8:77::/48', slotOf('10.1.0.0/16')),
    'all of a tenant': () => node.fib.clear(acme),
  }
  let mismatches = 0
  for (const [what, happen] of Object.entries(accidents)) {
    equal((await compared(2)).mismatches, mismatches, `before ${what}`)
    const generation = follower.generation
    happen()
    for (let rest = ROUNDS_MAX; follower.generation === generation; rest--) {
      ok(rest > 0, `not mended: ${what}`)
      await round()
      await shown()
    }
    // Neighbours and the link-local address are the node's own knowledge and not told: they are gone where everything was.
    const isTold = (route: string): boolean => !/^(fe80::|192\.168\.1\.2\/32 )/.test(route)
    deepEqual(table('acme').filter(isTold), before.filter(isTold), what)
    deepEqual(table('globex'), others, what)
    const { mismatches: now } = await compared(2)
    ok(now > mismatches, what)
    mismatches = now
    deepEqual(errors.at(-1), { ...errors.at(-1), node: 'b1', cluster: 'blue', tenant: 'acme' })
  }
})

test('what a node found out by itself is no difference', async (t) => {
  const { node, compared, errors } = await scene(t)
  const acme = rowOf(node, 'acme')
  node.fib.insert(acme, parsePrefix('192.168.1.77/32')!, 4000)
  node.fib.insert(acme, parsePrefix('fe80::77/128')!, 4001)
  equal((await compared(4)).mismatches, 0)
  deepEqual(errors, [])
})

const seed = Number(process.env['FUZZ_SEED'] ?? freshSeed())

test(`changes are never taken for differences, whenever a node looks, FUZZ_SEED=${seed}`, async (t) => {
  const { bus, round, compared, errors, shown } = await scene(t)
  const random = new Random(seed)
  const stream = bus.stream(ROUTES_STREAM, ROUTES_LIMITS)
  let isOver = false
  const looking = (async () => {
    while (!isOver) {
      await round()
      await shown()
    }
  })()
  try {
    for (let step = 0; step < 150; step++) {
      if (random.chance(0.1)) {
        const more = random.chance(0.5) ? ', { prefix: 10.4.0.0/16, via: [192.168.1.3] }' : ''
        await putSite(bus, siteOf(`02:00:00:00:0c:0${random.below(3)}`, more))
      } else await stream.append(routeBatch.encode(randomRoutes(random)))
      if (random.chance(0.3)) await shown()
    }
  } finally {
    isOver = true
    await looking
  }
  const { checked, mismatches } = await compared(2)
  t.diagnostic(`${checked} times compared`)
  equal(mismatches, 0)
  deepEqual(errors, [])
})

function randomRoutes(random: Random) {
  const v4 = new RouteColumnsBuilder(1)
  const v6 = new RouteColumnsBuilder(4)
  for (let i = random.below(60); i >= 0; i--) {
    v4.add4(
      random.below(2),
      (0x0b000000 + random.below(64) * 0x10000) >>> 0,
      random.pick([16, 24, 32]),
      random.below(3),
    )
    if (i % 4 === 0) v6.add6(0, [0x20010db8, random.below(9), 0, 0], 64, random.below(3))
  }
  const gateway = (last: number) => [{ address: Uint8Array.of(192, 168, 1, last), weight: 1, backup: false }]
  return {
    ...{ origin: random.pick(['one', 'two']), preference: 100, replaces: random.chance(0.1) },
    tenants: ['acme', 'globex'],
    gateways: [gateway(2), gateway(random.pick([3, 9]))],
    ...{ routes4: v4.build(), routes6: v6.build() },
  }
}
