/**
 * Policies the plain way, for tests: objects, texts and a walk over all entries of every list, written from what the site
 * file means and without a line of what is fast.
 */

import {
  equalBytes,
  type Prefix,
  parseAddress,
  parseInterface,
  parsePrefix,
  prefixContains,
} from '../../base/address.ts'
import { type PathPattern, parsePathPattern } from '../../config/as-path-pattern.ts'
import type { Changes, Match } from '../../config/policy.ts'
import type { Routing } from '../../config/routing.ts'
import { SEGMENT, type Segment } from '../../wire/bgp/as-path.ts'
import {
  formatCommunity,
  formatExtendedCommunity,
  formatLargeCommunity,
  parseCommunity,
  parseExtendedCommunity,
  parseLargeCommunity,
} from '../../wire/bgp/community.ts'
import type { RouteAttributes } from './route-attributes.ts'

export interface Subject {
  readonly route: RouteAttributes
  readonly prefix: Prefix
  readonly family: string
  readonly peer: string
}

interface Where {
  readonly direction: 'in' | 'out'
  readonly neighbour: string
  readonly external: boolean
}

const ORIGINS = ['igp', 'egp', 'incomplete']

/** Undefined for a route that is rejected. */
export function naiveOutcome(
  routing: Routing,
  { direction, neighbour, external }: Where,
  subject: Subject,
): RouteAttributes | undefined {
  const { import: imports, export: exports } = routing.neighbours.find(({ name }) => name === neighbour)!
  const names = direction === 'in' ? imports : exports
  let route: RouteAttributes = subject.route
  let verdict = external && routing.require_policy ? 'reject' : 'accept'
  const terms = names.flatMap((name) => routing.policies.find((policy) => policy.name === name)!.terms)
  for (const { match, set, then } of terms) {
    if (!matches(routing, match, { ...subject, route })) continue
    route = changed(route, set, routing.as)
    if (then === 'next') continue
    verdict = then
    break
  }
  if (verdict === 'reject') return undefined
  const isGoing = external && direction === 'in' && route.communities.includes(0xffff_0000)
  return isGoing ? { ...route, localPref: 0 } : route
}

function matches(routing: Routing, match: Match, { route, prefix, family, peer }: Subject): boolean {
  const among = (value: number, range: { from: number; to: number } | undefined): boolean =>
    range === undefined || (value >= range.from && value <= range.to)
  const inLists = <T extends { name: string }>(
    lists: readonly T[],
    names: readonly string[] | undefined,
    has: (list: T) => boolean,
  ): boolean => names === undefined || lists.some((list) => names.includes(list.name) && has(list))
  return (
    inLists(routing.prefix_lists, match.prefix_list, ({ prefixes }) =>
      prefixes.some(
        (one) =>
          prefixContains(parsePrefix(one.prefix)!, prefix.address) &&
          prefix.length >= one.ge &&
          prefix.length <= one.le,
      ),
    ) &&
    inLists(routing.as_path_lists, match.as_path_list, ({ paths }) =>
      paths.some((text) => pathMatches(text, route.path)),
    ) &&
    inLists(routing.community_lists, match.community_list, ({ communities, all }) =>
      all
        ? communities.every((text) => hasCommunity(route, text))
        : communities.some((text) => hasCommunity(route, text)),
    ) &&
    (match.next_hop === undefined || match.next_hop.some((text) => hopIn(text, route.nextHop))) &&
    (match.origin === undefined || match.origin.includes(ORIGINS[route.origin] as 'igp')) &&
    among(route.med ?? 0, match.med) &&
    among(route.localPref ?? 100, match.local_preference) &&
    among(hopsOf(route.path).length, match.path_length) &&
    (match.family === undefined || match.family.includes(family as 'ipv4-unicast')) &&
    (match.peer === undefined || match.peer.includes(peer))
  )
}

function hopIn(text: string, hop: Uint8Array): boolean {
  const address = parseAddress(text)
  return address ? equalBytes(address, hop) : prefixContains(parseInterface(text)!, hop)
}

function hasCommunity(route: RouteAttributes, text: string): boolean {
  const all = [
    ...route.communities.flatMap((one) => [formatCommunity(one), `${one >>> 16}:${one & 0xffff}`]),
    ...route.extendedCommunities.map(formatExtendedCommunity),
    ...route.largeCommunities.map(formatLargeCommunity),
  ]
  return all.some((one) => isLike(one, text))
}

function isLike(one: string, text: string): boolean {
  const [have, want] = [one.split(':'), text.split(':')]
  if (have.length !== want.length) return false
  return want.every((part, i) => (part === '*' ? /^\d+$/.test(have[i]!) : part === have[i]))
}

// ---- paths

function hopsOf(path: readonly Segment[]): number[][] {
  return path.flatMap(({ type, numbers }) =>
    type === SEGMENT.set ? [[...numbers]] : type === SEGMENT.sequence ? numbers.map((as) => [as]) : [],
  )
}

function pathMatches(text: string, path: readonly Segment[]): boolean {
  const hops = hopsOf(path)
  return ends(parsePathPattern(text) as PathPattern, hops, new Set([0])).has(hops.length)
}

/** Where a match that begins at one of these hops may end. */
function ends(pattern: PathPattern, hops: readonly number[][], from: ReadonlySet<number>): Set<number> {
  if (pattern.kind === 'as') {
    const fits = (at: number): boolean => hops[at]?.some((as) => as >= pattern.from && as <= pattern.to) ?? false
    return new Set([...from].filter(fits).map((at) => at + 1))
  }
  if (pattern.kind === 'sequence')
    return pattern.parts.reduce<Set<number>>((at, part) => ends(part, hops, at), new Set(from))
  if (pattern.kind === 'choice') return new Set(pattern.parts.flatMap((part) => [...ends(part, hops, from)]))
  let at = new Set(from)
  const found = new Set(pattern.from === 0 ? from : [])
  // No more times than there are hops can find anything new.
  for (let times = 1; times <= Math.min(pattern.to, pattern.from + hops.length + 1); times++) {
    at = ends(pattern.part, hops, at)
    if (times < pattern.from) continue
    // From where it has been before nothing new is found: without this a pattern of patterns takes for ever.
    const before = found.size
    for (const end of at) found.add(end)
    if (found.size === before) break
  }
  return found
}

// ---- changes

function changed(route: RouteAttributes, set: Changes, localAs: number): RouteAttributes {
  const { prepend } = set
  const nextHop = set.next_hop === undefined ? undefined : parseAddress(set.next_hop)!
  const front = prepend ? Array.from({ length: prepend.times }, () => prepend.as ?? localAs) : []
  return {
    origin: set.origin === undefined ? route.origin : ORIGINS.indexOf(set.origin),
    path: front.reduceRight((path, as) => prepended(path, as), route.path),
    nextHop: nextHop?.length === route.nextHop.length ? nextHop : route.nextHop,
    med: set.med === 'none' ? undefined : (set.med ?? route.med),
    localPref: set.local_preference ?? route.localPref,
    communities: changedList(
      route.communities,
      set.communities,
      (text) => parseCommunity(text)!,
      (one) => `${one >>> 16}:${one & 0xffff}`,
    ),
    extendedCommunities: changedList(
      route.extendedCommunities,
      set.extended_communities,
      (text) => parseExtendedCommunity(text)!,
      formatExtendedCommunity,
    ),
    largeCommunities: changedList(
      route.largeCommunities,
      set.large_communities,
      (text) => parseLargeCommunity(text)!,
      formatLargeCommunity,
    ),
  }
}

/** RFC 4271 section 5.1.2. */
function prepended(path: readonly Segment[], as: number): readonly Segment[] {
  const [first, ...rest] = path
  if (first?.type === SEGMENT.sequence && first.numbers.length < 255)
    return [{ type: SEGMENT.sequence, numbers: [as, ...first.numbers] }, ...rest]
  return [{ type: SEGMENT.sequence, numbers: [as] }, ...path]
}

function changedList<T>(
  list: readonly T[],
  change: Changes['communities'],
  parse: (text: string) => T,
  format: (one: T) => string,
): readonly T[] {
  if (!change) return list
  const { remove = [], add = [], replace } = change
  const left = replace ? [] : list.filter((one) => !remove.some((text) => isLike(format(one), text)))
  for (const text of replace ?? add)
    if (!left.some((one) => format(one) === format(parse(text)))) left.push(parse(text))
  return left
}
