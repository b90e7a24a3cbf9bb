/**
 * Routes of sessions that are gone and are to come back (RFC 4724 section 4.2): they stay as good as they were until the
 * peer has sent all of its routes again (End-of-RIB), or it does not come back in time. What the new session announces or
 * withdraws takes the place of the old one's at once (`Inbound.before`).
 */

import type { Clock, Timer } from '../../base/clock.ts'
import { type Family, hasFamily } from '../../wire/bgp/family.ts'
import type { RoutingTable } from './rib/routing-table.ts'
import { keyOf, type RouteSession } from './route-session.ts'

/** After the session is back: so long its End-of-RIB may take. */
const SELECTION_ms = 360_000

interface Kept {
  readonly session: RouteSession
  /** By family: those whose routes are kept still. */
  readonly tables: (RoutingTable | undefined)[]
  timer: Timer
}

export class KeptRoutes {
  readonly #clock: Clock
  readonly #purge: (rib: number, tables: RoutingTable[], isLast: boolean) => void
  readonly #byPeer = new Map<string, Kept>()

  /** `purge` takes the old session's routes out of tables; after the last ones the session's number is free. */
  constructor(clock: Clock, purge: (rib: number, tables: RoutingTable[], isLast: boolean) => void) {
    this.#clock = clock
    this.#purge = purge
  }

  /** Those that are gone, and whose routes are here. */
  sessions(): RouteSession[] {
    return Array.from(this.#byPeer.values(), ({ session }) => session)
  }

  /** The session is gone: of the families in `keep` its routes stay for a while. */
  keep(session: RouteSession, keep: number, keep_s: number): void {
    const { rib, tables } = session
    const peer = keyOf(session.up)
    // One that goes again before it was whole: what was kept of the session before is too old.
    this.#drop(peer)
    if (keep === 0) {
      this.#purge(
        rib,
        tables.filter((table) => table !== undefined),
        true,
      )
      return
    }
    const gone = tables.filter((table, family) => table && !hasFamily(keep, family)) as RoutingTable[]
    if (gone.length > 0) this.#purge(rib, gone, false)
    const kept = tables.map((table, family) => (hasFamily(keep, family) ? table : undefined))
    const timer = this.#clock.after(keep_s * 1000, () => this.#drop(peer))
    this.#byPeer.set(peer, { session, tables: kept, timer })
  }

  /**
   * The peer is back, with these families that it kept forwarding for. Returns the number of its session before, whose
   * routes wait for their End-of-RIB; 0 when there are none.
   */
  comeBack(peer: string, forwarding: number): number {
    const kept = this.#byPeer.get(peer)
    if (!kept) return 0
    kept.timer.cancel()
    for (const family of kept.tables.keys()) if (!hasFamily(forwarding, family)) this.endOfRib(peer, family as Family)
    if (!this.#byPeer.has(peer)) return 0
    kept.timer = this.#clock.after(SELECTION_ms, () => this.#drop(peer))
    return kept.session.rib
  }

  /** All routes of the family have come again: what is left of the old ones goes. */
  endOfRib(peer: string, family: Family): void {
    const kept = this.#byPeer.get(peer)
    const table = kept?.tables[family]
    if (!kept || !table) return
    kept.tables[family] = undefined
    const isLast = kept.tables.every((one) => one === undefined)
    this.#purge(kept.session.rib, [table], isLast)
    if (!isLast) return
    kept.timer.cancel()
    this.#byPeer.delete(peer)
  }

  #drop(peer: string): void {
    const kept = this.#byPeer.get(peer)
    if (!kept) return
    kept.timer.cancel()
    this.#byPeer.delete(peer)
    this.#purge(
      kept.session.rib,
      kept.tables.filter((table) => table !== undefined),
      true,
    )
  }
}
