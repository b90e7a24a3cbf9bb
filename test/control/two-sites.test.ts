/**
 * Two sites with a tenant at both, each with a bus and a control module of its own, and an exchange in between: what the
 * nodes of the one are told of the other.
 */

import { deepEqual, equal, ok } from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { type BusHere, busHere } from '../../src/agent/bus-here.ts'
import { BatchFollower, FEED_LIMITS } from '../../src/agent/follower.ts'
import { fibFeed, OFFER_FEED, offerFrom, ROUTES_LIMITS, ROUTES_STREAM } from '../../src/agent/names.ts'
import { getSite, putSite } from '../../src/agent/site-store.ts'
import { formatAddress, formatMac, parseAddress, parsePrefix } from '../../src/base/address.ts'
import { systemClock } from '../../src/base/clock.ts'
import { silent } from '../../src/base/log.ts'
import { Random } from '../../src/base/random.ts'
import { type Bus, BusError } from '../../src/bus/bus.ts'
import { busSocket } from '../../src/bus/embedded/main.ts'
import { parseSite } from '../../src/config/load.ts'
import type { Site } from '../../src/config/site.ts'
import { HeldFib } from '../../src/control/held-fib.ts'
import { HeldOffer } from '../../src/control/held-offer.ts'
import { formatKey } from '../../src/control/prefix-key.ts'
import { type RunningControl, serveControl } from '../../src/control/serve.ts'
import { Exchange } from '../../src/orchestrator/exchange.ts'
import { Sites } from '../../src/orchestrator/sites.ts'
import { RouteColumnsBuilder } from '../../src/wire/control/columns.ts'
import { type FibBatch, fibBatch, type NextHop } from '../../src/wire/control/fib.ts'
import { siteOffer } from '../../src/wire/control/offer.ts'
import { routeBatch } from '../../src/wire/control/route.ts'

interface Wish {
  readonly vip?: string
  readonly stale_s?: number
  readonly vni?: number
}

const NUMBERS = { east: 1, west: 2 } as const
type Name = keyof typeof NUMBERS
const OTHER = { east: 'west', west: 'east' } as const

/** East has machines in 172.16.1.0/24 and a customer at 192.168.1.2, west the same with 2. */
function siteOf(name: Name, { stale_s = 86_400, vni = 1001, vip = `10.25${NUMBERS[name]}.0.1` }: Wish = {}): Site {
  const n = NUMBERS[name]
  const { site, errors } = parseSite(`
    site: ${name}
    gateway: { mac: 02:67:68:00:00:0${n} }
    remote_sites: [{ name: ${OTHER[name]}, stale_routes_s: ${stale_s} }]
    vips: [{ name: v1, address: ${vip} }]
    clusters: [{ name: blue, vips: [v1], nodes: [{ name: fn-1, address: 10.${n}.1.1, ports: [a] }] }]
    switches: [{ name: edge, address: 10.${n}.0.1, uplinks: [up], ports: [acme] }]
    hosts: [{ name: h1, address: 10.${n}.2.1, tunnel: gre }]
    tenants:
      - name: acme
        vni: ${vni}
        vip: v1
        connections:
          - { name: dc, switch: edge, port: acme, gateway: [192.168.${n}.1/24], peers: [192.168.${n}.2] }
        vpcs: [{ name: prod, subnets: [{ prefix: 172.16.${n}.0/24, host: h1 }] }]
        routes: [{ prefix: 10.10${n}.0.0/16, via: [192.168.${n}.2] }]
  `)
  ok(site, JSON.stringify(errors))
  return site
}

class Place {
  readonly name: Name
  readonly here: BusHere
  readonly bus: Bus
  readonly held = new HeldFib()
  readonly batches: FibBatch[] = []
  #check = (): void => {}
  #control: RunningControl | undefined

  static async open(t: TestContext, name: Name, wish?: Wish): Promise<Place> {
    const here = await busHere(t)
    const place = new Place(name, here, await here.join('reader'))
    await place.lead(wish)
    return place
  }

  private constructor(name: Name, here: BusHere, bus: Bus) {
    this.name = name
    this.here = here
    this.bus = bus
    const follower = new BatchFollower<FibBatch>({
      ...{ bus, feed: fibFeed('blue'), message: fibBatch, module: 'fn-1', clock: systemClock, log: silent },
      apply: (batch) => {
        this.held.apply(batch)
        this.batches.push(batch)
        this.#check()
        return undefined
      },
    })
    follower.start()
    here.atEnd(() => follower.close())
    here.atEnd(() => this.stop())
  }

  async lead(wish?: Wish): Promise<void> {
    const options = { name: 'control', bus: await this.here.join('control'), clock: systemClock, log: silent }
    const newIncarnation = (): string => `${this.name}-${this.batches.length}`
    this.#control = serveControl({ ...options, site: siteOf(this.name, wish), newIncarnation })
  }

  async stop(): Promise<void> {
    await this.#control?.close()
    this.#control = undefined
  }

  /** By prefix, where the tenant's packets go. */
  get routes(): Record<string, string> {
    const [tenant] = this.held.tenants.values()
    const text = (hop: NextHop | undefined): string => {
      if (hop?.kind === 'failover') return Array.from(hop.members, (id) => text(tenant!.hops.get(id))).join(' or ')
      return hop?.kind === 'peer' ? `${formatAddress(hop.address)} at ${formatAddress(hop.remote)}` : `${hop?.kind}`
    }
    return Object.fromEntries(
      Array.from(tenant?.routes ?? [], ([key, hop]) => [formatKey(key), text(tenant!.hops.get(hop))]),
    )
  }

  until(what: string, holds: () => boolean): Promise<void> {
    return new Promise((resolve, reject) => {
      const why = (): string => `${this.name}: ${what}; has ${JSON.stringify(this.routes)}`
      const timer = setTimeout(() => reject(new Error(why())), 20_000)
      this.#check = () => {
        if (!holds()) return
        clearTimeout(timer)
        resolve()
      }
      this.#check()
    })
  }

  /** What is behind the customer's router here, as BGP has it. */
  async learns(prefix: string, isThere = true): Promise<void> {
    const { address, length } = parsePrefix(prefix)!
    const routes4 = new RouteColumnsBuilder(1)
    routes4.add4(0, new DataView(address.buffer, address.byteOffset).getUint32(0), length, isThere ? 1 : 0)
    const neighbour = parseAddress(`192.168.${NUMBERS[this.name]}.2`)!
    const batch = { origin: 'rn-1', preference: 100, replaces: false, tenants: ['acme'], routes4: routes4.build() }
    const gateways = [[{ address: neighbour, weight: 1, backup: false }]]
    const bytes = routeBatch.encode({ ...batch, gateways, routes6: new RouteColumnsBuilder(4).build() })
    for (;;) {
      try {
        await this.bus.stream(ROUTES_STREAM, ROUTES_LIMITS).append(bytes)
        return
      } catch (error) {
        // Said twice it means the same.
        if (!(error instanceof BusError) || error.code !== 'disconnected') throw error
        await this.bus.whenConnected(5000)
      }
    }
  }

  /** What the site offers others. */
  async offers(): Promise<string[]> {
    const { FeedWriter } = await import('../../src/agent/feed-writer.ts')
    const { messages } = await FeedWriter.open(this.bus, OFFER_FEED, 'unused')
    const held = new HeldOffer(true)
    for (const message of messages) {
      const decoded = siteOffer.decode(message)
      ok(decoded.ok)
      held.apply(decoded.value)
    }
    return Array.from(held.tenants.get('acme')?.routes.keys() ?? [], formatKey).sort()
  }
}

async function scene(t: TestContext, wish?: Wish, westWish = wish) {
  const [east, west] = [await Place.open(t, 'east', wish), await Place.open(t, 'west', westWish)]
  const exchanging = async (name = 'main') => {
    const sites = await Sites.open({
      ...{ name, clock: systemClock, random: new Random(1), log: silent },
      sites: [east, west].map(({ name, here }) => ({ name, place: { socketPath: busSocket(here.directory) } })),
    })
    const exchange = new Exchange({ name, sites, clock: systemClock, log: silent })
    let isClosed = false
    const close = async (): Promise<void> => {
      if (isClosed) return
      isClosed = true
      await exchange.close()
      await sites.close()
    }
    east.here.atEnd(close)
    return { exchange, close }
  }
  return { east, west, exchanging, exchange: await exchanging() }
}

const TO_WEST = '10.252.0.1 at 10.252.0.1'
const has = (place: Place, prefix: string, way: string | undefined): Promise<void> =>
  place.until(`${prefix} by ${way}`, () => place.routes[prefix] === way)

test("a tenant's machines, static and learnt routes at one site are reached at the other through its gateway", async (t) => {
  const { east, west } = await scene(t)
  await west.learns('10.2.0.0/16')
  for (const prefix of ['172.16.2.0/24', '10.102.0.0/16', '10.2.0.0/16']) await has(east, prefix, TO_WEST)
  const [tenant] = east.held.tenants.values()
  const segment = tenant!.record.segments.find(({ kind }) => kind === 'site')
  ok(segment?.kind === 'site')
  deepEqual(
    [segment.name, segment.vni, segment.remotes.map(formatAddress), formatMac(segment.mac)],
    ['site-west', 1001, ['10.252.0.1'], '02:67:68:00:00:01'],
  )
  const hop = [...tenant!.hops.values()].find((one) => one.kind === 'peer' && one.segment === segment.id)
  ok(hop?.kind === 'peer')
  equal(formatMac(hop.mac!), '02:67:68:00:00:02', 'frames there are to the gateway there')
  await has(west, '172.16.1.0/24', '10.251.0.1 at 10.251.0.1')
  equal(east.routes['192.168.2.0/24'], undefined, "what is between gateway and customer is nobody else's business")
  await west.learns('10.2.0.0/16', false)
  await has(east, '10.2.0.0/16', undefined)
})

test('a way by the other site is the backup of one that is here, and nobody offers what another has offered him', async (t) => {
  const { east, west } = await scene(t)
  await west.learns('10.2.0.0/16')
  await has(east, '10.2.0.0/16', TO_WEST)
  await east.learns('10.2.0.0/16')
  await has(east, '10.2.0.0/16', `192.168.1.2 at 10.1.0.1 or ${TO_WEST}`)
  await has(west, '10.2.0.0/16', '192.168.2.2 at 10.2.0.1 or 10.251.0.1 at 10.251.0.1')
  await west.learns('10.2.0.0/16', false)
  await has(west, '10.2.0.0/16', '10.251.0.1 at 10.251.0.1')
  await has(east, '10.2.0.0/16', '192.168.1.2 at 10.1.0.1')
  deepEqual(await west.offers(), ['10.102.0.0/16', '172.16.2.0/24'])
  await east.learns('10.2.0.0/16', false)
  await has(west, '10.2.0.0/16', undefined)
  await has(east, '10.2.0.0/16', undefined)
})

test('without the exchange all stays, and the next one changes only what has changed', async (t) => {
  const { east, west, exchange, exchanging } = await scene(t)
  await west.learns('10.2.0.0/16')
  await has(east, '10.2.0.0/16', TO_WEST)
  await exchange.close()
  const carried = east.bus.stream(offerFrom('west'), FEED_LIMITS)
  const { last } = await carried.bounds()
  const generation = east.held.generation
  await east.stop()
  await east.lead()
  await east.until('another leader', () => east.held.generation > generation)
  const [first] = east.batches.slice(-1)
  equal(first!.routes4.lengths.length, 0, 'the next leader finds it there')
  equal(east.routes['10.2.0.0/16'], TO_WEST)
  await west.learns('10.3.0.0/16')
  await west.until('its own', () => west.routes['10.3.0.0/16'] !== undefined)
  const before = east.batches.length
  await exchanging()
  await has(east, '10.3.0.0/16', TO_WEST)
  const said = east.batches.slice(before).reduce((sum, { routes4 }) => sum + routes4.lengths.length, 0)
  equal(said, 1)
  equal((await carried.bounds()).last, last + 1)
})

test("the other site's next leader says nothing again that is said", async (t) => {
  const { east, west } = await scene(t)
  await west.learns('10.2.0.0/16')
  await has(east, '10.2.0.0/16', TO_WEST)
  const before = east.batches.length
  await west.stop()
  await west.lead()
  await west.learns('10.3.0.0/16')
  await has(east, '10.3.0.0/16', TO_WEST)
  const said = east.batches.slice(before).reduce((sum, { routes4 }) => sum + routes4.lengths.length, 0)
  equal(said, 1)
})

test('a bus that was away misses nothing, whichever site it is of', async (t) => {
  const { east, west } = await scene(t)
  await west.learns('10.2.0.0/16')
  await has(east, '10.2.0.0/16', TO_WEST)
  await east.here.stop()
  await west.learns('10.3.0.0/16')
  await west.learns('10.2.0.0/16', false)
  await west.until(
    'its own',
    () => west.routes['10.3.0.0/16'] !== undefined && west.routes['10.2.0.0/16'] === undefined,
  )
  await east.here.start()
  await has(east, '10.3.0.0/16', TO_WEST)
  await has(east, '10.2.0.0/16', undefined)
  await west.here.stop()
  await west.here.start()
  await west.learns('10.4.0.0/16')
  await has(east, '10.4.0.0/16', TO_WEST)
  equal(east.routes['10.3.0.0/16'], TO_WEST)
})

test('of two orchestrators one carries, and the other one when that is gone, each thing once', async (t) => {
  const { east, west, exchange, exchanging } = await scene(t)
  await west.learns('10.2.0.0/16')
  await has(east, '10.2.0.0/16', TO_WEST)
  const other = await exchanging('standby')
  const carried = east.bus.stream(offerFrom('west'), FEED_LIMITS)
  const { last } = await carried.bounds()
  await west.learns('10.3.0.0/16')
  await has(east, '10.3.0.0/16', TO_WEST)
  equal((await carried.bounds()).last, last + 1)
  deepEqual(
    other.exchange.tell().map(({ isCarrying }) => isCarrying),
    [false, false],
  )
  await exchange.close()
  await west.learns('10.4.0.0/16')
  await has(east, '10.4.0.0/16', TO_WEST)
  equal((await carried.bounds()).last, last + 2)
})

test('what nobody tells of for too long is withdrawn, and there again when somebody does', async (t) => {
  const { east, exchange, exchanging } = await scene(t, { stale_s: 1 })
  await has(east, '172.16.2.0/24', TO_WEST)
  await exchange.close()
  await has(east, '172.16.2.0/24', undefined)
  await exchanging()
  await has(east, '172.16.2.0/24', TO_WEST)
})

test('a site that is not named any more is not gone by, and is told that nothing is offered', async (t) => {
  const { east, west } = await scene(t)
  await has(east, '172.16.2.0/24', TO_WEST)
  await has(west, '172.16.1.0/24', '10.251.0.1 at 10.251.0.1')
  await putSite(east.bus, { ...(await getSite(east.bus))!, remote_sites: [] })
  await has(east, '172.16.2.0/24', undefined)
  await has(west, '172.16.1.0/24', undefined)
})

test('a site that has a VIP of ours is sent nothing: it would come back', async (t) => {
  const { east, west } = await scene(t, {}, { vip: '10.251.0.1' })
  await offered(east)
  await unreached(east, west)
})

test('a tenant of the same name with another VNI is another tenant', async (t) => {
  const { east, west } = await scene(t, {}, { vni: 1002 })
  await offered(east)
  await unreached(east, west)
})

/** What west offers has come. */
async function offered(east: Place): Promise<void> {
  const copied = Promise.withResolvers<void>()
  const follower = new BatchFollower({
    ...{
      bus: east.bus,
      feed: offerFrom('west'),
      message: siteOffer,
      module: 'looker',
      clock: systemClock,
      log: silent,
    },
    apply(offer) {
      if (offer.tables.includes('acme')) copied.resolve()
      return undefined
    },
  })
  follower.start()
  east.here.atEnd(() => follower.close())
  await copied.promise
}

async function unreached(east: Place, west: Place): Promise<void> {
  await east.learns('10.9.0.0/16')
  await east.until('its own', () => east.routes['10.9.0.0/16'] !== undefined)
  equal(east.routes['172.16.2.0/24'], undefined)
  equal(
    west.held.tenants
      .values()
      .next()
      .value?.record.segments.some(({ kind }) => kind === 'site'),
    false,
  )
}
