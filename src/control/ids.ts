/**
 * The numbers that tenants, segments and next hops go by in FIBs. A thing keeps its number for as long as it is known,
 * across changes of the site and of the control module itself, which learns them again from the feeds. A number that
 * was given up is not used again while this module lives.
 */

export class Ids {
  readonly #numbers = new Map<string, number>()
  #next = 1

  /** The thing's number, a new one if it has none. */
  of(thing: string): number {
    const known = this.#numbers.get(thing)
    if (known !== undefined) return known
    const number = this.#next++
    this.#numbers.set(thing, number)
    return number
  }

  /**
   * A number that the thing has already, from before this module started. The first to claim a thing or a number has
   * it.
   */
  adopt(thing: string, number: number): void {
    this.#next = Math.max(this.#next, number + 1)
    if (!this.#numbers.has(thing)) this.#numbers.set(thing, number)
  }

  forget(thing: string): void {
    this.#numbers.delete(thing)
  }
}
