/**
 * The numbers of tenants' peers, and the places of the ways to them, from one site file to the next: who is as before keeps
 * his, for his connections are known by them. What is free is given again as late as can be, for the kernel and the relay
 * have last words to pass on under it.
 */

import { FIRST_NAMED } from './inner-address.ts'
import { NAMED_MAX } from './peer-memory.ts'

export interface PeerPlace {
  /** Of the way. */
  readonly index: number
  /** Of the peer; 0 for a prefix. */
  readonly number: number
}

export class PeerNumbers {
  #places = new Map<string, PeerPlace>()
  #nextIndex = 0
  #nextNumber = FIRST_NAMED

  /** In the order of the ways, by all that is known of each; names no way twice. */
  assign(ways: readonly { readonly key: string; readonly isPrefix: boolean }[]): PeerPlace[] {
    const before = this.#places
    const taken = new Set(Array.from(before.values(), ({ number }) => number))
    const places = ways.map(({ key, isPrefix }) => {
      return before.get(key) ?? { index: this.#nextIndex++, number: isPrefix ? 0 : this.#free(taken) }
    })
    this.#places = new Map(ways.map(({ key }, i) => [key, places[i]!]))
    return places
  }

  #free(taken: Set<number>): number {
    let number = this.#nextNumber
    while (taken.has(number)) number = after(number)
    taken.add(number)
    this.#nextNumber = after(number)
    return number
  }
}

function after(number: number): number {
  return number + 1 < FIRST_NAMED + NAMED_MAX ? number + 1 : FIRST_NAMED
}
