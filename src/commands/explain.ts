/** `gatehouse explain route`: what the policies of a site make of a route, term by term. Touches nothing. */

import { getSite } from '../agent/site-store.ts'
import { type IpAddress, parseAddress, parsePrefix } from '../base/address.ts'
import { communityKind } from '../config/community-text.ts'
import type { Neighbour } from '../config/routing.ts'
import type { Site } from '../config/site.ts'
import {
  explainRoute,
  isExternal,
  type RouteExplanation,
  type ShownRoute,
  usualNextHop,
} from '../routing/policy/explain.ts'
import { parsePath } from '../routing/policy/route-attributes.ts'
import { parseCommunity, parseExtendedCommunity, parseLargeCommunity } from '../wire/bgp/community.ts'
import { onlyRunDirectory, withBus } from './bus-of.ts'
import { EXIT, Failure, loadOrFail } from './failure.ts'

export interface ExplainOptions {
  readonly peer: string
  readonly direction: string
  readonly site?: string
  readonly run?: string
  readonly from?: string
  readonly asPath?: string
  readonly nextHop?: string
  readonly origin: string
  readonly med?: string
  readonly localPreference?: string
  readonly community: readonly string[]
  readonly json?: boolean
}

const U32_MAX = 0xffff_ffff

export async function explain(prefixText: string, options: ExplainOptions): Promise<void> {
  const site = await siteOf(options)
  const { routing } = site
  if (!routing) throw new Failure(`site ${site.site} has no routing`)
  const prefix = parsePrefix(prefixText) ?? wrong(`${prefixText} is no prefix, such as 203.0.113.0/24`)
  const { direction } = options
  if (direction !== 'in' && direction !== 'out') wrong(`the direction is in or out, and not ${direction}`)
  const named = (name: string): Neighbour =>
    routing.neighbours.find((one) => one.name === name) ?? wrong(`there is no neighbour ${name}`)
  const neighbour = named(options.peer)
  const from = options.from === undefined ? undefined : named(options.from)
  const source = direction === 'in' ? neighbour : from
  const isFromOutside = source && isExternal(routing, source)
  const path = options.asPath ?? (isFromOutside ? String(source.as ?? source.as_range!.from) : '')
  const origins = ['igp', 'egp', 'incomplete']
  if (!origins.includes(options.origin)) wrong(`the origin is one of ${origins.join(', ')}, and not ${options.origin}`)
  const explanation = explainRoute(routing, {
    prefix,
    neighbour,
    direction,
    from: from?.name ?? '',
    route: {
      origin: origins.indexOf(options.origin),
      path: parsePath(path) ?? wrong(`${JSON.stringify(path)} is no AS path, such as "65002 7 {8,9}"`),
      nextHop:
        options.nextHop === undefined
          ? usualNextHop(source ?? neighbour, prefix)
          : nextHopOf(options.nextHop, prefix.address),
      med: numberOf('MED', options.med),
      localPref: numberOf('local preference', options.localPreference),
      ...communitiesOf(options.community),
    },
  })
  console.log(options.json ? JSON.stringify(explanation) : told(explanation).join('\n'))
}

async function siteOf({ site, run }: ExplainOptions): Promise<Site> {
  if (site !== undefined) return loadOrFail(site)
  const directory = run ?? onlyRunDirectory()
  const running = await withBus(directory, getSite)
  return running ?? wrong(`no site is known in ${directory}; say which file with --site FILE`)
}

function wrong(message: string): never {
  throw new Failure(message, EXIT.usage)
}

function nextHopOf(text: string, prefix: IpAddress): IpAddress {
  const address = parseAddress(text) ?? wrong(`${text} is no IP address`)
  return address.length === prefix.length ? address : wrong(`${text} is of another IP version than the prefix`)
}

function numberOf(what: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined
  const number = Number(text)
  return /^\d+$/.test(text) && number <= U32_MAX ? number : wrong(`${text} is no ${what}, 0 to ${U32_MAX}`)
}

/** All kinds mixed, as people have them before them. */
function communitiesOf(texts: readonly string[]) {
  const of = (kind: string): string[] => texts.filter((text) => communityKind(text, false) === kind)
  const stray = texts.find((text) => communityKind(text, false) === undefined)
  if (stray !== undefined) wrong(`${stray} is no community, such as 65001:100, no-export, rt:65001:1 or 65001:2:3`)
  return {
    communities: of('standard').map((text) => parseCommunity(text)!),
    extendedCommunities: of('extended').map((text) => parseExtendedCommunity(text)!),
    largeCommunities: of('large').map((text) => parseLargeCommunity(text)!),
  }
}

// ---- for people

function told(explanation: RouteExplanation): string[] {
  const { prefix, peer, direction, policies, terms, verdict, by, builtIn, before, after } = explanation
  const lines = [`${prefix} ${direction === 'in' ? 'from' : 'to'} ${peer}: ${shown(before)}`]
  if (policies.length > 0) lines.push(`policies: ${policies.join(', ')}`)
  for (const { policy, term, matched, holds, fails, set, outcome } of terms) {
    lines.push(`  ${policy}, term ${term}: ${matched ? 'matches' : 'does not match'}`)
    for (const one of holds) lines.push(`    is      ${one}`)
    if (fails !== undefined) lines.push(`    is not  ${fails}`)
    for (const one of set) lines.push(`    set     ${one}`)
    if (matched) lines.push(`    then    ${outcome}`)
  }
  for (const one of builtIn) lines.push(`  built in: ${one}`)
  lines.push(`${verdict}ed: ${by}`)
  if (after) lines.push(...differences(before, after))
  return lines
}

function shown(route: ShownRoute): string {
  return Object.entries(route)
    .map(([name, value]) => `${name} ${value}`)
    .join(', ')
}

function differences(before: ShownRoute, after: ShownRoute): string[] {
  const names = new Set([...Object.keys(before), ...Object.keys(after)])
  return [...names].flatMap((name) => {
    const [was, is] = [before[name] ?? 'none', after[name] ?? 'none']
    return was === is ? [] : [`  ${name}: ${was} -> ${is}`]
  })
}
