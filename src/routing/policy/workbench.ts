/** What all policies of a RIB work with: its sets and peers, the draft that is being worked on, and who writes it down. */

import type { PrefixList } from '../../config/policy.ts'
import type { AttributeSets } from '../bgp/rib/attribute-sets.ts'
import type { RibPeers } from '../bgp/rib/rib-peers.ts'
import { Draft } from './draft.ts'
import { DraftWriter } from './draft-writer.ts'
import { PrefixClasses } from './prefix-classes.ts'

export class Workbench {
  readonly sets: AttributeSets
  readonly peers: RibPeers
  readonly draft: Draft
  readonly writer: DraftWriter
  readonly #numbers = new WeakMap<PrefixList, number>()
  readonly #classes = new Map<string, WeakRef<PrefixClasses>>()
  #next = 1

  constructor(sets: AttributeSets, peers: RibPeers) {
    this.sets = sets
    this.peers = peers
    this.draft = new Draft(sets)
    this.writer = new DraftWriter(sets)
  }

  /** The same for all chains that ask the same lists: large ones take memory, and time. */
  classesOf(conditions: readonly (readonly PrefixList[])[], isIpv6: boolean): PrefixClasses {
    const name = `${isIpv6} ${conditions.map((lists) => lists.map((list) => this.#numberOf(list)).join('+')).join(' ')}`
    const known = this.#classes.get(name)?.deref()
    if (known) return known
    for (const [old, classes] of this.#classes) if (!classes.deref()) this.#classes.delete(old)
    const entries = conditions.map((lists) => lists.flatMap(({ prefixes }) => prefixes))
    const made = new PrefixClasses(entries, isIpv6)
    this.#classes.set(name, new WeakRef(made))
    return made
  }

  #numberOf(list: PrefixList): number {
    const known = this.#numbers.get(list)
    if (known !== undefined) return known
    this.#numbers.set(list, this.#next)
    return this.#next++
  }
}
