/**
 * Hosts of the site that the guide starts die under traffic: that of the control module which leads, with a nats-server, and then
 * the other one's server, so that nothing can be written any more.
 */

import { deepEqual, equal, ok } from 'node:assert/strict'
import { suite, test } from 'node:test'
import { needs } from '../../lab/needs.ts'
import { Cluster } from './guide-cluster.ts'
import { until } from './live-site.ts'

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
      const { sent, lost } = await cluster.lostWhile(async () => {
        await cluster.hosts.die(CONTROL_HOSTS[first]!)
        await until(`${other} leads`, async () => (await leaderSeenBy(CONTROL_HOSTS[other]!)) === other)
        await cluster.hosts.die(CONTROL_HOSTS[other]!)
        await cluster.hosts.die('ctl-3')
        deepEqual(await cluster.silent(), [])
      })
      ok(sent > 50)
      equal(lost, 0)
    })
  })
})
