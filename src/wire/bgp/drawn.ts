/**
 * Messages as tests draw them: hexadecimal, grouped by white space, with a remark behind `#` to the end of the line. And
 * UPDATEs of their three parts, with the lengths put in, judged.
 */

import { hex } from '../codec-suite.ts'
import { Reader } from '../cursor.ts'
import { checkAttributes } from './check-attributes.ts'
import { type AttributeContext, AttributeFacts, attributeContext, OUTCOME } from './facts.ts'
import { splitUpdate, UpdateParts } from './update.ts'

/** All families, and IPv6 next hops for IPv4: nothing is left aside because it was not agreed on. */
export const EVERYTHING: Partial<AttributeContext> = { families: 0b1111, extendedNextHop: 0b0101 }

export function drawn(text: string): Uint8Array {
  return hex(text.replaceAll(/#.*$/gm, ''))
}

/** The body of an UPDATE. */
export function updateBody(parts: { withdrawn?: string; attributes?: string; nlri?: string }): Uint8Array {
  const withdrawn = drawn(parts.withdrawn ?? '')
  const attributes = drawn(parts.attributes ?? '')
  const { length } = attributes
  return Uint8Array.of(
    withdrawn.length >>> 8,
    withdrawn.length,
    ...withdrawn,
    length >>> 8,
    length,
    ...attributes,
    ...drawn(parts.nlri ?? ''),
  )
}

export interface Judgement {
  readonly outcome: keyof typeof OUTCOME
  readonly facts: AttributeFacts
  readonly parts: UpdateParts
  readonly from: Reader
}

const NAMES = Object.keys(OUTCOME) as (keyof typeof OUTCOME)[]

/** Reset also where not even the parts could be told apart. */
export function judge(body: Uint8Array, context: Partial<AttributeContext> = {}): Judgement {
  const from = new Reader(body)
  const parts = new UpdateParts()
  const facts = new AttributeFacts()
  const outcome = splitUpdate(from, parts)
    ? checkAttributes(from, parts, attributeContext(context), facts)
    : OUTCOME.reset
  return { outcome: NAMES[outcome]!, facts, parts, from }
}
