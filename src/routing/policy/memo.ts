/**
 * What became of routes lately: by attribute set, class of prefixes and peer, the set that policy made of it. A table with
 * one place a key: who comes later takes it, and what is not found is worked out again. It holds nobody's sets: an entry
 * counts while both sets still have the versions that they had.
 *
 *   place   set | its version | class | peer | result | its version
 */

import { mix32 } from '../../base/hash.ts'
import type { AttributeSets } from '../bgp/rib/attribute-sets.ts'

/** Nothing is remembered. */
export const MISS = -2

const WORDS = 6
const PLACES_FIRST = 64
/** 1.5 MB: half a million routes in a random order of 40 K sets find theirs. */
const PLACES_MAX = 1 << 16

export class Memo {
  readonly #sets: AttributeSets
  #places = new Int32Array(WORDS * PLACES_FIRST)
  #mask = PLACES_FIRST - 1
  #stored = 0

  constructor(sets: AttributeSets) {
    this.#sets = sets
  }

  find(set: number, prefixClass: number, peer: number): number {
    const places = this.#places
    const at = this.#placeOf(set, prefixClass, peer)
    if (places[at] !== set || places[at + 2] !== prefixClass || places[at + 3] !== peer) return MISS
    const { version } = this.#sets
    const result = places[at + 4]!
    if (places[at + 1] !== version[set] || (result > 0 && places[at + 5] !== version[result])) return MISS
    return result
  }

  store(set: number, prefixClass: number, peer: number, result: number): void {
    // Many more have been stored than there are places: it pays to have more of them.
    if (++this.#stored > 4 * this.#mask && this.#mask < PLACES_MAX - 1) this.#grow()
    const places = this.#places
    const at = this.#placeOf(set, prefixClass, peer)
    const { version } = this.#sets
    places[at] = set
    places[at + 1] = version[set]!
    places[at + 2] = prefixClass
    places[at + 3] = peer
    places[at + 4] = result
    places[at + 5] = result > 0 ? version[result]! : 0
  }

  #placeOf(set: number, prefixClass: number, peer: number): number {
    return WORDS * (mix32(set ^ Math.imul(prefixClass, 0x9e3779b1) ^ Math.imul(peer, 0x85ebca6b)) & this.#mask)
  }

  #grow(): void {
    this.#places = new Int32Array(4 * this.#places.length)
    this.#mask = this.#places.length / WORDS - 1
    this.#stored = 0
  }
}
