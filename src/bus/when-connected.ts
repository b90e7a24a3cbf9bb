/** What every client promises of `whenConnected`, over its own link to the server. */

import type { Clock } from '../base/clock.ts'
import { BusError } from './bus.ts'

export interface ConnectingLink {
  readonly clock: Clock
  readonly connected: boolean
  readonly closed: boolean
  /** Why the latest attempt failed. */
  readonly failure: Error
  /** Resolves when it is connected or closed, or at the signal. */
  untilConnected(signal: AbortSignal): Promise<void>
}

/** Rejects with 'closed', or after the time with why the latest attempt failed. */
export async function whenConnected(link: ConnectingLink, timeout_ms: number): Promise<void> {
  const abort = new AbortController()
  const timer = link.clock.after(timeout_ms, () => abort.abort())
  await link.untilConnected(abort.signal)
  timer.cancel()
  if (link.closed) throw new BusError('closed', 'the bus was closed')
  if (!link.connected) throw link.failure
}
