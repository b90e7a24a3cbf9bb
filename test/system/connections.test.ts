/** A tenant with two connections, through the whole gateway: the vSwitch of its host hears which of them are up. */

import { ok } from 'node:assert/strict'
import { suite, test } from 'node:test'
import { FailoverBed } from '../../lab/failover/bed.ts'
import { BACKUP, MAIN } from '../../lab/failover/site.ts'
import { needs } from '../../lab/needs.ts'
import { until } from './live-site.ts'

suite('what a host hears of connections', { skip: needs('ip', 'bird') }, () => {
  test('the vSwitch hears of a loss of carrier and of its return', async () => {
    await using bed = await FailoverBed.build({ routes: 1, bfd: { interval_ms: 100, multiplier: 5 } })
    const vswitch = bed.made.vswitches.get('host-1')!
    const heard = async (): Promise<string> =>
      (await vswitch.connections()).map(({ connection, reason }) => `${connection} ${reason || 'up'}`).join(', ')
    const since_ms = async (): Promise<number> =>
      (await vswitch.connections()).find(({ connection }) => connection === MAIN)!.since_ms
    const ALL_UP = `${BACKUP} up, ${MAIN} up`
    await until('it knows both connections', async () => (await heard()) === ALL_UP)
    const before_ms = await since_ms()
    await bed.withoutCarrier(() =>
      until('it hears of the loss', async () => (await heard()) === `${BACKUP} up, ${MAIN} carrier`),
    )
    await until('it hears of the return', async () => (await heard()) === ALL_UP)
    ok((await since_ms()) > before_ms)
  })
})
