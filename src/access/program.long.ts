/** The fuzzer for as long as it takes to believe it. FUZZ_SEED replays a run. */

import { test } from 'node:test'
import { freshSeed } from '../base/random.ts'
import { fuzzSwitch } from './switch-fuzz.ts'

const FRAMES = 20_000_000

test('twenty million mutated frames pass a switch without a throw, a lost chunk or a crossing', (t) => {
  const seed = Number(process.env['FUZZ_SEED'] ?? freshSeed())
  t.diagnostic(`FUZZ_SEED=${seed}`)
  fuzzSwitch(FRAMES, seed)
})
