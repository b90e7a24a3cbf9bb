/**
 * Routes as columns: row i of every array belongs to route i. 320 K routes are a few copies of memory this way, where
 * as objects they would be 320 K of them. The same columns carry what a source of routes publishes and what a FIB
 * holds; what `tables` and `nextHops` number is said there. Next hop 0 takes the route away.
 *
 *   tables     u32        which tenant
 *   addresses  u32 x 1    IPv4: the address as a number        x 4  IPv6: its four words, the most significant first
 *   lengths    u8         of the prefix; the bits behind are zero
 *   nextHops   u32
 */

import type { Codec } from './codec.ts'

export const WITHDRAWN = 0

export interface RouteColumns {
  readonly tables: Uint32Array
  readonly addresses: Uint32Array
  readonly lengths: Uint8Array
  readonly nextHops: Uint32Array
}

export type AddressWords = 1 | 4

function columns(words: AddressWords): Codec<RouteColumns> {
  return {
    write(out, value) {
      out.u32(value.tables.length)
      out.column32(value.tables)
      out.column32(value.addresses)
      out.bytes(value.lengths)
      out.column32(value.nextHops)
    },
    read(from) {
      const count = from.u32()
      const tables = from.column32(count)
      const addresses = from.column32(count * words)
      const lengths = from.bytes(count)
      const nextHops = from.column32(count)
      const value = { tables, addresses, lengths, nextHops }
      if (!from.failed && !sound(value, words)) from.fail()
      return value
    },
  }
}

export const routes4 = columns(1)
export const routes6 = columns(4)

/** No prefix is longer than its address, and none has bits set behind its length. */
function sound({ addresses, lengths }: RouteColumns, words: AddressWords): boolean {
  for (let i = 0; i < lengths.length; i++) {
    const length = lengths[i]!
    if (length > words * 32) return false
    for (let word = length >> 5; word < words; word++) {
      const kept = Math.max(length - word * 32, 0)
      const host = kept === 0 ? 0xffff_ffff : 0xffff_ffff >>> kept
      if ((addresses[i * words + word]! & host) !== 0) return false
    }
  }
  return true
}

/** Collects routes a row at a time. */
export class RouteColumnsBuilder {
  readonly #words: AddressWords
  #count = 0
  #tables = new Uint32Array(64)
  #addresses: Uint32Array<ArrayBuffer>
  #lengths = new Uint8Array(64)
  #nextHops = new Uint32Array(64)

  constructor(words: AddressWords) {
    this.#words = words
    this.#addresses = new Uint32Array(64 * words)
  }

  get count(): number {
    return this.#count
  }

  add4(table: number, address: number, length: number, nextHop: number): void {
    const i = this.#row(table, length, nextHop)
    this.#addresses[i] = address
  }

  add6(table: number, address: ArrayLike<number>, length: number, nextHop: number): void {
    const i = this.#row(table, length, nextHop)
    for (let word = 0; word < 4; word++) this.#addresses[i * 4 + word] = address[word]!
  }

  build(): RouteColumns {
    const count = this.#count
    return {
      tables: this.#tables.subarray(0, count),
      addresses: this.#addresses.subarray(0, count * this.#words),
      lengths: this.#lengths.subarray(0, count),
      nextHops: this.#nextHops.subarray(0, count),
    }
  }

  #row(table: number, length: number, nextHop: number): number {
    const i = this.#count++
    if (i === this.#tables.length) this.#double()
    this.#tables[i] = table
    this.#lengths[i] = length
    this.#nextHops[i] = nextHop
    return i
  }

  #double(): void {
    this.#tables = grown(this.#tables)
    this.#addresses = grown(this.#addresses)
    this.#nextHops = grown(this.#nextHops)
    const lengths = new Uint8Array(this.#lengths.length * 2)
    lengths.set(this.#lengths)
    this.#lengths = lengths
  }
}

function grown(column: Uint32Array): Uint32Array<ArrayBuffer> {
  const larger = new Uint32Array(column.length * 2)
  larger.set(column)
  return larger
}
