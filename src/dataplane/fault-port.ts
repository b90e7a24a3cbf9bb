/**
 * Another port, seen through a bad line: what it receives may be lost, doubled, spoilt by a flipped bit, delayed, or
 * overtaken by what came behind it (after smoltcp's fault injector). What is sent passes untouched, for a wire has two
 * ends and each end's port can have its faults. Which frame meets which fault is the seed's, so a run can be had again.
 *
 * Frames are conserved: a lost one is a row of the batch with the verdict `injected-loss`, a double has chunks of its
 * own and counts as received, and what is delayed is held and shows in `holds`.
 */

import type { Clock } from '../base/clock.ts'
import type { Random } from '../base/random.ts'
import { Batch, FORWARD } from './batch.ts'
import { Drop } from './drop.ts'
import { type FramePool, type Frames, NO_FRAME } from './frames.ts'
import { copyIn, copyOut, headBytes } from './memory-port.ts'
import type { KernelDrops, Port } from './port.ts'

/** Probabilities, 0 to 1, each drawn for each frame. */
export interface Faults {
  readonly loss?: number
  readonly duplication?: number
  /** One bit, anywhere in the frame. */
  readonly corruption?: number
  readonly delay?: number
  /** The longest delay; each is drawn between nothing and this. */
  readonly delay_us?: number
  /** That up to REORDER_SPAN later frames overtake it. */
  readonly reordering?: number
}

/** RFC 5236 speaks of displacement: four places is enough to pass TCP's three duplicate acknowledgements. */
const REORDER_SPAN = 4
/** Frames that wait at most: 10 ms at 100 K packets/s. Beyond, the port behind is left to hold them. */
const WAITING_MAX = 1024
/** An overtaken frame behind which nothing comes is let go after this. */
const REORDER_WAIT_us = 1000

interface Waiting {
  address: number
  length: number
  total: number
  verdict: number
  /** Not before. */
  due_us: number
  /** Its place in the order of arrival, moved back when it is to be overtaken. */
  rank: number
}

export interface FaultPortParts {
  readonly frames: Frames
  readonly pool: FramePool
  readonly random: Random
  readonly clock: Clock
}

export class FaultPort implements Port {
  readonly name: string
  readonly fds: readonly number[]
  /** How often each fault struck so far. */
  readonly struck = { loss: 0, duplication: 0, corruption: 0, delay: 0, reordering: 0 }
  /** May be changed while it runs. */
  faults: Faults
  readonly #port: Port
  readonly #parts: FaultPortParts
  readonly #inbox = new Batch()
  #waiting: Waiting[] = []
  #arrived = 0

  constructor(port: Port, faults: Faults, parts: FaultPortParts) {
    this.name = port.name
    this.fds = port.fds
    this.faults = faults
    this.#port = port
    this.#parts = parts
  }

  receive(batch: Batch, index: number, max: number): void {
    const inbox = this.#inbox
    inbox.count = 0
    if (this.#waiting.length < WAITING_MAX) this.#port.receive(inbox, index, max)
    for (let row = 0; row < inbox.count; row++) this.#admit(row)
    this.#release(batch, index, Math.min(max, batch.room))
  }

  #admit(row: number): void {
    const { frames, pool, random } = this.#parts
    const frame = this.#inbox
    const address = frame.address[row]!
    const length = frame.length[row]!
    const total = frame.total[row]!
    const verdict = frame.verdict[row]!
    if (verdict === FORWARD && this.#strikes('loss')) {
      this.#wait(address, length, total, Drop['injected-loss'])
      return
    }
    if (verdict === FORWARD && this.#strikes('duplication')) {
      const copy = copyIn(frames, pool, copyOut(frames, address, length, total))
      if (copy !== NO_FRAME) this.#wait(copy, headBytes(total), total, FORWARD)
    }
    if (this.#strikes('corruption')) flipBit(frames, address, length, random.below(total * 8))
    this.#wait(address, length, total, verdict)
  }

  #strikes(fault: keyof FaultPort['struck']): boolean {
    // No draw for a fault that is not there, so that adding one to a run leaves the others where they were.
    const probability = this.faults[fault] ?? 0
    if (probability === 0 || !this.#parts.random.chance(probability)) return false
    this.struck[fault]++
    return true
  }

  #wait(address: number, length: number, total: number, verdict: number): void {
    const { random, clock } = this.#parts
    let due_us = clock.now_us()
    let rank = this.#arrived++
    if (this.#strikes('delay')) due_us += random.below((this.faults.delay_us ?? 0) + 1)
    if (this.#strikes('reordering')) rank += random.below(REORDER_SPAN) + 1.5
    this.#waiting.push({ address, length, total, verdict, due_us, rank })
  }

  #release(batch: Batch, index: number, max: number): void {
    const now_us = this.#parts.clock.now_us()
    const isReady = ({ due_us, rank }: Waiting): boolean =>
      now_us >= due_us && (rank < this.#arrived || now_us >= due_us + REORDER_WAIT_us)
    const ready = this.#waiting
      .filter(isReady)
      .sort((a, b) => a.rank - b.rank)
      .slice(0, max)
    for (const { address, length, total, verdict } of ready)
      batch.verdict[batch.push(index, address, length, total)] = verdict
    this.#waiting = this.#waiting.filter((frame) => !ready.includes(frame))
  }

  send(address: number, length: number, total: number): boolean {
    return this.#port.send(address, length, total)
  }

  flush(): void {
    this.#port.flush()
  }

  get pending(): boolean {
    return this.#waiting.length > 0 || this.#port.pending
  }

  get unsent(): boolean {
    return this.#port.unsent
  }

  get holds(): number {
    const { frames } = this.#parts
    const chunks = this.#waiting.map(({ address, length, total }) => frames.chunksOf(address, length, total))
    return chunks.reduce((sum, count) => sum + count, this.#port.holds)
  }

  kernelDrops(): KernelDrops {
    return this.#port.kernelDrops()
  }

  close(): void {
    for (const { address, length, total } of this.#waiting.splice(0)) this.#parts.pool.giveChain(address, length, total)
    this.#port.close()
  }
}

/** `bit` counts from the frame's first, through the whole chain. */
function flipBit(frames: Frames, address: number, length: number, bit: number): void {
  let at = address
  let bytes = length
  let byte = bit >>> 3
  while (byte >= bytes) {
    byte -= bytes
    bytes = frames.nextLength(at)
    at = frames.nextAddress(at)
  }
  frames.bytes[at + byte]! ^= 1 << (bit & 7)
}
