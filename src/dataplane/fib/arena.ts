/**
 * The FIB's memory: blocks of four words and up out of one fixed array, given back exactly. The array is cut into spans of
 * 64 KB. A span holds blocks of one size and goes back to the pool when its last block does, so what one tenant's table
 * has grown to and given back serves any other use; what is larger than a quarter of a span takes whole spans in a row.
 * The lowest free span is taken first, which keeps the touched pages together.
 *
 * A block of a multiple of 16 words is aligned to its cache lines, if the array is: so are all sizes from 128 words on.
 *
 * One thread allocates and frees. It neither moves blocks nor returns pages to the operating system.
 */

import { assert } from '../../base/assert.ts'

const SPAN_SHIFT = 14
export const SPAN_WORDS = 1 << SPAN_SHIFT
const GRANULE = 4
const LARGEST_BLOCK = SPAN_WORDS / 4

/** Sizes of blocks in words: steps of four up to 64, then of an eighth, so that at most an eighth of a block is waste. */
const SIZES = blockSizes()
const SIZE_CLASS = classesByGranules()

const FREE = 0
const WHOLE = 255
const NONE = -1

function blockSizes(): number[] {
  const sizes: number[] = []
  for (let size = GRANULE; size <= LARGEST_BLOCK; size += Math.max(GRANULE, 2 ** (31 - Math.clz32(size)) / 8))
    sizes.push(size)
  return sizes
}

function classesByGranules(): Uint8Array {
  const classes = new Uint8Array(LARGEST_BLOCK / GRANULE + 1)
  for (let granules = 1; granules < classes.length; granules++)
    classes[granules] = SIZES.findIndex((size) => size >= granules * GRANULE)
  return classes
}

export class Arena {
  readonly words: Int32Array
  readonly #reclaim: () => void
  readonly #poison: number | undefined
  /** FREE, a size class + 1, or WHOLE. */
  readonly #kind: Uint8Array
  /** Blocks in use; of a WHOLE span, how many spans the block takes, 0 in all but the first. */
  readonly #used: Int32Array
  /** Blocks that have ever been handed out since the span was taken: those beyond were never touched. */
  readonly #fresh: Int32Array
  /** The span's free blocks are chained through their first words; this is the first, or 0. */
  readonly #freed: Int32Array
  /** Spans with room, a doubly linked list a size class. */
  readonly #next: Int32Array
  readonly #previous: Int32Array
  readonly #withRoom = new Int32Array(SIZES.length).fill(NONE)
  #lowestFree: number
  #usedWords = 0
  #spans = 0

  /**
   * Blocks come from word `first` on. `reclaim` is asked to free something when the arena is full. Freed blocks are filled
   * with `poison`, if any, so that a stale reader is found out.
   */
  constructor(words: Int32Array, first: number, reclaim: () => void, poison?: number) {
    this.words = words
    this.#reclaim = reclaim
    this.#poison = poison
    const spans = words.length >>> SPAN_SHIFT
    this.#kind = new Uint8Array(spans)
    this.#used = new Int32Array(spans)
    this.#fresh = new Int32Array(spans)
    this.#freed = new Int32Array(spans)
    this.#next = new Int32Array(spans)
    this.#previous = new Int32Array(spans)
    this.#lowestFree = Math.ceil(first / SPAN_WORDS)
    this.#kind.fill(WHOLE, 0, this.#lowestFree)
  }

  /** Words in blocks, each rounded up to its size. */
  get used(): number {
    return this.#usedWords
  }

  /** Words in spans that are taken. */
  get taken(): number {
    return this.#spans * SPAN_WORDS
  }

  /** The first word of a block of at least so many words, not cleared; 0 when the arena is full. */
  allocate(words: number): number {
    const block = this.#allocate(words)
    if (block !== 0) return block
    this.#reclaim()
    return this.#allocate(words)
  }

  #allocate(words: number): number {
    if (words > LARGEST_BLOCK) return this.#allocateWhole(Math.ceil(words / SPAN_WORDS))
    const sizeClass = SIZE_CLASS[(words + GRANULE - 1) >>> 2]!
    const size = SIZES[sizeClass]!
    let span = this.#withRoom[sizeClass]!
    if (span === NONE) {
      span = this.#takeSpans(1, sizeClass + 1)
      if (span === NONE) return 0
      this.#link(span, sizeClass)
    }
    let block = this.#freed[span]!
    if (block !== 0) this.#freed[span] = this.words[block]!
    else block = span * SPAN_WORDS + this.#fresh[span]!++ * size
    if (++this.#used[span]! === Math.floor(SPAN_WORDS / size)) this.#unlink(span, sizeClass)
    this.#usedWords += size
    return block
  }

  /** How many words the block really has. */
  sizeOf(block: number): number {
    const span = block >>> SPAN_SHIFT
    const kind = this.#kind[span]!
    return kind === WHOLE ? this.#used[span]! * SPAN_WORDS : SIZES[kind - 1]!
  }

  free(block: number): void {
    const span = block >>> SPAN_SHIFT
    const kind = this.#kind[span]!
    assert(kind !== FREE && this.#used[span]! > 0, 'a block is freed twice')
    const size = this.sizeOf(block)
    if (this.#poison !== undefined) this.words.fill(this.#poison, block, block + size)
    this.#usedWords -= size
    if (kind === WHOLE) {
      this.#giveSpans(span, this.#used[span]!)
      return
    }
    const sizeClass = kind - 1
    this.words[block] = this.#freed[span]!
    this.#freed[span] = block
    if (this.#used[span]!-- === Math.floor(SPAN_WORDS / size)) this.#link(span, sizeClass)
    if (this.#used[span] !== 0) return
    this.#unlink(span, sizeClass)
    this.#giveSpans(span, 1)
  }

  #allocateWhole(count: number): number {
    const span = this.#takeSpans(count, WHOLE)
    if (span === NONE) return 0
    this.#used[span] = count
    this.#usedWords += count * SPAN_WORDS
    return span * SPAN_WORDS
  }

  #takeSpans(count: number, kind: number): number {
    let run = 0
    for (let span = this.#lowestFree; span < this.#kind.length; span++) {
      run = this.#kind[span] === FREE ? run + 1 : 0
      if (run < count) continue
      const first = span - count + 1
      this.#kind.fill(kind, first, span + 1)
      this.#used.fill(0, first, span + 1)
      this.#fresh[first] = 0
      this.#freed[first] = 0
      if (first === this.#lowestFree) this.#lowestFree = span + 1
      this.#spans += count
      return first
    }
    return NONE
  }

  #giveSpans(first: number, count: number): void {
    this.#kind.fill(FREE, first, first + count)
    this.#lowestFree = Math.min(this.#lowestFree, first)
    this.#spans -= count
  }

  #link(span: number, sizeClass: number): void {
    const head = this.#withRoom[sizeClass]!
    this.#next[span] = head
    this.#previous[span] = NONE
    if (head !== NONE) this.#previous[head] = span
    this.#withRoom[sizeClass] = span
  }

  #unlink(span: number, sizeClass: number): void {
    const next = this.#next[span]!
    const previous = this.#previous[span]!
    if (previous === NONE) this.#withRoom[sizeClass] = next
    else this.#next[previous] = next
    if (next !== NONE) this.#previous[next] = previous
  }
}
