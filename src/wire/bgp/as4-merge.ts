/**
 * The whole AS path of a route from a peer that knows AS numbers of two octets only (RFC 6793 section 4.2.3): where its
 * AS_PATH says AS_TRANS, those behind it may have said the truth in AS4_PATH.
 *
 *   AS_PATH    23456 23456 7 8         of four, AS4_PATH knows the last three
 *   AS4_PATH         70000 7 8
 *   merged     23456 70000 7 8
 */

import { SEGMENT } from './as-path.ts'
import { type AttributeFacts, SEEN } from './facts.ts'

const TRANSITIVE_EXTENDED = 0x50
const CODE_AS_PATH = 2
const HEAD_BYTES = 4
export const AS_TRANS = 23_456

/**
 * Writes AS_PATH as a whole attribute of four-octet numbers at `at` and returns where it ends: at most twice the bytes
 * that the message had for both, and a head. `view` is over the message, whose attributes were checked.
 */
export function mergeAs4Path(view: DataView, facts: AttributeFacts, out: Uint8Array, at: number): number {
  const { asPathAt, asPathEnd, as4PathAt, as4PathEnd, aggregatorAs } = facts
  const known = pathLength(view, asPathAt, asPathEnd, 2)
  const better = pathLength(view, as4PathAt, as4PathEnd, 4)
  // It was aggregated by somebody who passed on what he did not know.
  const isOutdated = (facts.seen & SEEN.as4Aggregator) !== 0 && aggregatorAs !== AS_TRANS
  const isUsed = better > 0 && better <= known && !isOutdated
  const start = at + HEAD_BYTES
  let end = widenLeading(view, asPathAt, asPathEnd, isUsed ? known - better : known, out, start)
  if (isUsed) for (let from = as4PathAt; from < as4PathEnd; from++) out[end++] = view.getUint8(from)
  out[at] = TRANSITIVE_EXTENDED
  out[at + 1] = CODE_AS_PATH
  out[at + 2] = (end - start) >>> 8
  out[at + 3] = end - start
  return end
}

/** Numbers in a path: a set counts as one, a confederation's segment as none. */
function pathLength(view: DataView, from: number, end: number, octets: number): number {
  let length = 0
  for (let at = from; at < end; at += 2 + octets * view.getUint8(at + 1)) {
    const type = view.getUint8(at)
    if (type === SEGMENT.sequence) length += view.getUint8(at + 1)
    else if (type === SEGMENT.set) length++
  }
  return length
}

/** The first `count` numbers of a path of two octets each, in four, and the confederation's segments among them. */
function widenLeading(view: DataView, from: number, end: number, count: number, out: Uint8Array, to: number): number {
  let left = count
  let write = to
  for (let at = from; at < end; at += 2 + 2 * view.getUint8(at + 1)) {
    const type = view.getUint8(at)
    const numbers = view.getUint8(at + 1)
    const isCounted = type === SEGMENT.sequence || type === SEGMENT.set
    if (isCounted && left <= 0) break
    const taken = type === SEGMENT.sequence ? Math.min(numbers, left) : numbers
    if (isCounted) left -= type === SEGMENT.sequence ? taken : 1
    out[write++] = type
    out[write++] = taken
    for (let i = 0; i < taken; i++) {
      out[write++] = 0
      out[write++] = 0
      out[write++] = view.getUint8(at + 2 + 2 * i)
      out[write++] = view.getUint8(at + 3 + 2 * i)
    }
  }
  return write
}
