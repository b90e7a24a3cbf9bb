/**
 * Any sequence of changes of the site, of published routes and of leaders: what others put together from the feed is what the
 * site has ways of its own to, and whoever holds nothing but a set of prefixes has the same from the routes alone.
 */

import { deepEqual, equal, ok } from 'node:assert/strict'
import { test } from 'node:test'
import { busHere } from '../agent/bus-here.ts'
import { FeedWriter } from '../agent/feed-writer.ts'
import { OFFER_FEED } from '../agent/names.ts'
import { silent } from '../base/log.ts'
import { freshSeed, Random } from '../base/random.ts'
import { parseSite } from '../config/load.ts'
import type { Site } from '../config/site.ts'
import { RouteColumnsBuilder } from '../wire/control/columns.ts'
import { type OfferedPath, type SiteOffer, siteOffer } from '../wire/control/offer.ts'
import { HeldOffer } from './held-offer.ts'
import { indexSite } from './network.ts'
import { Offers } from './offers.ts'
import { formatKey, keyAt4, keyAt6 } from './prefix-key.ts'
import { PrefixMap } from './prefix-map.ts'
import { type GatewaySet, type OriginRoutes, PublishedRoutes, type Touched } from './published-routes.ts'
import { Tenants } from './tenants.ts'

const runs = Number(process.env['FUZZ_N'] ?? 12)
const seed = Number(process.env['FUZZ_SEED'] ?? freshSeed())
const random = new Random(seed)
const NAMES = ['acme', 'globex', 'initech']
const PEER = [192, 168, 1, 2]
const MAC = Uint8Array.of(2, 0, 0, 0, 0, 9)
const NONE: ReadonlySet<string> = new Set()

function randomSite(): Site {
  const routes = ['10.1.0.0/16', '10.2.0.0/16'].filter(() => random.chance(0.6))
  const tenants = NAMES.filter(() => random.chance(0.8)).map(
    (name, i) => `{ name: ${name}, vni: ${1001 + NAMES.indexOf(name)}, vip: v${random.pick([1, 2])},
      connections: [{ name: dc, switch: edge, port: a, vlan: ${i + 1}, gateway: [192.168.1.1/24] }],
      vpcs: [{ name: prod, machines: [{ name: m, address: 172.16.0.${random.pick([5, 6])}, host: h1 }] }],
      routes: [${routes.map((prefix) => `{ prefix: ${prefix}, ${random.chance(0.5) ? 'via: [192.168.1.2]' : 'discard: true'} }`).join(', ')}] }`,
  )
  const { site, errors } = parseSite(`
    site: east
    gateway: { mac: 02:67:68:00:00:0${random.pick([1, 2])} }
    remote_sites: [${random.chance(0.9) ? '{ name: west }' : ''}]
    vips: [{ name: v1, address: 10.255.0.1 }, { name: v2, address: 10.255.0.2 }]
    clusters: [{ name: blue, vips: [v1, v2], nodes: [{ name: b1, address: 10.0.1.1, ports: [n] }] }]
    switches: [{ name: edge, address: 10.0.0.1, uplinks: [up], ports: [a] }]
    hosts: [{ name: h1, address: 10.0.2.1, tunnel: gre }]
    tenants: [${tenants.join(', ')}]`)
  ok(site, JSON.stringify(errors))
  return site
}

function randomRoutes(published: PublishedRoutes): Touched {
  const v4 = new RouteColumnsBuilder(1)
  const v6 = new RouteColumnsBuilder(4)
  for (let i = random.below(8); i > 0; i--) {
    v4.add4(random.below(3), (0x0a000000 + random.below(5) * 0x10000) >>> 0, 16, random.below(3))
    v6.add6(random.below(3), [0x20010db8, random.below(3), 0, 0], 64, random.below(3))
  }
  const gateway = (...bytes: number[]) => ({ address: Uint8Array.from(bytes), weight: 1, backup: false })
  const touched = published.take({
    ...{ origin: random.pick(['one', 'two']), preference: 10, replaces: random.chance(0.1), tenants: NAMES },
    gateways: [[gateway(...PEER)], [gateway(9, 9, 9, 9)]],
    ...{ routes4: v4.build(), routes6: v6.build() },
  })
  ok(typeof touched !== 'string')
  return touched
}

/** Another site has these, whatever is done here. */
function elsewhere(): OriginRoutes[] {
  const remote = new PublishedRoutes()
  const v4 = new RouteColumnsBuilder(1)
  for (let i = 0; i < 5; i++) v4.add4(0, (0x0a000000 + i * 0x10000) >>> 0, 16, 1)
  const gateways = [[{ address: Uint8Array.from(PEER), weight: 1, backup: false }]]
  const bySite: GatewaySet = { gateways: gateways[0]!.map((one) => ({ ...one, site: 'west' })) }
  const rows = { routes4: v4.build(), routes6: new RouteColumnsBuilder(4).build() }
  remote.take({ origin: 'site-west', preference: 65_535, replaces: true, tenants: ['acme'], gateways, ...rows })
  return remote.of('acme').map(({ routes, ...one }) => {
    const found = new PrefixMap<GatewaySet>()
    for (const key of routes.keys()) found.set(key, bySite)
    return { ...one, isRemote: true, routes: found }
  })
}

/** A routing node's view: routes, and nothing held of what a tenant had. */
function takeRoutes(into: Set<string>, { snapshot, tables, routes4, routes6 }: SiteOffer): void {
  if (snapshot) into.clear()
  for (const [columns, keyAt] of [
    [routes4, keyAt4],
    [routes6, keyAt6],
  ] as const)
    for (let row = 0; row < columns.lengths.length; row++) {
      const route = `${tables[columns.tables[row]!]} ${formatKey(keyAt(columns, row))}`
      if (columns.nextHops[row] === 0) into.delete(route)
      else into.add(route)
    }
}

test(`offers add up, ${runs} histories, FUZZ_SEED=${seed}`, async (t) => {
  for (let run = 0; run < runs; run++) {
    const here = await busHere(t)
    const bus = await here.join('control')
    const published = new PublishedRoutes()
    const others = elsewhere()
    const tenants = new Tenants(published, (name) => (name === 'acme' ? others : []))
    const quality = new Map<string, number>()
    const pathsOf = ({ name }: { name: string }): OfferedPath[] => [
      {
        ...{ name: 'dc', isUp: random.chance(0.9), preference: 100, cost: 0, isProbed: true, probes: 60 },
        ...{ latency_us: quality.get(name), loss_ppm: undefined, bandwidth_kbps: undefined },
      },
    ]
    let epoch = 1
    let site = randomSite()
    const lead = (): Offers => {
      const names = { newIncarnation: () => `i${epoch}`, vipOf: () => undefined, pathsOf }
      return new Offers({ bus, log: silent, epoch: epoch++, ...names }, site, tenants.fibs)
    }
    let offers = lead()
    const build = (): void => {
      const remotes = site.remote_sites.map((remote) => ({
        remote,
        vip: MAC.subarray(2),
        vips: [],
        mac: MAC,
        paths: [],
      }))
      tenants.build(
        site,
        indexSite(site, NONE, NONE, new Map(), () => remotes),
      )
    }
    build()
    tenants.takeChanges()
    await offers.tell(new Map())
    for (let step = 0; step < 30; step++) {
      const kind = random.below(10)
      if (kind === 0) {
        site = randomSite()
        offers.setSite(site)
        build()
      } else if (kind === 1) offers = lead()
      else if (kind < 4) quality.set(random.pick(NAMES), random.below(50_000))
      else tenants.touch(randomRoutes(published))
      tenants.takeTouched()
      offers.look()
      await offers.tell(tenants.takeChanges())
      await compare(bus, site, tenants)
    }
  }
})

async function compare(bus: Parameters<typeof FeedWriter.open>[0], site: Site, tenants: Tenants): Promise<void> {
  const { messages } = await FeedWriter.open(bus, OFFER_FEED, 'unused')
  const held = new HeldOffer(true)
  const routes = new Set<string>()
  for (const message of messages) {
    const decoded = siteOffer.decode(message)
    ok(decoded.ok)
    const before = held.last
    ok(decoded.value.snapshot || decoded.value.base === before?.generation)
    held.apply(decoded.value)
    takeRoutes(routes, decoded.value)
  }
  const wanted = site.remote_sites.length === 0 ? [] : site.tenants
  // Who begins to lead a site that names no other has nothing to say, and does not look at what was said.
  if (wanted.length === 0 && held.tenants.size > 0) return
  deepEqual([...held.tenants.keys()].sort(), wanted.map(({ name }) => name).sort())
  const own = wanted.flatMap(({ name }) => {
    const fib = tenants.fibs.get(name)!
    return Array.from(fib.routes.keys()).flatMap((key) => (fib.isOffered(key) ? `${name} ${formatKey(key)}` : []))
  })
  const offered = [...held.tenants].flatMap(([name, one]) =>
    Array.from(one.routes.keys(), (key) => `${name} ${formatKey(key)}`),
  )
  deepEqual(offered.sort(), own.sort())
  deepEqual([...routes].sort(), offered.sort())
  for (const { name, vip } of wanted) {
    const address = site.vips.find((one) => one.name === vip)!.address
    equal(held.tenants.get(name)!.offered.vip.join('.'), address)
  }
}
