/** FUZZ_N sets how many frames; FUZZ_SEED replays a run; FUZZ_DROPS prints which reasons were met, and how often. */

import { test } from 'node:test'
import { freshSeed } from '../base/random.ts'
import { reasonsMet } from '../dataplane/drop.ts'
import { fuzzSwitch } from './switch-fuzz.ts'

const FRAMES = Number(process.env['FUZZ_N'] ?? 300_000)

test(`${FRAMES} mutated frames are each switched, answered or counted, and none crosses tenants`, (t) => {
  const seed = Number(process.env['FUZZ_SEED'] ?? freshSeed())
  t.diagnostic(`FUZZ_SEED=${seed}`)
  const { drops } = fuzzSwitch(FRAMES, seed)
  if (process.env['FUZZ_DROPS']) for (const line of reasonsMet(drops)) t.diagnostic(line)
})
