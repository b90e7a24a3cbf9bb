/** The FIB's shared memory: made once by the agent, handed to the workers as it is. */

import { assert } from '../../base/assert.ts'
import { firstPageIn } from '../../linux/memory.ts'
import { ROOTS, VRFS_MAX, WORDS_MAX } from './layout.ts'

/** Can be posted to a worker thread. */
export interface FibMemory {
  readonly words: SharedArrayBuffer
  readonly vrfs: number
  /** Where the first page begins. */
  readonly offset_bytes: number
}

export interface FibLimits {
  /** Of four bytes, at most WORDS_MAX. */
  readonly words?: number
  readonly vrfs?: number
}

/** 1 GB: some 60 M scattered routes. Pages cost nothing until they are touched, so it may well be more than is needed. */
const WORDS_DEFAULT = 2 ** 28

/** Reserves the memory. Throws a RangeError when the system has not that much address space to give. */
export function createFibMemory({ words = WORDS_DEFAULT, vrfs = VRFS_MAX }: FibLimits = {}): FibMemory {
  assert(vrfs >= 1 && vrfs <= VRFS_MAX, `a FIB has 1 to ${VRFS_MAX} VRFs`)
  assert(
    words > ROOTS + 2 * vrfs && words <= WORDS_MAX,
    `a FIB has at most ${WORDS_MAX} words, and room for its VRFs' roots`,
  )
  const memory = new SharedArrayBuffer(words * 4)
  return { words: memory, vrfs, offset_bytes: firstPageIn(memory) }
}

/** The words from a page's beginning on, so that what is laid out as a cache line is one. */
export function wordsOf({ words, offset_bytes }: FibMemory): Int32Array {
  return new Int32Array(words, offset_bytes)
}
