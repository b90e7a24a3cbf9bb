/**
 * Hosts of the site that the guide starts die under traffic: that of the control module which leads, with a nats-server, and then
 * the other one's server, so that nothing can be written any more.
 */

import { deepEqual, ok } from 'node:assert/strict'
import { suite, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { needs } from '../../lab/needs.ts'
import { Cluster } from './guide-cluster.ts'
import { until } from './live-site.ts'

/** For as long nobody is in charge, and nothing happens that could be waited for. */
const ALONE_ms = 10_000
const CONTROL_HOSTS: Readonly<Record<string, string>> = { 'control-1': 'ctl-1', 'control-2': 'ctl-2' }

suite('a site on many hosts', { skip: needs('ip', 'nats-server', 'openssl') }, () => {
  test('loses no packet when the host of the control module that leads dies, nor when all servers have', async () => {
    await Cluster.with(async (cluster) => {
      deepEqual(await cluster.silent(), [])
      const leaderSeenBy = async (host: string): Promise<string> =>
        (await cluster.modules(host)).find(({ leads }) => leads)?.name ?? ''
      await until('one leads', async () => (await leaderSeenBy('ctl-2')) !== '')
      const first = await leaderSeenBy('ctl-2')
      const other = first === 'control-1' ? 'control-2' : 'control-1'
      const withoutOne = await cluster.lostWhile(async () => {
        await cluster.hosts.die(CONTROL_HOSTS[first]!)
        await until(`${other} leads`, async () => (await leaderSeenBy(CONTROL_HOSTS[other]!)) === other)
      })
      const withoutAll = await cluster.lostWhile(async () => {
        await cluster.hosts.die(CONTROL_HOSTS[other]!)
        await cluster.hosts.die('ctl-3')
        await sleep(ALONE_ms)
      })
      ok(withoutOne.sent > 50 && withoutAll.sent > 50)
      deepEqual([withoutOne.lost, withoutAll.lost], [0, 0])
    })
  })
})
