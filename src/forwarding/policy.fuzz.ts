/** FUZZ_N sets how many sets of policies; FUZZ_SEED replays a run. */

import { test } from 'node:test'
import { freshSeed, Random } from '../base/random.ts'
import { fuzzPolicies } from './policy-fuzz.ts'

const ROUNDS = Number(process.env['FUZZ_N'] ?? 1000)

test(`a node does what each of ${ROUNDS} sets of policies says, and counts it`, (t) => {
  const seed = Number(process.env['FUZZ_SEED'] ?? freshSeed())
  t.diagnostic(`FUZZ_SEED=${seed}`)
  fuzzPolicies(ROUNDS, new Random(seed))
})
