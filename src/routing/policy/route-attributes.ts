/** A set of the RIB as an object and back: for people and tests. */

import type { IpAddress } from '../../base/address.ts'
import { SEGMENT, type Segment } from '../../wire/bgp/as-path.ts'
import {
  asPath,
  communities,
  extendedCommunities,
  largeCommunities,
  localPref,
  med,
  nextHop,
  origin,
} from '../../wire/bgp/attribute.ts'
import type { AttributeRow } from '../../wire/bgp/attribute-row.ts'
import { checkAttributes } from '../../wire/bgp/check-attributes.ts'
import type { ExtendedCommunity, LargeCommunity } from '../../wire/bgp/community.ts'
import { AttributeFacts, attributeContext } from '../../wire/bgp/facts.ts'
import { UpdateParts } from '../../wire/bgp/update.ts'
import { decodeAttributes, encodeAttribute } from '../../wire/bgp/update-message.ts'
import { Reader, Writer } from '../../wire/cursor.ts'
import type { AttributeSets } from '../bgp/rib/attribute-sets.ts'

export interface RouteAttributes {
  readonly origin: number
  readonly path: readonly Segment[]
  /** An IPv6 one stands behind the attributes. */
  readonly nextHop: IpAddress
  readonly med?: number | undefined
  readonly localPref?: number | undefined
  readonly communities: readonly number[]
  readonly extendedCommunities: readonly ExtendedCommunity[]
  readonly largeCommunities: readonly LargeCommunity[]
}

const context = attributeContext({ external: false, aigp: true })

/** The number of the set, which nobody uses yet. */
export function internRoute(sets: AttributeSets, route: RouteAttributes): number {
  const out = new Writer()
  encodeAttribute(out, origin, route.origin)
  encodeAttribute(out, asPath, route.path)
  const isClassic = route.nextHop.length === 4
  if (isClassic) encodeAttribute(out, nextHop, route.nextHop)
  if (route.med !== undefined) encodeAttribute(out, med, route.med)
  if (route.localPref !== undefined) encodeAttribute(out, localPref, route.localPref)
  if (route.communities.length > 0) encodeAttribute(out, communities, route.communities)
  if (route.extendedCommunities.length > 0) encodeAttribute(out, extendedCommunities, route.extendedCommunities)
  if (route.largeCommunities.length > 0) encodeAttribute(out, largeCommunities, route.largeCommunities)
  const length = out.length
  if (!isClassic) out.bytes(route.nextHop)
  const bytes = out.finish()
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
  const parts = new UpdateParts()
  parts.attributesEnd = parts.nlriAt = parts.nlriEnd = length
  const facts = new AttributeFacts()
  checkAttributes(new Reader(bytes), parts, context, facts)
  return sets.intern(view, view, 0, length, length, isClassic ? 0 : route.nextHop.length, facts)
}

export function routeOf(sets: AttributeSets, set: number): RouteAttributes {
  const from = sets.at[set]!
  const end = from + sets.bytes[set]!
  const all = decodeAttributes(sets.arena.bytes.slice(from, end), context) ?? []
  const value = <T>(row: AttributeRow<T>): T | undefined =>
    all.find((attribute) => attribute.row.code === row.code)?.value as T | undefined
  const isClassic = sets.nextHopBytes[set] === 0
  return {
    origin: value(origin) ?? 0,
    path: value(asPath) ?? [],
    nextHop: isClassic
      ? (value(nextHop) ?? new Uint8Array(0))
      : sets.arena.bytes.slice(end, end + sets.nextHopBytes[set]!),
    med: value(med),
    localPref: value(localPref),
    communities: value(communities) ?? [],
    extendedCommunities: value(extendedCommunities) ?? [],
    largeCommunities: value(largeCommunities) ?? [],
  }
}

/** A path as people write it: AS numbers, and sets as `{65010,65011}`. Undefined for what is none. */
export function parsePath(text: string): Segment[] | undefined {
  const segments: { readonly type: Segment['type']; readonly numbers: number[] }[] = []
  for (const word of text.trim() === '' ? [] : text.trim().split(/\s+/)) {
    const isSet = word.startsWith('{') && word.endsWith('}')
    const texts = isSet ? word.slice(1, -1).split(',') : [word]
    const numbers = texts.map(Number)
    if (texts.some((part, i) => !/^\d+$/.test(part) || numbers[i]! < 1 || numbers[i]! > 0xffff_ffff)) return undefined
    const last = segments.at(-1)
    if (!isSet && last?.type === SEGMENT.sequence) last.numbers.push(...numbers)
    else segments.push({ type: isSet ? SEGMENT.set : SEGMENT.sequence, numbers })
  }
  return segments
}
