/**
 * Next hops before they have a number. Two hops are the same hop if their identity is the same: where they lead to as
 * people would say it (this neighbour on this segment, this machine). What may change about it, such as a switch that
 * the segment is now behind, keeps the identity and so the number; routes that use it need not be sent again.
 */

import { formatAddress } from '../base/address.ts'
import type { NextHop } from '../wire/control/fib.ts'

type Unnumbered<T> = T extends unknown ? Omit<T, 'id' | 'tenant'> : never

/** A hop that packets leave by, or end at. */
export type SingleHop = Unnumbered<Exclude<NextHop, { kind: 'group' }>>

export interface GroupHop {
  readonly kind: 'group'
  readonly members: readonly { readonly hop: SingleHop; readonly weight: number }[]
}

export type Hop = SingleHop | GroupHop

/** Unique within the tenant. */
export function identityOf(hop: SingleHop): string {
  switch (hop.kind) {
    case 'peer':
      return `peer ${hop.segment} ${formatAddress(hop.address)}`
    case 'host': {
      const to = hop.address ? `machine ${formatAddress(hop.address)}` : `host ${formatAddress(hop.remote)}`
      return `${to} ${hop.segment}`
    }
    case 'connected':
    case 'local':
      return `${hop.kind} ${hop.segment}`
    case 'discard':
      return 'discard'
  }
}

/** Members are given by their numbers, which are as lasting as their identities. */
export function groupIdentity(members: readonly { readonly nextHop: number; readonly weight: number }[]): string {
  return `group ${members.map(({ nextHop, weight }) => `${nextHop}*${weight}`).join(' ')}`
}
