/**
 * A pattern over AS paths (config/as-path-pattern.ts) as an automaton of positions (Glushkov 1961): each AS of the pattern
 * is a bit, and behind each stands which bits may come next. A path is gone through once, whatever the pattern: a hop costs
 * at most PATTERN_STEPS_MAX unions of two words and as many comparisons with each of its numbers.
 */

import { assert } from '../../base/assert.ts'
import { PATTERN_STEPS_MAX, type PathPattern } from '../../config/as-path-pattern.ts'
import type { Hops } from './draft.ts'

/** A set of positions: two words. */
type Positions = readonly [low: number, high: number]

const EMPTY: Positions = [0, 0]
const union = (a: Positions, b: Positions): Positions => [a[0] | b[0], a[1] | b[1]]

/** A piece of the automaton. */
interface Piece {
  readonly first: Positions
  readonly last: Positions
  /** It matches the empty path. */
  readonly isNullable: boolean
}

const NOTHING: Piece = { first: EMPTY, last: EMPTY, isNullable: true }

export class PathMatcher {
  readonly #from: number[] = []
  readonly #to: number[] = []
  readonly #followLow: number[] = []
  readonly #followHigh: number[] = []
  readonly #whole: Piece

  constructor(pattern: PathPattern) {
    this.#whole = this.#build(pattern)
    assert(this.#from.length <= PATTERN_STEPS_MAX, 'a pattern that was not checked')
  }

  matches(hops: Hops): boolean {
    const { first, last, isNullable } = this.#whole
    if (hops.count === 0) return isNullable
    let [low, high] = first
    let at = 0
    for (let hop = 0; hop < hops.count; hop++) {
      const end = hops.ends[hop]!
      let activeLow = 0
      let activeHigh = 0
      for (; at < end; at++) {
        const as = hops.numbers[at]!
        activeLow |= this.#accepting(low, 0, as)
        activeHigh |= this.#accepting(high, 32, as)
      }
      if (hop === hops.count - 1) return (activeLow & last[0]) !== 0 || (activeHigh & last[1]) !== 0
      if ((activeLow | activeHigh) === 0) return false
      low = high = 0
      for (let left = activeLow; left !== 0; left &= left - 1) {
        const position = 31 - Math.clz32(left & -left)
        low |= this.#followLow[position]!
        high |= this.#followHigh[position]!
      }
      for (let left = activeHigh; left !== 0; left &= left - 1) {
        const position = 63 - Math.clz32(left & -left)
        low |= this.#followLow[position]!
        high |= this.#followHigh[position]!
      }
    }
    return false
  }

  // Those of a word's positions that the AS may stand at.
  #accepting(word: number, base: number, as: number): number {
    let found = 0
    for (let left = word; left !== 0; left &= left - 1) {
      const bit = left & -left
      const position = base + 31 - Math.clz32(bit)
      if (as >= this.#from[position]! && as <= this.#to[position]!) found |= bit
    }
    return found
  }

  #build(pattern: PathPattern): Piece {
    if (pattern.kind === 'as') return this.#position(pattern.from, pattern.to)
    if (pattern.kind === 'sequence')
      return pattern.parts.reduce<Piece>((piece, part) => this.#join(piece, this.#build(part)), NOTHING)
    if (pattern.kind === 'choice') return pattern.parts.map((part) => this.#build(part)).reduce(either)
    return this.#repeat(pattern.part, pattern.from, pattern.to)
  }

  #position(from: number, to: number): Piece {
    const position = this.#from.length
    this.#from.push(from)
    this.#to.push(to)
    this.#followLow.push(0)
    this.#followHigh.push(0)
    const bit: Positions = position < 32 ? [1 << position, 0] : [0, 1 << (position - 32)]
    return { first: bit, last: bit, isNullable: false }
  }

  #join(a: Piece, b: Piece): Piece {
    this.#follow(a.last, b.first)
    return {
      first: a.isNullable ? union(a.first, b.first) : a.first,
      last: b.isNullable ? union(a.last, b.last) : b.last,
      isNullable: a.isNullable && b.isNullable,
    }
  }

  // As often as it must be, one behind the other, and then either for ever or some more that may be left out.
  #repeat(part: PathPattern, from: number, to: number): Piece {
    let piece = NOTHING
    for (let i = 0; i < from; i++) piece = this.#join(piece, this.#build(part))
    if (to === Number.POSITIVE_INFINITY) {
      const loop = this.#build(part)
      this.#follow(loop.last, loop.first)
      return this.#join(piece, { ...loop, isNullable: true })
    }
    for (let i = from; i < to; i++) piece = this.#join(piece, { ...this.#build(part), isNullable: true })
    return piece
  }

  #follow(last: Positions, first: Positions): void {
    for (let position = 0; position < this.#from.length; position++) {
      const word = position < 32 ? last[0] : last[1]
      if ((word & (1 << (position & 31))) === 0) continue
      this.#followLow[position]! |= first[0]
      this.#followHigh[position]! |= first[1]
    }
  }
}

function either(a: Piece, b: Piece): Piece {
  return { first: union(a.first, b.first), last: union(a.last, b.last), isNullable: a.isNullable || b.isNullable }
}
