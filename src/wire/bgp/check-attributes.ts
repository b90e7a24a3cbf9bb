/**
 * Judges an UPDATE: one walk over the bytes of its attributes that fills an `AttributeFacts`, without allocation, and
 * whose outcome is what RFC 7606 wants done. Several errors are answered by the strongest of their outcomes (section
 * 3 h). The prefixes are walked over too, so that after any outcome but a reset they can be read to the last.
 *
 * The rules of one attribute are in its row (attribute.ts); here are those of the list.
 */

import type { Reader } from '../cursor.ts'
import { adoptFourOctets, widenedMoreBytes } from './as-path.ts'
import { attributes } from './attribute.ts'
import { CODE_AS_PATH, CODE_MP_REACH, CODE_MP_UNREACH, EXTENDED_LENGTH, FLAG, SCOPE } from './attribute-row.ts'
import { type AttributeContext, type AttributeFacts, OUTCOME, type Outcome, SEEN } from './facts.ts'
import { FAMILY, hasFamily } from './family.ts'
import { ATTRIBUTES_BYTES_MAX } from './message.ts'
import { type Notification, notification, UPDATE_ERROR } from './notification.ts'
import { checkNlri, isHost4 } from './prefix.ts'
import type { UpdateParts } from './update.ts'

/** `parts` is what splitUpdate found in the same reader. */
export function checkAttributes(
  from: Reader,
  parts: UpdateParts,
  context: AttributeContext,
  facts: AttributeFacts,
): Outcome {
  facts.clear()
  walk(from, parts.attributesAt, parts.attributesEnd, context, facts)
  facts.seen &= ~facts.droppedSeen
  facts.seenHigh &= ~facts.droppedSeenHigh
  if (!context.as4) {
    adoptFourOctets(facts)
    checkWidened(parts, facts)
  }
  checkPrefixes(from, parts, context, facts)
  checkWhole(parts, facts)
  return facts.outcome
}

function walk(from: Reader, begin: number, end: number, context: AttributeContext, facts: AttributeFacts): void {
  let at = begin
  let last = 0
  while (at < end) {
    from.window(at, end)
    const flags = from.u8()
    const code = from.u8()
    const bytes = (flags & EXTENDED_LENGTH) === 0 ? from.u8() : from.u16()
    const valueAt = from.at
    // The attributes' total length is believed, so the prefixes can still be found (RFC 7606 section 4).
    if (from.failed || bytes > end - valueAt) {
      facts.seenBeyond = true // something that is none of the others
      facts.judgeRange(OUTCOME.withdraw, UPDATE_ERROR.attributeLength, code, at, end)
      return
    }
    facts.attributeAt = at
    facts.attributeEnd = at = valueAt + bytes
    facts.attributeCode = code
    if (code !== CODE_MP_REACH && code !== CODE_MP_UNREACH) {
      if (code < last) facts.inOrder = false
      last = code
    }
    from.window(valueAt, at)
    checkAttribute(from, flags, code, context, facts)
  }
}

function checkAttribute(
  from: Reader,
  flags: number,
  code: number,
  context: AttributeContext,
  facts: AttributeFacts,
): void {
  const row = attributes[code]!
  if (facts.see(code)) {
    // RFC 7606 section 3 g: twice the routes is no list; of the others the first counts.
    if (row.isMultiprotocol) facts.judge(OUTCOME.reset, UPDATE_ERROR.malformedList)
    else facts.drop(true)
    return
  }
  if (row.isOpaque) {
    checkOpaque(flags, row.flags, facts)
    return
  }
  if (((flags ^ row.flags) & (FLAG.optional | FLAG.transitive)) !== 0)
    facts.judge(OUTCOME.withdraw, UPDATE_ERROR.attributeFlags) // RFC 7606 section 3 c
  if (row.scope !== SCOPE.all && isOutOfScope(row.scope, context)) {
    // AIGP that nobody asked for is as an attribute that nobody knows (RFC 7311 section 3.1): no error.
    if (row.scope !== SCOPE.aigp) facts.judge(OUTCOME.discarded, UPDATE_ERROR.optionalAttribute)
    facts.drop(false)
    return
  }
  const subcode = row.check(from, facts, context)
  if (subcode === 0) return
  facts.judge(row.outcome, subcode)
  if (row.outcome === OUTCOME.discarded) facts.drop(false)
}

function isOutOfScope(scope: number, context: AttributeContext): boolean {
  if (scope === SCOPE.internal) return context.external
  return scope === SCOPE.twoOctets ? context.as4 : !context.aigp
}

/** RFC 4271 section 9: unknown and transitive is passed on, unknown and not transitive goes no further. */
function checkOpaque(flags: number, known: number, facts: AttributeFacts): void {
  if ((flags & FLAG.optional) === 0) {
    // Of a code that has a name it is the flag that is wrong; of another one it is the attribute (section 6.3).
    if (known !== 0) facts.judge(OUTCOME.withdraw, UPDATE_ERROR.attributeFlags)
    else facts.judge(OUTCOME.reset, UPDATE_ERROR.unrecognisedWellKnown)
  } else if ((flags & FLAG.transitive) !== 0) facts.keepUnknown()
  else facts.drop(false)
}

/** With AS numbers of four octets (RFC 6793 section 4.2.3) it must still be a list that a message has room for. */
function checkWidened({ attributesAt, attributesEnd }: UpdateParts, facts: AttributeFacts): void {
  if (attributesEnd - attributesAt + widenedMoreBytes(facts) <= ATTRIBUTES_BYTES_MAX) return
  const { asPathAt, asPathEnd } = facts
  facts.judgeRange(OUTCOME.withdraw, UPDATE_ERROR.malformedAsPath, CODE_AS_PATH, asPathAt, asPathEnd)
}

/** RFC 7606 sections 3 i, 3 j and 5.3: routes that cannot all be read cannot be withdrawn either. */
function checkPrefixes(from: Reader, parts: UpdateParts, context: AttributeContext, facts: AttributeFacts): void {
  const { addPath } = context
  const withIds = hasFamily(addPath, FAMILY.ipv4Unicast)
  if (!checkNlri(from, parts.withdrawnAt, parts.withdrawnEnd, FAMILY.ipv4Unicast, withIds))
    facts.judgeRange(OUTCOME.reset, UPDATE_ERROR.invalidNetwork, 0, parts.withdrawnAt, parts.withdrawnEnd)
  if (!checkNlri(from, parts.nlriAt, parts.nlriEnd, FAMILY.ipv4Unicast, withIds))
    facts.judgeRange(OUTCOME.reset, UPDATE_ERROR.invalidNetwork, 0, parts.nlriAt, parts.nlriEnd)
  const reach = facts.mpReachFamily
  if (reach >= 0 && !checkNlri(from, facts.mpReachNlriAt, facts.mpReachNlriEnd, reach, hasFamily(addPath, reach)))
    judgeMultiprotocol(facts, CODE_MP_REACH, facts.mpReachAt, facts.mpReachNlriEnd)
  const unreach = facts.mpUnreachFamily
  const withIdsToo = hasFamily(addPath, unreach)
  if (unreach >= 0 && !checkNlri(from, facts.mpUnreachNlriAt, facts.mpUnreachNlriEnd, unreach, withIdsToo))
    judgeMultiprotocol(facts, CODE_MP_UNREACH, facts.mpUnreachAt, facts.mpUnreachNlriEnd)
}

function judgeMultiprotocol(facts: AttributeFacts, code: number, at: number, end: number): void {
  facts.judgeRange(OUTCOME.reset, UPDATE_ERROR.optionalAttribute, code, at, end)
}

function checkWhole(parts: UpdateParts, facts: AttributeFacts): void {
  const announces = parts.nlriAt !== parts.nlriEnd
  if (announces || facts.mpReachNlriAt !== facts.mpReachNlriEnd) {
    checkMandatory(announces, facts)
    return
  }
  // Section 5.2: where there should be routes and none were found, we may have read past them.
  if (facts.outcome === OUTCOME.withdraw && !isUnreachAlone(facts)) facts.outcome = OUTCOME.reset
}

function isUnreachAlone(facts: AttributeFacts): boolean {
  return facts.seen === SEEN.mpUnreach && facts.seenHigh === 0 && !facts.seenBeyond && facts.droppedCount === 0
}

/** RFC 7606 section 3 d; NEXT_HOP belongs to the routes outside of MP_REACH_NLRI (RFC 4760 section 3). */
function checkMandatory(announces: boolean, facts: AttributeFacts): void {
  const wanted = announces ? SEEN.origin | SEEN.asPath | SEEN.nextHop : SEEN.origin | SEEN.asPath
  const missing = wanted & ~facts.seen
  if (missing !== 0)
    facts.judgeRange(OUTCOME.withdraw, UPDATE_ERROR.missingWellKnown, 31 - Math.clz32(missing & -missing), 0, 0)
  // Only here: with MP_REACH_NLRI alone NEXT_HOP is ignored, and 0.0.0.0 is what some peers then write.
  if (announces && (facts.seen & SEEN.nextHop) !== 0 && !isHost4(facts.nextHop4))
    facts.judgeRange(OUTCOME.withdraw, UPDATE_ERROR.invalidNextHop, 3, facts.nextHopAt, facts.nextHopEnd)
}

/**
 * What to tell the peer of an outcome that ends the session. The data is the attribute, or the prefixes, as they came; for
 * a missing attribute its code (RFC 4271 section 6.3). Its two lists of prefixes go without data.
 */
export function errorNotification(from: Reader, facts: AttributeFacts): Notification {
  const { errorCode, errorSubcode, errorAttribute, errorAt, errorEnd } = facts
  if (errorSubcode === UPDATE_ERROR.missingWellKnown)
    return notification(errorCode, errorSubcode, Uint8Array.of(errorAttribute))
  if (errorSubcode === UPDATE_ERROR.malformedList || errorSubcode === UPDATE_ERROR.invalidNetwork)
    return notification(errorCode, errorSubcode)
  from.window(errorAt, errorEnd)
  return notification(errorCode, errorSubcode, from.bytes(from.remaining))
}
