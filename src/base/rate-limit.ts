/**
 * Token buckets in a row: one a tenant, say. Each holds at most `burst` tokens and regains `rate_per_s` a second. Time
 * is handed in, so that a packet path that knows the time anyway does not ask for it again.
 */
export class RateLimits {
  readonly #tokens: Float64Array
  readonly #filled_us: Float64Array
  readonly #rate_per_us: number
  readonly #burst: number

  constructor(rows: number, rate_per_s: number, burst: number) {
    this.#tokens = new Float64Array(rows).fill(burst)
    this.#filled_us = new Float64Array(rows)
    this.#rate_per_us = rate_per_s / 1e6
    this.#burst = burst
  }

  /** Takes a token of the row; false when there is none. */
  take(row: number, now_us: number): boolean {
    const gained = (now_us - this.#filled_us[row]!) * this.#rate_per_us
    const tokens = Math.min(this.#burst, this.#tokens[row]! + Math.max(0, gained))
    this.#filled_us[row] = now_us
    this.#tokens[row] = tokens < 1 ? tokens : tokens - 1
    return tokens >= 1
  }
}
