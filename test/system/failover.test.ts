/** A tenant with two connections to the same networks, through the whole gateway: packets take the other one when one breaks. */

import { equal, ok } from 'node:assert/strict'
import { suite, test } from 'node:test'
import { FailoverBed } from '../../lab/failover/bed.ts'
import { needs } from '../../lab/needs.ts'

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
})
