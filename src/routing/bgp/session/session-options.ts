/** How a session is held: what is offered to the peer, and the session attributes of RFC 4271 section 8.1. */

import type { Offer } from './negotiate.ts'

export interface SessionOptions {
  readonly offer: Offer
  /** The peer connects, we do not. */
  readonly passive: boolean
  /** The session is there for one connection and its end is the end: the peer's configuration accepts many. */
  readonly once: boolean
  /** How long our OPEN waits for the peer's; 0, not at all. */
  readonly delayOpen_ms: number
  /** Between two tries to connect: it begins with the first and doubles up to the second. */
  readonly connectRetryMin_ms: number
  readonly connectRetryMax_ms: number
  /** Between two sessions that fail (DampPeerOscillations), likewise. */
  readonly idleHoldMin_ms: number
  readonly idleHoldMax_ms: number
  /** RFC 9687: a peer that takes nothing for so long is given up. Absent: eight minutes, or twice the hold time. */
  readonly sendHold_ms?: number
}

/**
 * RFC 4271 section 10 suggests 120 s between tries. A peer that comes back should be met at once, and one that stays
 * away should cost nothing: hence short and doubling.
 */
export const defaultSessionOptions: Omit<SessionOptions, 'offer'> = {
  passive: false,
  once: false,
  delayOpen_ms: 0,
  connectRetryMin_ms: 5_000,
  connectRetryMax_ms: 120_000,
  idleHoldMin_ms: 1_000,
  idleHoldMax_ms: 60_000,
}

/** The time that the `n`-th wait in a row takes, n from 0. */
export function backOff(min_ms: number, max_ms: number, n: number): number {
  return Math.min(max_ms, min_ms * 2 ** Math.min(n, 30))
}
