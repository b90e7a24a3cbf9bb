/**
 * What a peer's ROUTE-REFRESHes may cost: one is 23 bytes, and has the route thread walk over a whole table. A request
 * (RFC 2918) that follows another at once waits for a while, and those that come meanwhile are one with it. Marks
 * (RFC 7313) stand between updates and cannot wait: a peer that goes on and on sending them is given up.
 */

import type { Clock, Timer } from '../../base/clock.ts'
import { RateLimits } from '../../base/rate-limit.ts'
import { REFRESH } from '../../wire/bgp/refresh.ts'

const BETWEEN_REQUESTS_ms = 1000
/** Each change of a policy of the peer's may be a pair for each family. */
const MARKS_PER_S = 1
const MARKS_BURST = 200

interface Session {
  readonly marks: RateLimits
  /** By family whose request was passed on not long ago: whether another has come since. */
  readonly requests: Map<number, { timer: Timer; again: boolean }>
}

export class RefreshLimits {
  readonly #clock: Clock
  readonly #again: (session: number, family: number) => void
  readonly #sessions = new Map<number, Session>()

  /** `again`: the request of a session that has waited. */
  constructor(clock: Clock, again: (session: number, family: number) => void) {
    this.#clock = clock
    this.#again = again
  }

  /** What becomes of it. */
  take(session: number, family: number, subtype: number): 'passes' | 'waits' | 'flood' {
    const of = this.#sessions.get(session) ?? {
      marks: new RateLimits(1, MARKS_PER_S, MARKS_BURST),
      requests: new Map(),
    }
    this.#sessions.set(session, of)
    if (subtype !== REFRESH.request) return of.marks.take(0, this.#clock.now_us()) ? 'passes' : 'flood'
    const last = of.requests.get(family)
    if (last) {
      last.again = true
      return 'waits'
    }
    of.requests.set(family, { timer: this.#next(session, family), again: false })
    return 'passes'
  }

  /** The session is over. */
  forget(session: number): void {
    for (const { timer } of this.#sessions.get(session)?.requests.values() ?? []) timer.cancel()
    this.#sessions.delete(session)
  }

  #next(session: number, family: number): Timer {
    return this.#clock.after(BETWEEN_REQUESTS_ms, () => {
      const { requests } = this.#sessions.get(session)!
      const last = requests.get(family)!
      requests.delete(family)
      if (!last.again) return
      requests.set(family, { timer: this.#next(session, family), again: false })
      this.#again(session, family)
    })
  }
}
