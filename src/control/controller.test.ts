import { deepEqual, equal, ok, rejects } from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { type BusHere, busHere } from '../agent/bus-here.ts'
import { BatchFollower, FEED_LIMITS } from '../agent/follower.ts'
import { speakerLease } from '../agent/live-speakers.ts'
import { BUCKET, CONTROL_LEASE, fibFeed, ROUTES_STREAM, switchFeed } from '../agent/names.ts'
import { askToShow } from '../agent/show.ts'
import { putSite } from '../agent/site-store.ts'
import { formatAddress, parseAddress } from '../base/address.ts'
import { systemClock } from '../base/clock.ts'
import { silent } from '../base/log.ts'
import { type Bus, campaign, PAYLOAD_BYTES_MAX } from '../bus/bus.ts'
import { parseSite } from '../config/load.ts'
import type { Site } from '../config/site.ts'
import { RouteColumnsBuilder } from '../wire/control/columns.ts'
import { type FibBatch, fibBatch, type NextHop } from '../wire/control/fib.ts'
import { cut, Joiner } from '../wire/control/pieces.ts'
import { feedStart } from '../wire/control/report.ts'
import { type RouteBatch, routeBatch } from '../wire/control/route.ts'
import { type SwitchBatch, switchBatch } from '../wire/control/switch.ts'
import { HeldFib } from './held-fib.ts'
import { formatKey } from './prefix-key.ts'
import { serveControl } from './serve.ts'

interface Wish {
  acme?: string
  drain_ms?: number
  globex?: boolean
  peerMac?: string
  spareHost?: boolean
  /** Names of routing nodes, with which acme's peer speaks BGP. */
  speakers?: readonly string[]
  stale_s?: number
}

function siteOf({
  acme = 'v1',
  drain_ms = 50,
  globex = true,
  peerMac,
  spareHost = false,
  speakers = [],
  stale_s = 300,
}: Wish = {}): Site {
  const peer = peerMac ? `{ address: 192.168.1.2, mac: ${peerMac} }` : '192.168.1.2'
  const { site, errors } = parseSite(`
    site: s
    gateway: { mac: 02:67:68:00:00:01 }
    control: { drain_ms: ${drain_ms}, stale_routes_s: ${stale_s} }
    ${speakers.length > 0 ? routingOf(speakers) : ''}
    vips: [{ name: v1, address: 10.255.0.1 }, { name: v2, address: 10.255.0.2 }, { name: both, address: 10.255.0.3 }]
    clusters:
      - { name: blue, vips: [v1, both], nodes: [{ name: b1, address: 10.0.1.1, ports: [a] }] }
      - { name: green, vips: [v2, both], nodes: [{ name: g1, address: 10.0.1.3, ports: [c] }] }
    switches:
      - { name: edge, address: 10.0.0.1, uplinks: [up], ports: [acme, globex], balances: [{ vip: both }] }
    hosts: [{ name: h1, address: 10.0.2.1, tunnel: gre }${spareHost ? ', { name: h2, address: 10.0.2.2, tunnel: gre }' : ''}]
    tenants:
      - name: acme
        vni: 1001
        vip: ${acme}
        connections: [{ name: dc, switch: edge, port: acme, gateway: [192.168.1.1/24], peers: [${peer}] }]
        vpcs: [{ name: prod, machines: [{ name: web, address: 172.16.0.5, host: h1 }] }]
        routes: [{ prefix: 10.1.0.0/16, via: [192.168.1.2] }, { prefix: 10.2.0.0/16, via: [192.168.1.2, 192.168.1.3] }]
${globex ? '      - { name: globex, vni: 1002, vip: v1, connections: [{ name: dc, switch: edge, port: globex, gateway: [192.168.1.1/24] }] }' : ''}`)
  ok(site, JSON.stringify(errors))
  return site
}

function routingOf(speakers: readonly string[]): string {
  const nodes = speakers.map((name, i) => `{ name: ${name}, address: 10.0.3.${i + 1} }`)
  const neighbour = '{ name: acme-1, tenant: acme, address: 192.168.1.2, as: 65010 }'
  return `routing: { as: 65001, router_id: 10.0.0.9, nodes: [${nodes.join(', ')}], neighbours: [${neighbour}] }`
}

/** A node or switch that follows its feed, and what it holds. */
class Reader<T extends FibBatch | SwitchBatch> {
  readonly batches: T[] = []
  readonly held = new HeldFib()
  /** Answers this to the next batch. */
  refuse: string | undefined
  readonly #follower: BatchFollower<T>
  #check = (): void => {}

  constructor(here: BusHere, bus: Bus, feed: string, module: string, message: { decode: unknown }) {
    this.#follower = new BatchFollower<T>({
      bus,
      feed,
      message: message as never,
      module,
      directory: here.directory,
      clock: systemClock,
      log: silent,
      apply: (batch) => {
        const refused = this.refuse
        this.refuse = undefined
        if (refused !== undefined) return refused
        this.batches.push(batch)
        if ('tenants' in batch) this.held.apply(batch)
        this.#check()
        return undefined
      },
    })
    this.#follower.start()
  }

  get current(): Promise<void> {
    return this.#follower.current
  }

  until(condition: (reader: this) => boolean): Promise<void> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error(`not so: ${condition}; has ${this.tenants}`)), 60_000)
      this.#check = () => {
        if (!condition(this)) return
        clearTimeout(timer)
        resolve()
      }
      this.#check()
    })
  }

  get tenants(): string[] {
    return Array.from(this.held.tenants.values(), ({ record }) => `${record.name}@${formatAddress(record.vip)}`).sort()
  }

  /** The routes of a tenant as text. */
  routes(name: string): Record<string, string> {
    const tenant = [...this.held.tenants.values()].find(({ record }) => record.name === name)
    const text = (hop: NextHop | undefined): string => {
      if (hop?.kind === 'group') return hop.members.map(({ nextHop }) => text(tenant!.hops.get(nextHop))).join('+')
      if (hop?.kind === 'failover') return Array.from(hop.members, (id) => text(tenant!.hops.get(id))).join(' or ')
      return hop?.kind === 'peer' ? formatAddress(hop.address) : `${hop?.kind}`
    }
    return Object.fromEntries(
      [...(tenant?.routes ?? [])].map(([key, hop]) => [formatKey(key), text(tenant!.hops.get(hop))]),
    )
  }

  close(): Promise<void> {
    return this.#follower.close()
  }
}

interface Scene {
  here: BusHere
  bus: Bus
  blue: Reader<FibBatch>
  green: Reader<FibBatch>
  edge: Reader<SwitchBatch>
  lead(site?: Site): () => Promise<void>
}

let incarnations = 0

async function scene(t: TestContext): Promise<Scene> {
  const here = await busHere(t)
  const bus = await here.join('readers')
  const blue = new Reader<FibBatch>(here, bus, fibFeed('blue'), 'b1', fibBatch)
  const green = new Reader<FibBatch>(here, bus, fibFeed('green'), 'g1', fibBatch)
  const edge = new Reader<SwitchBatch>(here, bus, switchFeed('edge'), 'edge', switchBatch)
  const control = await here.join('control')
  for (const reader of [blue, green, edge]) here.atEnd(() => reader.close())
  return {
    here,
    bus,
    blue,
    green,
    edge,
    lead(site = siteOf()) {
      // However long this thread is busy, it leads on; a control module has another thread for that.
      const turn = (until: AbortSignal) =>
        campaign(control, CONTROL_LEASE, { holder: 'control', ttl_ms: 60_000 }, until)
      const options = { name: 'control', bus: control, clock: systemClock, log: silent, site, campaign: turn }
      const one = serveControl({ ...options, newIncarnation: () => `i${incarnations++}` })
      here.atEnd(() => one.close())
      return () => one.close()
    },
  }
}

const attached = (edge: Reader<SwitchBatch>): string[] =>
  (edge.batches.at(-1)?.attachments ?? []).map(({ port, vip }) => `${port}@${formatAddress(vip)}`)

function routesOf(via: string, prefixes: readonly number[], options: Partial<RouteBatch> = {}): RouteBatch {
  const v4 = new RouteColumnsBuilder(1)
  for (const prefix of prefixes) v4.add4(0, prefix, 24, via === '' ? 0 : 1)
  return {
    origin: 'bgp',
    preference: 100,
    replaces: false,
    tenants: ['acme'],
    gateways: via === '' ? [] : [[{ address: parseAddress(via)!, weight: 1, backup: false }]],
    routes4: v4.build(),
    routes6: new RouteColumnsBuilder(4).build(),
    ...options,
  }
}

const count = ({ held }: Reader<FibBatch>): number =>
  [...held.tenants.values()].reduce((sum, { record, routes }) => sum + (record.name === 'acme' ? routes.size : 0), 0)

const publish = (bus: Bus, batch: RouteBatch): Promise<number> =>
  bus.stream(ROUTES_STREAM, { entriesMax: 1e6, bytesMax: 1e8 }).append(routeBatch.encode(batch))

/** Resolves once the feed has a later snapshot than its first. */
function feedMoved(bus: Bus, feed: string): Promise<void> {
  return new Promise((resolve) => {
    const watch = bus.bucket(BUCKET.feeds).watch(feed, ({ value }) => {
      const start = value && feedStart.decode(value)
      if (!start?.ok || start.value.sequence === 1) return
      watch.close()
      resolve()
    })
    watch.ready.catch(() => {})
  })
}

/** Resolves once hosts of these names, and no others, are told something. */
function hostsAre(bus: Bus, wanted: string): Promise<void> {
  const there = new Set<string>()
  return new Promise((resolve) => {
    let isWhole = false
    const check = (): void => {
      if (!isWhole || [...there].sort().join(' ') !== wanted) return
      watch.close()
      resolve()
    }
    const watch = bus.bucket(BUCKET.hosts).watch('>', ({ key, value }) => {
      if (value) there.add(key)
      else there.delete(key)
      check()
    })
    watch.ready.then(() => {
      isWhole = true
      check()
    }, resolve)
  })
}

test('a cluster holds the tenants of its VIPs only, and a tenant is attached once its cluster holds it', async (t) => {
  const { lead, blue, green, edge } = await scene(t)
  lead()
  await edge.until((reader) => attached(reader).length === 2)
  deepEqual(blue.tenants, ['acme@10.255.0.1', 'globex@10.255.0.1'])
  deepEqual(green.tenants, [])
  deepEqual(attached(edge), ['acme@10.255.0.1', 'globex@10.255.0.1'])
  equal(edge.batches[0]!.attachments.length, 0)
  deepEqual(blue.routes('acme'), {
    '192.168.1.0/24': 'connected',
    '192.168.1.1/32': 'local',
    '192.168.1.255/32': 'discard',
    '172.16.0.5/32': 'host',
    '10.1.0.0/16': '192.168.1.2',
    '10.2.0.0/16': '192.168.1.2+192.168.1.3',
  })
})

test('published routes reach the nodes, give way to static ones, and go', async (t) => {
  const { lead, bus, blue } = await scene(t)
  lead()
  await publish(bus, routesOf('192.168.1.9', [0x0a030000, 0x0a040000]))
  await blue.until((reader) => reader.routes('acme')['10.4.0.0/24'] === '192.168.1.9')
  await publish(bus, { ...routesOf('192.168.1.8', [0x0a030000]), origin: 'other', preference: 50 })
  await blue.until((reader) => reader.routes('acme')['10.3.0.0/24'] === '192.168.1.8 or 192.168.1.9')
  await publish(bus, { ...routesOf('10.99.0.1', [0x0a040000]), origin: 'other', preference: 50 })
  await publish(bus, { ...routesOf('', [0x0a030000]), origin: 'other', preference: 50 })
  await blue.until((reader) => reader.routes('acme')['10.3.0.0/24'] === '192.168.1.9')
  equal(blue.routes('acme')['10.4.0.0/24'], '192.168.1.9', 'a preferred route that cannot be reached is not used')
  await publish(bus, routesOf('192.168.1.9', [0x0a050000], { replaces: true }))
  await blue.until((reader) => reader.routes('acme')['10.5.0.0/24'] !== undefined)
  deepEqual(
    Object.keys(blue.routes('acme')).filter((prefix) => prefix.endsWith('.0.0/24')),
    ['10.5.0.0/24'],
  )
  const hops = [...blue.held.tenants.values()].flatMap(({ hops }) => [...hops.values()])
  equal(hops.filter((hop) => hop.kind === 'peer' && formatAddress(hop.address) === '192.168.1.8').length, 0)
})

test('a tenant moves to another VIP: held by both clusters, then attached to the new one, then dropped by the old', async (t) => {
  const { lead, bus, blue, green, edge } = await scene(t)
  lead()
  await edge.until((reader) => attached(reader).length === 2)
  const order: string[] = []
  void green.until((reader) => reader.tenants.length === 1).then(() => order.push('made'))
  void edge.until((reader) => attached(reader).includes('acme@10.255.0.2')).then(() => order.push('switched'))
  await putSite(bus, siteOf({ acme: 'v2' }))
  await blue.until((reader) => !reader.tenants.some((tenant) => tenant.startsWith('acme')))
  deepEqual(order, ['made', 'switched'])
  deepEqual(green.tenants, ['acme@10.255.0.2'])
  equal(Object.keys(green.routes('acme')).length, 6)
  deepEqual(blue.tenants, ['globex@10.255.0.1'])
  equal([...blue.held.tenants.values()].flatMap(({ hops }) => [...hops.keys()]).length, 3)
})

test('a control module that starts again says nothing new, under a higher epoch', async (t) => {
  const { lead, bus, blue, edge } = await scene(t)
  const close = lead()
  await publish(bus, routesOf('192.168.1.9', [0x0a030000]))
  await edge.until((reader) => attached(reader).length === 2)
  await blue.until((reader) => reader.routes('acme')['10.3.0.0/24'] !== undefined)
  const { epoch, generation } = blue.held
  await close()
  lead()
  await blue.until((reader) => reader.held.epoch > epoch)
  const last = blue.batches.at(-1)!
  equal(last.generation, generation + 1)
  deepEqual(
    [last.tenants.length, last.nextHops.length, last.routes4.lengths.length, last.removedNextHops.length],
    [0, 0, 0, 0],
  )
  deepEqual(attached(edge), ['acme@10.255.0.1', 'globex@10.255.0.1'])
})

test('what changed while no control module ran is told by the next one, with the numbers that things had', async (t) => {
  const { lead, bus, blue, edge } = await scene(t)
  const close = lead()
  await edge.until((reader) => attached(reader).length === 2)
  const before = new Map([...blue.held.tenants].map(([id, { record }]) => [record.name, id]))
  const { epoch } = blue.held
  await close()
  await putSite(bus, siteOf({ globex: false, peerMac: '02:00:00:00:00:09' }))
  await publish(bus, routesOf('192.168.1.3', [0x0a030000]))
  lead()
  await blue.until((reader) => reader.held.epoch > epoch)
  const { tenants, nextHops, removedTenants, routes4 } = blue.batches.at(-1)!
  deepEqual([...removedTenants], [before.get('globex')])
  deepEqual(
    tenants.map(({ id }) => id),
    [before.get('acme')],
  )
  deepEqual(
    nextHops.map((hop) => hop.kind === 'peer' && hop.mac?.at(-1)),
    [9],
  )
  equal(routes4.lengths.length, 1)
  equal(blue.routes('acme')['10.3.0.0/24'], '192.168.1.3')
})

test('a batch that a node could not take over is made good without any other change, also of a later epoch', async (t) => {
  const { lead, bus, blue, edge } = await scene(t)
  const close = lead()
  await edge.until((reader) => attached(reader).length === 2)
  const { epoch } = blue.held
  await close()
  lead()
  await blue.until((reader) => reader.held.epoch > epoch)
  blue.refuse = 'no room'
  await publish(bus, routesOf('192.168.1.9', [0x0a030000]))
  await blue.until((reader) => reader.routes('acme')['10.3.0.0/24'] === '192.168.1.9')
  edge.refuse = 'no port'
  await putSite(bus, siteOf({ globex: false }))
  await edge.until((reader) => attached(reader).length === 1)
})

test('hosts that are gone are not told any more, also those that went while nobody led', async (t) => {
  const { lead, bus, edge } = await scene(t)
  const hosts = bus.bucket(BUCKET.hosts)
  const close = lead(siteOf({ spareHost: true }))
  await edge.until((reader) => attached(reader).length === 2)
  await hostsAre(bus, 'h1 h2')
  await close()
  await hosts.put('h0', new Uint8Array(1))
  lead()
  await hostsAre(bus, 'h1 h2')
  await putSite(bus, siteOf())
  await hostsAre(bus, 'h1')
})

test('a node that comes late starts from the latest snapshot', async (t) => {
  const { here, lead, bus, blue, edge } = await scene(t)
  lead()
  await edge.until((reader) => attached(reader).length === 2)
  for (let round = 0; round < 4; round++) {
    const prefixes = Array.from({ length: 60_000 }, (_, i) => (0x14000000 + round * 0x1000000 + i * 256) >>> 0)
    await publish(bus, routesOf('192.168.1.9', prefixes))
  }
  await blue.until(() => count(blue) === 240_006)
  await publish(bus, routesOf('192.168.1.9', [0x0a030000]))
  await blue.until(() => count(blue) === 240_007)
  await feedMoved(bus, fibFeed('blue'))
  const late = new Reader<FibBatch>(here, bus, fibFeed('blue'), 'b2', fibBatch)
  here.atEnd(() => late.close())
  await late.current
  equal(late.batches[0]!.snapshot, true)
  ok(late.batches[0]!.generation > 1)
  deepEqual(late.routes('acme'), blue.routes('acme'))
})

test('a bus that lost everything is filled again, and nodes start over', async (t) => {
  const { here, lead, bus, blue, edge } = await scene(t)
  const close = lead()
  await edge.until((reader) => attached(reader).length === 2)
  await close()
  await here.stop()
  here.wipe()
  await here.start()
  await bus.whenConnected(5000)
  const seen = blue.batches.length
  lead(siteOf({ globex: false }))
  await blue.until((reader) => reader.batches.length > seen)
  deepEqual(blue.tenants, ['acme@10.255.0.1'])
})

test('a big tenant is behind a VIP of both clusters: all their nodes hold it, and it is spread over all', async (t) => {
  const { lead, bus, blue, green, edge } = await scene(t)
  lead(siteOf({ acme: 'v1' }))
  await edge.until((reader) => attached(reader).includes('acme@10.255.0.1'))
  deepEqual(green.tenants, [])
  await putSite(bus, siteOf({ acme: 'both' }))
  await edge.until((reader) => attached(reader).includes('acme@10.255.0.3'))
  deepEqual(
    edge.batches.at(-1)!.balances.map(({ vip, nodes }) => [formatAddress(vip), nodes.map(({ name }) => name)]),
    [['10.255.0.3', ['b1', 'g1']]],
  )
  for (const reader of [blue, green]) {
    ok(reader.tenants.includes('acme@10.255.0.3'), 'it has arrived before anybody sends there')
    equal(reader.routes('acme')['10.1.0.0/16'], '192.168.1.2')
  }
  await publish(bus, routesOf('192.168.1.9', [0x0a030000]))
  for (const reader of [blue, green]) await reader.until(() => reader.routes('acme')['10.3.0.0/24'] === '192.168.1.9')
  await putSite(bus, siteOf({ acme: 'v2' }))
  await blue.until((reader) => reader.tenants.join() === 'globex@10.255.0.1')
  deepEqual(green.tenants, ['acme@10.255.0.2'])
})

for (const feed of [fibFeed('blue'), switchFeed('edge')])
  test(`what a newer version told on ${feed} is not written over: an older control module does not lead`, async (t) => {
    const { lead, bus, edge } = await scene(t)
    const close = lead()
    await edge.until((reader) => attached(reader).length === 2)
    await close()
    const stream = bus.stream(feed, FEED_LIMITS)
    const { last } = await stream.bounds()
    const newer = Uint8Array.from((await stream.read(last))[0]!.payload)
    const { message } = new Joiner().push(newer)
    message![3] = 255 // the oldest version that reads it
    for (const piece of cut(message!, PAYLOAD_BYTES_MAX)) await stream.append(piece, {})
    const before = await stream.bounds()
    const options = { name: 'older', bus, clock: systemClock, log: silent, site: siteOf({ globex: false }) }
    const older = serveControl({ ...options, newIncarnation: () => 'other' })
    await rejects(older.ended, { name: 'NewerFeedError', message: new RegExp(`^feed ${feed} was written by a newer`) })
    deepEqual(await stream.bounds(), before)
  })

test('tenants, routes and nodes are shown', async (t) => {
  const { lead, bus, edge } = await scene(t)
  lead()
  await edge.until((reader) => attached(reader).length === 2)
  const [acme] = (await askToShow(bus, 'control', 'tenants')) as Record<string, unknown>[]
  deepEqual({ ...acme, id: 0 }, { name: 'acme', id: 0, vip: 'v1', clusters: ['blue'], routes: 6, unreachable: 0 })
  const routes = (await askToShow(bus, 'control', 'routes', 'acme')) as { prefix: string; via: string[] }[]
  deepEqual(routes.find(({ prefix }) => prefix === '10.2.0.0/16')?.via, ['192.168.1.2 on dc', '192.168.1.3 on dc'])
  const nodes = (await askToShow(bus, 'control', 'nodes')) as { name: string; current: boolean }[]
  deepEqual(
    nodes.map(({ name, current }) => [name, current]),
    [
      ['b1', true],
      ['g1', true],
    ],
  )
})

const sessionsOf = ({ held }: Reader<FibBatch>): string[] =>
  [...held.tenants.values()].flatMap(({ record }) =>
    record.segments.flatMap((segment) =>
      segment.kind === 'connection'
        ? segment.sessions.map(({ peer, speaker }) => `${peer && formatAddress(peer)} at ${formatAddress(speaker)}`)
        : [],
    ),
  )

test('sessions are where routing nodes live, and move when theirs dies', async (t) => {
  const { lead, blue, here } = await scene(t)
  const buses = [await here.join('rn-1'), await here.join('rn-2')]
  const leases = await Promise.all(
    buses.map((bus, i) => bus.acquireLease(speakerLease(`rn-${i + 1}`), { holder: `rn-${i + 1}`, ttl_ms: 3000 })),
  )
  lead(siteOf({ speakers: ['rn-1', 'rn-2'] }))
  await blue.until((reader) => sessionsOf(reader).length === 1)
  const first = sessionsOf(blue)[0]!
  const at = first.endsWith('.1') ? 0 : 1
  await leases[at]!.release()
  await blue.until((reader) => sessionsOf(reader)[0] !== first)
  deepEqual(sessionsOf(blue), [`192.168.1.2 at 10.0.3.${2 - at}`])
  await buses[at]!.acquireLease(speakerLease(`rn-${at + 1}`), { holder: `rn-${at + 1}`, ttl_ms: 3000 })
  await blue.until((reader) => sessionsOf(reader)[0] === first)
})

test("a dead routing node's routes are kept for a while, unless it comes back and says them again", async (t) => {
  const { lead, bus, blue, here } = await scene(t)
  const speaker = await here.join('rn-1')
  const alive = () => speaker.acquireLease(speakerLease('rn-1'), { holder: 'rn-1', ttl_ms: 3000 })
  const first = await alive()
  lead(siteOf({ speakers: ['rn-1'], stale_s: 1 }))
  const routes = routesOf('192.168.1.2', [0x0a030000, 0x0a040000], { origin: 'rn-1' })
  await publish(bus, routes)
  await blue.until((reader) => reader.routes('acme')['10.4.0.0/24'] === '192.168.1.2')
  const began = performance.now()
  await first.release()
  const second = await alive()
  await publish(bus, { ...routesOf('192.168.1.2', [0x0a030000], { replaces: true }), origin: 'rn-1' })
  await blue.until((reader) => reader.routes('acme')['10.4.0.0/24'] === undefined)
  equal(blue.routes('acme')['10.3.0.0/24'], '192.168.1.2')
  await second.release()
  await blue.until((reader) => reader.routes('acme')['10.3.0.0/24'] === undefined)
  ok(performance.now() - began >= 1000, 'stale for a second')
})

test('a routing node that leaves the site takes its routes with it at once', async (t) => {
  const { lead, bus, blue } = await scene(t)
  lead(siteOf({ speakers: ['rn-1'] }))
  await publish(bus, routesOf('192.168.1.2', [0x0a030000], { origin: 'rn-1' }))
  await blue.until((reader) => reader.routes('acme')['10.3.0.0/24'] !== undefined)
  await putSite(bus, siteOf())
  await blue.until((reader) => reader.routes('acme')['10.3.0.0/24'] === undefined)
  deepEqual(sessionsOf(blue), [])
})
