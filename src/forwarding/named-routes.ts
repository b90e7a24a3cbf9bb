/**
 * Which routes a snapshot names: a hash table of its rows, in open addressing, so that ten million routes are a few
 * columns of numbers and no objects. What the node holds and the snapshot does not name is stale.
 */

import { mix32 } from '../base/hash.ts'
import type { Slices } from '../base/slices.ts'
import type { RouteColumns } from '../wire/control/columns.ts'
import { ROWS_AT_ONCE } from './route-rows.ts'

export class NamedRoutes {
  readonly #routes: RouteColumns
  readonly #words: number
  readonly #salt: number
  /** A row and one, or 0; at most half of the places are taken. */
  readonly #places: Uint32Array

  /** `salt` is what nobody knows who chooses routes: those that it leads to the same places would take for ever. */
  static *of(routes: RouteColumns, words: 1 | 4, salt: number): Slices<NamedRoutes> {
    const named = new NamedRoutes(routes, words, salt)
    for (let row = 0; row < routes.tables.length; row++) {
      if (row % ROWS_AT_ONCE === 0) yield
      named.#places[named.#placeOf(routes.tables[row]!, routes.addresses, row * words, routes.lengths[row]!)] = row + 1
    }
    return named
  }

  private constructor(routes: RouteColumns, words: 1 | 4, salt: number) {
    this.#salt = salt
    this.#routes = routes
    this.#words = words
    this.#places = new Uint32Array(2 ** Math.ceil(Math.log2(2 * routes.tables.length + 2)))
  }

  /** `addresses[at]` and on are the words of the prefix's address. */
  has(table: number, addresses: Uint32Array, at: number, length: number): boolean {
    return this.#places[this.#placeOf(table, addresses, at, length)] !== 0
  }

  // Its own, or the free one where it would be.
  #placeOf(table: number, addresses: Uint32Array, at: number, length: number): number {
    const places = this.#places
    let hash = mix32(mix32(this.#salt ^ table) ^ length)
    for (let word = 0; word < this.#words; word++) hash = mix32(hash ^ addresses[at + word]!)
    let place = hash & (places.length - 1)
    while (places[place] !== 0 && !this.#isRow(places[place]! - 1, table, addresses, at, length))
      place = (place + 1) & (places.length - 1)
    return place
  }

  #isRow(row: number, table: number, addresses: Uint32Array, at: number, length: number): boolean {
    const routes = this.#routes
    if (routes.tables[row] !== table || routes.lengths[row] !== length) return false
    for (let word = 0; word < this.#words; word++)
      if (routes.addresses[row * this.#words + word] !== addresses[at + word]) return false
    return true
  }
}
