/**
 * The events of RFC 4271 section 8.1, with the RFC's numbers. Those that differ only in how a session is configured
 * (events 3 to 7, for instance) are one here: the state machine looks at its options.
 */

import type { Notification } from '../../../wire/bgp/notification.ts'
import type { Down } from './down.ts'
import type { Negotiated } from './negotiate.ts'

export type MachineEvent =
  /** 1, 3 to 7, and 13 when it was the idle hold timer. */
  | { readonly type: 'start' }
  /** 2 and 8: what to tell the peer, and whether it is to forget our routes altogether (RFC 8538). */
  | { readonly type: 'stop'; readonly notification: Notification; readonly isHard: boolean }
  | { readonly type: 'connect-retry-expired' } // 9
  | { readonly type: 'hold-expired' } // 10
  | { readonly type: 'keepalive-expired' } // 11
  | { readonly type: 'delay-open-expired' } // 12
  | { readonly type: 'send-hold-expired' } // 29, RFC 9687
  /** 16 and 17: the connection is open, whoever opened it. */
  | { readonly type: 'connected' }
  | { readonly type: 'connection-failed'; readonly why: string } // 18
  /** 19 and 20: an OPEN, and what follows from it and ours. */
  | { readonly type: 'open'; readonly negotiated: Negotiated }
  /** 21, 22 and 28: a message that is none, or says what cannot be. */
  | { readonly type: 'error'; readonly notification: Notification }
  /** 23: the peer's other connection is the one to keep; or it has failed, and the session rests for a while. */
  | { readonly type: 'give-way'; readonly down: Down }
  /** 24 and 25. */
  | { readonly type: 'notification'; readonly notification: Notification }
  | { readonly type: 'keepalive' } // 26
  | { readonly type: 'update' } // 27
  | { readonly type: 'route-refresh' } // RFC 2918
  /** RFC 4724 section 4.2: another connection of a peer that can restart gracefully. */
  | { readonly type: 'peer-restarted' }

export type EventType = MachineEvent['type']
