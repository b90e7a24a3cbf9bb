/**
 * Latencies, counted in buckets whose width grows with the value: 64 to an octave, so a percentile is right to 1.6
 * percent however many samples there were, and histograms of several sources add up.
 *
 *   value     0 .. 127   128, 129   130, 131  ...  254, 255   256 .. 259  ...
 *   bucket    0 .. 127        128        129  ...       191          192  ...
 */

const EXACT = 128
const PER_OCTAVE = 64
/** Above 2^32 us, more than an hour, all is one. */
const VALUE_MAX = 2 ** 32 - 1
const BUCKETS = EXACT + (32 - 7) * PER_OCTAVE

/** Bucket numbers and their counts, only those that are not empty. */
export type HistogramData = readonly (readonly [bucket: number, count: number])[]

export class Histogram {
  readonly #counts = new Float64Array(BUCKETS)
  #total = 0

  /** What came to one histogram between two looks at it. */
  static between(then: HistogramData, now: HistogramData): Histogram {
    const histogram = new Histogram()
    histogram.merge(now)
    histogram.merge(then.map(([bucket, count]) => [bucket, -count] as const))
    return histogram
  }

  add(value_us: number): void {
    this.#counts[bucketOf(value_us)]! += 1
    this.#total++
  }

  merge(data: HistogramData): void {
    for (const [bucket, count] of data) {
      this.#counts[bucket]! += count
      this.#total += count
    }
  }

  data(): HistogramData {
    return Array.from(this.#counts.entries()).filter(([, count]) => count > 0)
  }

  /** The value that `fraction` of all samples do not exceed; 0 when there are none. */
  percentile_us(fraction: number): number {
    let left = Math.ceil(this.#total * fraction)
    for (let bucket = 0; left > 0; bucket++) {
      left -= this.#counts[bucket]!
      if (left <= 0) return largestIn(bucket)
    }
    return 0
  }
}

function bucketOf(value_us: number): number {
  const value = Math.min(Math.max(Math.round(value_us), 0), VALUE_MAX)
  if (value < EXACT) return value
  const octave = 31 - Math.clz32(value)
  return EXACT + (octave - 7) * PER_OCTAVE + (value >>> (octave - 6)) - PER_OCTAVE
}

function largestIn(bucket: number): number {
  if (bucket < EXACT) return bucket
  const octave = 7 + Math.floor((bucket - EXACT) / PER_OCTAVE)
  const step = PER_OCTAVE + ((bucket - EXACT) % PER_OCTAVE)
  return (step + 1) * 2 ** (octave - 6) - 1
}
