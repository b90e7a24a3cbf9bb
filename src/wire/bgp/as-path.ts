/**
 * AS_PATH and AS4_PATH: segments of AS numbers, 2 or 4 octets each (RFC 4271 section 4.3, RFC 6793):
 *
 *   type u8 | count u8 | count x AS number
 */

import type { Reader } from '../cursor.ts'
import type { AttributeContext, AttributeFacts } from './facts.ts'
import { UPDATE_ERROR } from './notification.ts'

export const SEGMENT = { set: 1, sequence: 2, confederationSequence: 3, confederationSet: 4 } as const

/** RFC 7606 section 7.2. An empty path is sound: what it means is the session's to say. */
export function checkAsPath(from: Reader, facts: AttributeFacts, context: AttributeContext): number {
  facts.asPathAt = from.at
  facts.asPathEnd = from.at + from.remaining
  let length = 0
  let last = 0
  let isFirst = true
  let hasNeighbour = false
  while (from.remaining > 0) {
    const type = from.u8()
    const count = from.u8()
    // A count of none hides where the path begins; the two lengths must agree to the byte.
    if (type === 0 || type > SEGMENT.confederationSet || count === 0) return UPDATE_ERROR.malformedAsPath
    const leftmost = context.as4 ? from.u32() : from.u16()
    let as = leftmost
    let hasZero = as === 0
    for (let i = 1; i < count; i++) {
      as = context.as4 ? from.u32() : from.u16()
      if (as === 0) hasZero = true
    }
    // AS 0 is nobody (RFC 7607). In the failed state every AS reads as 0.
    if (hasZero) return UPDATE_ERROR.malformedAsPath
    const isSet = type === SEGMENT.set || type === SEGMENT.confederationSet
    if (isFirst) facts.firstAs = isSet ? 0 : leftmost
    isFirst = false
    if (type > SEGMENT.sequence) {
      // Only members of our confederation may tell us of it (RFC 5065 section 5).
      if (context.external) return UPDATE_ERROR.malformedAsPath
      continue
    }
    if (!hasNeighbour) facts.neighbourAs = isSet ? 0 : leftmost
    hasNeighbour = true
    length += isSet ? 1 : count
    last = isSet ? 0 : as
  }
  facts.asPathLength = length
  facts.lastAs = last
  return 0
}

/** RFC 6793 section 6: its errors cost the attribute and not the route. */
export function checkAs4Path(from: Reader, facts: AttributeFacts): number {
  const at = from.at
  const end = at + from.remaining
  if (at === end) return UPDATE_ERROR.optionalAttribute
  while (from.remaining > 0) {
    const type = from.u8()
    const count = from.u8()
    if (type === 0 || type > SEGMENT.confederationSet || count === 0) return UPDATE_ERROR.optionalAttribute
    for (let i = 0; i < count; i++) if (from.u32() === 0) return UPDATE_ERROR.optionalAttribute
  }
  facts.as4PathAt = at
  facts.as4PathEnd = end
  return 0
}
