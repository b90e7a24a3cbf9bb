/**
 * How long a worker with nothing to do looks on before it sleeps. A sleep and a wake cost some 20 us of latency, so where
 * a core is to spare it looks on. Where others want the core, each microsecond of that is one that they wait; and on a
 * machine that carries several modules, they are the next hop of the same packet. Nobody tells a worker which of the
 * two it is, so it goes by how long it had to wait for a core itself: half of a demo's processor time on two cores went
 * into looking on before it did.
 */

const LOOK_EVERY_us = 100_000

/** Of its time: an agent that wakes up under SCHED_RR for its timers takes less. */
const WANTED_SHARE = 0.02

/** Once wanted, a core stays so for as long; so trying it out costs little. */
const CALM_us = 1_000_000

export class Spin {
  /** For so long it is to look on now. */
  us: number
  readonly #max_us: number
  /** The thread's time of waiting for a core, undefined where the kernel does not tell. */
  readonly #waited_us: () => number | undefined
  #before_us: number | undefined
  #at_us = 0
  #calm_us = 0

  constructor(max_us: number, waited_us: () => number | undefined) {
    this.us = max_us
    this.#max_us = max_us
    this.#waited_us = waited_us
  }

  /** To be called now and then, at best once a millisecond. */
  look(now_us: number): void {
    if (this.#max_us === 0 || now_us < this.#at_us + LOOK_EVERY_us) return
    const waited_us = this.#waited_us()
    if (waited_us === undefined) return
    const isWanted =
      this.#before_us !== undefined && waited_us - this.#before_us > WANTED_SHARE * (now_us - this.#at_us)
    if (isWanted) this.#calm_us = now_us + CALM_us
    this.us = now_us < this.#calm_us ? 0 : this.#max_us
    this.#before_us = waited_us
    this.#at_us = now_us
  }
}
