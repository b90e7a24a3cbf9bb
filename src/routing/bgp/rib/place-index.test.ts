import { deepEqual, equal, ok } from 'node:assert/strict'
import { suite, test } from 'node:test'
import { mix32 } from '../../../base/hash.ts'
import { Random } from '../../../base/random.ts'
import { PlaceIndex } from './place-index.ts'

/** A set of numbers above 0, by a hash of the test's choice. */
class Numbers {
  readonly index: PlaceIndex
  readonly #words: 1 | 2
  readonly #hashOf: (number: number) => number
  /** The most places that were looked at for one number. */
  looked = 0

  constructor(words: 1 | 2, hashOf: (number: number) => number = mix32) {
    this.#words = words
    this.#hashOf = hashOf
    this.index = new PlaceIndex(words, (places, at) => hashOf(places[at + words - 1]!))
  }

  /** The word of its place, or of the free one where it would be. */
  #search(number: number): number {
    const { places, mask } = this.index
    const hash = this.#hashOf(number)
    const base = this.index.baseOf(hash)
    for (let place = hash & mask, looked = 1; ; place = (place + 1) & mask, looked++) {
      const at = base + this.#words * place
      const found = places[at + this.#words - 1]
      if (found !== 0 && found !== number) continue
      this.looked = Math.max(this.looked, looked)
      return at
    }
  }

  has(number: number): boolean {
    return this.index.places[this.#search(number) + this.#words - 1] === number
  }

  add(number: number): void {
    const at = this.#search(number)
    if (this.#words === 2) this.index.places[at] = ~number
    this.index.places[at + this.#words - 1] = number
    this.index.filled(this.#hashOf(number))
  }

  remove(number: number): void {
    this.index.empty(this.#hashOf(number), this.#search(number))
  }

  /** Of two words: the other one has come along. */
  isWhole(number: number): boolean {
    return this.has(number) && (this.#words === 1 || this.index.places[this.#search(number)] === ~number)
  }
}

suite('an index of places', () => {
  for (const words of [1, 2] as const)
    test(`finds what was entered and is still there, however large it has become (${words} words)`, () => {
      const numbers = new Numbers(words)
      const random = new Random(7)
      const there = new Set<number>()
      for (let i = 0; i < 300_000; i++) {
        // It grows to 100,000, over many segments, and shrinks to a tenth in between.
        const isGrowing = Math.floor(i / 100_000) !== 1
        const number = 1 + random.below(150_000)
        if (there.has(number) && (!isGrowing || random.chance(0.1))) {
          numbers.remove(number)
          there.delete(number)
        } else if (!there.has(number) && (isGrowing || random.chance(0.1))) {
          numbers.add(number)
          there.add(number)
        }
      }
      ok(there.size > 60_000)
      for (let number = 1; number <= 150_000; number++) equal(numbers.has(number), there.has(number))
      for (const number of there) ok(numbers.isWhole(number))
    })

  test('puts few entries elsewhere at a time when it grows', () => {
    let moved = 0
    let most = 0
    const numbers = new Numbers(2, (number) => {
      moved++
      return mix32(number)
    })
    for (let number = 1; number <= 1_000_000; number++) {
      moved = 0
      numbers.add(number)
      most = Math.max(most, moved)
    }
    ok(most < 4000, `${most} entries were hashed for one`)
    ok(numbers.looked < 200, `${numbers.looked} places were looked at for one`)
  })

  test('holds numbers whose hashes are the same', () => {
    const numbers = new Numbers(1, (number) => number & 1)
    for (let number = 1; number <= 6000; number++) numbers.add(number)
    for (let number = 1; number <= 6000; number++) ok(numbers.has(number))
    for (let number = 1; number <= 6000; number += 3) numbers.remove(number)
    deepEqual(
      [1, 2, 3, 4, 5999, 6000, 6001].map((number) => numbers.has(number)),
      [...[false, true, true, false], ...[true, true, false]],
    )
  })
})
