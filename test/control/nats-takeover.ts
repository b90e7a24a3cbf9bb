/**
 * A control module takes over from one that is killed, as in takeover.test.ts, but over three nats-servers, of which one may
 * die at the same moment. How long it took is printed.
 */

import { equal } from 'node:assert/strict'
import type { TestContext } from 'node:test'
import { NatsCluster } from '../../lab/nats/cluster.ts'
import { leaderOf } from '../../src/agent/leader.ts'
import { freshState, publish, routesOf, Scene, siteOf, siteText, whole } from './scene.ts'
import { keptBy } from './state.ts'

const SITE = siteText()
const BEFORE = whole(routesOf('bgp-1', '192.168.1.2', [0, 20]))
const AFTER = whole(routesOf('bgp-1', '192.168.1.3', [10, 40]))

/** `kill` answers what is to be killed beside the control module. */
export async function takesOver(
  t: TestContext,
  what: string,
  kill: (nats: NatsCluster) => Promise<() => Promise<unknown>>,
): Promise<void> {
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
