/**
 * Mutated frames through a whole node: nothing throws, no chunk is lost, the books balance, and nothing that came in under
 * one tenant's VNI or key leaves under another's. FUZZ_N sets how many frames; FUZZ_SEED replays a run.
 */

import { equal } from 'node:assert/strict'
import { test } from 'node:test'
import { freshSeed, Random } from '../base/random.ts'
import { unaccounted } from '../dataplane/ledger.ts'
import { corpus } from './corpus.ts'
import { MemoryNode } from './memory-node.ts'
import { ACME, GLOBEX, sampleBatch } from './sample-site.ts'

const FRAMES = Number(process.env['FUZZ_N'] ?? 300_000)
const PER_BATCH = 32
const CHUNKS = 1024

test(`${FRAMES} mutated frames are each forwarded, answered or counted, and none crosses tenants`, (t) => {
  const seed = Number(process.env['FUZZ_SEED'] ?? freshSeed())
  t.diagnostic(`FUZZ_SEED=${seed}`)
  const random = new Random(seed)
  const node = new MemoryNode({ chunks: CHUNKS, tenants: 16, fibWords: 1 << 18 })
  node.apply(sampleBatch())
  const frames = corpus()
  for (let done = 0; done < FRAMES; done += PER_BATCH) {
    const tenant = random.pick([ACME, GLOBEX])
    for (let i = 0; i < PER_BATCH; i++) node.port.inject(stamped(mutated(random, random.pick(frames)), tenant.vni))
    node.clock.advance(1)
    const sent = node.send()
    for (const frame of sent)
      if (idOf(frame) !== tenant.vni && !isQuestion(frame)) throw new Error(`crossed: ${idOf(frame)}`)
    equal(node.pool.free, CHUNKS - 1)
    equal(unaccounted(node.node()), 0)
  }
})

function mutated(random: Random, frame: Uint8Array): Uint8Array {
  const out = frame.slice(0, random.chance(0.2) ? random.below(frame.length) + 1 : frame.length)
  for (let flips = random.below(4); flips > 0; flips--) {
    // Most of what is parsed is in the first 120 bytes.
    const at = random.below(random.chance(0.8) ? Math.min(out.length, 120) : out.length)
    out[at] = random.chance(0.5) ? random.u32() : out[at]! ^ (1 << random.below(8))
  }
  return out
}

// The batch's tenant, whatever the mutation made of the VNI or key: so that whoever leaves under another has crossed.
function stamped(frame: Uint8Array, vni: number): Uint8Array {
  const view = new DataView(frame.buffer)
  if (frame.length < 50) return frame
  if (frame[23] === 17) view.setUint32(46, vni << 8)
  else if (frame[23] === 47) view.setUint32(38, vni)
  return frame
}

function idOf(frame: Uint8Array): number {
  const view = new DataView(frame.buffer)
  return frame[23] === 17 ? view.getUint32(46) >>> 8 : view.getUint32(38)
}

/** ARP requests and neighbour solicitations of the agent come on their own time, for either tenant. */
function isQuestion(frame: Uint8Array): boolean {
  const l2 = frame[23] === 17 ? 50 : 42
  return (frame[l2]! & 1) === 1
}
