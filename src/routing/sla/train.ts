/**
 * Available bandwidth by the dispersion of a train (Dovrolis, Ramanathan and Moore, "Packet-dispersion techniques and a
 * capacity-estimation methodology", 2004): packets that left back to back arrive spread out by the narrowest part of the
 * path and by the traffic that they shared it with. The rate at which they arrived is what such a burst gets; where the
 * path is idle it is the narrow part's rate. It costs the path as many bytes as the train has, once a minute say.
 *
 *   sent      ||||||||
 *   arrived   |  |  | |   |  |  |  |      bytes behind the first / time from the first to the last
 *             ^ first_us              ^ last_us
 */

/** So much of a train has to arrive for the times to tell something. */
const ARRIVED_MIN = 0.5
/** One train may have met a moment's burst: the middle one of the last few counts. */
const REMEMBERED = 5

/** Packets of a train, or pieces of a stream of as many bytes, as they arrive. */
export class TrainArrivals {
  readonly #bytes: number
  #arrived = 0
  #atFirst = 0
  #first_us = 0
  #last_us = 0

  /** `bytes` that are waited for, of packets with their headers. */
  constructor(bytes: number) {
    this.#bytes = bytes
  }

  get isComplete(): boolean {
    return this.#arrived >= this.#bytes
  }

  /** In any order. */
  arrived(at_us: number, bytes: number): void {
    if (this.#arrived === 0 || at_us < this.#first_us) {
      this.#first_us = at_us
      this.#atFirst = bytes
    }
    if (this.#arrived === 0 || at_us > this.#last_us) this.#last_us = at_us
    this.#arrived += bytes
  }

  /**
   * In kbit/s. Of which less than half arrived in the time that it was given, as much as that is: 0 when nothing did. A path
   * that answers probes and loses all that is larger has no bandwidth. Undefined when all came in the same instant.
   */
  rate_kbps(within_ms: number): number | undefined {
    if (this.#arrived < this.#bytes * ARRIVED_MIN) return (this.#arrived * 8) / within_ms
    const time_us = this.#last_us - this.#first_us
    return time_us > 0 ? ((this.#arrived - this.#atFirst) * 8 * 1000) / time_us : undefined
  }
}

/** The median of the last few trains. */
export class BandwidthEstimate {
  readonly #rates: number[] = []

  get kbps(): number | undefined {
    const sorted = this.#rates.toSorted((a, b) => a - b)
    return sorted[sorted.length >> 1]
  }

  add(rate_kbps: number): void {
    this.#rates.push(rate_kbps)
    if (this.#rates.length > REMEMBERED) this.#rates.shift()
  }
}
