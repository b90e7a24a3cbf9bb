/** A policy of the site file, ready to be used: names resolved, texts parsed. */

import { assert } from '../../base/assert.ts'
import type { Policy, PrefixList, Term as TermOfFile } from '../../config/policy.ts'
import { type Change, changesOf } from './change.ts'
import { type Condition, conditionsOf, type Lists } from './condition.ts'

export interface Term {
  readonly name: string | undefined
  readonly conditions: readonly Condition[]
  /** Where it does not matter, undefined. */
  readonly prefixLists: readonly PrefixList[] | undefined
  readonly peers: ReadonlySet<string> | undefined
  readonly families: readonly string[] | undefined
  readonly changes: readonly Change[]
  /** What comes next for a route that it matches. */
  readonly outcome: TermOfFile['then']
}

export interface CompiledPolicy {
  /** Another one, however equal its name, has another. */
  readonly id: number
  readonly name: string
  readonly terms: readonly Term[]
}

export interface AllLists extends Lists {
  readonly prefix: ReadonlyMap<string, PrefixList>
}

export function compilePolicy(id: number, { name, terms }: Policy, lists: AllLists, localAs: number): CompiledPolicy {
  return { id, name, terms: terms.map((term) => compileTerm(term, lists, localAs)) }
}

function compileTerm(term: TermOfFile, lists: AllLists, localAs: number): Term {
  const { match, set } = term
  return {
    name: term.name,
    conditions: conditionsOf(match, lists),
    prefixLists: match.prefix_list?.map((name) => {
      const list = lists.prefix.get(name)
      assert(list !== undefined, 'a name that was not checked')
      return list
    }),
    peers: match.peer && new Set(match.peer),
    families: match.family,
    changes: changesOf(set, localAs),
    outcome: term.then,
  }
}
