/** Two connections to the same networks, as failover.test.ts has them, by what both routers announce instead of the site file. */

import { equal } from 'node:assert/strict'
import { test } from 'node:test'
import { FailoverBed } from '../../lab/failover/bed.ts'
import { BACKUP, LEARNT, MAIN } from '../../lab/failover/site.ts'
import { needs } from '../../lab/needs.ts'
import { until } from './live-site.ts'

test('packets take the backup by routes that both routers announce, of which one is preferred', {
  skip: needs('ip', 'bird'),
}, async () => {
  await using bed = await FailoverBed.build({ routes: 1, learnt: true, bfd: { interval_ms: 100, multiplier: 5 } })
  const via = async () => (await bed.gateway.observer.routes('acme')).get(LEARNT)
  const BOTH = `192.168.1.2 on ${MAIN}, 192.168.2.2 on ${BACKUP} as backup`
  equal(await via(), BOTH)
  await bed.carrierLoss()
  await bed.silence()
  await until('both ways are known again', async () => (await via()) === BOTH)
})
