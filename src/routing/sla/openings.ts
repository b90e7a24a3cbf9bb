/**
 * What cannot be opened yet, such as a socket whose address the host does not have so far: it is tried again until it can be,
 * and why it cannot is said once, or when the reason is another.
 */

import type { Clock } from '../../base/clock.ts'

const TRY_AGAIN_ms = 5000

export class Openings<T extends { close(): void }> {
  /** Those that are open. */
  readonly open: T[] = []
  readonly #clock: Clock
  #isClosed = false

  constructor(clock: Clock) {
    this.#clock = clock
  }

  add(open: () => T, failed: (error: string) => void, before?: string): void {
    if (this.#isClosed) return
    try {
      this.open.push(open())
    } catch (error) {
      const { message } = error as Error
      if (message !== before) failed(message)
      this.#clock.after(TRY_AGAIN_ms, () => this.add(open, failed, message))
    }
  }
  close(): void {
    this.#isClosed = true
    for (const one of this.open) one.close()
  }
}
