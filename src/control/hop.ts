/**
 * Next hops before they have a number. Two hops are the same hop if their identity is the same: where they lead to as
 * people would say it (this neighbour on this segment, this machine). What may change about it, such as a switch that
 * the segment is now behind, keeps the identity and so the number; routes that use it need not be sent again.
 */

import { isDeepStrictEqual } from 'node:util'
import { formatAddress } from '../base/address.ts'
import type { GroupNextHop, NextHop } from '../wire/control/fib.ts'

type Unnumbered<T> = T extends unknown ? Omit<T, 'id' | 'tenant'> : never

/** A hop that packets leave by, or end at. */
export type SingleHop = Unnumbered<Exclude<NextHop, GroupNextHop>>

export interface GroupHop {
  readonly kind: 'group'
  readonly members: readonly { readonly hop: SingleHop; readonly weight: number }[]
}

/** A primary and its backups, in the order of preference (RFC 5714). */
export interface FailoverHop {
  readonly kind: 'failover'
  readonly members: readonly (SingleHop | GroupHop)[]
  /** What there was to choose from, where the order may be another one tomorrow; else empty. */
  readonly choice: string
}

export type Hop = SingleHop | GroupHop | FailoverHop

/** Unique within the tenant. */
export function identityOf(hop: SingleHop): string {
  switch (hop.kind) {
    case 'peer':
      return `peer ${hop.segment} ${formatAddress(hop.address)}`
    case 'host': {
      const to = hop.address ? `machine ${formatAddress(hop.address)}` : `host ${formatAddress(hop.remote)}`
      return `${to} ${hop.segment}`
    }
    case 'vrf':
      return `vrf ${hop.into}`
    case 'public':
      return `public ${formatAddress(hop.address ?? hop.remote)} ${hop.segment}`
    case 'connected':
    case 'local':
      return `${hop.kind} ${hop.segment}`
    case 'discard':
      return 'discard'
  }
}

/** The identity of a hop that has a number. Members have theirs, which are as lasting as their identities. */
export function identityOfNumbered(hop: NextHop): string {
  if (hop.kind === 'policy') return `policy ${hop.choice}`
  if (hop.kind === 'failover') return hop.choice === '' ? `failover ${hop.members.join(' ')}` : `choice ${hop.choice}`
  if (hop.kind !== 'group') return identityOf(hop)
  return `group ${hop.members.map(({ nextHop, weight }) => `${nextHop}*${weight}`).join(' ')}`
}

/** Several share packets, none is undefined, and one is itself. */
export function groupOf(members: GroupHop['members']): SingleHop | GroupHop | undefined {
  return members.length > 1 ? { kind: 'group', members } : members[0]?.hop
}

/** The later ones are backups of those before; who is there twice counts where it is first. */
export function failoverOf(hops: readonly (Hop | undefined)[], choice = ''): Hop | undefined {
  const members: (SingleHop | GroupHop)[] = []
  for (const hop of hops) {
    if (!hop) continue
    // Nothing is a backup that drops packets, or keeps them.
    if (members.length > 0 && !isForwarded(hop)) continue
    for (const member of hop.kind === 'failover' ? hop.members : [hop])
      if (!members.some((known) => isDeepStrictEqual(known, member))) members.push(member)
  }
  return members.length > 1 && isForwarded(members[0]!) ? { kind: 'failover', members, choice } : members[0]
}

function isForwarded({ kind }: Hop): boolean {
  return kind !== 'discard' && kind !== 'local'
}
