/**
 * Random operations of every kind on a FIB that is often full, with a worker that comes and goes, beside the model. VRFs of
 * both families grow and shrink through all forms; freed memory is poisoned. FUZZ_N operations, FUZZ_SEED to repeat a run.
 */

import { deepEqual, equal, ok } from 'node:assert/strict'
import { test } from 'node:test'
import { type IpAddress, ipv4Number } from '../../base/address.ts'
import { freshSeed, Random } from '../../base/random.ts'
import { createQsbrMemory, QsbrReader, QsbrWriter } from '../qsbr.ts'
import { WIDE_FROM } from './build.ts'
import { createFibMemory, FibFullError, FibReader, FibWriter } from './fib.ts'
import { drawAddress, drawNear, drawPrefix, Model, type Shape } from './model.ts'

const OPERATIONS = Number(process.env['FUZZ_N'] ?? 30_000)
const PER_RUN = 10_000
/** The last has room for a wide root of 24 bits, and makes one of few routes. */
const WORDS = [1 << 15, 1 << 17, 1 << 21, 1 << 25]
const DIRECT = { 16: 1024, 24: 2048 }

/** One a VRF. */
const SHAPES: readonly Shape[] = [
  { family: 4, within: [], shortest: 0, longest: 32 },
  { family: 4, within: [10], shortest: 20, longest: 28 },
  { family: 4, within: [10, 0, 0], shortest: 20, longest: 32 },
  { family: 6, within: [0x20, 1], shortest: 0, longest: 64 },
  { family: 6, within: [0x20, 1, 0xd, 0xb8, 0, 0, 0, 1, 0, 0, 0, 0, 0], shortest: 60, longest: 128 },
]

class Run {
  readonly #random: Random
  readonly #qsbr: QsbrWriter
  readonly #worker: QsbrReader
  readonly #writer: FibWriter
  readonly #reader: FibReader
  readonly #models = SHAPES.map(() => new Model())
  readonly #frame = new DataView(new ArrayBuffer(16))
  readonly #columns = [new Uint32Array(1), new Uint32Array(1), new Uint32Array(1)] as const
  #isShrinking = false

  constructor(random: Random) {
    this.#random = random
    const words = random.pick(WORDS)
    const memory = createFibMemory({ words, vrfs: SHAPES.length })
    const qsbrMemory = createQsbrMemory(1)
    this.#qsbr = new QsbrWriter(qsbrMemory)
    this.#worker = new QsbrReader(qsbrMemory, 0)
    this.#writer = new FibWriter(memory, this.#qsbr, {
      poison: 0x00badbad,
      wideFrom: words === WORDS.at(-1) ? DIRECT : WIDE_FROM,
    })
    this.#reader = new FibReader(memory)
  }

  operate(): void {
    const random = this.#random
    const vrf = random.below(SHAPES.length)
    const model = this.#models[vrf]!
    if (random.chance(0.0003)) this.#isShrinking = !this.#isShrinking
    const known = model.size > 0 && random.chance(this.#isShrinking ? 0.8 : 0.2)
    const prefix = known ? random.pick(model.routes).prefix : drawPrefix(random, SHAPES[vrf]!)
    if (random.chance(0.001)) this.#load(vrf)
    else if (random.chance(0.0002)) this.#clear(vrf)
    else if (random.chance(this.#isShrinking ? 0.8 : 0.2)) equal(this.#writer.remove(vrf, prefix), model.remove(prefix))
    else {
      const slot = 1 + random.below(0xffff)
      if (this.#fits(() => this.#writer.insert(vrf, prefix, slot))) model.insert(prefix, slot)
    }
    if (random.chance(0.01)) this.#worker[random.pick(['online', 'offline', 'quiescent', 'quiescent'] as const)]()
    this.#agrees(vrf, model.size > 0 ? drawNear(random, random.pick(model.routes).prefix) : prefix.address)
    this.#agrees(vrf, drawAddress(random, SHAPES[vrf]!))
  }

  #load(vrf: number): void {
    const { family } = SHAPES[vrf]!
    const next = new Model()
    for (let i = this.#random.below(2000); i > 0; i--) next.insert(drawPrefix(this.#random, SHAPES[vrf]!), i)
    if (this.#fits(() => this.#writer.load(vrf, family, next.columns(this.#random, family)))) this.#models[vrf] = next
    this.routesAgree(vrf)
  }

  #clear(vrf: number): void {
    this.#writer.clear(vrf)
    this.#models[vrf]!.clear()
  }

  #fits(change: () => void): boolean {
    try {
      change()
      return true
    } catch (error) {
      if (error instanceof FibFullError) return false
      throw error
    }
  }

  #agrees(vrf: number, address: IpAddress): void {
    equal(this.#lookUp(vrf, address), this.#models[vrf]!.lookup(address))
  }

  #lookUp(vrf: number, address: IpAddress): number {
    const [vrfs, addresses, slots] = this.#columns
    vrfs[0] = vrf
    if (address.length === 16) {
      for (let i = 0; i < 16; i++) this.#frame.setUint8(i, address[i]!)
      addresses[0] = 0
      this.#reader.lookup6Batch(vrfs, this.#frame, addresses, slots, 1)
      equal(slots[0], this.#reader.lookup6(vrf, this.#frame, 0))
      return slots[0]!
    }
    const number = ipv4Number(address)
    this.#reader.vrfs[0] = vrf
    this.#reader.addresses[0] = number
    this.#reader.lookup4Batch(1)
    equal(this.#reader.slots[0], this.#reader.lookup4(vrf, number))
    return this.#reader.slots[0]!
  }

  routesAgree(vrf: number): void {
    deepEqual([...this.#writer.routes(vrf)], this.#models[vrf]!.sorted())
  }

  /** All routes are there, and once they are gone so is all that they took. */
  finish(): void {
    for (const vrf of SHAPES.keys()) {
      this.routesAgree(vrf)
      for (const { prefix } of [...this.#models[vrf]!.routes]) ok(this.#writer.remove(vrf, prefix))
    }
    this.#worker.offline()
    this.#qsbr.reclaim()
    equal(this.#writer.stats().words.taken, 0)
  }
}

test(`${OPERATIONS} operations leave the FIB and the model agreed`, (t) => {
  const seed = Number(process.env['FUZZ_SEED'] ?? freshSeed())
  t.diagnostic(`FUZZ_SEED=${seed}`)
  const random = new Random(seed)
  for (let done = 0; done < OPERATIONS; done += PER_RUN) {
    const run = new Run(random)
    for (let i = 0; i < PER_RUN; i++) run.operate()
    run.finish()
  }
})
