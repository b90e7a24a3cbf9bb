/** The fuzzer for as long as it takes to believe it. FUZZ_SEED replays a run. */

import { test } from 'node:test'
import { freshSeed } from '../../base/random.ts'
import { fuzzRoutes } from './hostile-fuzz.ts'

const MESSAGES = 20_000_000

test('twenty million mutated updates pass through decoder and tables without a throw, and leave nothing behind', (t) => {
  const seed = Number(process.env['FUZZ_SEED'] ?? freshSeed())
  t.diagnostic(`FUZZ_SEED=${seed}`)
  fuzzRoutes(MESSAGES, seed)
})
