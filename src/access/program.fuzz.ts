/**
 * Mutated frames through a whole switch: nothing throws, no chunk is lost, the books balance in every row, and what a
 * tenant's wire says leaves under no other tenant's VNI, nor by another's wire. FUZZ_N sets how many frames; FUZZ_SEED
 * replays a run.
 */

import { equal } from 'node:assert/strict'
import { test } from 'node:test'
import { freshSeed, Random } from '../base/random.ts'
import { unaccounted } from '../dataplane/ledger.ts'
import { corpus } from './corpus.ts'
import { ACME, GLOBEX, HOOLI, HOOLI_BRANCH, INITECH, SampleSwitch } from './sample-switch.ts'

const FRAMES = Number(process.env['FUZZ_N'] ?? 300_000)
const PER_BATCH = 32
const CHUNKS = 512
const ROWS = 9

const WIRES = [ACME, GLOBEX, INITECH, HOOLI, HOOLI_BRANCH]

test(`${FRAMES} mutated frames are each switched, answered or counted, and none crosses tenants`, (t) => {
  const seed = Number(process.env['FUZZ_SEED'] ?? freshSeed())
  t.diagnostic(`FUZZ_SEED=${seed}`)
  const random = new Random(seed)
  const site = new SampleSwitch({ chunks: CHUNKS })
  const frames = corpus()
  for (let done = 0; done < FRAMES; done += PER_BATCH) {
    for (let i = 0; i < PER_BATCH; i++) {
      const { port, frame } = random.pick(frames)
      site.inject(random.chance(0.1) ? random.pick(frames).port : port, mutated(random, frame))
    }
    site.run()
    site.advance(1)
    site.sent()
    equal(site.pool.free, CHUNKS - 1)
    equal(unaccounted(site.totals()), 0)
    for (let row = 1; row < ROWS; row++) equal(unaccounted(site.row(row)), 0)
  }
})

test('whatever a wire says, it is heard under its own VNI and on its own tenant’s wires only', (t) => {
  const seed = Number(process.env['FUZZ_SEED'] ?? freshSeed())
  t.diagnostic(`FUZZ_SEED=${seed}`)
  const random = new Random(seed)
  const site = new SampleSwitch({ chunks: CHUNKS })
  const frames = corpus().filter(({ port }) => WIRES.some((wire) => wire.port === port))
  for (let done = 0; done < FRAMES / 4; done++) {
    const { port, frame } = random.pick(frames)
    const said = mutated(random, frame)
    const wire = WIRES.find((one) => one.port === port && one.vlan === vlanOf(said))
    for (const [out, sent] of Object.entries(site.send(port, said)))
      for (const one of sent) equal(vniOf(out, one), wire?.vni, `${Buffer.from(said).toString('hex')} left by ${out}`)
  }
})

/** The VNI of what left: written in the tunnel's header, or that of the wire. */
function vniOf(port: string, frame: Uint8Array): number | undefined {
  const view = new DataView(frame.buffer)
  if (port.startsWith('path-')) return view.getUint32(view.getUint16(12) === 0x0800 ? 46 : 66) >>> 8
  return WIRES.find((wire) => wire.port === port && wire.vlan === vlanOf(frame))?.vni
}

function vlanOf(frame: Uint8Array): number {
  if (frame.length < 18) return 0
  const view = new DataView(frame.buffer)
  return view.getUint16(12) === 0x8100 ? view.getUint16(14) & 0xfff : 0
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
