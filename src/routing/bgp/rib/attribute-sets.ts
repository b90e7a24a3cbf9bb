/**
 * What routes have in common: sets of path attributes, each kept once for all tables of the process and known by a
 * number. A set is its bytes, as they came, and beside them in columns what route selection asks of them all the time. It
 * goes when nobody uses it any more: paths and what was told to peers count as uses.
 *
 *   bytes   attributes without MP_REACH_NLRI and MP_UNREACH_NLRI, AS numbers of four octets | next hop of MP_REACH_NLRI
 *
 * Found by hash (place-index.ts), a word a place. Two sets are the same if their bytes are.
 */

import { mix32 } from '../../../base/hash.ts'
import type { AttributeFacts } from '../../../wire/bgp/facts.ts'
import { ByteArena } from './byte-arena.ts'
import { grown8, grown32, grownUnsigned32 } from './columns.ts'
import { PlaceIndex } from './place-index.ts'

/** No set has it. */
export const NO_SET = 0

/** Which optional facts a set has. */
export const HAS = { med: 1 } as const

/**
 * What policy has set for the peers that a route goes to, and is therefore sent as it stands, in whatever form they get
 * routes. A set with such a mark is another one than the same bytes without.
 */
export const FIXED = {
  med: 1,
  nextHop: 2,
  /** Not of policy: the route is our own, and its next hop is ours whoever is told. */
  ours: 4,
  extendedCommunities: 8,
} as const

/** Well-known communities that say where a route must not go (RFC 1997), and that it is about to go (RFC 8326). */
export const RESTRICT = { noExport: 1, noAdvertise: 2, noExportSubconfed: 4, gracefulShutdown: 8 } as const
const WELL_KNOWN: readonly (readonly [number, number])[] = [
  [0xffff_ff01, RESTRICT.noExport],
  [0xffff_ff02, RESTRICT.noAdvertise],
  [0xffff_ff03, RESTRICT.noExportSubconfed],
  [0xffff_0000, RESTRICT.gracefulShutdown],
]

const EXTENDED_LENGTH = 0x10
/** RFC 4271 section 9.1.1: what is not said by the peer counts as this (a common convention). */
export const LOCAL_PREF_DEFAULT = 100

export class AttributeSets {
  readonly arena = new ByteArena()
  /** Of what `find` found last. */
  foundBytes = 0
  count = 0
  /** Columns by set number. Of a number that is free the next free one is in `at`. */
  at: Int32Array = new Int32Array(16)
  /** Of the attributes, and of the next hop behind them. */
  bytes: Int32Array = new Int32Array(16)
  nextHopBytes: Uint8Array = new Uint8Array(16)
  has: Uint8Array = new Uint8Array(16)
  /** Bits of FIXED. */
  fixed: Uint8Array = new Uint8Array(16)
  /** Grows when the number's set goes: who remembers both knows whether it still is the set that he means. */
  version: Int32Array = new Int32Array(16)
  /** Bits of RESTRICT. */
  restrict: Uint8Array = new Uint8Array(16)
  origin: Uint8Array = new Uint8Array(16)
  asPathLength: Int32Array = new Int32Array(16)
  /** The neighbouring AS that MEDs are compared within; 0 for an empty path. */
  neighbourAs: Uint32Array = new Uint32Array(16)
  med: Uint32Array = new Uint32Array(16)
  localPref: Uint32Array = new Uint32Array(16)
  /** ORIGINATOR_ID, or 0. */
  originatorId: Uint32Array = new Uint32Array(16)
  /** 255 for as many or more. */
  clusterListLength: Uint8Array = new Uint8Array(16)
  #uses: Int32Array = new Int32Array(16)
  #hash: Int32Array = new Int32Array(16)
  #end = 1
  #free = NO_SET
  readonly #index = new PlaceIndex(1, (places, at) => this.#hash[places[at]!]!)

  /**
   * The number of the set of these bytes: `length` from `from` of the source, and then those of the next hop, which lie in
   * the message, as does what `facts` points at.
   * The caller uses it at once, or gives it up with `dropUnused`.
   */
  intern(
    message: DataView,
    source: DataView,
    from: number,
    length: number,
    nextHopAt: number,
    nextHopBytes: number,
    facts: AttributeFacts,
    fixed = 0,
  ): number {
    const hash = hashBytes(message, nextHopAt, nextHopBytes, hashBytes(source, from, length, length ^ (fixed << 24)))
    const { places, mask } = this.#index
    const base = this.#index.baseOf(hash)
    let place = hash & mask
    for (; places[base + place] !== NO_SET; place = (place + 1) & mask) {
      const set = places[base + place]!
      if (this.#hash[set] !== hash || this.bytes[set] !== length || this.nextHopBytes[set] !== nextHopBytes) continue
      if (this.fixed[set] !== fixed) continue
      if (this.#same(set, source, from, length) && this.#sameNextHop(set, message, nextHopAt)) return set
    }
    const set = this.#take()
    const at = this.arena.allocate(length + nextHopBytes)
    copyBytes(source, from, this.arena.view, at, length)
    copyBytes(message, nextHopAt, this.arena.view, at + length, nextHopBytes)
    this.at[set] = at
    this.bytes[set] = length
    this.nextHopBytes[set] = nextHopBytes
    this.fixed[set] = fixed
    this.#hash[set] = hash
    this.#uses[set] = 0
    this.#describe(set, facts)
    this.restrict[set] = restrictionsIn(message, facts)
    places[base + place] = set
    this.#index.filled(hash)
    this.count++
    return set
  }

  /** Where in the arena the value of the set's attribute begins, whose length is in `foundBytes`; -1 when it has none. */
  find(set: number, code: number): number {
    const { bytes } = this.arena
    const end = this.at[set]! + this.bytes[set]!
    for (let at = this.at[set]!; at < end; ) {
      const isLong = (bytes[at]! & EXTENDED_LENGTH) !== 0
      const value = at + (isLong ? 4 : 3)
      const length = isLong ? (bytes[at + 2]! << 8) | bytes[at + 3]! : bytes[at + 2]!
      if (bytes[at + 1] === code) {
        this.foundBytes = length
        return value
      }
      at = value + length
    }
    return -1
  }

  use(set: number): void {
    this.#uses[set]!++
  }

  drop(set: number): void {
    if (--this.#uses[set]! === 0) this.#remove(set)
  }

  /** Removes a set that was interned and then not used. */
  dropUnused(set: number): void {
    if (this.#uses[set] === 0) this.#remove(set)
  }

  #take(): number {
    const free = this.#free
    if (free !== NO_SET) {
      this.#free = this.at[free]!
      return free
    }
    const set = this.#end++
    if (set < this.at.length) return set
    this.at = grown32(this.at, set + 1)
    this.bytes = grown32(this.bytes, set + 1)
    this.nextHopBytes = grown8(this.nextHopBytes, set + 1)
    this.has = grown8(this.has, set + 1)
    this.fixed = grown8(this.fixed, set + 1)
    this.version = grown32(this.version, set + 1)
    this.restrict = grown8(this.restrict, set + 1)
    this.origin = grown8(this.origin, set + 1)
    this.asPathLength = grown32(this.asPathLength, set + 1)
    this.neighbourAs = grownUnsigned32(this.neighbourAs, set + 1)
    this.med = grownUnsigned32(this.med, set + 1)
    this.localPref = grownUnsigned32(this.localPref, set + 1)
    this.originatorId = grownUnsigned32(this.originatorId, set + 1)
    this.clusterListLength = grown8(this.clusterListLength, set + 1)
    this.#uses = grown32(this.#uses, set + 1)
    this.#hash = grown32(this.#hash, set + 1)
    return set
  }

  #describe(set: number, facts: AttributeFacts): void {
    this.has[set] = facts.hasMed ? HAS.med : 0
    this.origin[set] = facts.origin
    this.asPathLength[set] = facts.asPathLength
    this.neighbourAs[set] = facts.neighbourAs
    this.med[set] = facts.hasMed ? facts.med : 0
    this.localPref[set] = facts.hasLocalPref ? facts.localPref : LOCAL_PREF_DEFAULT
    this.originatorId[set] = facts.originatorId
    this.clusterListLength[set] = Math.min((facts.clusterListEnd - facts.clusterListAt) >> 2, 255)
  }

  #same(set: number, source: DataView, from: number, length: number): boolean {
    return equalBytes(source, from, this.arena.view, this.at[set]!, length)
  }

  #sameNextHop(set: number, message: DataView, at: number): boolean {
    return equalBytes(message, at, this.arena.view, this.at[set]! + this.bytes[set]!, this.nextHopBytes[set]!)
  }

  #remove(set: number): void {
    const { places, mask } = this.#index
    const hash = this.#hash[set]!
    const base = this.#index.baseOf(hash)
    let place = hash & mask
    while (places[base + place] !== set) place = (place + 1) & mask
    this.#index.empty(hash, base + place)
    this.arena.free(this.at[set]!, this.bytes[set]! + this.nextHopBytes[set]!)
    this.version[set]!++
    this.at[set] = this.#free
    this.#free = set
    this.count--
  }
}

function restrictionsIn(message: DataView, { communitiesAt, communitiesEnd }: AttributeFacts): number {
  let bits = 0
  for (let at = communitiesAt; at < communitiesEnd; at += 4) {
    const community = message.getUint32(at)
    if (community < 0xffff_0000) continue
    for (const [known, bit] of WELL_KNOWN) if (community === known) bits |= bit
  }
  return bits
}

function hashBytes(source: DataView, from: number, length: number, seed: number): number {
  let hash = seed
  let at = from
  for (const end = from + length - 3; at < end; at += 4)
    hash = Math.imul(hash ^ source.getInt32(at), 0x9e3779b1) ^ (hash >>> 15)
  for (const end = from + length; at < end; at++) hash = Math.imul(hash ^ source.getUint8(at), 0x85ebca6b)
  return mix32(hash)
}

function equalBytes(a: DataView, aAt: number, b: DataView, bAt: number, length: number): boolean {
  let i = 0
  for (; i < length - 3; i += 4) if (a.getInt32(aAt + i) !== b.getInt32(bAt + i)) return false
  for (; i < length; i++) if (a.getUint8(aAt + i) !== b.getUint8(bAt + i)) return false
  return true
}

function copyBytes(from: DataView, fromAt: number, to: DataView, toAt: number, length: number): void {
  let i = 0
  for (; i < length - 3; i += 4) to.setInt32(toAt + i, from.getInt32(fromAt + i))
  for (; i < length; i++) to.setUint8(toAt + i, from.getUint8(fromAt + i))
}
