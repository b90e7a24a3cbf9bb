/** Bad input through the whole switch, frame by frame: each is counted or carried on, and none crosses tenants. */

import { equal } from 'node:assert/strict'
import { test } from 'node:test'
import { unaccounted } from '../dataplane/ledger.ts'
import { refit } from '../wire/mutate.ts'
import { corpus } from './corpus.ts'
import { SampleSwitch } from './sample-switch.ts'
import { stays, vniOf } from './switch-fuzz.ts'

const CHUNKS = 512
/** The headers are over by then; what is behind them is only looked at in steps. */
const EVERY_BYTE_UP_TO = 200
const STEP = 61

for (const [what, fit] of [
  ['on the wire', () => {}],
  ['before it entered the tunnel, whose own lengths are right', refit],
] as const)
  test(`each frame of the corpus, cut short at each byte ${what}, is counted and stays with its tenant`, () => {
    const site = new SampleSwitch({ chunks: CHUNKS })
    for (const { port, frame } of corpus())
      for (let bytes = 0; bytes <= frame.length; bytes += bytes < EVERY_BYTE_UP_TO ? 1 : STEP) {
        const cut = frame.slice(0, bytes)
        fit(cut)
        const vni = vniOf(port, cut)
        for (const [out, sent] of Object.entries(site.send(port, cut))) for (const one of sent) stays(out, one, vni)
        site.advance(1)
        equal(site.pool.free, CHUNKS - 1)
        equal(unaccounted(site.totals()), 0)
      }
    for (let row = 1; row < 9; row++) equal(unaccounted(site.row(row)), 0, `the books of row ${row}`)
  })
