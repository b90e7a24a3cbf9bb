/**
 * One next hop of several candidates for a prefix: those that share its packets, and behind them their backups, in order.
 * Either as the candidates come, or by the paths that they are reached over (path-order.ts).
 */

import { failoverOf, type GroupHop, groupOf, type Hop, identityOf, type SingleHop } from './hop.ts'
import type { PathPlaces } from './path-order.ts'

export interface Candidate {
  readonly hop: SingleHop
  readonly weight: number
  readonly backup: boolean
  /** By name; undefined for a machine, or for nothing. */
  readonly connection: string | undefined
  /** By the gateway of another site: it never shares packets with what is here. */
  readonly isRemote?: boolean
}

/** Those that are no backup share the packets, and the others do while those are down. */
export function asTheyCome(candidates: readonly Candidate[]): Hop | undefined {
  return failoverOf([false, true].map((backup) => sharing(candidates.filter((one) => one.backup === backup))))
}

/**
 * What is up comes first, then the more preferred of the lists, what is no backup in it, and the better path. What discards
 * is a last resort.
 */
export function byPath(lists: readonly (readonly Candidate[])[], paths: PathPlaces): Hop | undefined {
  // In an order that is not that of their coming: what there is to choose from says all of what is chosen.
  const named = lists.map((candidates) =>
    candidates.map((candidate) => ({ candidate, name: nameOf(candidate) })).sort(byName),
  )
  const ranked = named.flatMap((candidates, list) =>
    candidates.map(({ candidate }) => ({ candidate, rank: rankOf(candidate, list, paths) })),
  )
  ranked.sort((a, b) => compare(a.rank, b.rank))
  // Several origins may have the same one.
  const different = new Map<string, (typeof ranked)[number]>()
  for (const one of ranked) {
    const identity = identityOf(one.candidate.hop)
    if (!different.has(identity)) different.set(identity, one)
  }
  const equals = Map.groupBy(different.values(), ({ rank }) => rank.join(' '))
  const groups = Array.from(equals.values(), (members) => sharing(members.map(({ candidate }) => candidate)))
  // Whatever the order of the paths: routes keep their next hop when that changes, and need not be told again.
  return failoverOf(groups, named.map((candidates) => candidates.map(({ name }) => name).join(', ')).join(' | '))
}

export function nameOf({ hop, weight, backup }: Candidate): string {
  return `${identityOf(hop)}*${weight}${backup ? ' as backup' : ''}`
}

function byName(a: { readonly name: string }, b: { readonly name: string }): number {
  return a.name < b.name ? -1 : 1
}

function rankOf({ hop, backup, connection, isRemote }: Candidate, list: number, paths: PathPlaces): number[] {
  const state = connection === undefined ? 0 : paths.stateOf(connection)
  const place = paths.placeOf(connection)
  return [hop.kind === 'discard' ? 1 : 0, state, list, backup ? 1 : 0, place, isRemote ? 1 : 0]
}

function compare(a: readonly number[], b: readonly number[]): number {
  const i = a.findIndex((value, place) => value !== b[place])
  return i < 0 ? 0 : a[i]! - b[i]!
}

function sharing(candidates: readonly Candidate[]): SingleHop | GroupHop | undefined {
  return groupOf(candidates.map(({ hop, weight }) => ({ hop, weight })))
}
