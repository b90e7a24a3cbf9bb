/**
 * Prefixes of which somebody is to be told, each waiting once, in the order in which they came: their numbers in blocks, and
 * a bit for each. A queue of a few is one block that grows; a longer one has more blocks, and is never copied.
 *
 *   block, taken from here --> block --> ... --> block, added to here
 */

import { capacityFor, grownUnsigned32 } from './columns.ts'

/** 16 KB: copying one takes a microsecond. */
const BLOCK = 4096

export class PrefixQueue {
  count = 0
  readonly #blocks = [new Uint32Array(16)]
  /** Of the first block, so many were taken; of the last, so many are filled. */
  #taken = 0
  #filled = 0
  /** One that was emptied, for the next that is needed. */
  #spare: Uint32Array<ArrayBuffer> | undefined
  #queued: Uint32Array = new Uint32Array(1)

  /** False when it waits already. */
  add(prefix: number): boolean {
    const word = prefix >>> 5
    if (word >= this.#queued.length) this.#queued = grownUnsigned32(this.#queued, word + 1)
    const bit = 1 << (prefix & 31)
    if ((this.#queued[word]! & bit) !== 0) return false
    this.#queued[word]! |= bit
    let last = this.#blocks[this.#blocks.length - 1]!
    if (this.#filled === last.length) last = this.#more(last)
    last[this.#filled++] = prefix
    this.count++
    return true
  }

  /** Takes the one that has waited longest. Only while some wait. */
  take(): number {
    const first = this.#blocks[0]!
    const prefix = first[this.#taken++]!
    this.count--
    this.#queued[prefix >>> 5]! &= ~(1 << (prefix & 31))
    if (this.count === 0) this.#taken = this.#filled = 0
    else if (this.#taken === first.length) {
      this.#spare = this.#blocks.shift()
      this.#taken = 0
    }
    return prefix
  }

  /** All that wait, in their order, while nothing is added or taken. */
  *waiting(): Generator<number> {
    for (const [i, block] of this.#blocks.entries()) {
      const end = i === this.#blocks.length - 1 ? this.#filled : block.length
      for (let at = i === 0 ? this.#taken : 0; at < end; at++) yield block[at]!
    }
  }

  /** Returns the block with room that is the last one now. */
  #more(last: Uint32Array<ArrayBuffer>): Uint32Array<ArrayBuffer> {
    if (last.length === BLOCK) {
      const next = this.#spare ?? new Uint32Array(BLOCK)
      this.#spare = undefined
      this.#blocks.push(next)
      this.#filled = 0
      return next
    }
    // It is the only one.
    const larger = new Uint32Array(capacityFor(last.length + 1))
    larger.set(last.subarray(this.#taken))
    this.#blocks[0] = larger
    this.#filled -= this.#taken
    this.#taken = 0
    return larger
  }
}
