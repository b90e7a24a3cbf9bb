/**
 * Which way a packet takes whose route leaves the choice to its tenant's policies: the way of the first rule that it meets, if
 * that leads anywhere now, and else the ordinary one. Tenants without policies have no such routes, and never come here.
 */

import { ActionKind, POLICY_DISCARD_AT, POLICY_NO_WAY_AT } from '../dataplane/action.ts'
import type { Batch } from '../dataplane/batch.ts'
import { NO_POLICY, type Policies } from '../dataplane/policy.ts'
import { ETHERTYPE } from '../wire/ethernet.ts'
import type { Shared } from './shared.ts'

export class Policed {
  readonly #shared: Shared
  readonly #policies: Policies

  constructor(shared: Shared, policies: Policies) {
    this.#shared = shared
    this.#policies = policies
  }

  /** `at` is the action of the policy of `tenant`; returns the one that the packet takes, by its first word. */
  choose(tenant: number, batch: Batch, row: number, etherType: number, at: number): number {
    const { actions, columns, frames } = this.#shared
    const hash = batch.hash[row]!
    const l3 = batch.l3[row]!
    const rule =
      etherType === ETHERTYPE.ipv4
        ? this.#policies.match4(tenant, frames.view, l3, columns.readable[row]!)
        : this.#policies.match6(tenant, frames.view, l3, columns.readable[row]!)
    if (rule === NO_POLICY) return this.#shared.follow(row, actions.ordinarySlot(at), hash)
    this.#policies.count(rule, columns.end[row]! - l3)
    const way = this.#policies.wayOf(rule)
    if (way === 0) return POLICY_DISCARD_AT
    const chosen = this.#shared.follow(row, actions.waySlot(at, way), hash)
    // Who is to be told of the packet asks for the neighbour: what is on the connection itself has no other way.
    if (actions.words[chosen] !== ActionKind.drop || actions.words[chosen + 7] !== 0) return chosen
    return this.#policies.isOnly(rule) ? POLICY_NO_WAY_AT : this.#shared.follow(row, actions.ordinarySlot(at), hash)
  }
}
