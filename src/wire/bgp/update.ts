/**
 * An UPDATE's three parts, RFC 4271 section 4.3:
 *
 *   withdrawn length u16 | withdrawn prefixes | attributes' length u16 | attributes | prefixes, to the end
 *
 * They are found here and not read: `checkAttributes` judges them (facts.ts), and prefix.ts reads prefixes.
 */

import type { Reader } from '../cursor.ts'
import { type AttributeFacts, SEEN } from './facts.ts'
import { FAMILY, NO_FAMILY } from './family.ts'

/** Byte offsets, as `Reader.at` counts. One object is reused for every message. */
export class UpdateParts {
  withdrawnAt = 0
  withdrawnEnd = 0
  attributesAt = 0
  attributesEnd = 0
  nlriAt = 0
  nlriEnd = 0
}

/**
 * The reader's window is the message's body. False is a Malformed Attribute List, which ends the session: where the
 * prefixes begin cannot be known (RFC 7606 section 3 b).
 */
export function splitUpdate(from: Reader, into: UpdateParts): boolean {
  const withdrawnBytes = from.u16()
  into.withdrawnAt = from.at
  from.skip(withdrawnBytes)
  into.withdrawnEnd = from.at
  const attributesBytes = from.u16()
  into.attributesAt = from.at
  from.skip(attributesBytes)
  into.attributesEnd = from.at
  into.nlriAt = from.at
  into.nlriEnd = from.at + from.remaining
  return !from.failed
}

/**
 * The family whose End-of-RIB this message is (RFC 4724 section 2), or NO_FAMILY: nothing at all for IPv4 unicast, an
 * MP_UNREACH_NLRI that withdraws nothing for the others (and for IPv4 unicast, if a peer likes).
 */
export function endOfRib(parts: UpdateParts, facts: AttributeFacts): number {
  if (parts.withdrawnAt !== parts.withdrawnEnd || parts.nlriAt !== parts.nlriEnd) return NO_FAMILY
  if (parts.attributesAt === parts.attributesEnd) return FAMILY.ipv4Unicast
  const alone = facts.seen === SEEN.mpUnreach && facts.seenHigh === 0 && !facts.seenBeyond && facts.outcome === 0
  return alone && facts.mpUnreachNlriAt === facts.mpUnreachNlriEnd ? facts.mpUnreachFamily : NO_FAMILY
}
