/** Waiting for an AbortSignal, among other things to wait for. */

import type { Clock } from './clock.ts'

/** Resolves once the signal has fired. */
export function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve()
    else signal.addEventListener('abort', () => resolve(), { once: true })
  })
}

/** Resolves after the time, or once the signal has fired. Leaves nothing behind on a signal that lives on. */
export async function pause(clock: Clock, delay_ms: number, signal: AbortSignal): Promise<void> {
  if (signal.aborted) return
  const over = Promise.withResolvers<void>()
  const timer = clock.after(delay_ms, over.resolve)
  const stop = (): void => over.resolve()
  signal.addEventListener('abort', stop)
  await over.promise
  timer.cancel()
  signal.removeEventListener('abort', stop)
}
