/**
 * What may happen to the bus, to the way there and to the clock while a site changes: nodes, switches and hosts hold in the
 * end what the site and the routes say, and were never without what stayed as it was.
 */

import { equal, ok } from 'node:assert/strict'
import { join } from 'node:path'
import { test } from 'node:test'
import { FEED_LIMITS } from '../../src/agent/follower.ts'
import { leaderOf } from '../../src/agent/leader.ts'
import { fibFeed } from '../../src/agent/names.ts'
import { type Clock, systemClock } from '../../src/base/clock.ts'
import { busSocket } from '../../src/bus/embedded/main.ts'
import { expectedWith, FIRST, goThrough, LATER } from './kill-points.ts'
import { publish, Scene } from './scene.ts'
import { StallingProxy } from './stalling-proxy.ts'

test('a bus that is killed again and again', async (t) => {
  const scene = await Scene.of(t)
  scene.control('control', FIRST)
  await goThrough(scene, scene.join('readers'), async () => {
    await scene.killBus()
    await scene.startBus()
  })
})

test('a control module that is cut off while everything changes, and comes back', async (t) => {
  const scene = await Scene.of(t, { busHere: true })
  const proxy = await StallingProxy.before(busSocket(scene.directory), join(scene.directory, 'proxy.sock'))
  t.after(() => proxy.close())
  const first = scene.control('control', FIRST, { socketPath: proxy.socketPath })
  await first.said('done append switch-edge')
  const spare = scene.controlHere('spare', FIRST)
  const { readers, bus } = await goThrough(scene, scene.join('readers'), async (step) => {
    if (step === 1) proxy.stall()
  })
  equal(await leaderOf(bus), 'spare')
  proxy.pass()
  await spare.close()
  await publish(bus, LATER)
  await readers.equal(await expectedWith(LATER))
  equal(await leaderOf(bus), 'control')
  equal(readers.flushed.join('\n'), '')
})

test('nodes that are cut off while everything changes, and come back', async (t) => {
  const scene = await Scene.of(t, { busHere: true })
  const proxy = await StallingProxy.before(busSocket(scene.directory), join(scene.directory, 'proxy.sock'))
  t.after(() => proxy.close())
  scene.controlHere('control', FIRST)
  const nodes = scene.join('nodes', proxy.socketPath)
  const direct = scene.join('direct')
  await direct.whenConnected(10_000)
  await goThrough(scene, nodes, async (step) => {
    if (step === 0) return
    proxy.stall()
    const feed = direct.stream(fibFeed('green'), FEED_LIMITS)
    const heard = new AbortController()
    // Not before the control module has said something that they do not hear.
    for await (const _ of feed.consume((await feed.bounds()).last + 1, { signal: heard.signal })) heard.abort()
    proxy.pass()
  })
})

test('a clock that jumps an hour, ahead and back', async (t) => {
  const scene = await Scene.of(t, { busHere: true })
  let ahead_ms = 0
  const clock: Clock = {
    now_us: () => systemClock.now_us() + ahead_ms * 1000,
    wall_ms: () => systemClock.wall_ms() + ahead_ms,
    after: (delay_ms, run) => systemClock.after(delay_ms, run),
    every: (interval_ms, run) => systemClock.every(interval_ms, run),
  }
  scene.controlHere('control', FIRST, { clock })
  const { bus } = await goThrough(scene, scene.join('readers'), async (step) => {
    ahead_ms += step % 3 === 2 ? -3_600_000 : 3_600_000
  })
  ok(await leaderOf(bus))
})
