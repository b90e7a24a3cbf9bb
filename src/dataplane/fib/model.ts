/**
 * What the tests hold the FIB against: the simplest longest-prefix match there is, and routes drawn to nest, touch and
 * repeat. For tests only.
 */

import { type IpAddress, masked, type Prefix } from '../../base/address.ts'
import type { Random } from '../../base/random.ts'
import type { Family } from './layout.ts'
import type { RouteColumns } from './route-list.ts'
import type { Route } from './writer.ts'

const nameOf = (address: IpAddress, length: number): string => `${address.join('.')}/${length}`

export class Model {
  readonly #rows = new Map<string, number>()
  readonly #routes: Route[] = []

  get size(): number {
    return this.#routes.length
  }

  get routes(): readonly Route[] {
    return this.#routes
  }

  insert(prefix: Prefix, slot: number): void {
    const name = nameOf(prefix.address, prefix.length)
    const row = this.#rows.get(name) ?? this.#routes.length
    this.#rows.set(name, row)
    this.#routes[row] = { prefix, slot }
  }

  remove(prefix: Prefix): boolean {
    const name = nameOf(prefix.address, prefix.length)
    const row = this.#rows.get(name)
    if (row === undefined) return false
    this.#rows.delete(name)
    const last = this.#routes.pop()!
    if (row === this.#routes.length) return true
    this.#routes[row] = last
    this.#rows.set(nameOf(last.prefix.address, last.prefix.length), row)
    return true
  }

  clear(): void {
    this.#rows.clear()
    this.#routes.length = 0
  }

  lookup(address: IpAddress): number {
    for (let length = address.length * 8; length >= 0; length--) {
      const row = this.#rows.get(nameOf(masked(address, length), length))
      if (row !== undefined) return this.#routes[row]!.slot
    }
    return 0
  }

  /** Sorted as the FIB sorts. */
  sorted(): Route[] {
    return this.#routes.toSorted(
      (a, b) => Buffer.compare(a.prefix.address, b.prefix.address) || a.prefix.length - b.prefix.length,
    )
  }

  /** In random order, some prefixes twice, the second time with the right slot. */
  columns(random: Random, family: Family): RouteColumns {
    const routes = this.#routes.toSorted(() => random.below(3) - 1)
    const before = routes.filter(() => random.chance(0.1)).map(({ prefix }) => ({ prefix, slot: 0xabcdef }))
    return columnsOf([...before, ...routes], family)
  }
}

function columnsOf(routes: readonly Route[], family: Family): RouteColumns {
  const words = family === 4 ? 1 : 4
  const addresses = new Uint32Array(routes.length * words)
  for (const [i, { prefix }] of routes.entries()) {
    const view = new DataView(prefix.address.buffer, prefix.address.byteOffset)
    for (let word = 0; word < words; word++) addresses[i * words + word] = view.getUint32(4 * word)
  }
  return {
    count: routes.length,
    addresses,
    lengths: Uint8Array.from(routes, ({ prefix }) => prefix.length),
    slots: Uint32Array.from(routes, ({ slot }) => slot),
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
