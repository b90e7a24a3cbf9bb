/** FUZZ_N sets how many sets of routes; FUZZ_SEED replays a run. */

import { test } from 'node:test'
import { freshSeed, Random } from '../base/random.ts'
import { fuzzVrfs } from './vrf-fuzz.ts'

const ROUNDS = Number(process.env['FUZZ_N'] ?? 500)

test(`packets go from VRF to VRF as each of ${ROUNDS} sets of routes says`, (t) => {
  const seed = Number(process.env['FUZZ_SEED'] ?? freshSeed())
  t.diagnostic(`FUZZ_SEED=${seed}`)
  fuzzVrfs(ROUNDS, new Random(seed))
})
