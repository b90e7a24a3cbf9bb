/**
 * Routes whose speaker has died. Its peers are most likely alive, and packets go on by what it said last (RFC 4724 section
 * 4.2 calls this retaining stale routes): for a time that the site file gives, or until the speaker is back and has said
 * all of it again. A speaker that lives says so itself in time, so nothing is taken away under its hands; one that comes
 * and goes without ever getting so far has its time counted from its first death.
 */

import type { Clock } from '../base/clock.ts'

export class StaleOrigins {
  readonly #clock: Clock
  readonly #heard: (name: string) => void
  /** By speaker: the epoch of its lease that was seen last. */
  readonly #epochs = new Map<string, number>()
  readonly #staleSince_us = new Map<string, number>()

  /** `stale` hears of each whose routes are stale from now on. */
  constructor(clock: Clock, stale: (name: string) => void = () => {}) {
    this.#clock = clock
    this.#heard = stale
  }

  /** The speaker's lease has this epoch from now on, or nobody holds it. */
  speaker(name: string, epoch: number | undefined): void {
    const before = this.#epochs.get(name)
    if (epoch === undefined) this.#epochs.delete(name)
    else this.#epochs.set(name, epoch)
    if (epoch === undefined || (before !== undefined && before !== epoch)) this.#stale(name)
  }

  /** It has said all of its routes. */
  replaced(name: string): void {
    this.#staleSince_us.delete(name)
  }

  /** It is no speaker of the site any more. */
  forget(name: string): void {
    this.#epochs.delete(name)
    this.#staleSince_us.delete(name)
  }

  /** Those whose routes are to be withdrawn now, each once. */
  takeExpired(keep_s: number): string[] {
    const until_us = this.#clock.now_us() - keep_s * 1e6
    const expired = [...this.#staleSince_us].filter(([name, since]) => since <= until_us && !this.#epochs.has(name))
    for (const [name] of expired) this.#staleSince_us.delete(name)
    return expired.map(([name]) => name)
  }

  #stale(name: string): void {
    if (this.#staleSince_us.has(name)) return
    this.#staleSince_us.set(name, this.#clock.now_us())
    this.#heard(name)
  }
}
