/**
 * Where routes lead, and whether that can be reached (RFC 4271 section 9.1.2.1): next hops by address, each asked about once
 * when the first route has it, and told of again whenever it changes. What has not been answered yet counts as reachable.
 */

import { formatAddress, type IpAddress } from '../../../base/address.ts'
import type { AttributeSets } from './attribute-sets.ts'
import { grown16, grown32 } from './columns.ts'

/** More than any network has border routers, in 16 bits. Others are not asked about, and count as reachable. */
const ASKED_MAX = 65_535

/** How a next hop is reached; undefined: not at all. */
export type Reach = { readonly metric: number } | undefined

interface NextHop {
  reach: Reach
}

/** The place of those that are not asked about. */
const UNASKED = 0

export class NextHops {
  readonly #sets: AttributeSets
  readonly #addressOf: (set: number) => IpAddress | undefined
  readonly #ask: (address: IpAddress) => void
  readonly #hops: NextHop[] = [{ reach: { metric: 0 } }]
  /** Places of next hops. */
  readonly #byAddress = new Map<string, number>()
  // By set: the place of its next hop, and for which version of the set that was found out, plus one.
  #ofSet: Uint16Array = new Uint16Array(16)
  #version: Int32Array = new Int32Array(16)

  /** `addressOf` is the set's next hop, undefined for ours; `ask` is answered by `change`. */
  constructor(
    sets: AttributeSets,
    addressOf: (set: number) => IpAddress | undefined,
    ask: (address: IpAddress) => void,
  ) {
    this.#sets = sets
    this.#addressOf = addressOf
    this.#ask = ask
  }

  isReachable(set: number): boolean {
    return this.#of(set).reach !== undefined
  }

  /** Of the way to it: 0 when it is connected, or nothing is known. */
  metric(set: number): number {
    return this.#isKnown(set) ? (this.#hops[this.#ofSet[set]!]!.reach?.metric ?? 0) : 0
  }

  /** False when that was known. */
  change(address: IpAddress, reach: Reach): boolean {
    const place = this.#byAddress.get(formatAddress(address))
    if (place === undefined) return false
    const hop = this.#hops[place]!
    if (hop.reach?.metric === reach?.metric && (hop.reach === undefined) === (reach === undefined)) return false
    hop.reach = reach
    return true
  }

  #isKnown(set: number): boolean {
    return set < this.#version.length && this.#version[set] === this.#sets.version[set]! + 1
  }

  #of(set: number): NextHop {
    if (!this.#isKnown(set)) {
      this.#ofSet = grown16(this.#ofSet, set + 1)
      this.#version = grown32(this.#version, set + 1)
      this.#ofSet[set] = this.#find(this.#addressOf(set))
      this.#version[set] = this.#sets.version[set]! + 1
    }
    return this.#hops[this.#ofSet[set]!]!
  }

  #find(address: IpAddress | undefined): number {
    if (!address) return UNASKED
    const text = formatAddress(address)
    const known = this.#byAddress.get(text)
    if (known !== undefined) return known
    if (this.#hops.length > ASKED_MAX) return UNASKED
    const place = this.#hops.push({ reach: { metric: 0 } }) - 1
    this.#byAddress.set(text, place)
    this.#ask(address)
    return place
  }
}
