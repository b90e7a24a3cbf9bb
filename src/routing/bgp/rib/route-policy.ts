/**
 * What the RIB asks of policy (policy/evaluator.ts answers): what is to become of a route, in terms of attribute sets. Many
 * routes share a set, and mostly what becomes of them hangs on that alone, so the set is asked about first.
 */

import type { PrefixTable } from './prefix-table.ts'

/** It depends on the prefix, or on whose route it is. */
export const ASK_ROUTE = -1

export interface RoutePolicy {
  /** What becomes of all routes with these attributes: a set, NO_SET for those that are not accepted, or ASK_ROUTE. */
  ofSet(set: number): number
  /** What becomes of this one. `peer` is the session that it came from. */
  ofRoute(prefixes: PrefixTable, prefix: number, set: number, peer: number): number
}
