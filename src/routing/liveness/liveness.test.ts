/** A routing node's watch with a bus: a probe of a responder on this machine, and what others get to know of it. */

import { deepEqual, equal, match } from 'node:assert/strict'
import { test } from 'node:test'
import { busHere } from '../../agent/bus-here.ts'
import { BUCKET, LIVENESS_SUBJECT } from '../../agent/names.ts'
import { askToShow } from '../../agent/show.ts'
import { systemClock } from '../../base/clock.ts'
import { silent } from '../../base/log.ts'
import { parseSite } from '../../config/load.ts'
import { unprivileged } from '../../linux/scratch.ts'
import { livenessNews } from '../../wire/control/liveness.ts'
import { PeerNumbers } from '../relay/peer-numbers.ts'
import { Liveness } from './liveness.ts'

const PORT = 28_862

test('what is up or down is told on the bus, kept there, and shown', { skip: unprivileged }, async (t) => {
  const { site } = parseSite(`
site: s
routing:
  as: 65001
  router_id: 10.0.0.1
  nodes: [{ name: routing-1, address: 127.0.0.1 }, { name: routing-2, address: 127.0.0.2 }]
  responders: [{ node: routing-1, address: 127.0.0.1, port: ${PORT} }]
  probes:
    - { name: there, to: 127.0.0.1, udp: { port: ${PORT} }, interval_ms: 20 }
    - { name: elsewhere, node: routing-2, to: 127.0.0.1, udp: {} }
`)
  const here = await busHere(t)
  const listener = await here.join('control')
  const told: string[] = []
  let wake = (): void => {}
  const news = listener.subscribe(LIVENESS_SUBJECT, ({ payload }) => {
    const decoded = livenessNews.decode(payload)
    if (decoded.ok) told.push(decoded.value.things.map(({ name, isUp }) => `${name} ${isUp}`).join(', '))
    wake()
  })
  await news.ready
  const bus = await here.join('routing.routing-1')
  const onDeath = (error: Error): void => {
    throw error
  }
  const numbers = new PeerNumbers()
  const watch = new Liveness({ site: site!, name: 'routing-1', bus, numbers, clock: systemClock, log: silent, onDeath })
  watch.start()
  here.atEnd(() => watch.close())
  const until = async (count: number): Promise<void> => {
    while (told.length < count) {
      await new Promise<void>((resolve) => {
        wake = resolve
      })
    }
  }
  await until(1)
  watch.watched({ name: 'acme-dc', state: 'up', reason: '' })
  await until(2)
  deepEqual(told, ['there true', 'acme-dc true, there true'])
  const rows = (await askToShow(listener, 'routing-1', 'probes', '')) as Record<string, string>[]
  deepEqual(
    rows.map(({ name, kind, state }) => `${name} ${kind} ${state}`),
    ['acme-dc bfd up', 'there probe up'],
  )
  match(String(rows[1]!['delay_ms']), /^\d/)
  watch.watched({ name: 'acme-dc', state: 'left', reason: '' })
  await until(3)
  equal(told.at(-1), 'there true')
  // Of another site file: one that is not watched any more, and one that has not answered yet.
  await watch.take({ ...site!, routing: { ...site!.routing!, probes: site!.routing!.probes.slice(1) } })
  await until(4)
  equal(told.at(-1), '')
  await watch.take(site!)
  await until(5)
  equal(told.at(-1), 'there true')
  // One that cannot be sent any more says nothing, and least of all that it is up.
  const [probe, ...others] = site!.routing!.probes
  await watch.take({ ...site!, routing: { ...site!.routing!, probes: [{ ...probe!, from: '192.0.2.1' }, ...others] } })
  await until(6)
  equal(told.at(-1), '')
  const kept = await listener.bucket(BUCKET.liveness).get('routing-1')
  equal(kept !== undefined && livenessNews.decode(kept.value).ok, true)
})

test('how good a path is that a tenant chooses by is told every moment', {
  skip: unprivileged,
  timeout: 60_000,
}, async (t) => {
  const { site, errors } = parseSite(`
site: s
routing:
  as: 65001
  router_id: 10.0.0.1
  nodes: [{ name: routing-1, address: 127.0.0.1 }]
  responders: [{ address: 127.0.0.1, port: ${PORT + 1} }]
  probes: [{ name: there, to: 127.0.0.1, udp: { port: ${PORT + 1} }, interval_ms: 20 }]
vips: [{ name: v1, address: 10.255.0.1 }]
clusters: [{ name: blue, vips: [v1], nodes: [{ name: b1, address: 10.0.1.1, ports: [p] }] }]
switches: [{ name: edge, address: 10.0.0.1, uplinks: [up], ports: [a] }]
tenants:
  - name: acme
    vni: 1001
    vip: v1
    steer: latency
    connections: [{ name: dc, switch: edge, port: a, gateway: [192.168.1.1/24], probes: [there] }]
`)
  equal(errors, undefined)
  const here = await busHere(t)
  const listener = await here.join('control')
  const ended: number[] = []
  const heard = Promise.withResolvers<void>()
  const news = listener.subscribe(LIVENESS_SUBJECT, ({ payload }) => {
    const decoded = livenessNews.decode(payload)
    if (decoded.ok) ended.push(...decoded.value.things.map(({ quality }) => quality!.ended))
    if (ended.length === 4) heard.resolve()
  })
  await news.ready
  const bus = await here.join('routing.routing-1')
  const onDeath = (error: Error): void => heard.reject(error)
  const numbers = new PeerNumbers()
  const watch = new Liveness({ site: site!, name: 'routing-1', bus, numbers, clock: systemClock, log: silent, onDeath })
  watch.start()
  here.atEnd(() => watch.close())
  await heard.promise
  deepEqual(
    ended,
    ended.toSorted((a, b) => a - b),
  )
  equal(new Set(ended).size, 4)
})
