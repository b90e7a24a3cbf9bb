import { deepEqual, equal, ok } from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { busHere } from '../agent/bus-here.ts'
import { ConnectionStates } from '../agent/connection-states.ts'
import { BROKEN_SUBJECT, BUCKET } from '../agent/names.ts'
import { ManualClock } from '../base/clock.ts'
import { silent } from '../base/log.ts'
import { parseSite } from '../config/load.ts'
import type { Site } from '../config/site.ts'
import { type BrokenPath, brokenPaths } from '../wire/control/liveness.ts'
import { Connections } from './connections.ts'

const KEY = 1001
const OTHERS_KEY = 2002
const SETTLED_ms = 2500
const EDGE = Uint8Array.of(10, 0, 0, 1)
const WIRE: BrokenPath = { vni: 1001, remote: EDGE, peer: undefined }
const peer = (last: number): BrokenPath => ({ vni: 1001, remote: undefined, peer: Uint8Array.of(192, 168, 1, last) })

function siteOf({ hasWan = true } = {}): Site {
  const wan = '{ name: wan, switch: edge, port: a, vlan: 2, vni: 1002, gateway: [192.168.2.1/24], probes: [to-wan] }'
  const neighbour = (last: number) =>
    `{ name: dc-${last}, tenant: acme, address: 192.168.1.${last}, as: 65010, bfd: { interval_ms: 100 } }`
  const { site, errors } = parseSite(`
    site: s
    gateway: { mac: 02:67:68:00:00:01 }
    vips: [{ name: v1, address: 10.255.0.1 }]
    clusters: [{ name: blue, vips: [v1], nodes: [{ name: b1, address: 10.0.1.1, ports: [n] }] }]
    switches: [{ name: edge, address: 10.0.0.1, uplinks: [up], ports: [a, b] }]
    hosts: [{ name: h1, address: 10.0.2.1, tunnel: gre }]
    tenants:
      - name: acme
        vni: 1001
        vip: v1
        connections:
          - { name: dc, switch: edge, port: a, gateway: [192.168.1.1/24] }
          ${hasWan ? `- ${wan}` : ''}
        vpcs: [{ name: prod, machines: [{ name: web, address: 172.16.0.5, host: h1 }] }]
      - name: globex
        vni: 2002
        vip: v1
        connections: [{ name: dc, switch: edge, port: b, gateway: [192.168.1.1/24] }]
        vpcs: [{ name: prod, machines: [{ name: web, address: 172.16.0.5, host: h1 }] }]
    routing:
      as: 65001
      router_id: 10.0.3.1
      nodes: [{ name: rn-1, address: 10.0.3.1 }]
      neighbours: [${neighbour(2)}, ${neighbour(3)}]
      ${hasWan ? 'probes: [{ name: to-wan, tenant: acme, to: 192.168.2.2, icmp: {} }]' : ''}`)
  ok(site, JSON.stringify(errors))
  return site
}

/** A control module's part, and hosts that hear of it. */
async function scene(t: TestContext) {
  const here = await busHere(t)
  const [control, host, source] = [await here.join('control'), await here.join('host'), await here.join('edge')]
  let down: ReadonlySet<string> = new Set()
  const lead = async (site = siteOf(), clock = new ManualClock()) => {
    const connections = new Connections({ bus: control, clock, log: silent, down: () => down })
    here.atEnd(async () => connections.close())
    await connections.load()
    connections.setSite(site)
    return { connections, clock }
  }
  const listen = async (...keys: number[]) => {
    let check = (): void => {}
    const states = new ConnectionStates(host, new Set(keys), () => check())
    here.atEnd(async () => states.close())
    await states.ready
    const all = () => states.all().map(({ tenant, connection, reason }) => `${tenant}.${connection} ${reason || 'up'}`)
    /** Resolves once that is all that is known. */
    const until = (...wanted: string[]) =>
      new Promise<void>((resolve, reject) => {
        const late = setTimeout(() => reject(new Error(`not ${wanted}, but ${all()}`)), 5000)
        check = () => {
          if (all().join() !== wanted.join()) return
          clearTimeout(late)
          resolve()
        }
        check()
      })
    return { states, until }
  }
  const say = (...broken: BrokenPath[]) =>
    source.publish(BROKEN_SUBJECT, brokenPaths.encode({ source: 'edge', broken }))
  const turn = (connections: Connections, ...names: string[]) => {
    const turned = down.symmetricDifference(new Set(names))
    down = new Set(names)
    connections.turned(turned)
  }
  const kept = async () => (await host.bucket(BUCKET.connections).entries('>')).map(({ key }) => key).sort()
  return { here, host, lead, listen, say, turn, kept }
}

test('a host hears of the connections of its own tenants, of a wire that loses its carrier and of its return', async (t) => {
  const { lead, listen, say } = await scene(t)
  const { clock, connections } = await lead()
  clock.advance(SETTLED_ms)
  const host = await listen(KEY)
  await host.until('acme.dc up', 'acme.wan up')
  clock.advance(1000)
  say(WIRE)
  await host.until('acme.dc carrier', 'acme.wan up')
  deepEqual(connections.tell('acme')[0], {
    ...{ tenant: 'acme', connection: 'dc', state: 'down', since: '1970-01-01T00:00:03.500Z', reason: 'carrier' },
  })
  const late = await listen(KEY, OTHERS_KEY)
  await late.until('acme.dc carrier', 'acme.wan up', 'globex.dc up')
  say()
  await host.until('acme.dc up', 'acme.wan up')
  await late.until('acme.dc up', 'acme.wan up', 'globex.dc up')
  deepEqual(
    connections.tell('').map(({ state }) => state),
    ['up', 'up', 'up'],
  )
})

test('a connection is down when all that watch it say so, and not before', async (t) => {
  const { lead, listen, say, turn } = await scene(t)
  const { clock, connections } = await lead()
  clock.advance(SETTLED_ms)
  const host = await listen(KEY)
  await host.until('acme.dc up', 'acme.wan up')
  turn(connections, 'dc-2', 'to-wan')
  await host.until('acme.dc up', 'acme.wan probe')
  say(peer(3))
  await host.until('acme.dc bfd', 'acme.wan probe')
  turn(connections, 'dc-2', 'dc-3')
  say()
  await host.until('acme.dc bfd', 'acme.wan up')
  turn(connections, 'dc-3')
  await host.until('acme.dc up', 'acme.wan up')
})

test('the next leader goes on with what was known, and says that all is well once it can know', async (t) => {
  const { lead, listen, say } = await scene(t)
  const first = await lead()
  first.clock.advance(SETTLED_ms)
  const host = await listen(KEY)
  await host.until('acme.dc up', 'acme.wan up')
  say(WIRE)
  await host.until('acme.dc carrier', 'acme.wan up')
  const since = first.connections.tell('acme')
  const late = await listen(KEY)
  await late.until('acme.dc carrier', 'acme.wan up')
  first.connections.close()

  const second = await lead()
  deepEqual(second.connections.tell('acme'), since)
  second.clock.advance(SETTLED_ms - 1)
  deepEqual(second.connections.tell('acme'), since)
  second.clock.advance(1)
  await host.until('acme.dc up', 'acme.wan up')
})

test('what the site does not have any more is not kept', async (t) => {
  const { host, lead, kept } = await scene(t)
  const { clock, connections } = await lead()
  const gone = Promise.withResolvers<void>()
  const all = Promise.withResolvers<void>()
  let count = 0
  const watch = host.bucket(BUCKET.connections).watch('>', ({ key, value }) => {
    if (value && ++count === 3) all.resolve()
    if (!value && key === 'acme.wan') gone.resolve()
  })
  clock.advance(SETTLED_ms)
  await all.promise
  connections.setSite(siteOf({ hasWan: false }))
  await gone.promise
  watch.close()
  deepEqual(await kept(), ['acme.dc', 'globex.dc'])
  equal(connections.tell('').length, 2)
})
