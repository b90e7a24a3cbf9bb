/**
 * The attributes of a route as a peer is to get them: what RFC 4271 section 5.1 wants changed on the way out, written once
 * for all routes that share a set. It works on bytes, since that is what is stored and what is sent; what is stored was
 * checked when it came in.
 *
 *                      external peer            route server's client    internal peer
 *   AS_PATH            our AS in front          as it is (RFC 7947)      as it is
 *   NEXT_HOP           ours, or as it is        as it is                 as it is, or ours
 *   MED                left out                 as it is                 as it is
 *   LOCAL_PREF         left out                 left out                 always there
 *   extended           without those that are   as they are              as they are
 *     communities      of one AS (RFC 4360)
 *   ORIGINATOR_ID ...  left out                 left out                 as a reflector adds them (RFC 4456)
 *
 * A next hop, MED or extended communities that policy has set for these peers are sent as they are.
 */

import { isTransitiveType } from '../../../wire/bgp/community.ts'
import { FAMILY, type Family } from '../../../wire/bgp/family.ts'
import { nextHopHeadBytes } from '../../../wire/bgp/multiprotocol.ts'
import { AS_TRANS } from '../../../wire/bgp/open.ts'
import { type AttributeSets, FIXED } from './attribute-sets.ts'

export interface ExportForm {
  readonly external: boolean
  /** A route server's client: nothing of ours is put in. */
  readonly transparent: boolean
  readonly localAs: number
  /** In paths this AS, the peers' own, is told as ours (RFC 4364 section 10); 0 for none. */
  readonly overriddenAs: number
  /** Our address as the next hop; undefined leaves the route's. */
  readonly nextHopSelf: Uint8Array | undefined
  /** Our address for routes that are our own; undefined when there is none of the family. */
  readonly ours: Uint8Array | undefined
  /** The peer knows AS numbers of four octets (RFC 6793). */
  readonly as4: boolean
  readonly clusterId: number
  readonly family: Family
  /** Of a message, by what the peers take (RFC 8654). */
  readonly messageBytesMax: number
  /** Paths of a prefix at most, with their identifiers (RFC 7911); 0: the best one, without. */
  readonly addPath: number
  /** IPv4 routes may have IPv6 next hops (RFC 8950). */
  readonly extendedNextHop: boolean
}

const CODE = {
  asPath: 2,
  nextHop: 3,
  med: 4,
  localPref: 5,
  originatorId: 9,
  clusterList: 10,
  extended: 16,
  ipv6Extended: 25,
} as const
const NOTHING = new Uint8Array(0)
const IPV4_BYTES = 4
const IPV6_BYTES = 16
const EXTENDED_COMMUNITY_BYTES = 8
const IPV6_COMMUNITY_BYTES = 20
const OPTIONAL = 0x80
const TRANSITIVE = 0x40
const EXTENDED_LENGTH = 0x10
const AS_SEQUENCE = 2
const SEGMENT_MAX = 255
const CODE_AS4_PATH = 17
const CODE_AGGREGATOR = 7
const CODE_AS4_AGGREGATOR = 18

/** Extended messages hold that much (RFC 8654), and we add a few attributes. */
const OUT_BYTES = 65_536 + 1024

export class AttributeRewriter {
  /** What was written last: the first `length` bytes. */
  readonly out = new Uint8Array(OUT_BYTES)
  length = 0
  /** The next hop for MP_REACH_NLRI: the first `nextHopLength` bytes. */
  readonly nextHop = new Uint8Array(64)
  nextHopLength = 0
  readonly #sets: AttributeSets
  #source: Uint8Array = new Uint8Array(0)
  // Of the set that is being written: the next hop that the peers are told, a part of some bytes.
  #fixed = 0
  #hop: Uint8Array = NOTHING
  #hopAt = 0
  #hopBytes = 0

  constructor(sets: AttributeSets) {
    this.#sets = sets
  }

  /**
   * Writes the set's attributes in that form. `reflectedFrom` is the router ID of the internal peer that an internal peer
   * gets the route of, 0 when it is not reflected.
   */
  write(set: number, form: ExportForm, reflectedFrom: number): void {
    const { arena, at, bytes } = this.#sets
    this.#source = arena.bytes
    this.#fixed = this.#sets.fixed[set]!
    this.#chooseNextHop(set, form)
    this.length = 0
    const end = at[set]! + bytes[set]!
    let needsNextHop = this.#hopBytes === IPV4_BYTES && form.family === FAMILY.ipv4Unicast
    let needsLocalPref = !form.external
    let needsOriginator = reflectedFrom !== 0
    let needsCluster = reflectedFrom !== 0
    let needsPath = form.external && !form.transparent
    for (let from = at[set]!; from < end; ) {
      const flags = this.#source[from]!
      const code = this.#source[from + 1]!
      const isLong = (flags & EXTENDED_LENGTH) !== 0
      const value = from + (isLong ? 4 : 3)
      const length = isLong ? (this.#source[from + 2]! << 8) | this.#source[from + 3]! : this.#source[from + 2]!
      // In the order of their codes, as they are.
      if (needsNextHop && code >= CODE.nextHop) {
        this.#classicNextHop()
        needsNextHop = false
      }
      if (needsLocalPref && code >= CODE.localPref) {
        if (code > CODE.localPref) this.#localPref(set)
        needsLocalPref = false
      }
      if (needsOriginator && code >= CODE.originatorId) {
        if (code > CODE.originatorId) this.#fourOctets(CODE.originatorId, reflectedFrom)
        needsOriginator = false
      }
      if (needsCluster && code >= CODE.clusterList) {
        this.#clusterList(form.clusterId, value, code === CODE.clusterList ? length : 0)
        needsCluster = false
        if (code === CODE.clusterList) {
          from = value + length
          continue
        }
      }
      if (code === CODE.asPath) {
        this.#asPath(form, value, length)
        needsPath = false
      } else if (code === CODE.nextHop) {
        // The one that the peers are told is there already.
      } else if (code === CODE_AGGREGATOR && !form.as4) this.#aggregator2(flags, value)
      else if (code === CODE.extended || code === CODE.ipv6Extended)
        this.#communities(from, value, value + length, form)
      else if (this.#passes(code, flags, form)) this.#copy(from, value + length)
      from = value + length
    }
    if (needsPath) this.#asPath(form, 0, 0)
    if (needsNextHop) this.#classicNextHop()
    if (needsLocalPref) this.#localPref(set)
    if (needsOriginator) this.#fourOctets(CODE.originatorId, reflectedFrom)
    if (needsCluster) this.#clusterList(form.clusterId, 0, 0)
    this.#mpNextHop(form)
  }

  // Ours, the one of NEXT_HOP, or the one of MP_REACH_NLRI in the form that the family has.
  #chooseNextHop(set: number, form: ExportForm): void {
    const isKept = (this.#fixed & FIXED.nextHop) !== 0
    const self = (this.#fixed & FIXED.ours) === 0 ? form.nextHopSelf : form.ours
    if (self && !isKept) {
      this.#hop = self
      this.#hopAt = 0
      this.#hopBytes = self.length
      return
    }
    const { at, bytes, nextHopBytes } = this.#sets
    const given = nextHopBytes[set]!
    const end = at[set]! + bytes[set]!
    this.#hop = this.#source
    this.#hopBytes = given
    this.#hopAt = end
    if (given === 0) {
      this.#hopAt = this.#sets.find(set, CODE.nextHop)
      this.#hopBytes = this.#hopAt < 0 ? 0 : this.#sets.foundBytes
      return
    }
    const head = isVpn(form.family) ? 0 : nextHopHeadBytes(given)
    if (head === 0) return
    this.#hopAt += head
    this.#hopBytes = given - head === IPV4_BYTES ? IPV4_BYTES : IPV6_BYTES
  }

  #passes(code: number, flags: number, form: ExportForm): boolean {
    if (!form.external) return true
    if (code === CODE.med) return form.transparent || (this.#fixed & FIXED.med) !== 0
    if (code === CODE.localPref || code === CODE.originatorId || code === CODE.clusterList) return false
    // Optional and not transitive: for the next AS only what we understand to be for it.
    return (flags & OPTIONAL) === 0 || (flags & TRANSITIVE) !== 0
  }

  // RFC 4360 section 6; RFC 5701 section 2.
  #communities(from: number, value: number, end: number, form: ExportForm): void {
    const bytes = this.#source[from + 1] === CODE.extended ? EXTENDED_COMMUNITY_BYTES : IPV6_COMMUNITY_BYTES
    const isWhole = !form.external || form.transparent || (this.#fixed & FIXED.extendedCommunities) !== 0
    let kept = 0
    for (let at = value; at < end; at += bytes) if (isWhole || isTransitiveType(this.#source[at]!)) kept++
    if (kept === 0) return
    this.#head(this.#source[from]! & ~EXTENDED_LENGTH, this.#source[from + 1]!, kept * bytes)
    for (let at = value; at < end; at += bytes)
      if (isWhole || isTransitiveType(this.#source[at]!)) this.#copy(at, at + bytes)
  }

  #copy(from: number, end: number): void {
    const { out } = this
    let at = this.length
    for (let i = from; i < end; i++) out[at++] = this.#source[i]!
    this.length = at
  }

  #u8(value: number): void {
    this.out[this.length++] = value
  }

  #u16(value: number): void {
    this.out[this.length++] = value >>> 8
    this.out[this.length++] = value & 255
  }

  #u32(value: number): void {
    this.#u16(value >>> 16)
    this.#u16(value & 0xffff)
  }

  #head(flags: number, code: number, length: number): void {
    this.#u8(length > 255 ? flags | EXTENDED_LENGTH : flags)
    this.#u8(code)
    if (length > 255) this.#u16(length)
    else this.#u8(length)
  }

  #localPref(set: number): void {
    this.#head(TRANSITIVE, CODE.localPref, 4)
    this.#u32(this.#sets.localPref[set]!)
  }

  #fourOctets(code: number, value: number): void {
    this.#head(OPTIONAL, code, 4)
    this.#u32(value)
  }

  #clusterList(clusterId: number, value: number, length: number): void {
    this.#head(OPTIONAL, CODE.clusterList, length + 4)
    this.#u32(clusterId)
    this.#copy(value, value + length)
  }

  #classicNextHop(): void {
    this.#head(TRANSITIVE, CODE.nextHop, IPV4_BYTES)
    for (let i = 0; i < IPV4_BYTES; i++) this.#u8(this.#hop[this.#hopAt + i]!)
  }

  #mpNextHop({ family }: ExportForm): void {
    this.nextHopLength = 0
    if (family === FAMILY.ipv4Unicast && this.#hopBytes === IPV4_BYTES) return
    for (let i = 0; i < this.#hopBytes; i++) this.nextHop[i] = this.#hop[this.#hopAt + i]!
    this.nextHopLength = this.#hopBytes
  }

  // The path of `length` bytes at `value`, with our AS in front where it goes to another one (section 5.1.2 b).
  #asPath(form: ExportForm, value: number, length: number): void {
    const prepends = form.external && !form.transparent
    if (!form.as4) {
      this.#asPath2(form, value, length, prepends)
      return
    }
    if (!prepends) {
      this.#head(TRANSITIVE, CODE.asPath, length)
      this.#copyPath(form, value, length)
      return
    }
    const joins = length > 0 && this.#source[value] === AS_SEQUENCE && this.#source[value + 1]! < SEGMENT_MAX
    this.#head(TRANSITIVE, CODE.asPath, length + (joins ? 4 : 6))
    this.#u8(AS_SEQUENCE)
    this.#u8(joins ? this.#source[value + 1]! + 1 : 1)
    this.#u32(form.localAs)
    if (!joins) {
      this.#copyPath(form, value, length)
      return
    }
    // The first segment without its head, and the rest.
    const first = 4 * this.#source[value + 1]!
    this.#copyNumbers(form, value + 2, value + 2 + first)
    this.#copyPath(form, value + 2 + first, length - 2 - first)
  }

  #copyPath(form: ExportForm, value: number, length: number): void {
    for (let at = value; at < value + length; ) {
      const numbers = at + 2
      const next = numbers + 4 * this.#source[at + 1]!
      this.#copy(at, numbers)
      this.#copyNumbers(form, numbers, next)
      at = next
    }
  }

  #copyNumbers({ overriddenAs, localAs }: ExportForm, from: number, end: number): void {
    if (overriddenAs === 0) {
      this.#copy(from, end)
      return
    }
    for (let at = from; at < end; at += 4) {
      const as = this.#asAt(at)
      this.#u32(as === overriddenAs ? localAs : as)
    }
  }

  #asAt(at: number): number {
    const source = this.#source
    return ((source[at]! << 24) | (source[at + 1]! << 16) | (source[at + 2]! << 8) | source[at + 3]!) >>> 0
  }

  // For a peer that knows two octets only: AS_TRANS for what does not fit, and AS4_PATH with the truth (RFC 6793 section
  // 4.2.2).
  #asPath2(form: ExportForm, value: number, length: number, prepends: boolean): void {
    const fits = this.#writePath2(form, value, length, prepends)
    if (fits) return
    const whole = { ...form, as4: true }
    const from = this.length
    this.#asPath(whole, value, length)
    this.out[from] = this.out[from]! | OPTIONAL
    this.out[from + 1] = CODE_AS4_PATH
  }

  #writePath2(form: ExportForm, value: number, length: number, prepends: boolean): boolean {
    let fits = !prepends || form.localAs <= 0xffff
    let octets = prepends ? 4 : 0
    for (let at = value; at < value + length; at += 2 + 4 * this.#source[at + 1]!)
      octets += 2 + 2 * this.#source[at + 1]!
    this.#head(TRANSITIVE, CODE.asPath, octets)
    if (prepends) {
      this.#u8(AS_SEQUENCE)
      this.#u8(1)
      this.#u16(form.localAs <= 0xffff ? form.localAs : AS_TRANS)
    }
    for (let at = value; at < value + length; ) {
      const count = this.#source[at + 1]!
      this.#u8(this.#source[at]!)
      this.#u8(count)
      at += 2
      for (let i = 0; i < count; i++, at += 4) {
        const there = this.#asAt(at)
        const as = there === form.overriddenAs ? form.localAs : there
        if (as > 0xffff) fits = false
        this.#u16(as > 0xffff ? AS_TRANS : as)
      }
    }
    return fits
  }

  #aggregator2(flags: number, value: number): void {
    const isWide = this.#source[value] !== 0 || this.#source[value + 1] !== 0
    this.#head(flags & ~EXTENDED_LENGTH, CODE_AGGREGATOR, 6)
    if (isWide) this.#u16(AS_TRANS)
    else this.#copy(value + 2, value + 4)
    this.#copy(value + 4, value + 8)
    if (!isWide) return
    this.#head(flags & ~EXTENDED_LENGTH, CODE_AS4_AGGREGATOR, 8)
    this.#copy(value, value + 8)
  }
}

function isVpn(family: Family): boolean {
  return family === FAMILY.vpnv4 || family === FAMILY.vpnv6
}
