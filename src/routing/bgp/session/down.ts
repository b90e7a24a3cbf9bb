/** Why a session is down, or one of its connections was given up: a cause for programs, a sentence for people. */

import { formatNotification, type Notification } from '../../../wire/bgp/notification.ts'

export type DownCause =
  | 'administrative' // we were told to
  | 'notification' // the peer told us why, see `notification`
  | 'error' // we told the peer why, see `notification`
  | 'hold-expired' // the peer fell silent
  | 'send-hold-expired' // the peer reads nothing
  | 'connection-failed' // it did not come about, or it ended
  | 'collision' // the other connection to the same peer stays
  | 'peer-restarted' // it has opened a new connection and will say which of its routes are still good

export interface Down {
  readonly cause: DownCause
  readonly sentence: string
  /** What we sent, or what the peer sent. */
  readonly notification?: Notification
}

export function downByError(notification: Notification): Down {
  return { cause: 'error', sentence: `we closed it: ${formatNotification(notification)}`, notification }
}

export function downByPeer(notification: Notification): Down {
  return { cause: 'notification', sentence: `the peer closed it: ${formatNotification(notification)}`, notification }
}

export function downByOrder(notification: Notification): Down {
  return { cause: 'administrative', sentence: `closed here: ${formatNotification(notification)}`, notification }
}

export function downByHoldTime(holdTime_ms: number, notification: Notification): Down {
  const sentence = `nothing came from the peer for ${holdTime_ms / 1000} s`
  return { cause: 'hold-expired', sentence, notification }
}

export function downBySendHoldTime(time_ms: number, notification: Notification): Down {
  const sentence = `the peer took nothing of what was sent for ${time_ms / 1000} s`
  return { cause: 'send-hold-expired', sentence, notification }
}

export function downByConnection(why: string): Down {
  return { cause: 'connection-failed', sentence: why }
}

export const downByCollision: Down = {
  cause: 'collision',
  sentence: 'both ends had opened a connection, and the other one stays',
}

export const downByRestart: Down = {
  cause: 'peer-restarted',
  sentence: 'the peer opened a new connection: it has restarted',
}
