/**
 * What a term asks of a route's attributes: a row a field of `match`. Conditions on the prefix and on the peer are not
 * here: they are not the attributes', and evaluator.ts has them.
 */

import { type Prefix, parseAddress, parseInterface, prefixContains } from '../../base/address.ts'
import { assert } from '../../base/assert.ts'
import { parsePathPattern } from '../../config/as-path-pattern.ts'
import { communityKind } from '../../config/community-text.ts'
import type { AsPathList, CommunityList, Match, NumberRange } from '../../config/policy.ts'
import { parseCommunity, parseExtendedCommunity, parseLargeCommunity } from '../../wire/bgp/community.ts'
import type { Draft, Hops } from './draft.ts'
import { PathMatcher } from './path-matcher.ts'
import type { WordList, WordPattern } from './word-list.ts'

export interface Condition {
  /** What is asked for, for people. */
  readonly text: string
  test(draft: Draft): boolean
}

export const ORIGINS = ['igp', 'egp', 'incomplete'] as const

/** The lists of a site by name, each of which is looked at once for a route however many terms ask. */
export interface Lists {
  readonly asPath: ReadonlyMap<string, AsPathMatcher>
  readonly community: ReadonlyMap<string, CommunityMatcher>
}

/** Those of one term, cheap ones first. */
export function conditionsOf(match: Match, lists: Lists): Condition[] {
  const all = [
    match.origin && originIs(match.origin),
    match.local_preference && inRange('local preference', match.local_preference, (draft) => draft.localPref),
    match.med && inRange('MED', match.med, (draft) => (draft.hasMed ? draft.med : 0)),
    match.path_length && inRange('path length', match.path_length, (draft) => draft.pathLength),
    match.next_hop && nextHopIn(match.next_hop),
    match.community_list && inCommunityList(named(lists.community, match.community_list)),
    match.as_path_list && inAsPathList(named(lists.asPath, match.as_path_list)),
  ]
  return all.filter((one) => one !== undefined)
}

function named<T>(lists: ReadonlyMap<string, T>, names: readonly string[]): T[] {
  return names.map((name) => {
    const list = lists.get(name)
    assert(list !== undefined, 'a name that was not checked')
    return list
  })
}

const namesOf = (lists: readonly { readonly name: string }[]): string => lists.map(({ name }) => name).join(' or ')

function originIs(origins: readonly (typeof ORIGINS)[number][]): Condition {
  const values = origins.map((origin) => ORIGINS.indexOf(origin))
  return { text: `origin ${origins.join(' or ')}`, test: ({ origin }) => values.includes(origin) }
}

function inRange(what: string, { from, to }: NumberRange, of: (draft: Draft) => number): Condition {
  const text = from === to ? `${what} ${from}` : `${what} ${from} to ${to}`
  return {
    text,
    test(draft) {
      const value = of(draft)
      return value >= from && value <= to
    },
  }
}

function nextHopIn(texts: readonly string[]): Condition {
  const prefixes = texts.map(hostOrPrefix)
  return {
    text: `next hop ${texts.join(' or ')}`,
    test({ nextHop: { address } }) {
      return prefixes.some((prefix) => prefixContains(prefix, address))
    },
  }
}

function hostOrPrefix(text: string): Prefix {
  const address = parseAddress(text)
  if (address) return { address, length: address.length * 8 }
  const parsed = parseInterface(text)
  assert(parsed !== undefined, 'a prefix that was not checked')
  return parsed
}

/** The patterns of a list, and what was found last. */
export class AsPathMatcher {
  readonly name: string
  readonly #matchers: readonly PathMatcher[]
  #stamp = 0
  #result = false

  constructor({ name, paths }: AsPathList) {
    this.name = name
    this.#matchers = paths.map((text) => {
      const pattern = parsePathPattern(text)
      assert(typeof pattern !== 'string', 'a pattern that was not checked')
      return new PathMatcher(pattern)
    })
  }

  matches(draft: Draft): boolean {
    if (draft.pathStamp === this.#stamp) return this.#result
    this.#stamp = draft.pathStamp
    this.#result = this.#look(draft.hops)
    return this.#result
  }

  #look(hops: Hops): boolean {
    for (let i = 0; i < this.#matchers.length; i++) if (this.#matchers[i]!.matches(hops)) return true
    return false
  }
}

function inAsPathList(lists: readonly AsPathMatcher[]): Condition {
  return {
    text: `AS path list ${namesOf(lists)}`,
    test(draft) {
      for (let i = 0; i < lists.length; i++) if (lists[i]!.matches(draft)) return true
      return false
    },
  }
}

/** The communities of a list, and what was found last. */
export class CommunityMatcher {
  readonly name: string
  readonly #patterns: readonly CommunityPattern[]
  readonly #all: boolean
  #stamp = 0
  #result = false

  constructor({ name, communities, all }: CommunityList) {
    this.name = name
    this.#patterns = communities.map(communityPattern)
    this.#all = all
  }

  matches(draft: Draft): boolean {
    if (draft.communityStamp === this.#stamp) return this.#result
    this.#stamp = draft.communityStamp
    this.#result = this.#look(draft)
    return this.#result
  }

  // All of them: until one is missing. One of them: until one is there.
  #look(draft: Draft): boolean {
    for (let i = 0; i < this.#patterns.length; i++) {
      const { kind, pattern } = this.#patterns[i]!
      if (listOf(draft, kind).has(pattern) !== this.#all) return !this.#all
    }
    return this.#all
  }
}

function inCommunityList(lists: readonly CommunityMatcher[]): Condition {
  return {
    text: `community list ${namesOf(lists)}`,
    test(draft) {
      for (let i = 0; i < lists.length; i++) if (lists[i]!.matches(draft)) return true
      return false
    },
  }
}

// ---- communities

export type Kind = 'communities' | 'extendedCommunities' | 'largeCommunities'

export interface CommunityPattern {
  readonly kind: Kind
  readonly pattern: WordPattern
}

export function listOf(draft: Draft, kind: Kind): WordList {
  return kind === 'communities'
    ? draft.communities
    : kind === 'largeCommunities'
      ? draft.largeCommunities
      : draft.extendedCommunities
}

/** Of a text that was checked; `*` masks the number that it stands for. */
export function communityPattern(text: string): CommunityPattern {
  const kind = communityKind(text, true)
  const exact = text.replaceAll('*', '0')
  const wild = text.split(':').map((part) => part === '*')
  if (kind === 'standard') {
    const value = parseCommunity(exact)
    assert(value !== undefined, `${text} is no community`)
    const mask = ((wild[0] ? 0 : 0xffff_0000) | (wild[1] ? 0 : 0xffff)) >>> 0
    return { kind: 'communities', pattern: { value: [value], mask: [wild.length === 2 ? mask : 0xffff_ffff] } }
  }
  if (kind === 'large') {
    const value = parseLargeCommunity(exact)
    assert(value !== undefined, `${text} is no large community`)
    const mask = wild.map((isWild) => (isWild ? 0 : 0xffff_ffff))
    return { kind: 'largeCommunities', pattern: { value: [value.global, value.local1, value.local2], mask } }
  }
  const value = parseExtendedCommunity(text)
  assert(value !== undefined, `${text} is no extended community`)
  return {
    kind: 'extendedCommunities',
    pattern: { value: [value.high, value.low], mask: [0xffff_ffff, 0xffff_ffff] },
  }
}
