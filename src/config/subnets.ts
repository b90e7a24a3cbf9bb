/** Subnets of one tenant, to find which one an address is in. They do not overlap; those that do are reported. */

import type { IpAddress, Prefix } from '../base/address.ts'
import { prefixContains } from '../base/address.ts'

interface Entry<T> {
  readonly prefix: Prefix
  readonly owner: T
}

export class Subnets<T> {
  readonly #sorted: readonly Entry<T>[]

  constructor(entries: readonly Entry<T>[]) {
    this.#sorted = entries.toSorted(
      (a, b) => compare(a.prefix.address, b.prefix.address) || a.prefix.length - b.prefix.length,
    )
  }

  /** The subnet that holds the address. */
  find(address: IpAddress): Entry<T> | undefined {
    let low = 0
    let high = this.#sorted.length
    while (low < high) {
      const middle = (low + high) >> 1
      if (compare(this.#sorted[middle]!.prefix.address, address) <= 0) low = middle + 1
      else high = middle
    }
    const entry = this.#sorted[low - 1]
    return entry && prefixContains(entry.prefix, address) ? entry : undefined
  }

  /** Pairs of which the second lies in the first. */
  overlaps(): [Entry<T>, Entry<T>][] {
    const pairs: [Entry<T>, Entry<T>][] = []
    let widest: Entry<T> | undefined
    for (const entry of this.#sorted) {
      if (widest && prefixContains(widest.prefix, entry.prefix.address)) pairs.push([widest, entry])
      else widest = entry
    }
    return pairs
  }
}

/** By family, then as numbers. */
function compare(a: IpAddress, b: IpAddress): number {
  return a.length - b.length || Buffer.compare(a, b)
}
