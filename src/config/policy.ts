/**
 * The schema of policies: what becomes of a route on its way in from a neighbour or out to one.
 *
 *   a neighbour's `import` and `export` name policies; a policy is a list of terms, which a route meets in order
 *   a term   match: all of it must hold | set: what changes | then: accept, reject, or next (the next term, the default)
 *
 * A route that no term decides on is accepted, or, from and to external peers under `require_policy`, rejected (RFC 8212).
 */

import { z } from 'zod'
import { parsePrefix } from '../base/address.ts'
import { parsePathPattern } from './as-path-pattern.ts'
import { type CommunityKind, communityKind } from './community-text.ts'
import {
  AS_PATH_PATTERNS_MAX,
  COMMUNITIES_MAX,
  POLICY_NAMES_MAX,
  PREFIX_LIST_ENTRIES_MAX,
  PREPENDS_MAX,
  TERMS_MAX,
} from './limits.ts'
import { address, as, familyName, interfaceAddress, listOf, name, prefix, whole } from './scalar.ts'

const U32_MAX = 0xffff_ffff
/** Of an AS_PATH: as many as the longest message has room for. */
const PATH_LENGTH_MAX = 16_384

/** One value or a list of them. */
export function some<T extends z.ZodType>(what: string, element: T, max: number) {
  const one = element.transform((value): z.output<T>[] => [value])
  return z.union([one, listOf(what, element, max).min(1, { error: `an empty list of ${what} matches nothing` })])
}

/** A number, or from one to another. */
export function range(what: string, max: number) {
  return z.union([
    whole(what, 0, max).transform((number) => ({ from: number, to: number })),
    z
      .strictObject({ from: whole(what, 0, max).default(0), to: whole(what, 0, max).default(max) })
      .refine(({ from, to }) => from <= to, { error: 'it ends before it begins' }),
  ])
}
export type NumberRange = z.output<ReturnType<typeof range>>

// ---- lists

const bitsOf = (text: string): number => parsePrefix(text)!.address.length * 8
const lengthOf = (text: string): number => parsePrefix(text)!.length

/** Routes of the prefix itself, or of those in it that are at least `ge` and at most `le` bits long. */
const prefixEntry = z.union([
  prefix.transform((text) => ({ prefix: text, ge: lengthOf(text), le: lengthOf(text) })),
  z
    .strictObject({ prefix, ge: whole('length', 0, 128).optional(), le: whole('length', 0, 128).optional() })
    .transform(({ prefix: text, ge, le }) => ({
      prefix: text,
      ge: ge ?? lengthOf(text),
      le: le ?? (ge === undefined ? lengthOf(text) : bitsOf(text)),
    }))
    .refine((one) => one.ge >= lengthOf(one.prefix), {
      error: 'ge is below the length of the prefix',
      path: ['ge'],
    })
    .refine((one) => one.ge <= one.le && one.le <= bitsOf(one.prefix), {
      error: 'le is neither below ge nor above what an address has',
      path: ['le'],
    }),
])

const prefixList = z.strictObject({ name, prefixes: listOf('prefixes', prefixEntry, PREFIX_LIST_ENTRIES_MAX) })
export type PrefixList = z.output<typeof prefixList>

const pathPattern = z.string().superRefine((text, context) => {
  const parsed = parsePathPattern(text)
  if (typeof parsed === 'string') context.addIssue({ code: 'custom', message: `${JSON.stringify(text)}: ${parsed}` })
})

/** A route is in it when one of the patterns matches its path; see as-path-pattern.ts. */
const asPathList = z.strictObject({ name, paths: listOf('patterns', pathPattern, AS_PATH_PATTERNS_MAX) })
export type AsPathList = z.output<typeof asPathList>

/** Numbers between colons that YAML took for something else come as they are written. */
function communityText(kinds: readonly CommunityKind[], wildcards: boolean) {
  const what = kinds.length > 1 ? 'community' : kinds[0] === 'standard' ? 'standard community' : `${kinds[0]} community`
  return z.string().refine((text) => kinds.includes(communityKind(text, wildcards)!), {
    error: ({ input }) => `${JSON.stringify(input)} is no ${what}, such as ${EXAMPLES[kinds[0]!]}`,
  })
}

const EXAMPLES: Readonly<Record<CommunityKind, string>> = {
  standard: '65001:100 or no-export',
  extended: 'rt:65001:1 or color:7',
  large: '65001:2:3',
}

const communityList = z.strictObject({
  name,
  /** Of all three kinds; `*` may stand for a number. */
  communities: listOf('communities', communityText(['standard', 'extended', 'large'], true), COMMUNITIES_MAX),
  /** A route is in it when it has one of them, or only when it has them all. */
  all: z.boolean().default(false),
})
export type CommunityList = z.output<typeof communityList>

// ---- policies

const origin = z.enum(['igp', 'egp', 'incomplete'])

const match = z.strictObject({
  /** In one of these lists. */
  prefix_list: some('lists', name, POLICY_NAMES_MAX).optional(),
  as_path_list: some('lists', name, POLICY_NAMES_MAX).optional(),
  community_list: some('lists', name, POLICY_NAMES_MAX).optional(),
  /** An address, or a prefix that it is in. */
  next_hop: some('next hops', z.union([address, interfaceAddress]), POLICY_NAMES_MAX).optional(),
  origin: some('origins', origin, 3).optional(),
  /** A route without one has 0. */
  med: range('MED', U32_MAX).optional(),
  /** A route without one has 100. */
  local_preference: range('local preference', U32_MAX).optional(),
  /** As the decision counts it: a set is one step. */
  path_length: range('path length', PATH_LENGTH_MAX).optional(),
  family: some('families', familyName, 4).optional(),
  /** The neighbour that the route came from, on its way out too. */
  peer: some('neighbours', name, POLICY_NAMES_MAX).optional(),
})
export type Match = z.output<typeof match>

/** First what is removed, then what is added; or all that there is gives way. `*` may stand for what is removed. */
function communityChange(kind: CommunityKind) {
  const exact = listOf('communities', communityText([kind], false), COMMUNITIES_MAX)
  return z
    .strictObject({
      remove: listOf('communities', communityText([kind], kind !== 'extended'), COMMUNITIES_MAX).optional(),
      add: exact.optional(),
      replace: exact.optional(),
    })
    .refine((one) => one.replace === undefined || (one.add === undefined && one.remove === undefined), {
      error: 'communities are replaced, or added and removed',
    })
}

const changes = z.strictObject({
  local_preference: whole('local preference', 0, U32_MAX).optional(),
  med: z.union([whole('MED', 0, U32_MAX), z.literal('none')]).optional(),
  origin: origin.optional(),
  /** Kept from routes of the other IP version. */
  next_hop: address.optional(),
  /** AS numbers in front of the path: how often, and which one; ours unless it is said. */
  prepend: z
    .union([
      whole('number of times', 1, PREPENDS_MAX).transform((times): { times: number; as?: number | undefined } => ({
        times,
      })),
      z.strictObject({ times: whole('number of times', 1, PREPENDS_MAX).default(1), as: as.optional() }),
    ])
    .optional(),
  communities: communityChange('standard').optional(),
  extended_communities: communityChange('extended').optional(),
  large_communities: communityChange('large').optional(),
})
export type Changes = z.output<typeof changes>

const term = z.strictObject({
  name: name.optional(),
  match: match.prefault({}),
  set: changes.prefault({}),
  // biome-ignore lint/suspicious/noThenProperty: it is what people write, and nobody awaits a site file
  then: z.enum(['accept', 'reject', 'next']).default('next'),
})
export type Term = z.output<typeof term>

const policy = z.strictObject({ name, terms: listOf('terms', term, TERMS_MAX) })
export type Policy = z.output<typeof policy>

/** The parts of `routing` that are about policies. */
export const policyParts = {
  /** RFC 8212: from and to external peers goes only what a policy accepts. */
  require_policy: z.boolean().default(false),
  prefix_lists: listOf('prefix lists', prefixList, POLICY_NAMES_MAX).default([]),
  as_path_lists: listOf('AS path lists', asPathList, POLICY_NAMES_MAX).default([]),
  community_lists: listOf('community lists', communityList, POLICY_NAMES_MAX).default([]),
  policies: listOf('policies', policy, POLICY_NAMES_MAX).default([]),
}

/** A neighbour's policies, one behind the other: a route that one of them does not decide on meets the next. */
export const policyNames = z
  .union([name.transform((one) => [one]), listOf('policies', name, POLICY_NAMES_MAX)])
  .default([])
