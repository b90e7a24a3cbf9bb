/**
 * Histories whose files were damaged: bytes changed, cut out and repeated, in segments and in notes. Whoever asks gets an
 * answer, of which every event names a record within a file. FUZZ_N histories, FUZZ_SEED to repeat a run.
 */

import { ok } from 'node:assert/strict'
import { readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { freshSeed, Random } from '../../base/random.ts'
import { Diary } from './diary.ts'
import { segmentsIn } from './segments.ts'

const COUNT = Number(process.env['FUZZ_N'] ?? 3000)
const SEED = Number(process.env['FUZZ_SEED'] ?? freshSeed())
const random = new Random(SEED)

test(`histories, ${COUNT} mutations, FUZZ_SEED=${SEED}`, () => {
  using diary = new Diary()
  diary.up('transit', '10.0.0.2')
  diary.up('six', '2001:db8::2', { addPathReceive: 2 })
  for (let i = 0; i < 12; i++) {
    diary.updates(
      'transit',
      '10.0.0.2',
      { announce: ['203.0.113.0/24'], path: [65_002, i] },
      { withdraw: ['10.0.0.0/8'] },
    )
    diary.updates('six', '2001:db8::2', { announce: ['2001:db8:1::/48'], pathId: i })
  }
  diary.gap(2)
  for (const subtype of [1, 2]) diary.refresh('transit', '10.0.0.2', 0, subtype)
  diary.down('transit', '10.0.0.2', undefined, { keep: 3, keep_s: 2 })
  diary.up('transit', '10.0.0.2')
  diary.updates('transit', '10.0.0.2', {})
  diary.recorder.close()
  const [segment] = segmentsIn(diary.directory)
  const [records, notes] = [readFileSync(segment!.records), readFileSync(segment!.notes)]
  let events = 0
  for (let run = 0; run < COUNT; run++) {
    writeFileSync(segment!.records, mutated(records))
    writeFileSync(segment!.notes, random.chance(0.5) ? notes : mutated(notes))
    for (const prefix of ['203.0.113.0/24', '2001:db8:1::/48', '0.0.0.0/0']) {
      const history = diary.of(prefix)
      events += history.events.length
      for (const { record } of history.events) {
        const [file, at] = record.split(':')
        ok(Number(at) < Math.max(statSync(join(diary.directory, file!)).size, 1), record)
      }
    }
  }
  ok(events > COUNT, `${events} events of ${COUNT} histories`)
})

function mutated(bytes: Uint8Array): Uint8Array {
  let out = Uint8Array.from(bytes)
  for (let change = random.below(5); change > 0 && out.length > 0; change--) {
    const at = random.below(out.length)
    const kind = random.below(4)
    if (kind === 0) out[at] = random.u32()
    else if (kind === 1) out.fill(random.pick([0, 0xff]), at, at + 1 + random.below(4))
    else if (kind === 2) out = Uint8Array.from([...out.subarray(0, at), ...out.subarray(at + random.below(8))])
    else out = Uint8Array.from([...out.subarray(0, at), ...out.subarray(random.below(at + 1))])
  }
  return out
}
