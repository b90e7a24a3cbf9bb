/** What a session counts, for operators. Grows only; a session that goes down keeps what it counted. */

import type { Down } from './down.ts'

/** Indexed by MESSAGE: messages of each type. */
type Messages = Uint32Array

export class SessionCounters {
  readonly messagesIn: Messages = new Uint32Array(6)
  readonly messagesOut: Messages = new Uint32Array(6)
  /** Times that the session was established, and times that it ended after that. */
  established = 0
  flaps = 0
  /** Connections that we asked for, and those of the peer that were taken and refused. */
  connectsOut = 0
  connectsIn = 0
  connectsRefused = 0
  /** Of the last connection that ended other than by a collision. */
  lastDown: Down | undefined
}
