/**
 * Where routes lead, and whether that can be reached (RFC 4271 section 9.1.2.1): next hops by address, each asked about once
 * when the first route has it, and told of again whenever it changes. What has not been answered yet counts as reachable.
 */

import { formatAddress, type IpAddress } from '../../../base/address.ts'
import type { AttributeSets } from './attribute-sets.ts'

/** More than any network has border routers. Others are not asked about, and count as reachable. */
const ASKED_MAX = 65_536

/** How a next hop is reached; undefined: not at all. */
export type Reach = { readonly metric: number } | undefined

interface NextHop {
  reach: Reach
}

const UNASKED: NextHop = { reach: { metric: 0 } }

export class NextHops {
  readonly #sets: AttributeSets
  readonly #addressOf: (set: number) => IpAddress | undefined
  readonly #ask: (address: IpAddress) => void
  readonly #byAddress = new Map<string, NextHop>()
  // By set, and for which version of it that was found out.
  readonly #ofSet: NextHop[] = []
  readonly #version: number[] = []

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
    return this.#version[set] === this.#sets.version[set] ? (this.#ofSet[set]!.reach?.metric ?? 0) : 0
  }

  /** False when that was known. */
  change(address: IpAddress, reach: Reach): boolean {
    const hop = this.#byAddress.get(formatAddress(address))
    if (!hop || (hop.reach?.metric === reach?.metric && (hop.reach === undefined) === (reach === undefined)))
      return false
    hop.reach = reach
    return true
  }

  #of(set: number): NextHop {
    if (this.#version[set] === this.#sets.version[set]) return this.#ofSet[set]!
    const hop = this.#find(this.#addressOf(set))
    this.#ofSet[set] = hop
    this.#version[set] = this.#sets.version[set]!
    return hop
  }

  #find(address: IpAddress | undefined): NextHop {
    if (!address) return UNASKED
    const text = formatAddress(address)
    const known = this.#byAddress.get(text)
    if (known) return known
    if (this.#byAddress.size >= ASKED_MAX) return UNASKED
    const hop = { reach: { metric: 0 } }
    this.#byAddress.set(text, hop)
    this.#ask(address)
    return hop
  }
}
