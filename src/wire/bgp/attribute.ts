/**
 * Path attributes, a row each: name, flags, what RFC 7606 wants done about a malformed one, its check, and how it is read,
 * written and printed. Codes that have no row here are unknown: passed on as they are if they are transitive.
 */

import { formatAddress, type IpAddress, ipv4Bytes } from '../../base/address.ts'
import type { Reader, Writer } from '../cursor.ts'
import { checkAs4Path, checkAsPath, formatSegments, readSegments, type Segment, writeSegments } from './as-path.ts'
import {
  type AttributeRow,
  attribute,
  isListOf,
  OPTIONAL,
  OPTIONAL_TRANSITIVE,
  opaque,
  readList,
  SCOPE,
  WELL_KNOWN,
} from './attribute-row.ts'
import {
  type ExtendedCommunity,
  formatCommunity,
  formatExtendedCommunity,
  formatLargeCommunity,
  type LargeCommunity,
} from './community.ts'
import { mpReach, mpUnreach } from './multiprotocol.ts'
import { UPDATE_ERROR } from './notification.ts'
import { AS_TRANS } from './open.ts'

const ORIGINS = ['IGP', 'EGP', 'incomplete'] as const

export const origin: AttributeRow<number> = attribute(1, {
  name: 'ORIGIN',
  flags: WELL_KNOWN,
  malformed: 'treat-as-withdraw', // RFC 7606 section 7.1
  check(from, facts) {
    if (from.remaining !== 1) return UPDATE_ERROR.attributeLength
    facts.origin = from.u8()
    return facts.origin < ORIGINS.length ? 0 : UPDATE_ERROR.invalidOrigin
  },
  read: (from) => from.u8(),
  write: (out, value) => out.u8(value),
  print: (value) => ORIGINS[value] ?? `${value}`,
})

export const asPath: AttributeRow<readonly Segment[]> = attribute(2, {
  name: 'AS_PATH',
  flags: WELL_KNOWN,
  malformed: 'treat-as-withdraw', // RFC 7606 section 7.2
  check: checkAsPath,
  read: (from, { as4 }) => readSegments(from, as4),
  write: writeSegments,
  print: formatSegments,
})

export const nextHop: AttributeRow<IpAddress> = attribute(3, {
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
  read: (from) => from.bytes(4),
  write: (out, value) => out.bytes(value),
  print: formatAddress,
})

export const med: AttributeRow<number> = attribute(4, {
  name: 'MULTI_EXIT_DISC',
  flags: OPTIONAL,
  malformed: 'treat-as-withdraw', // RFC 7606 section 7.4
  check(from, facts) {
    if (from.remaining !== 4) return UPDATE_ERROR.attributeLength
    facts.med = from.u32()
    return 0
  },
  read: readWord,
  write: writeWord,
  print: String,
})

export const localPref: AttributeRow<number> = attribute(5, {
  name: 'LOCAL_PREF',
  flags: WELL_KNOWN,
  malformed: 'treat-as-withdraw', // RFC 7606 section 7.5
  scope: SCOPE.internal,
  check(from, facts) {
    if (from.remaining !== 4) return UPDATE_ERROR.attributeLength
    facts.localPref = from.u32()
    return 0
  },
  read: readWord,
  write: writeWord,
  print: String,
})

export const atomicAggregate: AttributeRow<true> = attribute(6, {
  name: 'ATOMIC_AGGREGATE',
  flags: WELL_KNOWN,
  malformed: 'attribute-discard', // RFC 7606 section 7.6
  check: (from) => (from.remaining === 0 ? 0 : UPDATE_ERROR.attributeLength),
  read: () => true,
  write: () => {},
  print: () => 'yes',
})

export interface Aggregator {
  readonly as: number
  readonly address: IpAddress
}

function formatAggregator({ as, address }: Aggregator): string {
  return `${as} ${formatAddress(address)}`
}

export const aggregator: AttributeRow<Aggregator> = attribute(7, {
  name: 'AGGREGATOR',
  flags: OPTIONAL_TRANSITIVE,
  malformed: 'attribute-discard', // RFC 7606 section 7.7
  check(from, facts, context) {
    if (from.remaining !== (context.as4 ? 8 : 6)) return UPDATE_ERROR.attributeLength
    facts.aggregatorAs = context.as4 ? from.u32() : from.u16()
    return facts.aggregatorAs === 0 ? UPDATE_ERROR.optionalAttribute : 0 // RFC 7607
  },
  read: (from, { as4 }) => ({ as: as4 ? from.u32() : from.u16(), address: from.bytes(4) }),
  write(out, { as, address }, as4) {
    if (as4) out.u32(as)
    else out.u16(as > 0xffff ? AS_TRANS : as)
    out.bytes(address)
  },
  print: formatAggregator,
})

export const communities: AttributeRow<readonly number[]> = attribute(8, {
  name: 'COMMUNITIES',
  flags: OPTIONAL_TRANSITIVE,
  malformed: 'treat-as-withdraw', // RFC 7606 section 7.8
  check(from, facts) {
    facts.communitiesAt = from.at
    facts.communitiesEnd = from.at + from.remaining
    return isListOf(from.remaining, 4) ? 0 : UPDATE_ERROR.optionalAttribute
  },
  read: (from) => readList(from, readWord),
  write: writeWords,
  print: (values) => values.map(formatCommunity).join(' '),
})

export const originatorId: AttributeRow<number> = attribute(9, {
  name: 'ORIGINATOR_ID',
  flags: OPTIONAL,
  malformed: 'treat-as-withdraw', // RFC 7606 section 7.9
  scope: SCOPE.internal,
  check(from, facts) {
    if (from.remaining !== 4) return UPDATE_ERROR.attributeLength
    facts.originatorId = from.u32()
    return 0
  },
  read: readWord,
  write: writeWord,
  print: formatIdentifier,
})

export const clusterList: AttributeRow<readonly number[]> = attribute(10, {
  name: 'CLUSTER_LIST',
  flags: OPTIONAL,
  malformed: 'treat-as-withdraw', // RFC 7606 section 7.10
  scope: SCOPE.internal,
  check(from, facts) {
    facts.clusterListAt = from.at
    facts.clusterListEnd = from.at + from.remaining
    return isListOf(from.remaining, 4) ? 0 : UPDATE_ERROR.attributeLength
  },
  read: (from) => readList(from, readWord),
  write: writeWords,
  print: (values) => values.map(formatIdentifier).join(' '),
})

export const extendedCommunities: AttributeRow<readonly ExtendedCommunity[]> = attribute(16, {
  name: 'EXTENDED_COMMUNITIES',
  flags: OPTIONAL_TRANSITIVE,
  malformed: 'treat-as-withdraw', // RFC 7606 section 7.14
  check(from, facts) {
    facts.extendedAt = from.at
    facts.extendedEnd = from.at + from.remaining
    return isListOf(from.remaining, 8) ? 0 : UPDATE_ERROR.optionalAttribute
  },
  read: (from) => readList(from, () => ({ high: from.u32(), low: from.u32() })),
  write(out, values) {
    for (const { high, low } of values) writeWords(out, [high, low])
  },
  print: (values) => values.map(formatExtendedCommunity).join(' '),
})

export const as4Path: AttributeRow<readonly Segment[]> = attribute(17, {
  name: 'AS4_PATH',
  flags: OPTIONAL_TRANSITIVE,
  malformed: 'attribute-discard', // RFC 6793 section 6
  scope: SCOPE.twoOctets,
  check: checkAs4Path,
  read: (from) => readSegments(from, true),
  write: (out, value) => writeSegments(out, value, true),
  print: formatSegments,
})

export const as4Aggregator: AttributeRow<Aggregator> = attribute(18, {
  name: 'AS4_AGGREGATOR',
  flags: OPTIONAL_TRANSITIVE,
  malformed: 'attribute-discard', // RFC 6793 section 6
  scope: SCOPE.twoOctets,
  check(from, facts) {
    if (from.remaining !== 8) return UPDATE_ERROR.optionalAttribute
    facts.as4AggregatorAs = from.u32()
    return facts.as4AggregatorAs === 0 ? UPDATE_ERROR.optionalAttribute : 0 // RFC 7607
  },
  read: (from) => ({ as: from.u32(), address: from.bytes(4) }),
  write(out, { as, address }) {
    out.u32(as)
    out.bytes(address)
  },
  print: formatAggregator,
})

/** Type and subtype, an IPv6 address, and a number of two bytes: RFC 5701. */
export const ipv6ExtendedCommunities: AttributeRow<readonly Uint8Array[]> = attribute(25, {
  name: 'IPV6_EXTENDED_COMMUNITIES',
  flags: OPTIONAL_TRANSITIVE,
  malformed: 'treat-as-withdraw', // RFC 7606 section 7.15
  check: (from) => (isListOf(from.remaining, 20) ? 0 : UPDATE_ERROR.optionalAttribute),
  read: (from) => readList(from, () => from.bytes(20)),
  write(out, values) {
    for (const value of values) out.bytes(value)
  },
  print: (values) => values.map((value) => `0x${Buffer.from(value).toString('hex')}`).join(' '),
})

export interface AigpTlv {
  readonly type: number
  readonly value: Uint8Array
}

const AIGP_METRIC = 1
const AIGP_HEAD_BYTES = 3
const AIGP_METRIC_BYTES = 11

/** TLVs: type u8 | length u16 of all of it | value. Type 1 is the metric, a number of 64 bits (RFC 7311 section 3). */
export const aigp: AttributeRow<readonly AigpTlv[]> = attribute(26, {
  name: 'AIGP',
  flags: OPTIONAL,
  malformed: 'attribute-discard', // RFC 7311 section 3
  scope: SCOPE.aigp,
  check(from, facts) {
    const at = from.at
    const end = at + from.remaining
    let hasMetric = false
    while (from.remaining > 0) {
      const type = from.u8()
      const bytes = from.u16()
      if (bytes < AIGP_HEAD_BYTES) return UPDATE_ERROR.optionalAttribute
      if (type === AIGP_METRIC && bytes !== AIGP_METRIC_BYTES) return UPDATE_ERROR.optionalAttribute
      if (type === AIGP_METRIC) hasMetric = true
      from.skip(bytes - AIGP_HEAD_BYTES)
    }
    if (from.failed || !hasMetric) return UPDATE_ERROR.optionalAttribute
    facts.aigpAt = at
    facts.aigpEnd = end
    return 0
  },
  read: (from) => readList(from, () => ({ type: from.u8(), value: from.bytes(from.u16() - AIGP_HEAD_BYTES) })),
  write(out, values) {
    for (const { type, value } of values) {
      out.u8(type)
      out.u16(value.length + AIGP_HEAD_BYTES)
      out.bytes(value)
    }
  },
  print: (values) => values.map(({ type, value }) => `${type}:0x${Buffer.from(value).toString('hex')}`).join(' '),
})

export const largeCommunities: AttributeRow<readonly LargeCommunity[]> = attribute(32, {
  name: 'LARGE_COMMUNITY',
  flags: OPTIONAL_TRANSITIVE,
  malformed: 'treat-as-withdraw', // RFC 8092 section 6
  check(from, facts) {
    facts.largeAt = from.at
    facts.largeEnd = from.at + from.remaining
    return isListOf(from.remaining, 12) ? 0 : UPDATE_ERROR.optionalAttribute
  },
  read: (from) => readList(from, () => ({ global: from.u32(), local1: from.u32(), local2: from.u32() })),
  write(out, values) {
    for (const { global, local1, local2 } of values) writeWords(out, [global, local1, local2])
  },
  print: (values) => values.map(formatLargeCommunity).join(' '),
})

export const onlyToCustomer: AttributeRow<number> = attribute(35, {
  name: 'ONLY_TO_CUSTOMER',
  flags: OPTIONAL_TRANSITIVE,
  malformed: 'treat-as-withdraw', // RFC 9234 section 5
  check(from, facts) {
    if (from.remaining !== 4) return UPDATE_ERROR.optionalAttribute
    facts.onlyToCustomer = from.u32()
    return 0
  },
  read: readWord,
  write: writeWord,
  print: String,
})

function readWord(from: Reader): number {
  return from.u32()
}

function writeWord(out: Writer, value: number): void {
  out.u32(value)
}

function writeWords(out: Writer, values: readonly number[]): void {
  for (const value of values) out.u32(value)
}

function formatIdentifier(value: number): string {
  return formatAddress(ipv4Bytes(value))
}

const rows: readonly AttributeRow[] = [
  origin,
  asPath,
  nextHop,
  med,
  localPref,
  atomicAggregate,
  aggregator,
  communities,
  originatorId,
  clusterList,
  mpReach,
  mpUnreach,
  extendedCommunities,
  as4Path,
  as4Aggregator,
  ipv6ExtendedCommunities,
  aigp,
  largeCommunities,
  onlyToCustomer,
  // Known by name alone. Peers have been made to reset sessions by the contents of some of these: by the tunnel
  // encapsulation (CVE-2023-38802), by a prefix SID of zeros, by the entropy label that RFC 7447 withdrew.
  opaque(22, 'PMSI_TUNNEL', OPTIONAL_TRANSITIVE),
  opaque(23, 'TUNNEL_ENCAPSULATION', OPTIONAL_TRANSITIVE),
  opaque(24, 'TRAFFIC_ENGINEERING', OPTIONAL),
  opaque(27, 'PE_DISTINGUISHER_LABELS', OPTIONAL_TRANSITIVE),
  opaque(28, 'ENTROPY_LABEL_CAPABILITY', OPTIONAL_TRANSITIVE),
  opaque(29, 'BGP_LS', OPTIONAL),
  opaque(33, 'BGPSEC_PATH', OPTIONAL),
  opaque(34, 'COMMUNITY_CONTAINER', OPTIONAL_TRANSITIVE),
  opaque(36, 'DOMAIN_PATH', OPTIONAL_TRANSITIVE),
  opaque(37, 'SFP', OPTIONAL_TRANSITIVE),
  opaque(38, 'BFD_DISCRIMINATOR', OPTIONAL_TRANSITIVE),
  opaque(40, 'PREFIX_SID', OPTIONAL_TRANSITIVE),
  opaque(128, 'ATTR_SET', OPTIONAL_TRANSITIVE),
]

const byCode = new Map(rows.map((row) => [row.code, row]))

/** By code, all 256 of them. */
export const attributes: readonly AttributeRow[] = Array.from(
  { length: 256 },
  (_, code) => byCode.get(code) ?? opaque(code, `attribute ${code}`, 0),
)
