/**
 * What a site's policies make of one route, without a session: every term that the route comes to, what of it is so, what
 * it sets, and the verdict. It is the evaluator that live routes meet, asked to tell.
 */

import { formatAddress, formatPrefix, type Prefix, parseAddress } from '../../base/address.ts'
import type { Neighbour, Routing } from '../../config/routing.ts'
import { formatSegments, SEGMENT } from '../../wire/bgp/as-path.ts'
import { COMMUNITY, formatCommunity, formatExtendedCommunity, formatLargeCommunity } from '../../wire/bgp/community.ts'
import { FAMILY } from '../../wire/bgp/family.ts'
import { AttributeSets, NO_SET } from '../bgp/rib/attribute-sets.ts'
import { RibPeers } from '../bgp/rib/rib-peers.ts'
import type { Direction } from './chain.ts'
import { ORIGINS } from './condition.ts'
import type { TermReport } from './evaluator.ts'
import { PolicyBook, policySourceOf } from './policy-book.ts'
import { internRoute, type RouteAttributes, routeOf } from './route-attributes.ts'
import { Workbench } from './workbench.ts'

export interface RouteQuestion {
  readonly prefix: Prefix
  readonly neighbour: Neighbour
  readonly direction: Direction
  /** On its way out: the neighbour that it came from. */
  readonly from: string
  readonly route: RouteAttributes
}

/** A route's attributes for people; what it has not is not there. */
export type ShownRoute = Readonly<Record<string, string | number>>

export interface RouteExplanation {
  readonly prefix: string
  readonly peer: string
  readonly direction: Direction
  readonly policies: readonly string[]
  readonly terms: readonly TermReport[]
  readonly verdict: 'accept' | 'reject'
  /** Who said so. */
  readonly by: string
  /** What is done in any case: RFCs by name. */
  readonly builtIn: readonly string[]
  readonly before: ShownRoute
  /** Undefined for a route that is rejected. */
  readonly after: ShownRoute | undefined
}

export function explainRoute(routing: Routing, question: RouteQuestion): RouteExplanation {
  const { prefix, neighbour, direction, route } = question
  const sets = new AttributeSets()
  const book = new PolicyBook(new Workbench(sets, new RibPeers()), policySourceOf(routing))
  const chain = book.chainFor(direction, neighbour.name, isExternal(routing, neighbour))
  const family = prefix.address.length === 4 ? FAMILY.ipv4Unicast : FAMILY.ipv6Unicast
  const set = internRoute(sets, route)
  const peer = direction === 'in' ? neighbour.name : question.from
  const { terms, result } = chain.evaluator(family).explain(set, prefix, peer)
  const isAccepted = result !== NO_SET
  const after = isAccepted ? routeOf(sets, result) : undefined
  const last = terms.at(-1)
  const refusal = refusalOf(routing, question, after)
  const isGoing = chain.gracefulShutdown && (after?.communities.includes(COMMUNITY.gracefulShutdown) ?? false)
  return {
    prefix: formatPrefix(prefix),
    peer: neighbour.name,
    direction,
    policies: chain.policies.map(({ name }) => name),
    terms,
    verdict: isAccepted && refusal === undefined ? 'accept' : 'reject',
    by:
      refusal ??
      (last?.matched && last.outcome !== 'next'
        ? `policy ${last.policy}, term ${last.term}`
        : defaultOf(chain.accepts, terms)),
    builtIn: isGoing ? ['graceful shutdown (RFC 8326): local preference 0'] : [],
    before: shownRoute(route),
    after: refusal === undefined ? after && shownRoute(after) : undefined,
  }
}

/** Why the route is of no use or not told whatever policies say, as rib/inbound.ts and rib/update-group.ts have it. */
function refusalOf(routing: Routing, question: RouteQuestion, after: RouteAttributes | undefined): string | undefined {
  return question.direction === 'in' ? refusalIn(routing, question) : after && refusalOut(routing, question)
}

function refusalIn(routing: Routing, { neighbour, route: { path } }: RouteQuestion): string | undefined {
  const own = path.flatMap(({ numbers }) => numbers).filter((as) => as === routing.as).length
  if (own > neighbour.allow_as_in)
    return `AS ${routing.as}, our own, is in the path (RFC 4271 section 9.1.2): allow_as_in is ${neighbour.allow_as_in}`
  const first = path[0]?.type === SEGMENT.sequence ? path[0].numbers[0] : undefined
  const range = neighbour.as_range ?? { from: neighbour.as!, to: neighbour.as! }
  const isFirst = first !== undefined && first >= range.from && first <= range.to
  if (isExternal(routing, neighbour) && neighbour.enforce_first_as && !isFirst)
    return `the path does not begin with the neighbour's AS (RFC 4271 section 6.3): enforce_first_as`
  return undefined
}

function refusalOut(routing: Routing, { neighbour, from, route }: RouteQuestion): string | undefined {
  if (from === neighbour.name) return 'it is its own route'
  const has = (community: number): boolean => route.communities.includes(community)
  if (has(COMMUNITY.noAdvertise)) return 'no-advertise: it is told to nobody (RFC 1997)'
  const isOutside = isExternal(routing, neighbour)
  if (isOutside && (has(COMMUNITY.noExport) || has(COMMUNITY.noExportSubconfed)))
    return 'no-export: it stays in our AS (RFC 1997)'
  const source = routing.neighbours.find(({ name }) => name === from)
  const isReflected = source && !isOutside && !isExternal(routing, source)
  if (isReflected && !source.route_reflector_client && !neighbour.route_reflector_client)
    return 'it goes from one internal peer to another by a route reflector alone (RFC 4456 section 6)'
  return undefined
}

function defaultOf(accepts: boolean, terms: readonly TermReport[]): string {
  const rule = accepts ? 'what no term decides on is accepted' : 'require_policy: a policy has to accept it (RFC 8212)'
  return terms.length === 0 ? `no policy; ${rule}` : rule
}

export function isExternal(routing: Routing, { as }: Neighbour): boolean {
  return as !== routing.as
}

function shownRoute(route: RouteAttributes): ShownRoute {
  const lists = {
    communities: route.communities.map(formatCommunity),
    'extended communities': route.extendedCommunities.map(formatExtendedCommunity),
    'large communities': route.largeCommunities.map(formatLargeCommunity),
  }
  return {
    'AS path': formatSegments(route.path) || 'empty',
    'next hop': formatAddress(route.nextHop),
    origin: ORIGINS[route.origin]!,
    ...(route.med === undefined ? {} : { MED: route.med }),
    ...(route.localPref === undefined ? {} : { 'local preference': route.localPref }),
    ...Object.fromEntries(
      Object.entries(lists).flatMap(([name, all]) => (all.length > 0 ? [[name, all.join(' ')]] : [])),
    ),
  }
}

/** The next hop of a route of which nothing is said: the neighbour, if it speaks the prefix's IP version. */
export function usualNextHop({ address }: Neighbour, prefix: Prefix): Uint8Array {
  const own = address === undefined ? undefined : parseAddress(address)
  if (own?.length === prefix.address.length) return own
  return parseAddress(prefix.address.length === 4 ? '192.0.2.1' : '2001:db8::1')!
}
