/**
 * What streams and pages are made of: bytes that say where they belong, so that what is lost, doubled, swapped or
 * changed on the way shows. One block of random bytes over and over; its length is prime, so no power of two maps it
 * onto itself.
 */

import { Random } from '../../src/base/random.ts'

const BLOCK_BYTES = 1_048_573
const SEED = 1

const once = Buffer.from(new Random(SEED).bytes(BLOCK_BYTES))
/** Twice, so that a piece of up to a block can be taken from anywhere in one. */
const twice = Buffer.concat([once, once])

/** At most a block long. Not to be written to. */
export function patternAt(position: number, bytes: number): Buffer {
  const at = position % BLOCK_BYTES
  return twice.subarray(at, at + bytes)
}

export function isPatternAt(position: number, data: Buffer): boolean {
  return patternAt(position, data.length).equals(data)
}
