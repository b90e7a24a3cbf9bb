/**
 * What an UPDATE's attributes say, as one walk over their bytes finds it (`checkAttributes` in check-attributes.ts): a
 * fixed set of numbers and byte offsets in an object that is reused, so that nothing is allocated for a message.
 */

import { FAMILY, NO_FAMILY } from './family.ts'
import { UPDATE_ERROR } from './notification.ts'

/** From the mildest to the strongest. */
export const OUTCOME = {
  fine: 0,
  /** The routes are good; some attributes, among `facts.dropped`, are not and must not be used. */
  discarded: 1,
  /** Every route of the message is to be treated as if it had been withdrawn. */
  withdraw: 2,
  /** The session ends with the NOTIFICATION that `errorNotification` makes. */
  reset: 3,
} as const
export type Outcome = (typeof OUTCOME)[keyof typeof OUTCOME]

/** What a session has agreed on, as far as it decides how attributes are read. Constant while the session lasts. */
export interface AttributeContext {
  /** Both sides speak 4-octet AS numbers (RFC 6793). */
  readonly as4: boolean
  /** The peer is neither of our AS nor of our confederation. */
  readonly external: boolean
  /** Bits of the families that were agreed on. */
  readonly families: number
  /** Bits of the IPv4 families that may have IPv6 next hops (RFC 8950). */
  readonly extendedNextHop: number
  /** Bits of the families whose prefixes come with path identifiers (RFC 7911). */
  readonly addPath: number
  /** AIGP is enabled on this session (RFC 7311 section 3.1); where it is not, it is dropped. */
  readonly aigp: boolean
}

/** All of them have the same shape. What is left out is that of an external peer of today with IPv4 alone. */
export function attributeContext(of: Partial<AttributeContext> = {}): AttributeContext {
  return {
    as4: of.as4 ?? true,
    external: of.external ?? true,
    families: of.families ?? 1 << FAMILY.ipv4Unicast,
    extendedNextHop: of.extendedNextHop ?? 0,
    addPath: of.addPath ?? 0,
    aigp: of.aigp ?? false,
  }
}

/** Bits of `AttributeFacts.seen`: 1 << code. */
export const SEEN = {
  origin: 1 << 1,
  asPath: 1 << 2,
  nextHop: 1 << 3,
  med: 1 << 4,
  localPref: 1 << 5,
  atomicAggregate: 1 << 6,
  aggregator: 1 << 7,
  communities: 1 << 8,
  originatorId: 1 << 9,
  clusterList: 1 << 10,
  mpReach: 1 << 14,
  mpUnreach: 1 << 15,
  extendedCommunities: 1 << 16,
  as4Path: 1 << 17,
  as4Aggregator: 1 << 18,
  ipv6ExtendedCommunities: 1 << 25,
  aigp: 1 << 26,
} as const

/** One object is reused for every message. Offsets are as `Reader.at` counts; a pair of equal ones is absence. */
export class AttributeFacts {
  outcome: Outcome = OUTCOME.fine
  /** Of the strongest error, the first of those: for the NOTIFICATION, or for the log. 0 when there is none. */
  errorCode = 0
  errorSubcode = 0
  errorAttribute = 0
  errorAt = 0
  errorEnd = 0

  /** Which of the codes below 32 are there and may be used, a bit each; SEEN names those that we know. */
  seen = 0
  /** Codes 32 to 63: 1 << (code - 32). */
  seenHigh = 0
  /** There is an attribute whose code is larger. */
  seenBeyond = false
  /** Attributes stand in the order of their codes, but for MP_REACH_NLRI and MP_UNREACH_NLRI, which mostly come first. */
  inOrder = true

  origin = 0
  asPathAt = 0
  asPathEnd = 0
  /** RFC 4271 section 9.1.2.2 a: a set counts as one; segments of a confederation as none (RFC 5065 section 5.3). */
  asPathLength = 0
  /** The leftmost AS, of a confederation's segment too. 0 when the path is empty or begins with a set. */
  firstAs = 0
  /** The AS whose MED may be compared: the first outside of the confederation. 0 when there is none, or a set. */
  neighbourAs = 0
  /** The origin AS. 0 when the path is empty, of the confederation alone, or ends with a set. */
  lastAs = 0
  nextHop4 = 0
  nextHopAt = 0
  nextHopEnd = 0
  med = 0
  localPref = 0
  aggregatorAs = 0
  as4AggregatorAs = 0
  originatorId = 0
  /** ONLY_TO_CUSTOMER (RFC 9234); 0 when it is not there. */
  onlyToCustomer = 0
  communitiesAt = 0
  communitiesEnd = 0
  extendedAt = 0
  extendedEnd = 0
  largeAt = 0
  largeEnd = 0
  clusterListAt = 0
  clusterListEnd = 0
  /** AS4_PATH of a peer that knows two octets only, where it is to be believed (`adoptFourOctets`). */
  as4PathAt = 0
  as4PathEnd = 0
  as4PathLength = 0
  as4FirstAs = 0
  as4LastAs = 0
  aigpAt = 0
  aigpEnd = 0

  /** NO_FAMILY when there is none, or of a family that was not agreed on: such a one is not looked at. */
  mpReachFamily: number = NO_FAMILY
  /** Of the whole attribute, which ends where its prefixes do. */
  mpReachAt = 0
  mpReachNextHopAt = 0
  /** 4, 12, 16, 24, 32 or 48: a route distinguisher may stand before an address, a link-local address behind. */
  mpReachNextHopBytes = 0
  mpReachNlriAt = 0
  mpReachNlriEnd = 0
  mpUnreachFamily: number = NO_FAMILY
  mpUnreachAt = 0
  mpUnreachNlriAt = 0
  mpUnreachNlriEnd = 0

  /** Pairs of offsets, whole attributes in order that must not be used or passed on, `droppedCount` pairs. */
  dropped: Uint32Array = new Uint32Array(16)
  droppedCount = 0
  /** Pairs likewise: transitive attributes that we do not know, to be passed on with the partial bit set. */
  unknown: Uint32Array = new Uint32Array(16)
  unknownCount = 0

  /** The attribute that is being checked, whole: for its row. */
  attributeAt = 0
  attributeEnd = 0
  attributeCode = 0
  /** Bits of what is dropped, taken out of `seen` when the walk is over. */
  droppedSeen = 0
  droppedSeenHigh = 0
  readonly #beyond = new Uint32Array(6)

  get hasNextHop(): boolean {
    return (this.seen & SEEN.nextHop) !== 0
  }

  get hasMed(): boolean {
    return (this.seen & SEEN.med) !== 0
  }

  get hasLocalPref(): boolean {
    return (this.seen & SEEN.localPref) !== 0
  }

  get hasOriginatorId(): boolean {
    return (this.seen & SEEN.originatorId) !== 0
  }

  clear(): void {
    this.outcome = OUTCOME.fine
    this.errorCode = this.errorSubcode = this.errorAttribute = this.errorAt = this.errorEnd = 0
    if (this.seenBeyond) this.#beyond.fill(0)
    this.seen = this.seenHigh = this.droppedSeen = this.droppedSeenHigh = 0
    this.seenBeyond = false
    this.inOrder = true
    this.origin = this.asPathAt = this.asPathEnd = this.asPathLength = 0
    this.firstAs = this.neighbourAs = this.lastAs = 0
    this.nextHopAt = this.nextHopEnd = 0
    this.nextHop4 =
      this.med =
      this.localPref =
      this.aggregatorAs =
      this.as4AggregatorAs =
      this.originatorId =
      this.onlyToCustomer =
        0
    this.communitiesAt = this.communitiesEnd = this.extendedAt = this.extendedEnd = 0
    this.largeAt = this.largeEnd = this.clusterListAt = this.clusterListEnd = 0
    this.as4PathLength = this.as4FirstAs = this.as4LastAs = 0
    this.as4PathAt = this.as4PathEnd = this.aigpAt = this.aigpEnd = 0
    this.mpReachFamily = this.mpUnreachFamily = NO_FAMILY
    this.mpReachNextHopAt = this.mpReachNextHopBytes = this.mpReachNlriAt = this.mpReachNlriEnd = 0
    this.mpReachAt = this.mpUnreachAt = 0
    this.mpUnreachNlriAt = this.mpUnreachNlriEnd = 0
    this.droppedCount = this.unknownCount = 0
  }

  /** True when the attribute was there before. */
  see(code: number): boolean {
    const bit = 1 << code
    if (code < 32) {
      const before = this.seen & bit
      this.seen |= bit
      return before !== 0
    }
    if (code < 64) {
      const before = this.seenHigh & bit
      this.seenHigh |= bit
      return before !== 0
    }
    this.seenBeyond = true
    const word = (code >>> 5) - 2
    const before = this.#beyond[word]! & bit
    this.#beyond[word]! |= bit
    return before !== 0
  }

  /** An error of the attribute that is being checked. */
  judge(outcome: Outcome, subcode: number): void {
    this.judgeRange(outcome, subcode, this.attributeCode, this.attributeAt, this.attributeEnd)
  }

  judgeRange(outcome: Outcome, subcode: number, attribute: number, at: number, end: number): void {
    if (outcome <= this.outcome) return
    this.outcome = outcome
    this.errorCode = UPDATE_ERROR.code
    this.errorSubcode = subcode
    this.errorAttribute = attribute
    this.errorAt = at
    this.errorEnd = end
  }

  /** The attribute that is being checked is not to be used. Its repetition: the first one stays. */
  drop(isRepetition: boolean): void {
    this.dropped = append(this.dropped, this.droppedCount++, this.attributeAt, this.attributeEnd)
    if (isRepetition) return
    if (this.attributeCode < 32) this.droppedSeen |= 1 << this.attributeCode
    else if (this.attributeCode < 64) this.droppedSeenHigh |= 1 << this.attributeCode
  }

  keepUnknown(): void {
    this.unknown = append(this.unknown, this.unknownCount++, this.attributeAt, this.attributeEnd)
  }
}

// Grows for a message of hundreds of bad attributes and stays so: at most a pair for each three bytes of a message.
function append(pairs: Uint32Array, count: number, at: number, end: number): Uint32Array {
  let out = pairs
  if (count * 2 === pairs.length) {
    out = new Uint32Array(pairs.length * 2)
    out.set(pairs)
  }
  out[count * 2] = at
  out[count * 2 + 1] = end
  return out
}
