/** Two demos on one machine. */

import { deepEqual, ok } from 'node:assert/strict'
import { test } from 'node:test'
import { needs } from '../../lab/needs.ts'
import { endOf, remains, start, wentOn } from './demo-run.ts'

test('gatehouse demo runs twice at once, and neither hears of the other', { skip: needs('ip') }, async () => {
  const demos = [start('--for', '1s', '--json'), start('--for', '1s', '--json')]
  for (const [i, { out, err }] of (await Promise.all(demos.map(endOf))).entries()) {
    ok(out !== '', err)
    // Of two sites on two cores one starts while the other's pings wait for a core: how many are late is not asked here.
    wentOn(JSON.parse(out))
    deepEqual(remains(demos[i]!), [])
  }
})
