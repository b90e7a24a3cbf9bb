import { equal, ok } from 'node:assert/strict'
import { suite, test } from 'node:test'
import * as fc from 'fast-check'
import { Arena, SPAN_WORDS } from './arena.ts'

const FIRST = 100
const SPANS = 12

function arena(reclaim: () => void = () => {}, poison?: number): Arena {
  return new Arena(new Int32Array(SPANS * SPAN_WORDS), FIRST, reclaim, poison)
}

/** A size to allocate, or the place among the live blocks of one to free. */
const step = fc.oneof(
  { weight: 6, arbitrary: fc.record({ words: fc.integer({ min: 1, max: 600 }) }) },
  { weight: 1, arbitrary: fc.record({ words: fc.integer({ min: 600, max: 3 * SPAN_WORDS }) }) },
  { weight: 5, arbitrary: fc.record({ free: fc.nat() }) },
)

suite('the arena', () => {
  test('gives blocks that do not overlap, keep what is in them, and come back to the last word', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 300 }), (steps) => {
        const a = arena()
        const live: { block: number; words: number; mark: number }[] = []
        let mark = 0
        const free = (i: number): void => {
          const { block, words, mark } = live.splice(i, 1)[0]!
          for (let at = block; at < block + words; at++) if (a.words[at] !== mark) equal(a.words[at], mark)
          a.free(block)
        }
        for (const step of steps) {
          if ('words' in step) {
            const block = a.allocate(step.words)
            if (block === 0) continue
            ok(block >= FIRST && block % 4 === 0 && block + a.sizeOf(block) <= a.words.length)
            ok(a.sizeOf(block) >= step.words)
            a.words.fill(++mark, block, block + a.sizeOf(block))
            live.push({ block, words: a.sizeOf(block), mark })
          } else if (live.length > 0) free(step.free % live.length)
          equal(
            a.used,
            live.reduce((sum, { words }) => sum + words, 0),
          )
          ok(a.used <= a.taken)
        }
        while (live.length > 0) free(0)
        equal(a.taken, 0)
      }),
    )
  })

  test('wastes at most an eighth of a block', () => {
    const a = arena()
    for (let words = 1; words <= SPAN_WORDS / 4; words++) {
      const block = a.allocate(words)
      ok(a.sizeOf(block) - words <= Math.max(3, words / 8), `${words} words took ${a.sizeOf(block)}`)
      a.free(block)
    }
  })

  test('uses for one size what another has given back', () => {
    const a = arena()
    for (const words of [4, 40, 400, 4000, SPAN_WORDS, 2 * SPAN_WORDS]) {
      const blocks: number[] = []
      for (let block = a.allocate(words); block !== 0; block = a.allocate(words)) blocks.push(block)
      ok(a.taken >= (SPANS - 2) * SPAN_WORDS)
      for (const block of blocks) a.free(block)
      equal(a.taken, 0)
    }
  })

  test('asks for memory back before it says that it is full', () => {
    let kept = 0
    const a = arena(() => {
      if (kept !== 0) a.free(kept)
      kept = 0
    })
    kept = a.allocate(SPAN_WORDS)
    while (a.taken < (SPANS - 1) * SPAN_WORDS) ok(a.allocate(SPAN_WORDS) !== 0)
    ok(a.allocate(SPAN_WORDS) !== 0, 'what was kept')
    equal(a.allocate(SPAN_WORDS), 0)
  })

  test('poisons what is freed', () => {
    const a = arena(() => {}, 0xbad)
    const block = a.allocate(40)
    a.words.fill(7, block, block + 40)
    a.free(block)
    equal(a.words[block + 39], 0xbad)
  })
})
