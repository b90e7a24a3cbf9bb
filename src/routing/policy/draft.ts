/**
 * A route's attributes while policy works on them: what terms look at and change. It begins as a set of the RIB, of which
 * only what is asked for is read, and what was changed becomes a set again (`draft-writer.ts`). One object is reused.
 */

import { SEGMENT } from '../../wire/bgp/as-path.ts'
import { COMMUNITY } from '../../wire/bgp/community.ts'
import { nextHopHeadBytes } from '../../wire/bgp/multiprotocol.ts'
import { type AttributeSets, HAS, LOCAL_PREF_DEFAULT, RESTRICT } from '../bgp/rib/attribute-sets.ts'
import { WordList } from './word-list.ts'

export const CODE = {
  origin: 1,
  asPath: 2,
  nextHop: 3,
  med: 4,
  localPref: 5,
  communities: 8,
  extendedCommunities: 16,
  largeCommunities: 32,
} as const

/** What was changed, a bit each. */
export const CHANGED = {
  origin: 1,
  asPath: 2,
  nextHop: 4,
  med: 8,
  localPref: 16,
  communities: 32,
  extendedCommunities: 64,
  largeCommunities: 128,
} as const

const EXTENDED_LENGTH = 0x10
const IPV6_BYTES = 16

export class Draft {
  readonly sets: AttributeSets
  set = 0
  /** Bits of CHANGED. */
  changed = 0
  origin = 0
  hasMed = false
  med = 0
  localPref = LOCAL_PREF_DEFAULT
  pathLength = 0
  /** AS numbers that were put in front, the last one first. */
  prepended: number[] = []
  /**
   * Another number each time that there is another path, and other communities: for who remembers what he has found in
   * them.
   */
  pathStamp = 0
  communityStamp = 0
  // Where attributes' values lie in the arena; a pair of equal numbers is absence. Known once it has been asked for.
  #isFound = false
  #asPathAt = 0
  #asPathEnd = 0
  #nextHopAt = 0
  #communitiesAt = 0
  #communitiesEnd = 0
  #extendedAt = 0
  #extendedEnd = 0
  #largeAt = 0
  #largeEnd = 0
  // What has been read: bits of CHANGED.
  #known = 0
  readonly #nextHop = new NextHop()
  readonly #communities = new WordList(1)
  readonly #extended = new WordList(2)
  readonly #large = new WordList(3)
  readonly #hops = new Hops()

  constructor(sets: AttributeSets) {
    this.sets = sets
  }

  load(set: number): void {
    const { sets } = this
    this.set = set
    this.changed = this.#known = 0
    this.#isFound = false
    this.pathStamp++
    this.communityStamp++
    this.origin = sets.origin[set]!
    this.hasMed = (sets.has[set]! & HAS.med) !== 0
    this.med = sets.med[set]!
    this.localPref = sets.localPref[set]!
    this.pathLength = sets.asPathLength[set]!
    if (this.prepended.length > 0) this.prepended = []
  }

  #find(): void {
    if (this.#isFound) return
    this.#isFound = true
    const { at, bytes, arena } = this.sets
    const { view } = arena
    this.#asPathAt = this.#asPathEnd = this.#nextHopAt = 0
    this.#communitiesAt = this.#communitiesEnd = this.#extendedAt = this.#extendedEnd = 0
    this.#largeAt = this.#largeEnd = 0
    const end = at[this.set]! + bytes[this.set]!
    for (let from = at[this.set]!; from < end; ) {
      const isLong = (view.getUint8(from) & EXTENDED_LENGTH) !== 0
      const code = view.getUint8(from + 1)
      const value = from + (isLong ? 4 : 3)
      from = value + (isLong ? view.getUint16(value - 2) : view.getUint8(value - 1))
      if (code === CODE.asPath) {
        this.#asPathAt = value
        this.#asPathEnd = from
      } else if (code === CODE.nextHop) this.#nextHopAt = value
      else if (code === CODE.communities) {
        this.#communitiesAt = value
        this.#communitiesEnd = from
      } else if (code === CODE.extendedCommunities) {
        this.#extendedAt = value
        this.#extendedEnd = from
      } else if (code === CODE.largeCommunities) {
        this.#largeAt = value
        this.#largeEnd = from
      }
    }
  }

  get asPathAt(): number {
    this.#find()
    return this.#asPathAt
  }

  get asPathEnd(): number {
    this.#find()
    return this.#asPathEnd
  }

  /** True when it has not been read before, and its place is known now. */
  #isNews(bit: number): boolean {
    if ((this.#known & bit) !== 0) return false
    this.#known |= bit
    this.#find()
    return true
  }

  get nextHop(): NextHop {
    if (this.#isNews(CHANGED.nextHop)) this.#readNextHop()
    return this.#nextHop
  }

  // Of MP_REACH_NLRI it lies behind the attributes: 8 bytes of a route distinguisher before it in VPN families, and for
  // IPv6 perhaps a link-local address behind it.
  #readNextHop(): void {
    const { at, bytes, nextHopBytes, arena } = this.sets
    const given = nextHopBytes[this.set]!
    const head = nextHopHeadBytes(given)
    const from = given === 0 ? this.#nextHopAt : at[this.set]! + bytes[this.set]! + head
    const length = given === 0 ? (this.#nextHopAt === 0 ? 0 : 4) : given - head === 4 ? 4 : IPV6_BYTES
    this.#nextHop.length = length
    for (let i = 0; i < length; i++) this.#nextHop.bytes[i] = arena.bytes[from + i]!
  }

  get communities(): WordList {
    if (this.#isNews(CHANGED.communities))
      this.#communities.read(this.sets.arena.view, this.#communitiesAt, this.#communitiesEnd)
    return this.#communities
  }

  get extendedCommunities(): WordList {
    if (this.#isNews(CHANGED.extendedCommunities))
      this.#extended.read(this.sets.arena.view, this.#extendedAt, this.#extendedEnd)
    return this.#extended
  }

  get largeCommunities(): WordList {
    if (this.#isNews(CHANGED.largeCommunities)) this.#large.read(this.sets.arena.view, this.#largeAt, this.#largeEnd)
    return this.#large
  }

  get hops(): Hops {
    if (this.#isNews(CHANGED.asPath))
      this.#hops.read(this.prepended, this.sets.arena.view, this.#asPathAt, this.#asPathEnd)
    return this.#hops
  }

  prepend(as: number, times: number): void {
    for (let i = 0; i < times; i++) this.prepended.push(as)
    this.pathLength += times
    this.changed |= CHANGED.asPath
    this.pathStamp++
    this.#known &= ~CHANGED.asPath
  }

  /** False for an address of the other IP version, which is left alone. */
  setNextHop(address: Uint8Array): boolean {
    if (address.length !== this.nextHop.length) return false
    this.nextHop.bytes.set(address)
    this.changed |= CHANGED.nextHop
    return true
  }

  /** It says that it is about to go (RFC 8326). */
  get isGoing(): boolean {
    if ((this.changed & CHANGED.communities) === 0)
      return (this.sets.restrict[this.set]! & RESTRICT.gracefulShutdown) !== 0
    const { words, length } = this.#communities
    for (let i = 0; i < length; i++) if (words[i] === COMMUNITY.gracefulShutdown) return true
    return false
  }
}

/** An address of 4 or 16 bytes; of none where there is no next hop. */
export class NextHop {
  readonly bytes = new Uint8Array(IPV6_BYTES)
  length = 0

  get address(): Uint8Array {
    return this.bytes.subarray(0, this.length)
  }
}

/**
 * A path as a row of hops: an AS each, or an AS_SET with all its members. A confederation's segments are no part of it, as
 * in a path's length (RFC 5065 section 5.3).
 */
export class Hops {
  numbers = new Uint32Array(64)
  /** Where each hop's numbers end. */
  ends = new Uint32Array(64)
  count = 0

  read(prepended: readonly number[], view: DataView, at: number, end: number): void {
    const room = prepended.length + ((end - at) >> 2) + 1
    if (room > this.numbers.length) {
      this.numbers = new Uint32Array(2 * room)
      this.ends = new Uint32Array(2 * room)
    }
    let count = 0
    let filled = 0
    for (let i = prepended.length - 1; i >= 0; i--) {
      this.numbers[filled++] = prepended[i]!
      this.ends[count++] = filled
    }
    for (let from = at; from < end; ) {
      const type = view.getUint8(from)
      const numbers = view.getUint8(from + 1)
      from += 2
      const isSet = type === SEGMENT.set
      if (isSet || type === SEGMENT.sequence)
        for (let i = 0; i < numbers; i++) {
          this.numbers[filled++] = view.getUint32(from + 4 * i)
          if (!isSet || i === numbers - 1) this.ends[count++] = filled
        }
      from += 4 * numbers
    }
    this.count = count
  }
}
