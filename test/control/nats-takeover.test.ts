/**
 * The same as takeover.test.ts over three nats-servers: the control module that leads dies, alone or with the server beside it
 * that leads the leases and the nodes' feed. How long both took is printed.
 */

import { equal, notEqual } from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { NatsCluster } from '../../lab/nats/cluster.ts'
import { lacks } from '../../lab/needs.ts'
import { leaderOf } from '../../src/agent/leader.ts'
import { fibFeed } from '../../src/agent/names.ts'
import { namesOf } from '../../src/bus/nats/names.ts'
import { freshState, publish, routesOf, Scene, siteOf, siteText, whole } from './scene.ts'
import { keptBy } from './state.ts'

const skip = lacks('nats-server')
const SITE = siteText()
const BEFORE = whole(routesOf('bgp-1', '192.168.1.2', [0, 20]))
const AFTER = whole(routesOf('bgp-1', '192.168.1.3', [10, 40]))

async function takesOver(t: TestContext, what: string, kill: (nats: NatsCluster) => Promise<() => Promise<unknown>>) {
  const nats = await NatsCluster.start()
  t.after(() => nats.stop())
  const scene = await Scene.of(t, { nats: { servers: nats.addresses, site: siteOf(SITE).site, replicas: 3 } })
  const bus = scene.join('readers')
  await bus.whenConnected(10_000)
  const readers = scene.readers(bus, siteOf(SITE))
  const first = scene.control('control', SITE)
  await publish(bus, BEFORE)
  const before = await freshState(SITE, BEFORE)
  const after = await freshState(SITE, [...BEFORE, ...AFTER])
  await readers.equal(before)
  readers.keep = keptBy([before, after])
  const second = scene.control('spare', SITE)
  await second.said('done put modules/spare')
  equal(await leaderOf(bus), 'control')
  const killMore = await kill(nats)
  const start_ms = performance.now()
  const since = (): string => `${(performance.now() - start_ms).toFixed(0)} ms`
  first.child.kill('SIGKILL')
  const leading = second.said('done acquire control').then(since)
  await Promise.all([killMore(), publish(bus, AFTER)])
  await readers.equal(after)
  const all = since()
  t.diagnostic(`${what}: ${await leading} to the next leader, ${all} to the next change of routes at all nodes`)
  equal(await leaderOf(bus), 'spare')
  equal(readers.flushed.join('\n'), '')
}

test('over NATS a control module that leads and is killed is replaced', { skip }, async (t) => {
  await takesOver(t, 'the leader is killed', async () => async () => {})
})

test('so it is when the server that leads the leases dies with it', { skip }, async (t) => {
  await takesOver(t, 'the leader and the server of the leases are killed', async (nats) => {
    const { leader } = await nats.rolesOf(namesOf('s').leases.stream)
    return () => leader.kill()
  })
})

test('so it is when the server that leads the feed of the nodes dies with it', { skip }, async (t) => {
  await takesOver(t, 'the leader and the server of a feed are killed', async (nats) => {
    const { leader, follower } = await nats.rolesOf(namesOf('s').stream(fibFeed('blue')).stream)
    notEqual(leader, follower)
    return () => leader.kill()
  })
})
