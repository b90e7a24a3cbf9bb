/**
 * The routes to a prefix that peers' sessions hold, while a history is walked through: what becomes of them when sessions
 * end and come back (RFC 4724), and when a peer tells all of its routes anew (RFC 7313), as in the tables. What happens to
 * them without an update of theirs is told as events.
 */

import { hasFamily } from '../../wire/bgp/family.ts'
import { REFRESH } from '../../wire/bgp/refresh.ts'
import { keyOf } from './older-sessions.ts'
import type { HistoryPeer, RouteEvent } from './prefix-history.ts'

/** After a session is back: so long its End-of-RIB may take. */
const SELECTION_us = 360e6

interface Held {
  /** That announced it. */
  readonly event: RouteEvent
  readonly family: number
  /** The peer tells its routes anew, and has not told this one yet. */
  isMarked: boolean
  /** Of a session that has ended: until then it is kept. */
  keptUntil_us: number
}

/** Families whose routes stay after a session's end, and for how long. */
export interface Kept {
  readonly families: number
  readonly keep_s: number
}

type Cause = Pick<RouteEvent, 'at_us' | 'what' | 'reason' | 'record'>

export class HeldRoutes {
  /** By peer and path. */
  readonly #held = new Map<string, Held>()
  readonly #tell: (event: RouteEvent) => void
  #nextEnd_us = Number.POSITIVE_INFINITY

  constructor(tell: (event: RouteEvent) => void) {
    this.#tell = tell
  }

  /** An update has told it, or that it is gone. */
  told(event: RouteEvent, family: number): void {
    const { peer, pathId, distinguisher, what } = event
    const key = JSON.stringify([peer.name, peer.remote, pathId, distinguisher])
    if (what === 'withdrawn') this.#held.delete(key)
    else this.#held.set(key, { event, family, isMarked: false, keptUntil_us: Number.POSITIVE_INFINITY })
  }

  /** The speaker: all that was before is over. */
  started(at_us: number, record: string): void {
    this.#end(() => true, { at_us, what: 'speaker started', reason: undefined, record })
  }

  down(peer: HistoryPeer, kept: Kept | undefined, { at_us, reason, record }: Omit<Cause, 'what'>): void {
    // What was kept already is of the session before it, and too old.
    const stays = (held: Held): boolean =>
      !isKept(held) && kept !== undefined && hasFamily(kept.families, held.family) && isOf(held, peer)
    this.#end((held) => isOf(held, peer) && !stays(held), { at_us, what: 'session down', reason, record })
    for (const held of this.#held.values()) {
      if (!stays(held)) continue
      held.isMarked = false
      this.#keepUntil(held, at_us + kept!.keep_s * 1e6)
      this.#tell({ ...held.event, at_us, peer, what: 'kept', reason, record })
    }
  }

  /** A session, whose peer has gone on forwarding for these families if it was here before. */
  up(peer: HistoryPeer, forwarding: number, at_us: number, record: string): void {
    this.#end((held) => isOf(held, peer) && isKept(held) && !hasFamily(forwarding, held.family), {
      ...{ at_us, what: 'purged', record },
      reason: 'the peer has not gone on forwarding (RFC 4724)',
    })
    for (const held of this.#held.values())
      if (isOf(held, peer) && isKept(held)) this.#keepUntil(held, at_us + SELECTION_us)
  }

  endOfRib(peer: HistoryPeer, family: number, at_us: number, record: string): void {
    this.#end((held) => isOf(held, peer) && isKept(held) && held.family === family, {
      ...{ at_us, what: 'purged', record },
      reason: 'the peer came back without it (RFC 4724)',
    })
  }

  refresh(peer: HistoryPeer, family: number, subtype: number, at_us: number, record: string): void {
    const concerns = (held: Held): boolean => isOf(held, peer) && held.family === family && !isKept(held)
    if (subtype === REFRESH.begin) {
      for (const held of this.#held.values()) if (concerns(held)) held.isMarked = true
    } else if (subtype === REFRESH.end) {
      this.#end((held) => concerns(held) && held.isMarked, {
        ...{ at_us, what: 'purged', record },
        reason: 'the peer told all of its routes anew, and not this one (RFC 7313)',
      })
    }
  }

  /** Nothing that is kept is kept for longer than it may be. */
  timePasses(now_us: number): void {
    if (now_us < this.#nextEnd_us) return
    let next_us = Number.POSITIVE_INFINITY
    for (const [key, { event, keptUntil_us: at_us }] of this.#held) {
      if (at_us > now_us) next_us = Math.min(next_us, at_us)
      else
        this.#endOne(key, {
          ...event,
          at_us,
          what: 'purged',
          reason: 'it was kept for as long as it may be (RFC 4724)',
        })
    }
    this.#nextEnd_us = next_us
  }

  #keepUntil(held: Held, until_us: number): void {
    held.keptUntil_us = until_us
    this.#nextEnd_us = Math.min(this.#nextEnd_us, until_us)
  }

  #end(which: (held: Held) => boolean, cause: Cause): void {
    for (const [key, held] of this.#held) if (which(held)) this.#endOne(key, { ...held.event, ...cause })
  }

  #endOne(key: string, { at_us, peer, what, pathId, distinguisher, reason, record }: RouteEvent): void {
    this.#held.delete(key)
    this.#tell({ at_us, peer, what, pathId, distinguisher, reason, record })
  }
}

function isKept({ keptUntil_us }: Held): boolean {
  return keptUntil_us !== Number.POSITIVE_INFINITY
}

function isOf({ event }: Held, peer: HistoryPeer): boolean {
  return keyOf(event.peer) === keyOf(peer)
}
