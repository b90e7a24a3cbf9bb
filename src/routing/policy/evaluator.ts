/**
 * A chain of policies at work on the routes of one family. It answers in attribute sets, and works each answer out once
 * for all routes that cannot tell the difference:
 *
 *   set alone                    while no term that is come to asks for the prefix or the peer
 *   set, class of the prefix     the prefix lists of the chain cut all prefixes into classes (prefix-classes.ts)
 *   set, class, peer             where a term asks whose route it is
 */

import { type Prefix, parsePrefix, prefixContains } from '../../base/address.ts'
import type { PrefixList } from '../../config/policy.ts'
import { FAMILY, type Family, families } from '../../wire/bgp/family.ts'
import { FIXED, NO_SET, RESTRICT } from '../bgp/rib/attribute-sets.ts'
import type { PrefixTable } from '../bgp/rib/prefix-table.ts'
import { ASK_ROUTE, type RoutePolicy } from '../bgp/rib/route-policy.ts'
import type { Chain } from './chain.ts'
import type { Condition } from './condition.ts'
import { CHANGED } from './draft.ts'
import { Memo, MISS } from './memo.ts'
import { CLASS_NONE, type PrefixClasses, wordsOf } from './prefix-classes.ts'
import type { Term } from './term.ts'
import type { Workbench } from './workbench.ts'

/** RFC 8326 section 4: what is about to go is used while there is nothing else. */
const GRACEFUL_SHUTDOWN_LOCAL_PREF = 0

/** Stands for the class of a prefix that is not looked at. */
const UNKNOWN = -1
const ANY_PEER = 0

const VERDICT = { reject: 0, accept: 1, ask: 2 } as const
type Verdict = (typeof VERDICT)[keyof typeof VERDICT]

/** What happened to a route in one term, for people. */
export interface TermReport {
  readonly policy: string
  /** Its name, or its number from 1 on. */
  readonly term: string
  readonly matched: boolean
  /** What was asked for and is so; and what is not so, if anything: the rest was not asked. */
  readonly holds: readonly string[]
  readonly fails: string | undefined
  readonly set: readonly string[]
  readonly outcome: 'accept' | 'reject' | 'next'
}

/** Of one route that is told about: the terms that it has come to so far. */
interface Telling {
  readonly prefix: Prefix
  readonly terms: TermReport[]
}

/** A term among all of the chain's. */
interface Placed {
  readonly policy: string
  readonly name: string
  readonly term: Term
  readonly isOfFamily: boolean
  /** Which condition of the classes, or -1. */
  readonly prefixCondition: number
}

export class Evaluator implements RoutePolicy {
  readonly #chain: Chain
  readonly #bench: Workbench
  readonly #terms: readonly Placed[]
  readonly #classes: PrefixClasses | undefined
  readonly #asksPeer: boolean
  readonly #memo: Memo
  readonly #address = new Uint32Array(4)
  /** Names of peers as numbers, for the memo: sessions' own are given again. */
  readonly #peerNumbers = new Map<string, number>()

  constructor(chain: Chain, family: Family, bench: Workbench) {
    this.#chain = chain
    this.#bench = bench
    const conditions: (readonly PrefixList[])[] = []
    const byLists = new Map<string, number>()
    this.#terms = chain.policies.flatMap(({ name: policy, terms }) =>
      terms.map((term, i): Placed => {
        const name = term.name ?? String(i + 1)
        const isOfFamily = term.families === undefined || term.families.includes(families[family]!.name)
        if (term.prefixLists === undefined || !isOfFamily)
          return { policy, name, term, isOfFamily, prefixCondition: -1 }
        const key = term.prefixLists.map((list) => list.name).join(' ')
        const prefixCondition = byLists.get(key) ?? conditions.length
        if (prefixCondition === conditions.length) {
          byLists.set(key, prefixCondition)
          conditions.push(term.prefixLists)
        }
        return { policy, name, term, isOfFamily, prefixCondition }
      }),
    )
    const isIpv6 = family === FAMILY.ipv6Unicast || family === FAMILY.vpnv6
    this.#classes = conditions.length === 0 ? undefined : bench.classesOf(conditions, isIpv6)
    this.#asksPeer = this.#terms.some(({ term, isOfFamily }) => isOfFamily && term.peers !== undefined)
    this.#memo = new Memo(bench.sets)
  }

  ofSet(set: number): number {
    if (this.#terms.length === 0) {
      const { accepts, gracefulShutdown } = this.#chain
      if (!accepts) return NO_SET
      if (!gracefulShutdown || (this.#bench.sets.restrict[set]! & RESTRICT.gracefulShutdown) === 0) return set
    }
    const known = this.#memo.find(set, UNKNOWN, ANY_PEER)
    if (known !== MISS) return known
    this.#bench.draft.load(set)
    const verdict = this.#decide(UNKNOWN, undefined, undefined)
    const result = verdict === VERDICT.ask ? ASK_ROUTE : this.#resultOf(verdict)
    this.#memo.store(set, UNKNOWN, ANY_PEER, result)
    return result
  }

  ofRoute(prefixes: PrefixTable, prefix: number, set: number, peer: number): number {
    let prefixClass = CLASS_NONE
    if (this.#classes) {
      prefixes.address(prefix, this.#address)
      prefixClass = this.#classes.classOf(this.#address, prefixes.length(prefix))
    }
    const name = this.#asksPeer ? this.#bench.peers.get(peer).name : ''
    const number = this.#asksPeer ? this.#peerNumber(name) : ANY_PEER
    const known = this.#memo.find(set, prefixClass, number)
    if (known !== MISS) return known
    this.#bench.draft.load(set)
    const result = this.#resultOf(this.#decide(prefixClass, name, undefined))
    this.#memo.store(set, prefixClass, number, result)
    return result
  }

  /** One route, told term by term. The result is a set that nobody uses yet. */
  explain(set: number, prefix: Prefix, peer: string): { readonly terms: TermReport[]; readonly result: number } {
    const terms: TermReport[] = []
    const prefixClass = this.#classes?.classOf(wordsOf(prefix), prefix.length) ?? CLASS_NONE
    this.#bench.draft.load(set)
    const verdict = this.#decide(prefixClass, peer, { prefix, terms })
    return { terms, result: this.#resultOf(verdict) }
  }

  #peerNumber(name: string): number {
    const known = this.#peerNumbers.get(name)
    if (known !== undefined) return known
    const number = this.#peerNumbers.size + 1
    this.#peerNumbers.set(name, number)
    return number
  }

  // Works on the draft. What the route's own conditions let through is asked for its prefix and peer last.
  #decide(prefixClass: number, peer: string | undefined, telling: Telling | undefined): Verdict {
    const { draft } = this.#bench
    const terms = this.#terms
    for (let i = 0; i < terms.length; i++) {
      const placed = terms[i]!
      const { term, prefixCondition } = placed
      const failing = placed.isOfFamily ? firstFailing(term.conditions, draft) : NOTHING
      let matched = placed.isOfFamily && failing === NOTHING
      if (matched && prefixCondition >= 0) {
        if (prefixClass === UNKNOWN) return VERDICT.ask
        matched = this.#classes!.holds(prefixClass, prefixCondition)
      }
      if (matched && term.peers !== undefined) {
        if (peer === undefined) return VERDICT.ask
        matched = term.peers.has(peer)
      }
      if (matched) for (let j = 0; j < term.changes.length; j++) term.changes[j]!.apply(draft)
      if (telling) this.#report(placed, failing, matched, telling)
      if (matched && term.outcome !== 'next') return term.outcome === 'accept' ? VERDICT.accept : VERDICT.reject
    }
    return this.#chain.accepts ? VERDICT.accept : VERDICT.reject
  }

  #resultOf(verdict: Verdict): number {
    if (verdict === VERDICT.reject) return NO_SET
    const { draft, writer, sets } = this.#bench
    if (this.#chain.gracefulShutdown && draft.isGoing) {
      draft.localPref = GRACEFUL_SHUTDOWN_LOCAL_PREF
      draft.changed |= CHANGED.localPref
    }
    const { changed } = draft
    const ours = sets.fixed[draft.set]! & FIXED.ours
    const fixed =
      this.#chain.direction === 'in'
        ? ours
        : ours |
          ((changed & CHANGED.med) !== 0 ? FIXED.med : 0) |
          ((changed & CHANGED.extendedCommunities) !== 0 ? FIXED.extendedCommunities : 0) |
          ((changed & CHANGED.nextHop) !== 0 ? FIXED.nextHop : 0)
    return writer.intern(draft, fixed)
  }

  #report(placed: Placed, failing: number, matched: boolean, { prefix, terms }: Telling): void {
    const { policy, name, term, isOfFamily } = placed
    const asked: string[] = []
    if (term.families) asked.push(`family ${term.families.join(' or ')}`)
    if (isOfFamily) {
      const conditions = term.conditions.map(({ text }) => text)
      asked.push(...conditions.slice(0, failing === NOTHING ? undefined : failing + 1))
      if (failing === NOTHING) asked.push(...this.#askedOfRoute(placed, prefix))
    }
    const fails = matched ? undefined : asked.pop()
    const set = matched ? term.changes.map(({ text }) => text) : []
    terms.push({ policy, term: name, matched, holds: asked, fails, set, outcome: term.outcome })
  }

  // Its prefix first, and whose it is only if that is right.
  #askedOfRoute({ term }: Placed, prefix: Prefix): string[] {
    const asked: string[] = []
    const { prefixLists, peers } = term
    const entry = prefixLists && entryFor(prefixLists, prefix)
    if (prefixLists) asked.push(`prefix list ${prefixLists.map(({ name }) => name).join(' or ')}${entry ?? ''}`)
    if (peers && (!prefixLists || entry !== undefined)) asked.push(`peer ${[...peers].join(' or ')}`)
    return asked
  }
}

/** The first entry that a prefix is in, for people. */
function entryFor(lists: readonly PrefixList[], { address, length }: Prefix): string | undefined {
  for (const { prefixes } of lists)
    for (const { prefix, ge, le } of prefixes)
      if (length >= ge && length <= le && prefixContains(parsePrefix(prefix)!, address))
        return ge === le ? ` (${prefix}, length ${ge})` : ` (${prefix}, lengths ${ge} to ${le})`
  return undefined
}

const NOTHING = -1

function firstFailing(conditions: readonly Condition[], draft: Workbench['draft']): number {
  for (let i = 0; i < conditions.length; i++) if (!conditions[i]!.test(draft)) return i
  return NOTHING
}
