/** The guide to a site on many hosts is right to the letter, and a forwarding node's host may die. */

import { deepEqual } from 'node:assert/strict'
import { suite, test } from 'node:test'
import { needs } from '../../lab/needs.ts'
import { Cluster } from './guide-cluster.ts'
import { until } from './live-site.ts'

suite('the guide to a site on many hosts', { skip: needs('ip', 'nats-server', 'openssl') }, () => {
  test('starts one that packets go through, and goes on when the host of a node dies', async (t) => {
    await Cluster.with(async (cluster) => {
      deepEqual(await cluster.silent(), [])
      const { lost, sent } = await cluster.lostWhile(async () => {
        await cluster.hosts.die('fn-1')
        await until('the rack switch knows', async () => (await cluster.liveNodes()).join(' ') === 'fn-2')
        deepEqual(await cluster.silent(), [])
      })
      t.diagnostic(`${lost} of ${sent} pings lost with fn-1`)
    })
  })
})
