/** A session as the route thread has it: whose routes these are, and what becomes of them both ways. */

import type { Family } from '../../wire/bgp/family.ts'
import type { Chain } from '../policy/chain.ts'
import type { SessionUp } from './messages.ts'
import type { Inbound } from './rib/inbound.ts'
import type { RoutePolicy } from './rib/route-policy.ts'
import type { RoutingTable } from './rib/routing-table.ts'
import type { UpdateGroup } from './rib/update-group.ts'

export interface RouteSession {
  readonly number: number
  readonly up: SessionUp
  /** Its number in the RIB. */
  readonly rib: number
  readonly inbound: Inbound
  /** By family; undefined where it has none. */
  readonly tables: readonly (RoutingTable | undefined)[]
  readonly groups: (UpdateGroup | undefined)[]
  /** What its routes meet on their way in, and routes to it. */
  imports: Chain
  exports: Chain
  /** Bytes that were handed over for it since it came up. */
  posted: number
  /** Families whose routes come again, from one mark to the other (RFC 7313). */
  readonly marked: Set<number>
  /** It was told to end: what it still sends is not looked at. */
  isEnding: boolean
  /** It was said that it comes near to what it may send. */
  isWarned: boolean
}

/** Who the peer is, whatever session it has. */
export function keyOf({ peer, remote, handling }: SessionUp): string {
  return `${handling.vrf} ${peer} ${remote.join('.')}`
}

export function policyOf(chain: Chain, family: Family): RoutePolicy | undefined {
  return chain.isOpen ? undefined : chain.evaluator(family)
}
