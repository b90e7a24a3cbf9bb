/**
 * Worker threads look up while the writer churns. A slot tells which prefix it stands for, so whatever a worker finds can
 * be judged without knowing when it looked: the prefix must contain the address, be no shorter than one that is always
 * there, and freed memory (poisoned) must never show.
 */

import { deepEqual, equal, ok } from 'node:assert/strict'
import { once } from 'node:events'
import { suite, test } from 'node:test'
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads'
import { ipv4Number, type Prefix } from '../../base/address.ts'
import { Random } from '../../base/random.ts'
import { createQsbrMemory, QsbrReader, QsbrWriter } from '../qsbr.ts'
import { createFibMemory, FibFullError, type FibMemory, FibReader, FibWriter } from './fib.ts'
import { blockOf, type Family, rootOf } from './layout.ts'
import { wordsOf } from './memory.ts'
import { drawNear, drawPrefix, Model, type Shape } from './model.ts'

/** A VRF each; the first prefix that is drawn for it stays all the time. */
const SHAPES: readonly Shape[] = [
  { family: 4, within: [10, 1], shortest: 16, longest: 32 },
  { family: 4, within: [10], shortest: 8, longest: 24 },
  { family: 6, within: [0x20, 1, 0xd, 0xb8], shortest: 32, longest: 128 },
]
const PREFIXES = 4000
const ALWAYS = 0
const BATCH = 32
const WORKERS = 3
const POISON = 0x00badbad

/** The same in every thread. The slot of prefix i is i + 1, or i + 1 + PREFIXES: both mean the same prefix. */
function drawPrefixes(vrf: number): Prefix[] {
  const random = new Random(77 + vrf)
  const shape = SHAPES[vrf]!
  const always = { ...shape, longest: shape.shortest }
  return Array.from({ length: PREFIXES }, (_, i) => drawPrefix(random, i === ALWAYS ? always : shape))
}

interface Given {
  readonly memory: FibMemory
  readonly qsbr: SharedArrayBuffer
  readonly worker: number
  /** Words: stop, then for each worker lookups and first fault. */
  readonly progress: SharedArrayBuffer
}

class Checker {
  readonly #words: Int32Array
  readonly #reader: FibReader
  readonly #random: Random
  readonly #prefixes = SHAPES.map((_, vrf) => drawPrefixes(vrf))
  readonly #frame = new DataView(new ArrayBuffer(16 * BATCH))
  readonly #vrfs = new Uint32Array(BATCH)
  readonly #addresses = new Uint32Array(BATCH)
  readonly #slots = new Uint32Array(BATCH)

  constructor(memory: FibMemory, seed: number) {
    this.#words = wordsOf(memory)
    this.#reader = new FibReader(memory)
    this.#random = new Random(seed)
  }

  /** The blocks that the roots lead to now. */
  hold(): number[] {
    return SHAPES.map(({ family }, vrf) => blockOf(this.#words[rootOf(vrf, family)]!))
  }

  /** A freed block's second word is poison. */
  released(blocks: number[]): string | undefined {
    const block = blocks.find((block) => this.#words[block + 1] === POISON)
    return block === undefined ? undefined : `block ${block} was freed before the quiescent point`
  }

  /** Looks up a batch and says what is wrong with the answers. */
  fault(): string | undefined {
    for (const vrf of SHAPES.keys()) {
      const near = Array.from({ length: BATCH }, () => this.#drawAddress(vrf))
      const slots = SHAPES[vrf]!.family === 4 ? this.#lookUp4(vrf, near) : this.#lookUp6(vrf, near)
      for (const [i, address] of near.entries()) {
        const fault = this.#judge(vrf, address, slots[i]!)
        if (fault) return fault
      }
    }
    return undefined
  }

  #drawAddress(vrf: number): Uint8Array {
    const address = drawNear(this.#random, this.#random.pick(this.#prefixes[vrf]!))
    address.set(SHAPES[vrf]!.within)
    return address
  }

  #lookUp4(vrf: number, addresses: Uint8Array[]): number[] {
    const reader = this.#reader
    reader.vrfs.fill(vrf)
    reader.addresses.set(addresses.map(ipv4Number))
    reader.lookup4Batch(BATCH)
    const slots = reader.slots.subarray(0, BATCH)
    return Array.from(slots, (slot, i) => (i % 2 === 0 ? slot : reader.lookup4(vrf, reader.addresses[i]!)))
  }

  #lookUp6(vrf: number, addresses: Uint8Array[]): number[] {
    this.#vrfs.fill(vrf)
    for (const [i, address] of addresses.entries()) {
      this.#addresses[i] = 16 * i
      for (let byte = 0; byte < 16; byte++) this.#frame.setUint8(16 * i + byte, address[byte]!)
    }
    this.#reader.lookup6Batch(this.#vrfs, this.#frame, this.#addresses, this.#slots, BATCH)
    return Array.from(this.#slots, (slot, i) => (i % 2 === 0 ? slot : this.#reader.lookup6(vrf, this.#frame, 16 * i)))
  }

  #judge(vrf: number, address: Uint8Array, slot: number): string | undefined {
    const prefix = this.#prefixes[vrf]![(slot - 1) % PREFIXES]
    if (slot < 1 || slot > 2 * PREFIXES || !prefix) return `VRF ${vrf}, ${address}: ${slot} is no slot of this VRF`
    for (let bit = 0; bit < prefix.length; bit++)
      if (((address[bit >> 3]! ^ prefix.address[bit >> 3]!) & (0x80 >> (bit & 7))) !== 0)
        return `VRF ${vrf}, ${address}: slot ${slot} is of ${prefix.address}/${prefix.length}`
    return undefined
  }
}

function work({ memory, qsbr, worker, progress }: Given): void {
  const words = new Int32Array(progress)
  const mine = new QsbrReader(qsbr, worker)
  const checker = new Checker(memory, worker)
  for (let turn = 0; Atomics.load(words, 0) === 0; turn++) {
    mine.online()
    const held = checker.hold()
    for (let batch = 0; batch < 4; batch++) {
      const fault = checker.fault() ?? checker.released(held)
      if (!fault) continue
      parentPort!.postMessage(fault)
      Atomics.store(words, 0, 1)
    }
    Atomics.add(words, 1 + worker, 1)
    if (turn % 3 === 0) mine.offline()
    else mine.quiescent()
  }
  mine.offline()
}

class Churn {
  readonly #writer: FibWriter
  readonly #random = new Random(5)
  readonly #prefixes = SHAPES.map((_, vrf) => drawPrefixes(vrf))
  #isShrinking = false

  constructor(writer: FibWriter) {
    this.#writer = writer
    for (const vrf of SHAPES.keys()) this.#insert(vrf, ALWAYS)
  }

  /** A change. Where the workers are slow to let go of memory it gives them time. */
  step(): void {
    try {
      this.#change()
    } catch (error) {
      if (!(error instanceof FibFullError)) throw error
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1)
    }
  }

  #change(): void {
    const random = this.#random
    const vrf = random.below(SHAPES.length)
    const i = 1 + random.below(PREFIXES - 1)
    if (random.chance(0.0002)) this.#isShrinking = !this.#isShrinking
    if (random.chance(0.0003)) this.#load(vrf)
    else if (random.chance(this.#isShrinking ? 0.95 : 0.3)) this.#remove(vrf, i)
    else this.#insert(vrf, i)
  }

  #insert(vrf: number, i: number): void {
    this.#writer.insert(vrf, this.#prefixes[vrf]![i]!, 1 + i + (this.#random.chance(0.5) ? PREFIXES : 0))
  }

  // A prefix may have been drawn twice, then with two slots; the one that stays may not go by its other slot.
  #remove(vrf: number, i: number): void {
    const prefix = this.#prefixes[vrf]![i]!
    if (prefix.length > SHAPES[vrf]!.shortest) this.#writer.remove(vrf, prefix)
  }

  #load(vrf: number): void {
    const model = new Model()
    const prefixes = this.#prefixes[vrf]!
    for (let left = this.#random.below(3000); left > 0; left--) {
      const i = this.#random.below(PREFIXES)
      model.insert(prefixes[i]!, 1 + i)
    }
    model.insert(prefixes[ALWAYS]!, 1 + ALWAYS)
    this.#writer.load(vrf, SHAPES[vrf]!.family as Family, model.columns(this.#random, SHAPES[vrf]!.family))
  }
}

if (!isMainThread) work(workerData as Given)
else
  suite('while the writer churns', () => {
    test('workers only ever find slots that are right for their address, and freed memory never shows', async () => {
      const memory = createFibMemory({ words: 1 << 20, vrfs: SHAPES.length })
      const qsbrMemory = createQsbrMemory(WORKERS)
      const qsbr = new QsbrWriter(qsbrMemory)
      const writer = new FibWriter(memory, qsbr, { poison: POISON })
      const churn = new Churn(writer)
      const progress = new SharedArrayBuffer(4 * (1 + WORKERS))
      const words = new Int32Array(progress)
      const faults: string[] = []
      const workers = Array.from({ length: WORKERS }, (_, worker) => {
        const thread = new Worker(new URL(import.meta.url), {
          workerData: { memory, qsbr: qsbrMemory, worker, progress } satisfies Given,
        })
        thread.on('message', (fault: string) => faults.push(fault))
        return thread
      })
      const gone = workers.map((thread) => once(thread, 'exit'))
      await Promise.all(workers.map((thread) => once(thread, 'online')))
      const slowest = (): number => Math.min(...words.subarray(1))
      let steps = 0
      for (; (steps < 60_000 || slowest() < 300) && Atomics.load(words, 0) === 0; steps++) churn.step()
      Atomics.store(words, 0, 1)
      await Promise.all(gone)
      deepEqual(faults, [])
      ok(slowest() >= 300)
      for (const vrf of SHAPES.keys()) writer.clear(vrf)
      qsbr.reclaim()
      equal(writer.stats().words.taken, 0)
    })
  })
