/** Whatever stands in a header, a reply's subject or a lease: what reads it does not throw, and reads what was written. */

import { deepEqual, ok } from 'node:assert/strict'
import { test } from 'node:test'
import { freshSeed, Random } from '../../base/random.ts'
import { positionOf } from './delivery.ts'
import { decodeRecord, encodeRecord } from './lease-record.ts'
import { Gaps, Numberer } from './numbering.ts'

const seed = Number(process.env['FUZZ_SEED'] ?? freshSeed())
const rounds = Number(process.env['FUZZ_N'] ?? 20_000)

function mutated(text: string, random: Random): string {
  const letters = [...text]
  for (let changes = random.below(4); changes > 0; changes--) {
    const at = random.below(letters.length + 1)
    const letter = random.pick(['.', '', '0', '9', '99999999999999999999', '-', ' ', '{', '"', '$', '\0', 'é', 'NaN'])
    letters.splice(at, random.below(2), letter)
  }
  return letters.join('')
}

test(`where an entry stands (FUZZ_SEED=${seed})`, () => {
  const random = new Random(seed)
  for (let i = 0; i < rounds; i++) {
    const position = { sequence: 1 + random.u32(), number: 1 + random.u32() }
    const tail = `1.${position.sequence}.${position.number}.1700000000000000000.${random.u32()}`
    const reply = random.pick([`$JS.ACK.s.c.${tail}`, `$JS.ACK._.hash.s.c.${tail}`, `$JS.ACK.d.hash.s.c.${tail}.xyz`])
    deepEqual(positionOf(reply), position)
    const found = positionOf(mutated(reply, random))
    ok(found === undefined || (found.sequence > 0 && found.number > 0))
  }
})

test(`how many are missing (FUZZ_SEED=${seed})`, () => {
  const random = new Random(seed)
  const numberer = new Numberer(random)
  const gaps = new Gaps()
  for (let i = 0; i < rounds; i++) {
    const subject = random.pick(['a', 'b', 'a.b'])
    const missed = gaps.missedBefore(subject, mutated(numberer.next(subject), random))
    ok(Number.isSafeInteger(missed) && missed >= 0)
  }
})

test(`who holds a lease (FUZZ_SEED=${seed})`, () => {
  const random = new Random(seed)
  for (let i = 0; i < rounds; i++) {
    const epoch = random.chance(0.5) ? undefined : 1 + random.u32()
    const record = { holder: random.pick(['a', 'node-1', 'a.b_c']), ttl_ms: 1 + random.below(1e6), epoch }
    const written = encodeRecord(record)
    deepEqual(decodeRecord(written), record)
    decodeRecord(Buffer.from(mutated(Buffer.from(written).toString(), random)))
    decodeRecord(random.bytes(random.below(60)))
  }
})
