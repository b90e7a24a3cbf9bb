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

/** Half of a train at least has to arrive. */
const ARRIVED_MIN = 0.5
/** One train may have met a moment's burst: the middle one of the last few counts. */
const REMEMBERED = 5

export class TrainArrivals {
  readonly #packets: number
  readonly #bytes: number
  #count = 0
  #first_us = 0
  #last_us = 0

  /** `bytes` a packet, headers included. */
  constructor(packets: number, bytes: number) {
    this.#packets = packets
    this.#bytes = bytes
  }

  get isComplete(): boolean {
    return this.#count >= this.#packets
  }

  arrived(at_us: number): void {
    if (this.#count === 0 || at_us < this.#first_us) this.#first_us = at_us
    if (this.#count === 0 || at_us > this.#last_us) this.#last_us = at_us
    this.#count++
  }

  /** In kbit/s. Undefined when too few arrived to say, or all in the same instant. */
  rate_kbps(): number | undefined {
    const time_us = this.#last_us - this.#first_us
    if (this.#count < 2 || this.#count < this.#packets * ARRIVED_MIN || time_us <= 0) return undefined
    return ((this.#count - 1) * this.#bytes * 8 * 1000) / time_us
  }
}

/** The same of a stream, whose pieces are of any size. */
export class StreamArrivals {
  readonly #bytes: number
  #arrived = 0
  #behindFirst = 0
  #first_us = 0
  #last_us = 0

  /** `bytes` that are waited for. */
  constructor(bytes: number) {
    this.#bytes = bytes
  }

  get isComplete(): boolean {
    return this.#arrived >= this.#bytes
  }

  arrived(at_us: number, bytes: number): void {
    if (this.#arrived === 0) this.#first_us = at_us
    else this.#behindFirst += bytes
    this.#arrived += bytes
    this.#last_us = at_us
  }

  /** In kbit/s. Undefined when less than half came, or all in the same instant. */
  rate_kbps(): number | undefined {
    const time_us = this.#last_us - this.#first_us
    if (this.#arrived < this.#bytes * ARRIVED_MIN || time_us <= 0) return undefined
    return (this.#behindFirst * 8 * 1000) / time_us
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
