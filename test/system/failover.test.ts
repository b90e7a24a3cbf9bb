/** A tenant with two connections to the same networks, through the whole gateway: packets take the other one when one breaks. */

import { equal, ok } from 'node:assert/strict'
import { suite, test } from 'node:test'
import { FailoverBed } from '../../lab/failover/bed.ts'
import { BACKUP, LEARNT, MAIN } from '../../lab/failover/site.ts'
import { needs } from '../../lab/needs.ts'
import { until } from './live-site.ts'

/** How long takes whom is `bench control`'s. */
suite('a connection with a backup', { skip: needs('ip', 'bird') }, () => {
  test('packets take the backup after a loss of carrier or of BFD, whoever is not there to decide, and come back', async (t) => {
    await using bed = await FailoverBed.build({ routes: 1000, bfd: { interval_ms: 100, multiplier: 5 } })
    const tell = (what: string, { detection_ms, reaction_ms, lost }: Awaited<ReturnType<typeof bed.carrierLoss>>) => {
      t.diagnostic(`${what}: ${detection_ms.toFixed(1)} ms + ${reaction_ms.toFixed(1)} ms, ${lost} packets lost`)
    }
    for (let time = 0; time < 3; time++) tell('carrier', await bed.carrierLoss())
    tell('BFD', await bed.silence())

    const control = await bed.pidOf('control')
    ok(control)
    process.kill(control, 'SIGSTOP')
    try {
      tell('carrier, without control', await bed.carrierLoss())
      tell('BFD, without control', await bed.silence())
    } finally {
      process.kill(control, 'SIGCONT')
    }
    equal(bed.gateway.hasEnded, false)
  })

  test('so they do by routes that both routers announce, of which one is preferred', async () => {
    await using bed = await FailoverBed.build({ routes: 1, learnt: true, bfd: { interval_ms: 100, multiplier: 5 } })
    const via = async () => (await bed.gateway.observer.routes('acme')).get(LEARNT)
    const BOTH = `192.168.1.2 on ${MAIN}, 192.168.2.2 on ${BACKUP} as backup`
    equal(await via(), BOTH)
    await bed.carrierLoss()
    await bed.silence()
    await until('both ways are known again', async () => (await via()) === BOTH)
  })
})
