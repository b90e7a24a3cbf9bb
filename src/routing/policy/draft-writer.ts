/**
 * A changed draft as a set of the RIB: the bytes of the set that it began as, with the attributes that were changed in
 * their places. What comes of it is judged like a message, so that the columns of the set say what its bytes do.
 */

import { checkAttributes } from '../../wire/bgp/check-attributes.ts'
import { AttributeFacts, attributeContext } from '../../wire/bgp/facts.ts'
import { ATTRIBUTES_BYTES_MAX } from '../../wire/bgp/message.ts'
import { nextHopHeadBytes } from '../../wire/bgp/multiprotocol.ts'
import { UpdateParts } from '../../wire/bgp/update.ts'
import { Reader } from '../../wire/cursor.ts'
import { type AttributeSets, NO_SET } from '../bgp/rib/attribute-sets.ts'
import { CHANGED, CODE, type Draft } from './draft.ts'
import type { WordList } from './word-list.ts'

const OPTIONAL = 0x80
const TRANSITIVE = 0x40
const EXTENDED_LENGTH = 0x10
const AS_SEQUENCE = 2
const SEGMENT_MAX = 255

const PLACES: readonly (readonly [code: number, bit: number])[] = [
  [CODE.origin, CHANGED.origin],
  [CODE.asPath, CHANGED.asPath],
  [CODE.nextHop, CHANGED.nextHop],
  [CODE.med, CHANGED.med],
  [CODE.localPref, CHANGED.localPref],
  [CODE.communities, CHANGED.communities],
  [CODE.extendedCommunities, CHANGED.extendedCommunities],
  [CODE.largeCommunities, CHANGED.largeCommunities],
]

export class DraftWriter {
  readonly #sets: AttributeSets
  // What is written before it is seen to be too large, at most all that was there and all kinds that there are.
  #bytes = new Uint8Array(1 << 17)
  #view = new DataView(this.#bytes.buffer)
  #reader = new Reader(this.#bytes)
  #length = 0
  readonly #parts = new UpdateParts()
  readonly #facts = new AttributeFacts()
  readonly #context = attributeContext({ external: false, aigp: true })

  constructor(sets: AttributeSets) {
    this.#sets = sets
  }

  /** The number of the set that the draft is now; NO_SET when no message could hold it. `fixed` is of FIXED. */
  intern(draft: Draft, fixed: number): number {
    if (draft.changed === 0) return draft.set
    this.#reserve(draft)
    this.#write(draft)
    const length = this.#length
    if (length > ATTRIBUTES_BYTES_MAX) return NO_SET
    const nextHopBytes = this.#copyNextHop(draft)
    this.#parts.attributesEnd = length
    this.#parts.nlriAt = this.#parts.nlriEnd = length
    checkAttributes(this.#reader, this.#parts, this.#context, this.#facts)
    return this.#sets.intern(this.#view, this.#view, 0, length, length, nextHopBytes, this.#facts, fixed)
  }

  #reserve(draft: Draft): void {
    const { changed, prepended } = draft
    let words = 0
    if ((changed & CHANGED.communities) !== 0) words += draft.communities.length
    if ((changed & CHANGED.extendedCommunities) !== 0) words += draft.extendedCommunities.length
    if ((changed & CHANGED.largeCommunities) !== 0) words += draft.largeCommunities.length
    const needed = this.#sets.bytes[draft.set]! + 4 * words + 8 * prepended.length + 256
    if (needed <= this.#bytes.length) return
    this.#bytes = new Uint8Array(2 * needed)
    this.#view = new DataView(this.#bytes.buffer)
    this.#reader = new Reader(this.#bytes)
  }

  #write(draft: Draft): void {
    const { at, bytes, arena, nextHopBytes } = this.#sets
    const source = arena.bytes
    // An IPv6 next hop is no attribute.
    let left = nextHopBytes[draft.set] === 0 ? draft.changed : draft.changed & ~CHANGED.nextHop
    const replaced = left
    this.#length = 0
    const end = at[draft.set]! + bytes[draft.set]!
    for (let from = at[draft.set]!; from < end; ) {
      const code = source[from + 1]!
      const isLong = (source[from]! & EXTENDED_LENGTH) !== 0
      const next = isLong ? from + 4 + ((source[from + 2]! << 8) | source[from + 3]!) : from + 3 + source[from + 2]!
      left = this.#writeUpTo(code, left, draft)
      if ((bitOf(code) & replaced) === 0) {
        this.#bytes.set(source.subarray(from, next), this.#length)
        this.#length += next - from
      }
      from = next
    }
    this.#writeUpTo(255, left, draft)
  }

  // Of the changed attributes those whose place is before the next one, or that are it. Returns which are left.
  #writeUpTo(code: number, bits: number, draft: Draft): number {
    if (bits === 0) return 0
    let left = bits
    for (const [place, bit] of PLACES) {
      if (place > code) break
      if ((left & bit) === 0) continue
      left &= ~bit
      this.#writeOne(bit, draft)
    }
    return left
  }

  #writeOne(bit: number, draft: Draft): void {
    if (bit === CHANGED.origin) {
      this.#head(TRANSITIVE, CODE.origin, 1)
      this.#bytes[this.#length++] = draft.origin
    } else if (bit === CHANGED.nextHop) {
      this.#head(TRANSITIVE, CODE.nextHop, 4)
      for (let i = 0; i < 4; i++) this.#bytes[this.#length++] = draft.nextHop.bytes[i]!
    } else if (bit === CHANGED.asPath) this.#path(draft)
    else if (bit === CHANGED.med) {
      if (draft.hasMed) this.#number(OPTIONAL, CODE.med, draft.med)
    } else if (bit === CHANGED.localPref) this.#number(TRANSITIVE, CODE.localPref, draft.localPref)
    else if (bit === CHANGED.communities) this.#words(CODE.communities, draft.communities)
    else if (bit === CHANGED.extendedCommunities) this.#words(CODE.extendedCommunities, draft.extendedCommunities)
    else this.#words(CODE.largeCommunities, draft.largeCommunities)
  }

  #head(flags: number, code: number, length: number): void {
    const isLong = length > 255
    this.#bytes[this.#length++] = isLong ? flags | EXTENDED_LENGTH : flags
    this.#bytes[this.#length++] = code
    if (isLong) this.#bytes[this.#length++] = length >>> 8
    this.#bytes[this.#length++] = length
  }

  #number(flags: number, code: number, value: number): void {
    this.#head(flags, code, 4)
    this.#view.setUint32(this.#length, value)
    this.#length += 4
  }

  /** An empty list is no attribute (RFC 7606 section 7.8). */
  #words(code: number, list: WordList): void {
    if (list.length === 0) return
    this.#head(OPTIONAL | TRANSITIVE, code, 4 * list.length)
    list.write(this.#view, this.#length)
    this.#length += 4 * list.length
  }

  // What is in front joins the sequence that the path begins with, as far as that has room (RFC 4271 section 5.1.2).
  #path({ prepended, asPathAt, asPathEnd }: Draft): void {
    const source = this.#sets.arena.bytes
    const isSequence = asPathEnd > asPathAt && source[asPathAt] === AS_SEQUENCE
    const count = isSequence ? source[asPathAt + 1]! : 0
    const joining = isSequence ? Math.min(prepended.length, SEGMENT_MAX - count) : 0
    const apart = prepended.length - joining
    const segments = Math.ceil(apart / SEGMENT_MAX)
    this.#head(TRANSITIVE, CODE.asPath, asPathEnd - asPathAt + 4 * prepended.length + 2 * segments)
    let next = prepended.length - 1
    for (let left = apart; left > 0; ) {
      const here = Math.min(left, SEGMENT_MAX)
      next = this.#sequence(here, here, prepended, next)
      left -= here
    }
    if (joining > 0) this.#sequence(joining + count, joining, prepended, next)
    const from = joining > 0 ? asPathAt + 2 : asPathAt
    this.#bytes.set(source.subarray(from, asPathEnd), this.#length)
    this.#length += asPathEnd - from
  }

  #sequence(count: number, here: number, prepended: readonly number[], next: number): number {
    this.#bytes[this.#length++] = AS_SEQUENCE
    this.#bytes[this.#length++] = count
    for (let i = 0; i < here; i++, this.#length += 4) this.#view.setUint32(this.#length, prepended[next - i]!)
    return next - here
  }

  // Behind the attributes, where the set has it. Returns its length.
  #copyNextHop({ set, changed, nextHop }: Draft): number {
    const { at, bytes, nextHopBytes, arena } = this.#sets
    const given = nextHopBytes[set]!
    const from = at[set]! + bytes[set]!
    for (let i = 0; i < given; i++) this.#bytes[this.#length + i] = arena.bytes[from + i]!
    if ((changed & CHANGED.nextHop) === 0 || given === 0) return given
    const head = nextHopHeadBytes(given)
    this.#bytes.set(nextHop.address, this.#length + head)
    // The link-local address that was beside the old one goes with it.
    return head + nextHop.length
  }
}

function bitOf(code: number): number {
  for (const [place, bit] of PLACES) if (place === code) return bit
  return 0
}
