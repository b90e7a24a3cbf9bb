/**
 * AS_PATH and AS4_PATH: segments of AS numbers of 2 or 4 octets (RFC 4271 section 4.3, RFC 5065, RFC 6793):
 *
 *   type u8 | count u8 | count x AS number
 *
 * Two speakers of which one knows only two octets write AS_TRANS where those do not hold a number, and the truth beside
 * it, in AS4_PATH, which lacks what was put in front of the path since.
 */

import { assert } from '../../base/assert.ts'
import type { Reader, Writer } from '../cursor.ts'
import { CODE_AS_PATH } from './attribute-row.ts'
import type { AttributeContext, AttributeFacts } from './facts.ts'
import { UPDATE_ERROR } from './notification.ts'
import { AS_TRANS } from './open.ts'

export const SEGMENT = { set: 1, sequence: 2, confederationSequence: 3, confederationSet: 4 } as const
export type SegmentType = (typeof SEGMENT)[keyof typeof SEGMENT]

export interface Segment {
  readonly type: SegmentType
  readonly numbers: readonly number[]
}

/** So many numbers in one segment. */
const SEGMENT_MAX = 255

const TRANSITIVE = 0x40
const TRANSITIVE_EXTENDED = 0x50

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
    if (type === 0 || type > SEGMENT.confederationSet || count === 0) return UPDATE_ERROR.malformedAsPath
    const leftmost = context.as4 ? from.u32() : from.u16()
    let as = leftmost
    let hasZero = as === 0
    for (let i = 1; i < count; i++) {
      as = context.as4 ? from.u32() : from.u16()
      if (as === 0) hasZero = true
    }
    // AS 0 is nobody (RFC 7607). It is also how numbers read that are not there.
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

/** RFC 6793 section 6: its errors cost the attribute and not the route. A confederation's segments are skipped. */
export function checkAs4Path(from: Reader, facts: AttributeFacts): number {
  const at = from.at
  const end = at + from.remaining
  let length = 0
  let first = 0
  let last = 0
  while (from.remaining > 0) {
    const type = from.u8()
    const count = from.u8()
    if (type === 0 || type > SEGMENT.confederationSet || count === 0) return UPDATE_ERROR.optionalAttribute
    let leftmost = 0
    let as = 0
    for (let i = 0; i < count; i++) {
      as = from.u32()
      if (as === 0) return UPDATE_ERROR.optionalAttribute
      if (i === 0) leftmost = as
    }
    if (type > SEGMENT.sequence) continue
    if (length === 0) first = type === SEGMENT.set ? 0 : leftmost
    length += type === SEGMENT.set ? 1 : count
    last = type === SEGMENT.set ? 0 : as
  }
  if (at === end || from.failed) return UPDATE_ERROR.optionalAttribute
  facts.as4PathAt = at
  facts.as4PathEnd = end
  facts.as4PathLength = length
  facts.as4FirstAs = first
  facts.as4LastAs = last
  return 0
}

/**
 * RFC 6793 section 4.2.3, of the facts of a peer that knows two octets only: what AS4_PATH and AS4_AGGREGATOR know
 * better takes effect, unless somebody who knew nothing of them has changed the route since. Then they are forgotten.
 */
export function adoptFourOctets(facts: AttributeFacts): void {
  const hasBoth = facts.aggregatorAs !== 0 && facts.as4AggregatorAs !== 0
  const isStale = hasBoth && facts.aggregatorAs !== AS_TRANS
  if (hasBoth && !isStale) facts.aggregatorAs = facts.as4AggregatorAs
  if (isStale || facts.as4PathLength > facts.asPathLength) facts.as4PathAt = facts.as4PathEnd = 0
  if (facts.as4PathLength === 0 || facts.as4PathAt === facts.as4PathEnd) return
  facts.lastAs = facts.as4LastAs
  if (facts.as4PathLength !== facts.asPathLength) return
  if (facts.firstAs === facts.neighbourAs) facts.firstAs = facts.as4FirstAs
  facts.neighbourAs = facts.as4FirstAs
}

/**
 * So many bytes more than they came in do attributes of two octets take with four, at most: numbers double, beside them
 * there is what AS4_PATH holds, and the lengths before them may need an octet more.
 */
export function widenedMoreBytes({ asPathAt, asPathEnd }: AttributeFacts): number {
  return asPathEnd - asPathAt + 4
}

/**
 * Writes AS_PATH of four octets, flags and length before it, that stands for the AS_PATH of two and the AS4_PATH whose
 * facts these are, which `view` is over. Returns where it ends; it takes at most twice as much as both, and four bytes.
 */
export function mergeAs4Path(view: DataView, facts: AttributeFacts, out: Uint8Array, at: number): number {
  const valueAt = at + 4
  let missing = facts.as4PathAt === facts.as4PathEnd ? facts.asPathLength : facts.asPathLength - facts.as4PathLength
  let end = valueAt
  // The leading part of AS_PATH, as many numbers as AS4_PATH lacks, and a confederation's segments that adjoin it.
  for (let from = facts.asPathAt; from < facts.asPathEnd; ) {
    const type = view.getUint8(from)
    const count = view.getUint8(from + 1)
    const isCounted = type <= SEGMENT.sequence
    if (isCounted && missing === 0) break
    const taken = type === SEGMENT.sequence && count > missing ? missing : count
    out[end++] = type
    out[end++] = taken
    for (let i = 0; i < taken; i++) end = put32(out, end, view.getUint16(from + 2 + 2 * i))
    if (isCounted) missing -= type === SEGMENT.set ? 1 : taken
    if (taken < count) break
    from += 2 + 2 * count
  }
  for (let from = facts.as4PathAt; from < facts.as4PathEnd; ) {
    const type = view.getUint8(from)
    const count = view.getUint8(from + 1)
    if (type <= SEGMENT.sequence) {
      out[end++] = type
      out[end++] = count
      for (let i = 0; i < count; i++) end = put32(out, end, view.getUint32(from + 2 + 4 * i))
    }
    from += 2 + 4 * count
  }
  out[at] = TRANSITIVE_EXTENDED
  out[at + 1] = CODE_AS_PATH
  out[at + 2] = (end - valueAt) >>> 8
  out[at + 3] = end - valueAt
  if (end - valueAt <= 255) {
    // Like everybody's: the same path from other peers has the same bytes.
    out[at] = TRANSITIVE
    out[at + 2] = end - valueAt
    out.copyWithin(at + 3, valueAt, end)
    return end - 1
  }
  return end
}

function put32(out: Uint8Array, at: number, value: number): number {
  out[at] = value >>> 24
  out[at + 1] = value >>> 16
  out[at + 2] = value >>> 8
  out[at + 3] = value
  return at + 4
}

/** How often the AS is in a path that was checked, between the two offsets: our own more than once is a loop. */
export function countInPath(from: Reader, at: number, end: number, as4: boolean, as: number): number {
  let found = 0
  from.window(at, end)
  while (from.remaining > 0) {
    from.u8()
    for (let left = from.u8(); left > 0; left--) if ((as4 ? from.u32() : from.u16()) === as) found++
  }
  return found
}

// ---- objects, for people, tests and what is rare

/** Of a value that was checked. */
export function readSegments(from: Reader, as4: boolean): Segment[] {
  const segments: Segment[] = []
  while (from.remaining > 0) {
    const type = from.u8() as SegmentType
    const numbers: number[] = []
    for (let left = from.u8(); left > 0; left--) numbers.push(as4 ? from.u32() : from.u16())
    segments.push({ type, numbers })
  }
  return segments
}

/** A segment of more numbers than its count can say becomes several. */
export function writeSegments(out: Writer, segments: readonly Segment[], as4: boolean): void {
  for (const { type, numbers } of segments) {
    assert(type === SEGMENT.sequence || numbers.length <= SEGMENT_MAX, 'a set of ASes is not cut in two')
    for (let at = 0; at < numbers.length; at += SEGMENT_MAX) {
      const part = numbers.slice(at, at + SEGMENT_MAX)
      out.u8(type)
      out.u8(part.length)
      for (const as of part) {
        if (as4) out.u32(as)
        else out.u16(as > 0xffff ? AS_TRANS : as)
      }
    }
  }
}

/** What goes to a speaker of two octets beside the path; undefined when those hold all of it (RFC 6793 section 4.2.2). */
export function as4PathFor(segments: readonly Segment[]): Segment[] | undefined {
  if (!segments.some(({ numbers }) => numbers.some((as) => as > 0xffff))) return undefined
  return segments.filter(({ type }) => type === SEGMENT.sequence || type === SEGMENT.set)
}

const BRACKETS: Readonly<Record<SegmentType, readonly [open: string, separator: string, close: string]>> = {
  [SEGMENT.set]: ['{', ',', '}'],
  [SEGMENT.sequence]: ['', ' ', ''],
  [SEGMENT.confederationSequence]: ['(', ' ', ')'],
  [SEGMENT.confederationSet]: ['[', ',', ']'],
}

/** `65001 65002 {65003,65004}`; a confederation's sequences in round brackets, its sets in square ones. */
export function formatSegments(segments: readonly Segment[]): string {
  return segments
    .map(({ type, numbers }) => {
      const [open, separator, close] = BRACKETS[type]
      return `${open}${numbers.join(separator)}${close}`
    })
    .join(' ')
}
