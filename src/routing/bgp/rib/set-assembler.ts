/**
 * The bytes by which a set of attributes is known, from those of a message. Mostly they are the message's own, as they
 * lie. What is put together here first is the rest: without MP_REACH_NLRI and MP_UNREACH_NLRI, whose prefixes are no
 * attributes, without what was to be discarded, with AS numbers of four octets (RFC 6793 section 4.2.3), and with the
 * partial bit of what we pass on without knowing it (RFC 4271 section 5).
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

export class SetAssembler {
  readonly #sets: AttributeSets
  readonly #scratch = new Uint8Array(SCRATCH_BYTES)
  readonly #scratchView = new DataView(this.#scratch.buffer)

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
      context.as4
    if (isPlain) {
      const { attributesAt, attributesEnd } = parts
      return this.#sets.intern(view, view, attributesAt, attributesEnd - attributesAt, nextHopAt, nextHopBytes, facts)
    }
    const length = this.#assemble(view, parts, facts, context, multiprotocol)
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
