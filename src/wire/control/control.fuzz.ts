/**
 * Messages with bytes changed, cut out and repeated: a decoder never throws, and what it accepts can be encoded again.
 */

import { deepEqual } from 'node:assert/strict'
import { test } from 'node:test'
import { freshSeed, Random } from '../../base/random.ts'
import { cut, Joiner } from './pieces.ts'
import { samples } from './samples.ts'

const runs = Number(process.env['FUZZ_N'] ?? 60_000)
const seed = Number(process.env['FUZZ_SEED'] ?? freshSeed())
const random = new Random(seed)

test(`control messages, ${runs} mutations, FUZZ_SEED=${seed}`, () => {
  for (let run = 0; run < runs; run++) {
    const sample = random.pick(samples)
    const decoded = sample.decode(mutated(sample.bytes))
    if (!decoded.ok) continue
    const again = sample.decode(sample.encodeAgain(decoded.value))
    deepEqual(again, decoded)
  }
})

test(`pieces, ${runs >> 3} mutated streams, FUZZ_SEED=${seed}`, () => {
  const joiner = new Joiner()
  for (let run = 0; run < runs >> 3; run++) {
    for (const piece of cut(random.bytes(random.below(300)), 64)) {
      joiner.push(random.chance(0.2) ? mutated(piece) : piece)
    }
  }
  const whole = Uint8Array.of(1, 2, 3)
  deepEqual(joiner.push(cut(whole, 64)[0]!), { message: whole })
})

function mutated(bytes: Uint8Array): Uint8Array {
  let out = bytes.slice()
  for (let change = random.below(4); change >= 0; change--) {
    const at = random.below(out.length)
    const kind = random.below(4)
    if (kind === 0) out[at] = random.u32()
    else if (kind === 1) out.fill(random.pick([0, 0xff]), at, at + 1 + random.below(4))
    else if (kind === 2) out = Uint8Array.from([...out.subarray(0, at), ...out.subarray(at + random.below(8))])
    else out = Uint8Array.from([...out.subarray(0, at), ...out.subarray(random.below(at + 1), at), ...out.subarray(at)])
    if (out.length === 0) return out
  }
  return out
}
