/**
 * From a session's UPDATE to its routes in the tables: Adj-RIB-In (RFC 4271 section 9.1.1 and 9.2). Nothing is allocated
 * for a message: its attributes are checked in one walk and interned as bytes, and its prefixes go one by one from the
 * message into the table.
 */

import { countInPath } from '../../../wire/bgp/as-path.ts'
import { checkAttributes } from '../../../wire/bgp/check-attributes.ts'
import { type AttributeContext, AttributeFacts, OUTCOME, type Outcome, SEEN } from '../../../wire/bgp/facts.ts'
import { FAMILY, hasFamily } from '../../../wire/bgp/family.ts'
import { openBody } from '../../../wire/bgp/message.ts'
import { endOfRib, splitUpdate, UpdateParts } from '../../../wire/bgp/update.ts'
import type { Reader } from '../../../wire/cursor.ts'
import { type AttributeSets, NO_SET } from './attribute-sets.ts'
import type { NextHops } from './next-hops.ts'
import { PATH_FLAG } from './path.ts'
import { NO_PREFIX } from './prefix-table.ts'
import { ASK_ROUTE, type RoutePolicy } from './route-policy.ts'
import type { RoutingTable } from './routing-table.ts'
import type { SetAssembler } from './set-assembler.ts'

export interface InboundOptions {
  /** The session's number in the RIB. */
  readonly peer: number
  readonly context: AttributeContext
  /** By family; undefined where the session has none. */
  readonly tables: readonly (RoutingTable | undefined)[]
  readonly localAs: number
  readonly routerId: number
  readonly clusterId: number
  /** How often our AS may be in a path (hub and spoke). */
  readonly allowAsIn: number
  /** The path of an external peer must begin with its AS; 0 lets it be (RFC 4271 section 6.3; RFC 7947 section 2.2.2). */
  readonly firstAs: number
  /** By family; undefined accepts all as it is. */
  readonly policies: readonly (RoutePolicy | undefined)[]
  /** Whether next hops are reachable, where that matters. */
  readonly nextHops: NextHops | undefined
  /** All that was to come of the family has come (RFC 4724). */
  readonly onEndOfRib: (family: number) => void
}

export class Inbound {
  readonly facts = new AttributeFacts()
  readonly parts = new UpdateParts()
  /** Paths of this session by family. */
  readonly paths = new Int32Array(8)
  /** Messages whose routes were withdrawn, and from which attributes were taken, for what was wrong with them. */
  treatedAsWithdraw = 0
  discarded = 0
  /** For what comes from now on; what is in the tables is reconsidered there. */
  policies: readonly (RoutePolicy | undefined)[]
  /** The peer's session before this one, whose routes are still here until they have come again (RFC 4724); 0 for none. */
  before = 0
  readonly #options: InboundOptions
  readonly #sets: AttributeSets
  readonly #assembler: SetAssembler

  constructor(options: InboundOptions, sets: AttributeSets, assembler: SetAssembler) {
    this.#options = options
    this.policies = options.policies
    this.#sets = sets
    this.#assembler = assembler
  }

  /** Paths of this session, of all families. */
  get pathCount(): number {
    const { paths } = this
    return paths[0]! + paths[1]! + paths[2]! + paths[3]!
  }

  /** So many of its paths went without having been withdrawn. */
  lost(family: number, paths: number): void {
    this.paths[family]! -= paths
  }

  /**
   * Takes over the UPDATE at `at`, header included, whose header was checked; `view` is over the reader's bytes. After
   * OUTCOME.reset nothing was taken over and `facts` says what the NOTIFICATION is to say.
   */
  update(from: Reader, view: DataView, at: number, bytes: number): Outcome {
    const { facts, parts } = this
    const { context, tables } = this.#options
    openBody(from, at, bytes)
    if (!splitUpdate(from, parts)) return this.#malformedList(at, bytes)
    const outcome = checkAttributes(from, parts, context, facts)
    if (outcome === OUTCOME.reset) return outcome
    const table4 = tables[FAMILY.ipv4Unicast]
    if (table4 && parts.withdrawnEnd > parts.withdrawnAt)
      this.#withdraw(from, table4, FAMILY.ipv4Unicast, parts.withdrawnAt, parts.withdrawnEnd)
    const unreachable = tables[facts.mpUnreachFamily]
    if (unreachable)
      this.#withdraw(from, unreachable, facts.mpUnreachFamily, facts.mpUnreachNlriAt, facts.mpUnreachNlriEnd)
    const announces4 = table4 !== undefined && parts.nlriEnd > parts.nlriAt
    const reachable = tables[facts.mpReachFamily]
    if (announces4 || reachable) this.#routes(from, view, outcome, announces4 ? table4 : undefined, reachable)
    else this.#finished()
    return outcome
  }

  #malformedList(at: number, bytes: number): Outcome {
    this.facts.clear()
    this.facts.judgeRange(OUTCOME.reset, 1, 0, at, at + bytes)
    return OUTCOME.reset
  }

  #finished(): void {
    const family = endOfRib(this.parts, this.facts)
    if (family >= 0) this.#options.onEndOfRib(family)
  }

  #routes(
    from: Reader,
    view: DataView,
    outcome: Outcome,
    table4: RoutingTable | undefined,
    reachable: RoutingTable | undefined,
  ): void {
    const { facts, parts } = this
    if (outcome === OUTCOME.discarded) this.discarded++
    if (outcome === OUTCOME.withdraw || this.#hasWrongFirstAs()) {
      this.treatedAsWithdraw++
      if (table4) this.#withdraw(from, table4, FAMILY.ipv4Unicast, parts.nlriAt, parts.nlriEnd)
      if (reachable) this.#withdraw(from, reachable, facts.mpReachFamily, facts.mpReachNlriAt, facts.mpReachNlriEnd)
      return
    }
    const flags = this.#comesBack(from, view) ? PATH_FLAG.rejected : 0
    if (table4) {
      const set = this.#assembler.intern(view, parts, facts, this.#options.context, false)
      this.#announce(from, table4, FAMILY.ipv4Unicast, parts.nlriAt, parts.nlriEnd, set, flags)
    }
    if (reachable) {
      const set = this.#assembler.intern(view, parts, facts, this.#options.context, true)
      this.#announce(from, reachable, facts.mpReachFamily, facts.mpReachNlriAt, facts.mpReachNlriEnd, set, flags)
    }
  }

  #hasWrongFirstAs(): boolean {
    const { firstAs } = this.#options
    return firstAs !== 0 && this.facts.firstAs !== firstAs
  }

  #withdraw(from: Reader, table: RoutingTable, family: number, at: number, end: number): void {
    const { peer, context } = this.#options
    const hasIds = hasFamily(context.addPath, family)
    const { found, pathIds } = table.prefixes
    let gone = 0
    from.window(at, end)
    for (let count = 1; count > 0; ) {
      count = table.prefixes.read(from, hasIds, false)
      for (let i = 0; i < count; i++) {
        if (found[i] === NO_PREFIX) continue
        if (table.withdraw(found[i]!, peer, pathIds[i]!)) gone++
        if (this.before !== 0) table.withdraw(found[i]!, this.before, pathIds[i]!)
      }
    }
    this.paths[family]! -= gone
  }

  #announce(
    from: Reader,
    table: RoutingTable,
    family: number,
    at: number,
    end: number,
    set: number,
    flags: number,
  ): void {
    const { peer, context, nextHops } = this.#options
    const policy = this.policies[family]
    // Mostly all of a message's routes have the same fate.
    const common = policy === undefined ? set : policy.ofSet(set)
    const hasIds = hasFamily(context.addPath, family)
    const { found, pathIds, labels } = table.prefixes
    let added = 0
    from.window(at, end)
    for (let count = 1; count > 0; ) {
      count = table.prefixes.read(from, hasIds, true)
      for (let i = 0; i < count; i++) {
        const chosen = common === ASK_ROUTE ? policy!.ofRoute(table.prefixes, found[i]!, set, peer) : common
        const isAccepted = chosen !== NO_SET
        let withFlags = isAccepted ? flags : flags | PATH_FLAG.denied
        if (nextHops && !nextHops.isReachable(isAccepted ? chosen : set)) withFlags |= PATH_FLAG.unreachable
        const label = table.hasLabels ? labels[i]! : 0
        if (table.announce(found[i]!, peer, pathIds[i]!, set, isAccepted ? chosen : set, withFlags, label)) added++
        if (this.before !== 0) table.withdraw(found[i]!, this.before, pathIds[i]!)
      }
    }
    this.paths[family]! += added
    if (common > NO_SET && common !== set) this.#sets.dropUnused(common)
    this.#sets.dropUnused(set)
  }

  // RFC 4271 section 9.1.2: a path with our own AS in it; RFC 4456 section 8: what we reflected ourselves.
  #comesBack(from: Reader, view: DataView): boolean {
    const { localAs, allowAsIn, context, routerId, clusterId } = this.#options
    const { facts } = this
    if ((facts.seen & SEEN.originatorId) !== 0 && facts.originatorId === routerId) return true
    for (let at = facts.clusterListAt; at < facts.clusterListEnd; at += 4)
      if (view.getUint32(at) === clusterId) return true
    return countInPath(from, facts.asPathAt, facts.asPathEnd, context.as4, localAs) > allowAsIn
  }
}
