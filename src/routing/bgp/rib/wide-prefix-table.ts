/**
 * Prefixes whose key is several words: IPv6's, and those of VPNs behind a route distinguisher. As prefix-table.ts has IPv4's,
 * but a place of the index has the hash of the key instead of the key.
 */

import { mix32 } from '../../../base/hash.ts'
import type { Words } from '../../../wire/bgp/distinguisher.ts'
import { FAMILY, type Family } from '../../../wire/bgp/family.ts'
import { readPrefix6, readVpn4, readVpn6, VpnPrefix } from '../../../wire/bgp/prefix.ts'
import type { UpdateBuilder } from '../../../wire/bgp/update-builder.ts'
import type { Reader } from '../../../wire/cursor.ts'
import { grown8, grownUnsigned32 } from './columns.ts'
import { PlaceIndex } from './place-index.ts'
import {
  type AddressTable,
  FOUND,
  FOUND_MAX,
  NO_LABELS,
  NO_PREFIX,
  NONE,
  PATH_IDS,
  type PrefixTable,
  PrefixTable4,
} from './prefix-table.ts'

abstract class WidePrefixTable implements PrefixTable {
  readonly found = FOUND
  readonly pathIds = PATH_IDS
  readonly labels: Uint32Array = NO_LABELS
  end = 0
  count = 0
  #free = NONE
  /** Of a key. */
  protected readonly words: number
  protected readonly key: Uint32Array
  /** By prefix, `words` of them each. */
  protected keys: Uint32Array = new Uint32Array(64)
  #lengths: Uint8Array = new Uint8Array(16)
  readonly #index = new PlaceIndex(2, hashAt)

  constructor(words: number) {
    this.words = words
    this.key = new Uint32Array(words)
  }

  read(from: Reader, hasIds: boolean, enter: boolean): number {
    let count = 0
    for (; count < FOUND_MAX && from.remaining > 0; count++) {
      this.pathIds[count] = hasIds ? from.u32() : 0
      const length = this.readKey(from, from.u8(), count)
      if (from.failed) break
      this.found[count] = this.find(this.key, length, enter)
    }
    return count
  }

  /** One prefix of so many bits into `key`; returns the length of its address. `row` is its place among those that are read. */
  protected abstract readKey(from: Reader, bits: number, row: number): number

  find(key: Uint32Array, length: number, enter: boolean): number {
    const { places, mask } = this.#index
    const hash = hashOfWords(key, 0, this.words, length)
    const base = this.#index.baseOf(hash)
    let at = base + 2 * (hash & mask)
    for (let place = hash & mask; places[at + 1] !== 0; ) {
      const prefix = places[at + 1]! - 1
      if (places[at] === hash && this.#is(prefix, key, length)) return prefix
      place = (place + 1) & mask
      at = base + 2 * place
    }
    return enter ? this.#enter(at, hash, key, length) : NO_PREFIX
  }

  #is(prefix: number, key: Uint32Array, length: number): boolean {
    if (this.#lengths[prefix] !== length) return false
    const { words, keys } = this
    for (let word = 0; word < words; word++) if (keys[words * prefix + word] !== key[word]) return false
    return true
  }

  #enter(at: number, hash: number, key: Uint32Array, length: number): number {
    const prefix = this.#take()
    this.keys.set(key, this.words * prefix)
    this.#lengths[prefix] = length
    this.#index.places[at] = hash
    this.#index.places[at + 1] = prefix + 1
    this.#index.filled(hash)
    return prefix
  }

  #take(): number {
    this.count++
    const free = this.#free
    if (free !== NONE) {
      this.#free = this.keys[this.words * free]! | 0
      return free
    }
    const prefix = this.end++
    this.keys = grownUnsigned32(this.keys, this.words * (prefix + 1))
    this.#lengths = grown8(this.#lengths, prefix + 1)
    return prefix
  }

  remove(prefixes: Int32Array, count: number): void {
    for (let i = 0; i < count; i++) this.#remove(prefixes[i]!)
  }

  #remove(prefix: number): void {
    const { places, mask } = this.#index
    const hash = hashOfWords(this.keys, this.words * prefix, this.words, this.#lengths[prefix]!)
    const base = this.#index.baseOf(hash)
    let place = hash & mask
    while (places[base + 2 * place + 1] !== prefix + 1) place = (place + 1) & mask
    this.#index.empty(hash, base + 2 * place)
    this.count--
    this.keys[this.words * prefix] = this.#free
    this.#free = prefix
  }

  abstract write(out: UpdateBuilder, prefix: number, label: number, pathId: number): boolean

  length(prefix: number): number {
    return this.#lengths[prefix]!
  }

  /** Behind the route distinguisher, where there is one. */
  address(prefix: number, into: Uint32Array): void {
    const { words } = this
    const from = words * prefix + (words === 4 ? 0 : DISTINGUISHER_WORDS)
    const end = words * (prefix + 1)
    for (let at = from; at < end; at++) into[at - from] = this.keys[at]!
  }
}

const IPV6_WORDS = 4
const DISTINGUISHER_WORDS = 2

export class PrefixTable6 extends WidePrefixTable implements AddressTable {
  constructor() {
    super(IPV6_WORDS)
  }

  protected readKey(from: Reader, bits: number): number {
    readPrefix6(from, bits, this.key)
    return bits
  }

  findAddress(words: Uint32Array, at: number, length: number, enter: boolean): number {
    for (let word = 0; word < IPV6_WORDS; word++) this.key[word] = words[at + word]!
    return this.find(this.key, length, enter)
  }

  write(out: UpdateBuilder, prefix: number, _label: number, pathId: number): boolean {
    return out.addPrefix6(this.keys, IPV6_WORDS * prefix, this.length(prefix), pathId)
  }
}

const LABELS = new Uint32Array(FOUND_MAX)

/** Of VPN routes: two words of a route distinguisher, then the address. Labels are read and written beside them. */
export abstract class VpnPrefixTable extends WidePrefixTable {
  override readonly labels = LABELS
  protected readonly vpn = new VpnPrefix()

  isBehind(prefix: number, { high, low }: Words): boolean {
    return this.keys[this.words * prefix] === high && this.keys[this.words * prefix + 1] === low
  }

  /** The number of the prefix behind that route distinguisher; `address` has as many words as it needs. */
  findVpn(high: number, low: number, address: Uint32Array, length: number, enter: boolean): number {
    this.key[0] = high
    this.key[1] = low
    for (let word = DISTINGUISHER_WORDS; word < this.words; word++)
      this.key[word] = address[word - DISTINGUISHER_WORDS]!
    return this.find(this.key, length, enter)
  }

  protected takeHead(row: number): void {
    this.labels[row] = this.vpn.label
    this.key[0] = this.vpn.distinguisherHigh
    this.key[1] = this.vpn.distinguisherLow
  }
}

class VpnPrefixTable4 extends VpnPrefixTable {
  constructor() {
    super(DISTINGUISHER_WORDS + 1)
  }

  protected readKey(from: Reader, bits: number, row: number): number {
    readVpn4(from, bits, this.vpn)
    this.takeHead(row)
    this.key[2] = this.vpn.address4
    return this.vpn.length
  }

  write(out: UpdateBuilder, prefix: number, label: number, pathId: number): boolean {
    const at = this.words * prefix
    return out.addVpn4(label, this.keys[at]!, this.keys[at + 1]!, this.keys[at + 2]!, this.length(prefix), pathId)
  }
}

class VpnPrefixTable6 extends VpnPrefixTable {
  constructor() {
    super(DISTINGUISHER_WORDS + IPV6_WORDS)
  }

  protected readKey(from: Reader, bits: number, row: number): number {
    readVpn6(from, bits, this.vpn)
    this.takeHead(row)
    for (let word = 0; word < IPV6_WORDS; word++) this.key[DISTINGUISHER_WORDS + word] = this.vpn.words[word]!
    return this.vpn.length
  }

  write(out: UpdateBuilder, prefix: number, label: number, pathId: number): boolean {
    const at = this.words * prefix
    const { keys } = this
    return out.addVpn6(label, keys[at]!, keys[at + 1]!, keys, at + DISTINGUISHER_WORDS, this.length(prefix), pathId)
  }
}

/** The table of a family that has nothing in it yet. */
export function prefixTableOf(family: Family): PrefixTable {
  if (family === FAMILY.ipv4Unicast) return new PrefixTable4()
  if (family === FAMILY.ipv6Unicast) return new PrefixTable6()
  return family === FAMILY.vpnv4 ? new VpnPrefixTable4() : new VpnPrefixTable6()
}

function hashAt(places: Int32Array, at: number): number {
  return places[at]!
}

function hashOfWords(words: Uint32Array, at: number, count: number, length: number): number {
  let hash = length
  for (let word = 0; word < count; word++) hash = mix32(hash ^ words[at + word]!)
  return hash
}
