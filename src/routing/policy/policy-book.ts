/**
 * All policies of a site, and which neighbour has which. It can be given those of another site file: what means the same as
 * before stays the very same object, so who compares chains sees which neighbours are concerned.
 */

import { createHash } from 'node:crypto'
import { assert } from '../../base/assert.ts'
import type { Routing } from '../../config/routing.ts'
import { Chain, type Direction } from './chain.ts'
import { AsPathMatcher, CommunityMatcher } from './condition.ts'
import { type CompiledPolicy, compilePolicy } from './term.ts'
import type { Workbench } from './workbench.ts'

/** What of the site file is about policies: plain data, which goes from thread to thread. */
export interface PolicySource {
  readonly as: number
  readonly requirePolicy: boolean
  readonly prefixLists: Routing['prefix_lists']
  readonly asPathLists: Routing['as_path_lists']
  readonly communityLists: Routing['community_lists']
  readonly policies: Routing['policies']
  readonly neighbours: readonly {
    readonly name: string
    readonly in: readonly string[]
    readonly out: readonly string[]
  }[]
}

export function policySourceOf(routing: Routing): PolicySource {
  return {
    as: routing.as,
    requirePolicy: routing.require_policy,
    prefixLists: routing.prefix_lists,
    asPathLists: routing.as_path_lists,
    communityLists: routing.community_lists,
    policies: routing.policies,
    neighbours: routing.neighbours
      .filter((neighbour) => neighbour.import.length + neighbour.export.length > 0)
      .map((neighbour) => ({ name: neighbour.name, in: neighbour.import, out: neighbour.export })),
  }
}

/** A policy with a digest of all that it says, its lists' contents too. */
interface Kept {
  readonly digest: string
  readonly policy: CompiledPolicy
}

export class PolicyBook {
  readonly #bench: Workbench
  #requirePolicy = false
  #policies = new Map<string, Kept>()
  #neighbours = new Map<string, PolicySource['neighbours'][number]>()
  /** By what they are made of. */
  #chains = new Map<string, Chain>()
  #nextId = 1

  constructor(bench: Workbench, source?: PolicySource) {
    this.#bench = bench
    if (source) this.update(source)
  }

  update(source: PolicySource): void {
    const lists = {
      prefix: byName(source.prefixLists),
      asPath: byName(source.asPathLists.map((list) => new AsPathMatcher(list))),
      community: byName(source.communityLists.map((list) => new CommunityMatcher(list))),
    }
    const digests = {
      prefix: digestsOf(source.prefixLists),
      asPath: digestsOf(source.asPathLists),
      community: digestsOf(source.communityLists),
    }
    const before = this.#policies
    this.#policies = new Map()
    for (const policy of source.policies) {
      const used = policy.terms.map(({ match }) => [
        match.prefix_list?.map((name) => digests.prefix.get(name)),
        match.as_path_list?.map((name) => digests.asPath.get(name)),
        match.community_list?.map((name) => digests.community.get(name)),
      ])
      const digest = digestOf([source.as, policy, used])
      const kept = before.get(policy.name)
      const isSame = kept?.digest === digest
      const compiled = isSame ? kept.policy : compilePolicy(this.#nextId++, policy, lists, source.as)
      this.#policies.set(policy.name, { digest, policy: compiled })
    }
    this.#requirePolicy = source.requirePolicy
    this.#neighbours = new Map(source.neighbours.map((neighbour) => [neighbour.name, neighbour]))
    // What is not asked for again goes with its memory.
    const chains = this.#chains
    this.#chains = new Map()
    for (const [name, chain] of chains)
      if (chain.policies.every((policy) => this.#has(policy))) this.#chains.set(name, chain)
  }

  #has(policy: CompiledPolicy): boolean {
    return this.#policies.get(policy.name)?.policy === policy
  }

  /** RFC 8212: an external peer's routes need a policy, if that is what the site wants. */
  chainFor(direction: Direction, neighbour: string, external: boolean): Chain {
    const names = this.#neighbours.get(neighbour)?.[direction] ?? []
    const policies = names.map((name) => {
      const kept = this.#policies.get(name)
      assert(kept !== undefined, 'a name that was not checked')
      return kept.policy
    })
    const accepts = !external || !this.#requirePolicy
    const gracefulShutdown = external && direction === 'in'
    const name = `${direction} ${accepts} ${gracefulShutdown} ${policies.map(({ id }) => id).join(' ')}`
    const known = this.#chains.get(name)
    if (known) return known
    const chain = new Chain(this.#nextId++, { direction, policies, accepts, gracefulShutdown }, this.#bench)
    this.#chains.set(name, chain)
    return chain
  }
}

function byName<T extends { readonly name: string }>(all: readonly T[]): Map<string, T> {
  return new Map(all.map((one) => [one.name, one]))
}

function digestsOf(lists: readonly { readonly name: string }[]): Map<string, string> {
  return new Map(lists.map((list) => [list.name, digestOf(list)]))
}

function digestOf(value: unknown): string {
  return createHash('sha256').update(JSON.stringify(value)).digest('base64')
}
