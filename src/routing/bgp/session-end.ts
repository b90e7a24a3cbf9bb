/** Which of a peer's routes stay when its session has ended, and why it ended so: RFC 4724, RFC 8538. */

import { CEASE, type Notification } from '../../wire/bgp/notification.ts'
import type { Down } from './session/down.ts'
import type { Negotiated } from './session/negotiate.ts'

/** A session that moves is up again, and its table told, within this time. */
const MOVE_KEEP_s = 15

/**
 * Which routes stay, and for how long, when a session has ended so (RFC 4724 section 4.2): a connection that broke, or a peer
 * that is back before we saw it go; where both ends want it (RFC 8538) also after messages that do not mean an end for good.
 */
export function keptAfter({ cause, notification: said }: Down, negotiated: Negotiated | undefined) {
  const restart = negotiated?.gracefulRestart
  if (!restart) return {}
  const isBroken = cause === 'connection-failed' || cause === 'peer-restarted'
  const isPassing = cause === 'hold-expired' || cause === 'send-hold-expired' || !isHard(said)
  if (!isBroken && !(restart.notification && isPassing)) return {}
  return { keep: restart.families & negotiated.families, keep_s: restart.restartTime_s }
}

/** All of them, until the other node has told them too. */
export function keptOfMoving(negotiated: Negotiated | undefined) {
  return negotiated ? { keep: negotiated.families, keep_s: MOVE_KEEP_s } : {}
}

const HARD: readonly number[] = [
  CEASE.hardReset,
  CEASE.maximumPrefixes,
  CEASE.shutdown,
  CEASE.deconfigured,
  CEASE.bfdDown,
]

/** Ends that are meant to last (RFC 8538 sections 3 and 4), and such as break the path that routes lead along (RFC 5882). */
function isHard(said: Notification | undefined): boolean {
  if (said?.code !== CEASE.code) return false
  return HARD.includes(said.subcode)
}
