/**
 * What the tests hold the FIB against: the simplest longest-prefix match there is, and routes drawn to nest, touch and
 * repeat. For tests only.
 */

import { type IpAddress, masked, type Prefix } from '../../base/address.ts'
import type { Random } from '../../base/random.ts'
import type { Family } from './layout.ts'

const nameOf = (prefix: Prefix): string => `${prefix.address.join('.')}/${prefix.length}`

export class Model {
  readonly #routes = new Map<string, { prefix: Prefix; slot: number }>()

  get size(): number {
    return this.#routes.size
  }

  insert(prefix: Prefix, slot: number): void {
    this.#routes.set(nameOf(prefix), { prefix, slot })
  }

  remove(prefix: Prefix): boolean {
    return this.#routes.delete(nameOf(prefix))
  }

  lookup(address: IpAddress): number {
    for (let length = address.length * 8; length >= 0; length--) {
      const found = this.#routes.get(nameOf({ address: masked(address, length), length }))
      if (found) return found.slot
    }
    return 0
  }

  routes(): { prefix: Prefix; slot: number }[] {
    return [...this.#routes.values()]
  }

  /** Sorted as the FIB sorts. */
  sorted(): { prefix: Prefix; slot: number }[] {
    return this.routes().sort(
      (a, b) =>
        a.prefix.address.length - b.prefix.address.length ||
        Buffer.compare(a.prefix.address, b.prefix.address) ||
        a.prefix.length - b.prefix.length,
    )
  }
}

/** How routes are drawn: from the whole space, or from a corner of it where they nest and share long prefixes. */
export interface Shape {
  readonly family: Family
  /** All addresses begin with these bytes. */
  readonly within: readonly number[]
  readonly shortest: number
  readonly longest: number
}

export function drawAddress(random: Random, shape: Shape): IpAddress {
  const address = random.bytes(shape.family === 4 ? 4 : 16)
  address.set(shape.within)
  return address
}

export function drawPrefix(random: Random, shape: Shape): Prefix {
  const length = shape.shortest + random.below(shape.longest - shape.shortest + 1)
  return { address: masked(drawAddress(random, shape), length), length }
}

/** Inside the prefix, at its first or last address, or right beside it. */
export function drawNear(random: Random, { address, length }: Prefix): IpAddress {
  const near = address.slice()
  const kind = random.below(4)
  for (let bit = length; bit < near.length * 8 && kind > 0; bit++)
    if (kind === 1 || random.chance(0.5)) near[bit >> 3]! |= 0x80 >> (bit & 7)
  if (kind === 3 && length > 0) near[(length - 1) >> 3]! ^= 0x80 >> ((length - 1) & 7)
  return near
}
