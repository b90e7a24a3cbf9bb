/** The demo over three nats-servers, as a newcomer runs it. */

import { deepEqual, equal } from 'node:assert/strict'
import { suite, test } from 'node:test'
import { needs } from '../../lab/needs.ts'
import type { Summary } from '../../lab/summary.ts'
import { endOf, remains, start, wentOn } from './demo-run.ts'

suite('gatehouse demo --bus nats', { skip: needs('ip', 'nats-server') }, () => {
  test('loses nothing, accounts for every frame and leaves nothing', async () => {
    const demo = start('--bus', 'nats', '--for', '4s', '--json')
    const { code, out, err } = await endOf(demo)
    equal(code, 0, out + err)
    const summary: Summary = JSON.parse(out)
    deepEqual(
      summary.tenants.map(({ ping }) => ping.lost),
      [0, 0],
    )
    wentOn(summary)
    deepEqual(remains(demo), [])
  })
})
