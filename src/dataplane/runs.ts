/**
 * Numbers given out in consecutive runs. What comes back is joined with its free neighbours, so that groups of many
 * lengths do not wear the space down to pieces that are of no use; the shortest run that is long enough is cut up first.
 */
export class Runs {
  #next: number
  readonly #end: number
  /** Of the free runs before `next`: their lengths by their first number, and their first number by the one behind. */
  readonly #lengthAt = new Map<number, number>()
  readonly #firstBefore = new Map<number, number>()
  /** Those of each length, and at which place of its list a run is. */
  readonly #ofLength = new Map<number, number[]>()
  readonly #placeOf = new Map<number, number>()

  constructor(from: number, end: number) {
    this.#next = from
    this.#end = end
  }

  take(count: number): number | undefined {
    if (!this.#ofLength.has(count) && this.#next + count <= this.#end) {
      this.#next += count
      return this.#next - count
    }
    const length = this.#ofLength.has(count) ? count : this.#shortest(count)
    const first = this.#ofLength.get(length)?.at(-1)
    if (first === undefined) return undefined
    this.#remove(first, length)
    if (length > count) this.#add(first + count, length - count)
    return first
  }

  give(first: number, count: number): void {
    const before = this.#firstBefore.get(first)
    if (before !== undefined) {
      this.#remove(before, first - before)
      count += first - before
      first = before
    }
    const behind = this.#lengthAt.get(first + count)
    if (behind !== undefined) {
      this.#remove(first + count, behind)
      count += behind
    }
    if (first + count === this.#next) this.#next = first
    else this.#add(first, count)
  }

  /** Lengths are few: those of groups, and what is between them. */
  #shortest(count: number): number {
    let best = Number.POSITIVE_INFINITY
    for (const length of this.#ofLength.keys()) if (length >= count && length < best) best = length
    return best
  }

  #add(first: number, count: number): void {
    this.#lengthAt.set(first, count)
    this.#firstBefore.set(first + count, first)
    const alike = this.#ofLength.get(count)
    if (alike) this.#placeOf.set(first, alike.push(first) - 1)
    else {
      this.#ofLength.set(count, [first])
      this.#placeOf.set(first, 0)
    }
  }

  #remove(first: number, count: number): void {
    this.#lengthAt.delete(first)
    this.#firstBefore.delete(first + count)
    const alike = this.#ofLength.get(count)!
    const last = alike.pop()!
    if (last !== first) {
      const place = this.#placeOf.get(first)!
      alike[place] = last
      this.#placeOf.set(last, place)
    }
    this.#placeOf.delete(first)
    if (alike.length === 0) this.#ofLength.delete(count)
  }
}
