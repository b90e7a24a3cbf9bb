/**
 * What tenants notice when parts of a site die: as little as physics allows. The parts are killed with -9 or cut off
 * for real, under real traffic.
 */

import { equal, ok } from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { suite, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { needs } from '../../lab/needs.ts'
import { failedConnections, leaveAlone, pidOf, sumOf, underTraffic, until } from './under-traffic.ts'

const ALONE_ms = 10_000

suite('when parts of a site die', { skip: needs('ip') }, () => {
  test('a node killed under load: its flows move, no connection breaks, and it comes back and takes traffic', async () => {
    const traffic = await underTraffic(async ({ gateway }) => {
      const before = await pidOf(gateway, 'fn-1')
      ok(before)
      process.kill(before, 'SIGKILL')
      await until('fn-1 runs again', async () => ((await pidOf(gateway, 'fn-1')) ?? before) !== before)
      await until('fn-1 takes traffic again', async () => {
        const [node] = (await gateway.observer.modules()).filter(({ name }) => name === 'fn-1')
        return (node?.totals?.received ?? 0) > 100
      })
      await sleep(500)
    })
    equal(failedConnections(traffic), 0)
    // 300 pings a second, a third of them by this node, for as long as BFD alone would take (150 ms): 15. None come on
    // top when it takes traffic again.
    const lost = sumOf(traffic, ({ ping }) => ping.lost)
    ok(lost <= 15, `${lost} pings lost`)
  })

  test('supervisor, control and bus killed: forwarding goes on and loses nothing', async () => {
    const traffic = await underTraffic((running) => leaveAlone(running, ALONE_ms))
    equal(failedConnections(traffic), 0)
    equal(
      sumOf(traffic, ({ ping }) => ping.lost),
      0,
    )
    ok(sumOf(traffic, ({ ping }) => ping.sent) > ALONE_ms / 20)
  })

  test('one of the two paths cut: only what was in flight is lost', async () => {
    const traffic = await underTraffic(async ({ made }) => {
      execFileSync('ip', ['-n', made.lab.fullName('edge-1'), 'link', 'set', 'path-a', 'down'])
      await sleep(2000)
    })
    equal(failedConnections(traffic), 0)
    // In flight until the other end has seen it too: 300 pings a second, 10 ms.
    ok(sumOf(traffic, ({ ping }) => ping.lost) <= 6, `${sumOf(traffic, ({ ping }) => ping.lost)} pings lost`)
  })
})
