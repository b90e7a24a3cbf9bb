import { deepEqual, ok } from 'node:assert/strict'
import { suite, type TestContext, test } from 'node:test'
import { busHere } from '../agent/bus-here.ts'
import { BatchFollower } from '../agent/follower.ts'
import { BUCKET, fibFeed, LIVENESS_SUBJECT } from '../agent/names.ts'
import { systemClock } from '../base/clock.ts'
import { silent } from '../base/log.ts'
import type { Bus } from '../bus/bus.ts'
import { parseSite } from '../config/load.ts'
import { type FibBatch, fibBatch } from '../wire/control/fib.ts'
import { livenessNews } from '../wire/control/liveness.ts'
import { HeldFib } from './held-fib.ts'
import { formatKey } from './prefix-key.ts'
import { serveControl } from './serve.ts'
import { Tracks } from './tracks.ts'

const SITE = `
site: s
gateway: { mac: 02:67:68:00:00:01 }
routing:
  as: 65001
  router_id: 10.0.0.9
  nodes: [{ name: routing-1, address: 10.0.3.1 }]
  neighbours: [{ name: acme-1, tenant: acme, address: 192.168.1.2, as: 65010, bfd: {} }]
  probes: [{ name: to-dc, to: 192.0.2.1, icmp: {} }]
vips: [{ name: v1, address: 10.255.0.1 }]
clusters: [{ name: blue, vips: [v1], nodes: [{ name: b1, address: 10.0.1.1, ports: [a] }] }]
switches: [{ name: edge, address: 10.0.0.1, uplinks: [up], ports: [acme] }]
tenants:
  - name: acme
    vni: 1001
    vip: v1
    connections: [{ name: dc, switch: edge, port: acme, gateway: [192.168.1.1/24], peers: [192.168.1.2, 192.168.1.3] }]
    routes:
      - { prefix: 10.1.0.0/16, via: [192.168.1.2], track: to-dc }
      - { prefix: 10.2.0.0/16, via: [192.168.1.3], track: acme-1 }
      - { prefix: 10.3.0.0/16, via: [192.168.1.3] }
`

let said_us = 0

/** `to-dc` or `-to-dc`, which is down, each since as long as the words are in order. */
function newsOf(node: string, words: string): Uint8Array {
  said_us++
  const things = words.split(' ').map((word) => ({
    name: word.replace(/^-/, ''),
    ...{ kind: 'probe', isUp: !word.startsWith('-'), reason: '', since_ms: said_us, quality: undefined },
  }))
  return livenessNews.encode({ node, said_us, things })
}

async function scene(t: TestContext) {
  const here = await busHere(t)
  const bus = await here.join('routing')
  const tell = (words: string, node = 'routing-1'): void => bus.publish(LIVENESS_SUBJECT, newsOf(node, words))
  const keep = (words: string): Promise<number> =>
    bus.bucket(BUCKET.liveness).put('routing-1', newsOf('routing-1', words))
  return { here, bus, tell, keep }
}

/** The static routes that nodes have now, in order. */
function follow(here: Awaited<ReturnType<typeof busHere>>, bus: Bus) {
  const held = new HeldFib()
  let check = (): void => {}
  const follower = new BatchFollower<FibBatch>({
    ...{ bus, feed: fibFeed('blue'), message: fibBatch as never, module: 'b1', directory: here.directory },
    ...{ clock: systemClock, log: silent },
    apply(batch) {
      held.apply(batch)
      check()
      return undefined
    },
  })
  follower.start()
  here.atEnd(() => follower.close())
  const statics = (): string => {
    const [acme] = held.tenants.values()
    const prefixes = [...(acme?.routes.keys() ?? [])].map(formatKey)
    return prefixes
      .filter((text) => /^10\.[123]\.0\.0\/16$/.test(text))
      .sort()
      .join(' ')
  }
  return {
    /** Resolves once they are those of 10.N.0.0/16. */
    until: (...numbers: number[]): Promise<void> =>
      new Promise((resolve, reject) => {
        const wanted = numbers.map((n) => `10.${n}.0.0/16`).join(' ')
        const late = systemClock.after(10_000, () => reject(new Error(`not ${wanted} but ${statics()}`)))
        check = () => {
          if (statics() !== wanted) return
          late.cancel()
          resolve()
        }
        check()
      }),
  }
}

function lead(here: Awaited<ReturnType<typeof busHere>>, bus: Bus) {
  const { site, errors } = parseSite(SITE)
  ok(site, JSON.stringify(errors))
  const options = { name: 'control', bus, clock: systemClock, log: silent, site }
  const control = serveControl({ ...options, newIncarnation: () => `i${said_us++}` })
  here.atEnd(() => control.close())
  return control
}

suite('static routes that are tied to something', () => {
  test('are there until it is down, come back with it, and leave the others alone', async (t) => {
    const { here, bus, tell } = await scene(t)
    lead(here, await here.join('control'))
    const { until } = follow(here, await here.join('b1'))
    await until(1, 2, 3)
    tell('-to-dc acme-1')
    await until(2, 3)
    tell('-to-dc -acme-1')
    await until(3)
    tell('to-dc -acme-1')
    await until(1, 3)
    tell('to-dc acme-1')
    await until(1, 2, 3)
    ok(bus.connected)
  })

  test('are away from the beginning where a control module finds them down', async (t) => {
    const { here, keep } = await scene(t)
    await keep('-to-dc acme-1')
    const first = lead(here, await here.join('control'))
    const { until } = follow(here, await here.join('b1'))
    await until(2, 3)
    await first.close()
    await keep('to-dc -acme-1')
    lead(here, await here.join('control-2'))
    await until(1, 3)
  })
})

suite('what routing nodes say of things', () => {
  async function heard(t: TestContext) {
    const { here, bus, tell } = await scene(t)
    const turns: string[] = []
    let wake = (): void => {}
    const tracks = new Tracks(await here.join('control'), (names) => {
      turns.push([...names].sort().join(' '))
      wake()
    })
    here.atEnd(async () => tracks.close())
    await tracks.ready
    const until = async (count: number): Promise<void> => {
      while (turns.length < count) {
        await new Promise<void>((resolve) => {
          wake = resolve
        })
      }
    }
    return { bus, tell, turns, until, down: () => [...tracks.down].sort().join(' ') }
  }

  test('turns those that are down now, or not any more, and of two nodes the later word counts', async (t) => {
    const { tell, turns, until, down } = await heard(t)
    tell('a -b')
    await until(1)
    tell('-a -b')
    await until(2)
    tell('a b', 'routing-2')
    await until(3)
    deepEqual([turns, down()], [['b', 'a', 'a b'], ''])
  })

  test('what was kept does not undo what was said later', async (t) => {
    const { bus, tell, turns, until, down } = await heard(t)
    const early = newsOf('routing-1', 'a b')
    tell('-a b')
    await until(1)
    await bus.bucket(BUCKET.liveness).put('routing-1', early)
    tell('-a -b')
    await until(2)
    deepEqual([turns, down()], [['a', 'b'], 'a b'])
  })
})
