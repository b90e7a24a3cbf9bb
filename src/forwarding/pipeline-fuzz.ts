/**
 * Mutated frames through a whole node: nothing throws, no chunk is lost, the books balance, every tenant's too, and nothing
 * that came in under one tenant's VNI or key leaves under another's. `program.fuzz.ts` runs it for seconds,
 * `program.long.ts` for long.
 */

import { equal } from 'node:assert/strict'
import { Random } from '../base/random.ts'
import { type Totals, unaccounted } from '../dataplane/ledger.ts'
import { spoilt, tunnelId } from '../wire/mutate.ts'
import { corpus } from './corpus.ts'
import { MemoryNode } from './memory-node.ts'
import { INITECH, sampleBatch, TENANTS, underlayOf } from './sample-site.ts'

const PER_BATCH = 32
const CHUNKS = 1024
/** The books of every tenant are looked into this often: what is lost there stays lost. */
const AUDIT_BATCHES = 64
/** Nobody's VNI or key. */
const UNKNOWN = 4242

/** Throws at the first frame that is not forwarded, answered or counted as it should be; returns what was counted. */
export function fuzzPipeline(frames: number, seed: number): Totals {
  const random = new Random(seed)
  const node = new MemoryNode({ chunks: CHUNKS, tenants: 16, fibWords: 1 << 18 })
  equal(node.apply(sampleBatch()), undefined)
  const samples = corpus()
  const overIpv6 = samples.filter((frame) => isOverIpv6(frame))
  const overIpv4 = samples.filter((frame) => !isOverIpv6(frame))
  for (let batch = 0; batch * PER_BATCH < frames; batch++) {
    const tenant = random.pick(TENANTS)
    const own = underlayOf(tenant.vni) === underlayOf(INITECH.vni) ? overIpv6 : overIpv4
    for (let i = 0; i < PER_BATCH; i++) {
      // All claim to be the batch's tenant, or nobody: what leaves under another number has crossed.
      const id = random.chance(0.02) ? UNKNOWN : tenant.vni
      node.port.inject(spoilt(random, random.pick(random.chance(0.9) ? own : samples), id))
    }
    node.clock.advance(1)
    const crossed = node.send().find((frame) => tunnelId(frame) !== tenant.vni && !isQuestion(frame))
    equal(crossed && tunnelId(crossed), undefined, `a frame of ${tenant.name} left under another number`)
    equal(node.pool.free, CHUNKS - 1)
    equal(unaccounted(node.node()), 0)
    if (batch % AUDIT_BATCHES === 0) audit(node)
  }
  audit(node)
  return node.node()
}

function audit(node: MemoryNode): void {
  for (const { name } of TENANTS) equal(unaccounted(node.totals(name)!), 0, `the books of ${name}`)
}

/** Of the outer Ethernet header. */
function isOverIpv6(frame: Uint8Array): boolean {
  return frame[12] === 0x86 && frame[13] === 0xdd
}

/** ARP requests and neighbour solicitations of the agent come on their own time, for any tenant. */
export function isQuestion(frame: Uint8Array): boolean {
  const outer = isOverIpv6(frame) ? 40 : 20
  const isVxlan = frame[isOverIpv6(frame) ? 20 : 23] === 17
  const l2 = 14 + outer + (isVxlan ? 16 : 8)
  const [a, b, c] = [frame[l2], frame[l2 + 1], frame[l2 + 2]]
  return (a === 0xff && b === 0xff && c === 0xff) || (a === 0x33 && b === 0x33 && c === 0xff)
}
