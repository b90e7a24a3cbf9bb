/**
 * The bytes by which a set of attributes is known, from those of a message. Mostly they are the message's own, as they
 * lie. What is put together here first is the rest: without MP_REACH_NLRI and MP_UNREACH_NLRI, whose prefixes are no
 * attributes, without what was to be discarded, with AS numbers of four octets (RFC 6793 section 4.2.3), with the partial
 * bit of what we pass on without knowing it, and in the order of their codes (RFC 4271 section 5), in which they stay
 * wherever they go.
 */

import { mergeAs4Path } from '../../../wire/bgp/as-path.ts'
import { type AttributeContext, type AttributeFacts, SEEN } from '../../../wire/bgp/facts.ts'
import type { UpdateParts } from '../../../wire/bgp/update.ts'
import type { AttributeSets } from './attribute-sets.ts'

const CODE = {
  asPath: 2,
  nextHop: 3,
  aggregator: 7,
  mpReach: 14,
  mpUnreach: 15,
  as4Path: 17,
  as4Aggregator: 18,
} as const
const EXTENDED_LENGTH = 0x10
const PARTIAL = 0x20
const SCRATCH_BYTES = 2 * 65_536
/** One of each code. */
const ATTRIBUTES_MAX = 256
/** Bits of an offset in the scratch. */
const OFFSET_BITS = 17

export class SetAssembler {
  readonly #sets: AttributeSets
  readonly #scratch = new Uint8Array(SCRATCH_BYTES)
  readonly #scratchView = new DataView(this.#scratch.buffer)
  readonly #sorted = new Uint8Array(SCRATCH_BYTES)
  /** Codes, with the offsets of their attributes behind them. */
  readonly #places = new Uint32Array(ATTRIBUTES_MAX)

  constructor(sets: AttributeSets) {
    this.#sets = sets
  }

  /** The set's number. `multiprotocol` routes take the next hop of MP_REACH_NLRI, the others NEXT_HOP. */
  intern(
    view: DataView,
    parts: UpdateParts,
    facts: AttributeFacts,
    context: AttributeContext,
    multiprotocol: boolean,
  ): number {
    const nextHopAt = multiprotocol ? facts.mpReachNextHopAt : 0
    const nextHopBytes = multiprotocol ? facts.mpReachNextHopBytes : 0
    const isPlain =
      (facts.seen & (SEEN.mpReach | SEEN.mpUnreach)) === 0 &&
      facts.droppedCount === 0 &&
      facts.unknownCount === 0 &&
      facts.inOrder &&
      context.as4
    if (isPlain) {
      const { attributesAt, attributesEnd } = parts
      return this.#sets.intern(view, view, attributesAt, attributesEnd - attributesAt, nextHopAt, nextHopBytes, facts)
    }
    const length = this.#assemble(view, parts, facts, context, multiprotocol)
    if (!facts.inOrder) this.#sort(length)
    return this.#sets.intern(view, this.#scratchView, 0, length, nextHopAt, nextHopBytes, facts)
  }

  #assemble(
    view: DataView,
    parts: UpdateParts,
    facts: AttributeFacts,
    context: AttributeContext,
    multiprotocol: boolean,
  ): number {
    let length = 0
    let dropped = 0
    let unknown = 0
    for (let at = parts.attributesAt; at < parts.attributesEnd; ) {
      const flags = view.getUint8(at)
      const code = view.getUint8(at + 1)
      const isLong = (flags & EXTENDED_LENGTH) !== 0
      const value = at + (isLong ? 4 : 3)
      const end = value + (isLong ? view.getUint16(at + 2) : view.getUint8(at + 2))
      const isDropped = dropped < facts.droppedCount && facts.dropped[2 * dropped] === at
      const isUnknown = unknown < facts.unknownCount && facts.unknown[2 * unknown] === at
      if (isDropped) dropped++
      if (isUnknown) unknown++
      if (!isDropped && isKept(code, multiprotocol)) {
        if (!context.as4 && isOfTwoOctets(code)) length = this.#widen(view, facts, code, flags, value, length)
        else {
          for (let i = at; i < end; i++) this.#scratch[length + i - at] = view.getUint8(i)
          if (isUnknown) this.#scratch[length] = flags | PARTIAL
          length += end - at
        }
      }
      at = end
    }
    return length
  }

  #sort(length: number): void {
    let count = 0
    for (let at = 0; at < length; at = this.#endOf(at))
      this.#places[count++] = (this.#scratch[at + 1]! << OFFSET_BITS) | at
    let end = 0
    for (const place of this.#places.subarray(0, count).sort()) {
      const at = place & ((1 << OFFSET_BITS) - 1)
      const attribute = this.#scratch.subarray(at, this.#endOf(at))
      this.#sorted.set(attribute, end)
      end += attribute.length
    }
    this.#scratch.set(this.#sorted.subarray(0, end))
  }

  #endOf(at: number): number {
    const isLong = (this.#scratch[at]! & EXTENDED_LENGTH) !== 0
    return isLong ? at + 4 + this.#scratchView.getUint16(at + 2) : at + 3 + this.#scratch[at + 2]!
  }

  // What has AS numbers of two octets, with what its companion of four knows better, of which the facts tell already.
  #widen(view: DataView, facts: AttributeFacts, code: number, flags: number, value: number, at: number): number {
    const out = this.#scratchView
    if (code === CODE.asPath) return mergeAs4Path(view, facts, this.#scratch, at)
    if (code !== CODE.aggregator) return at
    out.setUint8(at, flags & ~EXTENDED_LENGTH)
    out.setUint8(at + 1, CODE.aggregator)
    out.setUint8(at + 2, 8)
    out.setUint32(at + 3, facts.aggregatorAs)
    out.setUint32(at + 7, view.getUint32(value + 2))
    return at + 11
  }
}

function isOfTwoOctets(code: number): boolean {
  return code === CODE.asPath || code === CODE.aggregator || code === CODE.as4Path || code === CODE.as4Aggregator
}

function isKept(code: number, multiprotocol: boolean): boolean {
  if (code === CODE.mpReach || code === CODE.mpUnreach) return false
  return !(multiprotocol && code === CODE.nextHop)
}
