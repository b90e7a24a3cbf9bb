/**
 * Files of MRT with bytes changed, cut out and repeated: the reader never throws, comes to an end, stays within the file,
 * and what it takes for a message has a sound header. FUZZ_N files, FUZZ_SEED to repeat a run.
 */

import { equal, ok } from 'node:assert/strict'
import { test } from 'node:test'
import { freshSeed, Random } from '../base/random.ts'
import { checkHeader, EXTENDED_MESSAGE_BYTES_MAX, KEEPALIVE, MESSAGE, messageOf } from './bgp/message.ts'
import { Reader } from './cursor.ts'
import { MRT_STATE, MrtReader, type MrtSession, type MrtState, messageRecord, stateRecord } from './mrt.ts'

const COUNT = Number(process.env['FUZZ_N'] ?? 60_000)
const SEED = Number(process.env['FUZZ_SEED'] ?? freshSeed())
const random = new Random(SEED)

test(`MRT files, ${COUNT} mutations, FUZZ_SEED=${SEED}`, () => {
  let read = 0
  for (let run = 0; run < COUNT; run++) {
    const file = mutated(sound())
    const reader = new MrtReader(file)
    for (let record = reader.next(), last = -1; record; record = reader.next()) {
      read++
      ok(record.recordAt > last, 'records follow each other')
      last = record.recordAt
      equal(record.peer.length, record.local.length)
      ok(Number.isSafeInteger(record.at_us))
      if (record.kind === 'state') continue
      const from = new Reader(file)
      from.window(record.messageAt, record.messageEnd)
      equal(checkHeader(from, EXTENDED_MESSAGE_BYTES_MAX), record.messageEnd - record.messageAt)
    }
  }
  ok(read > COUNT, `${read} records of ${COUNT} files could be read`)
})

function sound(): Uint8Array {
  return Buffer.concat(Array.from({ length: 1 + random.below(6) }, recordAtRandom))
}

function recordAtRandom(): Uint8Array {
  const bytes = random.chance(0.5) ? 4 : 16
  const session: MrtSession = {
    peerAs: random.u32(),
    localAs: random.u32(),
    interfaceIndex: random.below(0x10000),
    peer: random.bytes(bytes),
    local: random.bytes(bytes),
  }
  const at_us = random.u32() * 1e6 + random.below(1e6)
  const states = Object.keys(MRT_STATE) as MrtState[]
  if (random.chance(0.3)) return stateRecord(session, random.pick(states), random.pick(states), at_us)
  const form = { as4: random.chance(0.8), addPath: random.chance(0.2), isOurs: random.chance(0.2) }
  const update = messageOf(MESSAGE.update, Uint8Array.of(0, 0, 0, 0, ...random.bytes(random.below(40))))
  return messageRecord(session, form, random.chance(0.2) ? KEEPALIVE : update, at_us)
}

function mutated(bytes: Uint8Array): Uint8Array {
  let out = Uint8Array.from(bytes)
  for (let change = random.below(4); change > 0 && out.length > 0; change--) {
    const at = random.below(out.length)
    const kind = random.below(4)
    if (kind === 0) out[at] = random.u32()
    else if (kind === 1) out.fill(random.pick([0, 0xff]), at, at + 1 + random.below(4))
    else if (kind === 2) out = Uint8Array.from([...out.subarray(0, at), ...out.subarray(at + random.below(8))])
    else out = Uint8Array.from([...out.subarray(0, at), ...out.subarray(random.below(at + 1))])
  }
  return out
}
