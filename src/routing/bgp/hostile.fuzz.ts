/** FUZZ_N sets how many messages; FUZZ_SEED replays a run. */

import { ok } from 'node:assert/strict'
import { test } from 'node:test'
import { freshSeed } from '../../base/random.ts'
import { fuzzRoutes } from './hostile-fuzz.ts'

const MESSAGES = Number(process.env['FUZZ_N'] ?? 100_000)

test(`${MESSAGES} mutated updates pass through the tables and leave nothing behind`, (t) => {
  const seed = Number(process.env['FUZZ_SEED'] ?? freshSeed())
  t.diagnostic(`FUZZ_SEED=${seed}`)
  const { resets } = fuzzRoutes(MESSAGES, seed)
  ok(resets > MESSAGES / 1000, `${resets} resets`)
})
