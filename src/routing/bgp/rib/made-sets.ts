/**
 * Attribute sets that no peer sent: of routes that we bring up ourselves (tenants' virtual networks, aggregates, default
 * routes), and of a VRF's routes on their way into the VPN. Judged as a message is, so that the columns of the set say
 * what its bytes do. Their next hop is ours, whoever is told of them.
 */

import { checkAttributes } from '../../../wire/bgp/check-attributes.ts'
import { isRouteTarget } from '../../../wire/bgp/community.ts'
import type { Words } from '../../../wire/bgp/distinguisher.ts'
import { AttributeFacts, attributeContext } from '../../../wire/bgp/facts.ts'
import { FAMILY, type Family } from '../../../wire/bgp/family.ts'
import { ATTRIBUTES_BYTES_MAX } from '../../../wire/bgp/message.ts'
import { UpdateParts } from '../../../wire/bgp/update.ts'
import { Reader } from '../../../wire/cursor.ts'
import { type AttributeSets, FIXED, NO_SET } from './attribute-sets.ts'

const ORIGIN_IGP = [0x40, 1, 1, 0]
const EMPTY_PATH = [0x40, 2, 0]
const NEXT_HOP_NOBODY = [0x40, 3, 4, 0, 0, 0, 0]
const LOCAL_PREF_LAST = [0x40, 5, 4, 0, 0, 0, 0]
/** ATOMIC_AGGREGATE, and AGGREGATOR without its value. */
const ATOMIC_AGGREGATE = [0x40, 6, 0]
const AGGREGATOR = [0xc0, 7, 8]
const IPV6_BYTES = 16
const VPN4_BYTES = 12
const NEXT_HOP = 3
const COMMUNITY_BYTES = 8
const EXTENDED_COMMUNITIES = 16
const EXTENDED_LENGTH = 0x10

/** Who put several routes together as one (RFC 4271 section 5.1.7). */
export interface Aggregator {
  readonly as: number
  readonly routerId: number
}

/** The number of the set of a route of ours, which whoever asks uses at once. */
export function ownSet(sets: AttributeSets, family: Family, aggregator?: Aggregator): number {
  const isClassic = family === FAMILY.ipv4Unicast
  const attributes = [
    ...ORIGIN_IGP,
    ...EMPTY_PATH,
    ...(isClassic ? NEXT_HOP_NOBODY : []),
    ...(aggregator
      ? [...ATOMIC_AGGREGATE, ...AGGREGATOR, ...octets(aggregator.as), ...octets(aggregator.routerId)]
      : []),
  ]
  return intern(sets, attributes, isClassic ? 0 : IPV6_BYTES)
}

/** Likewise of a route of another site: any that a peer here sends comes before it. */
export function remoteSet(sets: AttributeSets, family: Family): number {
  const isClassic = family === FAMILY.ipv4Unicast
  const attributes = [...ORIGIN_IGP, ...EMPTY_PATH, ...(isClassic ? NEXT_HOP_NOBODY : []), ...LOCAL_PREF_LAST]
  return intern(sets, attributes, isClassic ? 0 : IPV6_BYTES)
}

/**
 * The number of the set with these route targets and no others, and ours as its next hop. To be used at once. NO_SET when
 * no message could hold it.
 */
export function withTargets(sets: AttributeSets, set: number, targets: readonly Words[]): number {
  const { arena, at, bytes } = sets
  const added = targets.flatMap(({ high, low }) => [...octets(high), ...octets(low)])
  const value = sets.find(set, EXTENDED_COMMUNITIES)
  const communities = [...(value < 0 ? [] : othersThanTargets(sets, value)), ...added]
  const attributes: number[] = []
  const end = at[set]! + bytes[set]!
  let isWritten = false
  for (let from = at[set]!; from < end; ) {
    const code = arena.bytes[from + 1]!
    const isLong = (arena.bytes[from]! & EXTENDED_LENGTH) !== 0
    const length = isLong ? (arena.bytes[from + 2]! << 8) | arena.bytes[from + 3]! : arena.bytes[from + 2]!
    const next = from + (isLong ? 4 : 3) + length
    if (!isWritten && code >= EXTENDED_COMMUNITIES) {
      attributes.push(...communitiesOf(communities))
      isWritten = true
    }
    if (code !== EXTENDED_COMMUNITIES && code !== NEXT_HOP) attributes.push(...arena.bytes.subarray(from, next))
    from = next
  }
  if (!isWritten) attributes.push(...communitiesOf(communities))
  return attributes.length > ATTRIBUTES_BYTES_MAX ? NO_SET : intern(sets, attributes, VPN4_BYTES)
}

// A customer does not say into whose VRFs its routes go (RFC 4364 section 4.3.1).
function othersThanTargets({ arena, foundBytes }: AttributeSets, value: number): number[] {
  const kept: number[] = []
  for (let at = value; at + COMMUNITY_BYTES <= value + foundBytes; at += COMMUNITY_BYTES)
    if (!isRouteTarget(arena.view.getUint32(at))) kept.push(...arena.bytes.subarray(at, at + COMMUNITY_BYTES))
  return kept
}

function communitiesOf(value: readonly number[]): number[] {
  return [0xc0 | EXTENDED_LENGTH, EXTENDED_COMMUNITIES, value.length >>> 8, value.length & 255, ...value]
}

function intern(sets: AttributeSets, attributes: readonly number[], nextHopBytes: number): number {
  const bytes = Uint8Array.from([...attributes, ...new Uint8Array(nextHopBytes)])
  const view = new DataView(bytes.buffer)
  const parts = new UpdateParts()
  const facts = new AttributeFacts()
  parts.attributesEnd = parts.nlriAt = parts.nlriEnd = attributes.length
  checkAttributes(new Reader(bytes), parts, attributeContext({ external: false, aigp: true }), facts)
  return sets.intern(view, view, 0, attributes.length, attributes.length, nextHopBytes, facts, FIXED.ours)
}

function octets(value: number): number[] {
  return [value >>> 24, (value >>> 16) & 255, (value >>> 8) & 255, value & 255]
}
