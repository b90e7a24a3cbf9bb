/**
 * Path attributes, a row each: name, flags, what RFC 7606 says of a malformed one, its check, and how people read it.
 *
 * A check meets a reader whose window is the value, no byte more, and fills the facts. It returns 0, or the subcode of
 * the UPDATE Message Error; the row's `malformed` says what then happens. Codes that have no row here are unknown.
 */

import type { Reader } from '../cursor.ts'
import { checkAs4Path, checkAsPath } from './as-path.ts'
import { type AttributeContext, type AttributeFacts, OUTCOME, type Outcome } from './facts.ts'
import { checkMpReach, checkMpUnreach } from './multiprotocol.ts'
import { UPDATE_ERROR } from './notification.ts'

export const FLAG = { optional: 0x80, transitive: 0x40, partial: 0x20 } as const
/** The value's length has two bytes. */
export const EXTENDED_LENGTH = 0x10

const WELL_KNOWN = FLAG.transitive
const OPTIONAL = FLAG.optional
const OPTIONAL_TRANSITIVE = FLAG.optional | FLAG.transitive

/** From whom an attribute is taken; from others it is dropped. */
export const SCOPE = {
  all: 0,
  /** Of our own AS or confederation. */
  internal: 1,
  /** Of those who do not know 4-octet AS numbers (RFC 6793 section 4.1). */
  twoOctets: 2,
  /** On sessions where AIGP is enabled. */
  aigp: 3,
} as const

const MALFORMED = {
  'attribute-discard': OUTCOME.discarded,
  'treat-as-withdraw': OUTCOME.withdraw,
  'session-reset': OUTCOME.reset,
} as const

type Check = (from: Reader, facts: AttributeFacts, context: AttributeContext) => number

interface Declaration {
  readonly name: string
  readonly flags: number
  readonly malformed: keyof typeof MALFORMED
  readonly scope?: number
  readonly check: Check
}

export interface AttributeRow {
  readonly code: number
  readonly name: string
  /** Of FLAG, optional and transitive; 0 where nothing is known of the code. */
  readonly flags: number
  readonly malformed: keyof typeof MALFORMED
  readonly outcome: Outcome
  readonly scope: number
  readonly isMultiprotocol: boolean
  /** Passed on as the bytes that it is, or dropped. */
  readonly isOpaque: boolean
  readonly check: Check
}

const rows: Readonly<Record<number, Declaration>> = {
  1: {
    name: 'ORIGIN',
    flags: WELL_KNOWN,
    malformed: 'treat-as-withdraw', // RFC 7606 section 7.1
    check(from, facts) {
      if (from.remaining !== 1) return UPDATE_ERROR.attributeLength
      facts.origin = from.u8()
      return facts.origin <= 2 ? 0 : UPDATE_ERROR.invalidOrigin
    },
  },
  2: {
    name: 'AS_PATH',
    flags: WELL_KNOWN,
    malformed: 'treat-as-withdraw', // RFC 7606 section 7.2
    check: checkAsPath,
  },
  3: {
    name: 'NEXT_HOP',
    flags: WELL_KNOWN,
    malformed: 'treat-as-withdraw', // RFC 7606 section 7.3
    check(from, facts) {
      if (from.remaining !== 4) return UPDATE_ERROR.attributeLength
      facts.nextHopAt = facts.attributeAt
      facts.nextHopEnd = facts.attributeEnd
      facts.nextHop4 = from.u32()
      return 0
    },
  },
  4: {
    name: 'MULTI_EXIT_DISC',
    flags: OPTIONAL,
    malformed: 'treat-as-withdraw', // RFC 7606 section 7.4
    check(from, facts) {
      if (from.remaining !== 4) return UPDATE_ERROR.attributeLength
      facts.med = from.u32()
      return 0
    },
  },
  5: {
    name: 'LOCAL_PREF',
    flags: WELL_KNOWN,
    malformed: 'treat-as-withdraw', // RFC 7606 section 7.5
    scope: SCOPE.internal,
    check(from, facts) {
      if (from.remaining !== 4) return UPDATE_ERROR.attributeLength
      facts.localPref = from.u32()
      return 0
    },
  },
  6: {
    name: 'ATOMIC_AGGREGATE',
    flags: WELL_KNOWN,
    malformed: 'attribute-discard', // RFC 7606 section 7.6
    check: (from) => (from.remaining === 0 ? 0 : UPDATE_ERROR.attributeLength),
  },
  7: {
    name: 'AGGREGATOR',
    flags: OPTIONAL_TRANSITIVE,
    malformed: 'attribute-discard', // RFC 7606 section 7.7
    check(from, facts, context) {
      if (from.remaining !== (context.as4 ? 8 : 6)) return UPDATE_ERROR.attributeLength
      facts.aggregatorAs = context.as4 ? from.u32() : from.u16()
      return facts.aggregatorAs === 0 ? UPDATE_ERROR.optionalAttribute : 0 // RFC 7607
    },
  },
  8: {
    name: 'COMMUNITIES',
    flags: OPTIONAL_TRANSITIVE,
    malformed: 'treat-as-withdraw', // RFC 7606 section 7.8
    check(from, facts) {
      facts.communitiesAt = from.at
      facts.communitiesEnd = from.at + from.remaining
      return isListOf(from.remaining, 4) ? 0 : UPDATE_ERROR.optionalAttribute
    },
  },
  9: {
    name: 'ORIGINATOR_ID',
    flags: OPTIONAL,
    malformed: 'treat-as-withdraw', // RFC 7606 section 7.9
    scope: SCOPE.internal,
    check(from, facts) {
      if (from.remaining !== 4) return UPDATE_ERROR.attributeLength
      facts.originatorId = from.u32()
      return 0
    },
  },
  10: {
    name: 'CLUSTER_LIST',
    flags: OPTIONAL,
    malformed: 'treat-as-withdraw', // RFC 7606 section 7.10
    scope: SCOPE.internal,
    check(from, facts) {
      facts.clusterListAt = from.at
      facts.clusterListEnd = from.at + from.remaining
      return isListOf(from.remaining, 4) ? 0 : UPDATE_ERROR.attributeLength
    },
  },
  14: {
    name: 'MP_REACH_NLRI',
    flags: OPTIONAL,
    malformed: 'session-reset', // RFC 7606 section 7.11, of its two choices
    check: checkMpReach,
  },
  15: {
    name: 'MP_UNREACH_NLRI',
    flags: OPTIONAL,
    malformed: 'session-reset', // RFC 7606 section 5.3
    check: checkMpUnreach,
  },
  16: {
    name: 'EXTENDED_COMMUNITIES',
    flags: OPTIONAL_TRANSITIVE,
    malformed: 'treat-as-withdraw', // RFC 7606 section 7.14
    check(from, facts) {
      facts.extendedAt = from.at
      facts.extendedEnd = from.at + from.remaining
      return isListOf(from.remaining, 8) ? 0 : UPDATE_ERROR.optionalAttribute
    },
  },
  17: {
    name: 'AS4_PATH',
    flags: OPTIONAL_TRANSITIVE,
    malformed: 'attribute-discard', // RFC 6793 section 6
    scope: SCOPE.twoOctets,
    check: checkAs4Path,
  },
  18: {
    name: 'AS4_AGGREGATOR',
    flags: OPTIONAL_TRANSITIVE,
    malformed: 'attribute-discard', // RFC 6793 section 6
    scope: SCOPE.twoOctets,
    check(from, facts) {
      if (from.remaining !== 8) return UPDATE_ERROR.optionalAttribute
      facts.as4AggregatorAs = from.u32()
      return facts.as4AggregatorAs === 0 ? UPDATE_ERROR.optionalAttribute : 0 // RFC 7607
    },
  },
  25: {
    name: 'IPV6_EXTENDED_COMMUNITIES',
    flags: OPTIONAL_TRANSITIVE,
    malformed: 'treat-as-withdraw', // RFC 7606 section 7.15
    check: (from) => (isListOf(from.remaining, 20) ? 0 : UPDATE_ERROR.optionalAttribute),
  },
  26: {
    name: 'AIGP',
    flags: OPTIONAL,
    malformed: 'attribute-discard', // RFC 7311 section 3
    scope: SCOPE.aigp,
    check: checkAigp,
  },
  32: {
    name: 'LARGE_COMMUNITY',
    flags: OPTIONAL_TRANSITIVE,
    malformed: 'treat-as-withdraw', // RFC 8092 section 5
    check(from, facts) {
      facts.largeAt = from.at
      facts.largeEnd = from.at + from.remaining
      return isListOf(from.remaining, 12) ? 0 : UPDATE_ERROR.optionalAttribute
    },
  },
  35: {
    name: 'ONLY_TO_CUSTOMER',
    flags: OPTIONAL_TRANSITIVE,
    malformed: 'treat-as-withdraw', // RFC 9234 section 5
    check(from, facts) {
      if (from.remaining !== 4) return UPDATE_ERROR.optionalAttribute
      facts.onlyToCustomer = from.u32()
      return 0
    },
  },
}

/** RFC 7606 counts an empty list as malformed. */
function isListOf(bytes: number, each: number): boolean {
  return bytes > 0 && bytes % each === 0
}

/** TLVs of which the first of type 1 is the metric, RFC 7311 section 3: type u8 | whole length u16 | value. */
function checkAigp(from: Reader, facts: AttributeFacts): number {
  const at = from.at
  const end = at + from.remaining
  let found = false
  while (from.remaining > 0) {
    const type = from.u8()
    const bytes = from.u16()
    if (from.failed || bytes < 3) return UPDATE_ERROR.optionalAttribute
    if (type === 1 && bytes !== 11) return UPDATE_ERROR.optionalAttribute
    found ||= type === 1
    from.skip(bytes - 3)
  }
  if (from.failed || !found) return UPDATE_ERROR.optionalAttribute
  facts.aigpAt = at
  facts.aigpEnd = end
  return 0
}

/**
 * Known by name and otherwise carried as they are, like what has no name: not read, they cannot be malformed (the
 * tunnel encapsulation of CVE-2023-38802, the prefix SID of zeros that resets some, the entropy label of RFC 7447).
 */
const OPAQUE_NAMES: Readonly<Record<number, readonly [name: string, flags: number]>> = {
  22: ['PMSI_TUNNEL', OPTIONAL_TRANSITIVE],
  23: ['TUNNEL_ENCAPSULATION', OPTIONAL_TRANSITIVE],
  24: ['TRAFFIC_ENGINEERING', OPTIONAL],
  27: ['PE_DISTINGUISHER_LABELS', OPTIONAL_TRANSITIVE],
  28: ['ENTROPY_LABEL_CAPABILITY', OPTIONAL_TRANSITIVE],
  29: ['BGP_LS', OPTIONAL],
  33: ['BGPSEC_PATH', OPTIONAL],
  34: ['COMMUNITY_CONTAINER', OPTIONAL_TRANSITIVE],
  36: ['DOMAIN_PATH', OPTIONAL_TRANSITIVE],
  37: ['SFP', OPTIONAL_TRANSITIVE],
  38: ['BFD_DISCRIMINATOR', OPTIONAL_TRANSITIVE],
  40: ['PREFIX_SID', OPTIONAL_TRANSITIVE],
  128: ['ATTR_SET', OPTIONAL_TRANSITIVE],
}

const fits: Check = () => 0

/** By code, all 256 of them: of one shape, so that the walk over a list meets one kind of row. */
export const attributes: readonly AttributeRow[] = Array.from({ length: 256 }, (_, code) => {
  const row = rows[code]
  const [name, flags] = OPAQUE_NAMES[code] ?? [`attribute ${code}`, 0]
  const malformed = row?.malformed ?? 'attribute-discard'
  return {
    code,
    name: row?.name ?? name,
    flags: row?.flags ?? flags,
    malformed,
    outcome: MALFORMED[malformed],
    scope: row?.scope ?? SCOPE.all,
    isMultiprotocol: code === 14 || code === 15,
    isOpaque: row === undefined,
    check: row?.check ?? fits,
  }
})
