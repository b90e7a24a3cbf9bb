/**
 * Mutated frames through a whole node: nothing throws, no chunk is lost, the books balance, and nothing that came in under
 * one tenant's VNI or key leaves under another's. `program.fuzz.ts` runs it for seconds, `program.long.ts` for long.
 */

import { equal } from 'node:assert/strict'
import { Random } from '../base/random.ts'
import { unaccounted } from '../dataplane/ledger.ts'
import { corpus } from './corpus.ts'
import { MemoryNode } from './memory-node.ts'
import { ACME, GLOBEX, sampleBatch } from './sample-site.ts'

const PER_BATCH = 32
const CHUNKS = 1024

/** Throws at the first frame that is not forwarded, answered or counted as it should be. */
export function fuzzPipeline(frames: number, seed: number): void {
  const random = new Random(seed)
  const node = new MemoryNode({ chunks: CHUNKS, tenants: 16, fibWords: 1 << 18 })
  equal(node.apply(sampleBatch()), undefined)
  const samples = corpus()
  for (let done = 0; done < frames; done += PER_BATCH) {
    const tenant = random.pick([ACME, GLOBEX])
    for (let i = 0; i < PER_BATCH; i++) node.port.inject(stamped(mutated(random, random.pick(samples)), tenant.vni))
    node.clock.advance(1)
    const crossed = node.send().find((frame) => idOf(frame) !== tenant.vni && !isQuestion(frame))
    equal(crossed && idOf(crossed), undefined, `a frame of ${tenant.name} left under another number`)
    equal(node.pool.free, CHUNKS - 1)
    equal(unaccounted(node.node()), 0)
  }
}

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
