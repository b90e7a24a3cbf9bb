/**
 * Randomness is handed in. `Random` is sfc32 (Chris Doty-Humphrey's Small Fast Counting generator): 128 bits of state,
 * the same sequence for the same seed on every machine. Not for secrets.
 */

import { getRandomValues } from 'node:crypto'

export class Random {
  #a: number
  #b: number
  #c: number
  #counter = 1

  constructor(seed: number) {
    this.#a = seed | 0
    this.#b = (seed / 2 ** 32) | 0
    this.#c = 0x9e3779b9 | 0
    for (let i = 0; i < 12; i++) this.u32()
  }

  /** A whole number in 0 .. 2^32 - 1. */
  u32(): number {
    const sum = (this.#a + this.#b + this.#counter++) | 0
    this.#a = this.#b ^ (this.#b >>> 9)
    this.#b = (this.#c + (this.#c << 3)) | 0
    this.#c = (((this.#c << 21) | (this.#c >>> 11)) + sum) | 0
    return sum >>> 0
  }

  /** A whole number in 0 .. limit - 1. */
  below(limit: number): number {
    return Math.floor((this.u32() / 2 ** 32) * limit)
  }

  /** True with the given probability, 0 to 1. */
  chance(probability: number): boolean {
    return this.u32() / 2 ** 32 < probability
  }

  pick<T>(from: readonly T[]): T {
    return from[this.below(from.length)]!
  }

  bytes(length: number): Uint8Array {
    const out = new Uint8Array(length)
    for (let i = 0; i < length; i++) out[i] = this.u32()
    return out
  }
}

/** 32 bits that nobody can guess, of the system's. */
export function secretWord(): number {
  return getRandomValues(new Uint32Array(1))[0]!
}

/** A seed that differs from run to run; whoever uses it prints it. */
export function freshSeed(): number {
  return Math.floor(Math.random() * 2 ** 32)
}
