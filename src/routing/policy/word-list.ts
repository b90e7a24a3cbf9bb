/**
 * The communities of one kind that a route has, as words: one each, two (extended) or three (large). One object is reused
 * for every route.
 */

/** What communities are compared with: all words masked, equal to the value. */
export interface WordPattern {
  readonly value: readonly number[]
  readonly mask: readonly number[]
}

export class WordList {
  /** Words of one community. */
  readonly each: number
  words = new Uint32Array(48)
  /** Words in use. */
  length = 0

  constructor(each: number) {
    this.each = each
  }

  /** Reads what lies in an attribute's value. */
  read(view: DataView, at: number, end: number): void {
    this.#reserve((end - at) >> 2)
    this.length = 0
    for (let from = at; from < end; from += 4) this.words[this.length++] = view.getUint32(from)
  }

  write(view: DataView, at: number): void {
    for (let i = 0; i < this.length; i++) view.setUint32(at + 4 * i, this.words[i]!)
  }

  has({ value, mask }: WordPattern): boolean {
    for (let at = 0; at < this.length; at += this.each) if (this.#is(at, value, mask)) return true
    return false
  }

  /** False when it is there already. */
  add(community: readonly number[]): boolean {
    for (let at = 0; at < this.length; at += this.each) if (this.#is(at, community, undefined)) return false
    this.#reserve(this.length + this.each)
    for (const word of community) this.words[this.length++] = word
    return true
  }

  /** False when there is none. */
  remove({ value, mask }: WordPattern): boolean {
    let kept = 0
    for (let at = 0; at < this.length; at += this.each) {
      if (this.#is(at, value, mask)) continue
      for (let i = 0; i < this.each; i++) this.words[kept + i] = this.words[at + i]!
      kept += this.each
    }
    const isChanged = kept !== this.length
    this.length = kept
    return isChanged
  }

  #is(at: number, value: readonly number[], mask: readonly number[] | undefined): boolean {
    for (let i = 0; i < this.each; i++) {
      const word = this.words[at + i]!
      if ((mask ? (word & mask[i]!) >>> 0 : word) !== value[i]) return false
    }
    return true
  }

  #reserve(words: number): void {
    if (words <= this.words.length) return
    const larger = new Uint32Array(Math.max(words, 2 * this.words.length))
    larger.set(this.words)
    this.words = larger
  }
}
