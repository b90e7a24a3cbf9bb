/**
 * What the session thread tells the thread of the history: what it tells the route thread, as it stands in shared memory,
 * and what became of its sessions. Times are in microseconds since 1970.
 */

import type { RefreshSaid, SessionDown, SessionUp } from '../bgp/messages.ts'
import type { HostEvent } from '../bgp/session-host.ts'

export type ToHistory =
  | { readonly kind: 'up'; readonly at_us: number; readonly up: SessionUp }
  | {
      readonly kind: 'updates'
      readonly at_us: number
      readonly memory: SharedArrayBuffer
      /** Three numbers a run: the session, from and to. */
      readonly runs: Int32Array
    }
  /** The peer tells all of its routes anew: it begins to, or has. */
  | (RefreshSaid & { readonly at_us: number })
  | (SessionDown & { readonly at_us: number })
  | { readonly kind: 'event'; readonly at_us: number; readonly event: HostEvent }
  | Gap

/** What was lost, because the history could not keep up or the disk would not take it. */
export interface Gap {
  readonly kind: 'gap'
  readonly at_us: number
  readonly until_us: number
  readonly chunks: number
  readonly bytes: number
  readonly events: number
}
