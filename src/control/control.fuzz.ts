/**
 * Any sequence of site changes and published routes: what a node holds after the differences is what it would hold
 * after a snapshot, what the route choice says by the simplest reading, and no next hop is left that nothing uses.
 */

import { deepEqual, equal, ok } from 'node:assert/strict'
import { test } from 'node:test'
import { freshSeed, Random } from '../base/random.ts'
import { parseSite } from '../config/load.ts'
import type { Site } from '../config/site.ts'
import { RouteColumnsBuilder } from '../wire/control/columns.ts'
import { fibBatch, isGroup, membersOf } from '../wire/control/fib.ts'
import type { Gateways, RouteBatch } from '../wire/control/route.ts'
import { FibComposer, tenantRecord } from './compose.ts'
import { HeldFib } from './held-fib.ts'
import type { Hop } from './hop.ts'
import { Ids } from './ids.ts'
import { indexSite, networkOf, type TenantNetwork } from './network.ts'
import type { PathPlaces } from './path-order.ts'
import type { PrefixKey } from './prefix-key.ts'
import { PublishedRoutes } from './published-routes.ts'
import { TenantFib } from './tenant-fib.ts'

const runs = Number(process.env['FUZZ_N'] ?? 25)
const seed = Number(process.env['FUZZ_SEED'] ?? freshSeed())
const random = new Random(seed)
const VIP = '10.255.0.1'

function randomSite(): Site {
  const peers = ['192.168.1.2', '192.168.1.3', '192.168.2.2'].filter(() => random.chance(0.8))
  const via = (): string =>
    random.pick([
      ...['dc', '192.168.1.2', '192.168.1.3', '172.16.0.5, 192.168.1.2', '172.16.0.5, { to: dc, backup: true }'],
      ...['192.168.1.2, 192.168.2.2', '192.168.2.2, { to: 192.168.1.2, backup: true }'],
    ])
  const routes = ['10.1.0.0/16', '10.2.0.0/16', '10.3.0.0/24'].filter(() => random.chance(0.7))
  const machines = ['172.16.0.5', '172.16.0.6'].filter((one) => one.endsWith('5') || random.chance(0.5))
  const by = (): string =>
    random.pick(['by: dc', 'by: [wan, dc]', 'by: [dc, wan], balanced: true', 'by: wan, only: true', 'discard: true'])
  const policies = ['one', 'two'].filter(() => random.chance(0.4)).map((name) => `{ name: ${name}, ${by()} }`)
  const { site, errors } = parseSite(`
    site: s
    gateway: { mac: 02:67:68:00:00:01 }
    vips: [{ name: v1, address: ${VIP} }]
    clusters: [{ name: blue, vips: [v1], nodes: [{ name: b1, address: 10.0.1.1, ports: [n] }] }]
    switches: [{ name: edge, address: 10.0.0.${random.pick([1, 2])}, uplinks: [up], ports: [a] }]
    hosts: [{ name: h1, address: 10.0.2.1, tunnel: ${random.pick(['gre', 'vxlan'])} }]
    tenants:
      - name: acme
        vni: 1001
        vip: v1
        connections:
          - name: dc
            switch: edge
            port: a
            gateway: [192.168.1.1/24]
            peers: [${peers.filter((peer) => peer.startsWith('192.168.1.')).join(', ')}]
          - { name: wan, switch: edge, port: a, vlan: 2, vni: 1002, gateway: [192.168.2.1/24] }
        vpcs:
          - name: prod
            machines: [${machines.map((one) => `{ name: m${one.at(-1)}, address: ${one}, host: h1, mac: 02:00:00:00:00:0${one.at(-1)} }`).join(', ')}]
        policies: [${policies.join(', ')}]
        routes: [${routes.map((prefix) => `{ prefix: ${prefix}, via: [${via()}] }`).join(', ')}]`)
  ok(site, JSON.stringify(errors))
  return site
}

const NONE: ReadonlySet<string> = new Set()

/** Half of the time the tenant's two connections have an order. */
function orders(): ReadonlyMap<string, PathPlaces> {
  const states = new Map(['dc', 'wan'].map((name) => [name, random.below(3)]))
  const places = new Map(['dc', 'wan'].map((name) => [name, random.below(2)]))
  const order: PathPlaces = {
    stateOf: (name) => states.get(name)!,
    placeOf: (name) => (name === undefined ? -1 : places.get(name)!),
  }
  return new Map(random.chance(0.5) ? [['acme', order]] : [])
}

function randomBatch(): RouteBatch {
  const sets: Gateways[] = Array.from({ length: 1 + random.below(3) }, () =>
    Array.from({ length: random.below(4) }, () => ({
      address: Uint8Array.of(
        ...random.pick([
          [192, 168, 1, 2],
          [192, 168, 1, 9],
          [192, 168, 2, 2],
          [172, 16, 0, 5],
          [9, 9, 9, 9],
        ]),
      ),
      weight: 1 + random.below(2),
      backup: random.chance(0.3),
    })),
  )
  const v4 = new RouteColumnsBuilder(1)
  const v6 = new RouteColumnsBuilder(4)
  for (let i = random.below(12); i > 0; i--) {
    v4.add4(0, (0x0a000000 + random.below(6) * 0x10000) >>> 0, random.pick([16, 24]), random.below(sets.length + 1))
    v6.add6(0, [0x20010db8, random.below(3), 0, 0], 64, random.below(sets.length + 1))
  }
  return {
    origin: random.pick(['one', 'two', 'three']),
    preference: random.pick([10, 20]),
    replaces: random.chance(0.1),
    tenants: ['acme'],
    gateways: sets,
    routes4: v4.build(),
    routes6: v6.build(),
  }
}

test(`differences add up, ${runs} histories, FUZZ_SEED=${seed}`, () => {
  for (let run = 0; run < runs; run++) {
    const ids = { segments: new Ids(), hops: new Ids() }
    const published = new PublishedRoutes()
    const networkNow = (site: Site) => networkOf(site.tenants[0]!, indexSite(site, NONE, NONE, orders()), ids.segments)
    let network = networkNow(randomSite())
    const fib = new TenantFib('acme', 1, network, ids.hops)
    const node = new HeldFib()
    for (let step = 0; step < 40; step++) {
      for (let change = random.below(4); change >= 0; change--) {
        if (random.chance(0.2)) {
          network = networkNow(randomSite())
          fib.setNetwork(network)
        } else {
          const touched = published.take(randomBatch())
          ok(typeof touched !== 'string', String(touched))
          fib.setPublished(published.of('acme'), touched.get('acme') ?? [])
        }
      }
      tell(node, fib, step)
      compare(node, fib)
      compareChoice(fib, network, published)
    }
  }
})

/** Through the bytes of a batch, as a node gets it. */
function tell(node: HeldFib, fib: TenantFib, step: number): void {
  const changes = fib.takeChanges()
  const composer = new FibComposer()
  if (changes?.segments) composer.addTenant(tenantRecord(fib, VIP))
  if (changes) composer.addChanges(fib, changes)
  const head = { cluster: 'blue', epoch: 1, generation: step + 1, base: step, snapshot: false }
  const decoded = fibBatch.decode(fibBatch.encode(composer.build(head)))
  ok(decoded.ok)
  node.apply(decoded.value)
}

function compare(node: HeldFib, fib: TenantFib): void {
  const fresh = new HeldFib()
  const composer = new FibComposer()
  composer.addWhole(fib, VIP)
  fresh.apply(composer.build({ cluster: 'blue', epoch: 1, generation: 1, base: 1, snapshot: true }))
  const held = node.tenants.get(1)!
  const wanted = fresh.tenants.get(1)!
  deepEqual(held.record, wanted.record)
  deepEqual(new Map([...held.routes].sort()), new Map([...wanted.routes].sort()))
  deepEqual(new Map([...held.hops].sort()), new Map([...wanted.hops].sort()))
  equal(node.differenceTo(new Map([[fib, VIP]])).isEmpty, true)
  const used = new Set(held.routes.values())
  for (const id of used) {
    const hop = held.hops.get(id)
    ok(hop, `route by ${id}, which is not there`)
    if (isGroup(hop)) for (const member of membersOf(hop)) used.add(member)
  }
  deepEqual([...held.hops.keys()].sort(), [...used].sort(), 'next hops that nothing uses')
}

/**
 * Prefix by prefix: the file's route, else the best origin's that can be reached and behind it the next one's, as the network
 * says it now. Where paths have an order, the best origins' that are equally preferred together.
 */
function compareChoice(fib: TenantFib, network: TenantNetwork, published: PublishedRoutes): void {
  const reachable = new Map<PrefixKey, { gateways: Gateways; preference: number; hop: Hop }[]>()
  const origins = published.of('acme').toSorted((a, b) => a.preference - b.preference || (a.origin < b.origin ? -1 : 1))
  for (const { routes, preference } of origins) {
    for (const [key, { gateways }] of routes) {
      const hop = network.resolve(gateways)
      if (hop) reachable.set(key, [...(reachable.get(key) ?? []), { gateways, preference, hop }])
    }
  }
  const wanted = new Map<PrefixKey, object>()
  for (const [key, found] of reachable) {
    const equals = found.filter(({ preference }) => preference === found[0]!.preference)
    const all = equals.map(({ gateways }) => gateways)
    const ordered = () => network.choose(all, found[equals.length]?.gateways)
    wanted.set(key, network.isOrdered ? ordered()! : withBackup(found.map(({ hop }) => hop)))
  }
  for (const [key, hop] of network.routes) wanted.set(key, hop)
  for (const [key, ordinary] of wanted) {
    if (network.policies.length === 0 || !isTowardsConnection(ordinary)) continue
    const sets = origins.flatMap(({ routes }) => routes.get(key) ?? []).map(({ gateways }) => gateways)
    wanted.set(key, { kind: 'policy', ordinary, ways: network.policed(network.routes.get(key), sets).ways })
  }
  const chosen = new Map(Array.from(fib.routes, ([key, id]) => [key, unnumbered(fib, id)] as const))
  deepEqual(chosen, wanted)
}

function isTowardsConnection(hop: object): boolean {
  return /"kind":"(peer|connected)"/.test(JSON.stringify(hop))
}

function withBackup([best, next]: Hop[]): object {
  const isPlain = (hop: Hop): boolean => hop.kind !== 'discard' && hop.kind !== 'local'
  if (!next || !isPlain(best!) || !isPlain(next)) return best!
  const all = [best!, next].flatMap((hop) => (hop.kind === 'failover' ? hop.members : [hop]))
  const members = [...new Map(all.map((hop) => [JSON.stringify(hop), hop])).values()]
  return members.length === 1 ? members[0]! : { kind: 'failover', members, choice: '' }
}

function unnumbered(fib: TenantFib, number: number): unknown {
  const { id: _, tenant: __, ...hop } = fib.hops.get(number)!
  if (hop.kind === 'failover') return { ...hop, members: Array.from(hop.members, (id) => unnumbered(fib, id)) }
  if (hop.kind === 'policy') {
    const ways = hop.ways.map(({ way, nextHop }) => ({ way, hop: unnumbered(fib, nextHop) }))
    return { kind: hop.kind, ordinary: unnumbered(fib, hop.ordinary), ways }
  }
  if (hop.kind !== 'group') return hop
  return { ...hop, members: hop.members.map(({ nextHop, weight }) => ({ hop: unnumbered(fib, nextHop), weight })) }
}
