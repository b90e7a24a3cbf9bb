import { deepEqual, equal } from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { isWellFormed, matches, SubjectTree } from './subject.ts'

const token = fc.constantFrom('a', 'b', 'c')
const subject = fc.array(token, { minLength: 1, maxLength: 4 }).map((tokens) => tokens.join('.'))
const pattern = fc
  .tuple(fc.array(fc.oneof(token, fc.constant('*')), { minLength: 1, maxLength: 3 }), fc.boolean())
  .map(([tokens, open]) => [...tokens, ...(open ? ['>'] : [])].join('.'))

/** The same, by the words of NATS's documentation turned into a regular expression. */
function expected(pattern: string, subject: string): boolean {
  const parts = pattern.split('.').map((part) => (part === '*' ? '[^.]+' : part === '>' ? '.+' : part))
  return new RegExp(`^${parts.join('\\.')}$`).test(subject)
}

test('a pattern matches what its words say, and the tree finds the same', () => {
  fc.assert(
    fc.property(fc.array(pattern), fc.array(fc.nat()), fc.array(subject), (patterns, removals, subjects) => {
      const tree = new SubjectTree<number>()
      for (const [i, pattern] of patterns.entries()) tree.add(pattern, i)
      const removed = new Set(removals.map((n) => n % (patterns.length || 1)))
      for (const i of removed) if (i < patterns.length) tree.remove(patterns[i]!, i)
      for (const subject of [...subjects, 'a']) {
        const found: number[] = []
        tree.find(subject, (i) => found.push(i))
        const wanted = [...patterns.keys()].filter((i) => !removed.has(i) && matches(patterns[i]!, subject))
        deepEqual(
          found.toSorted((a, b) => a - b),
          wanted,
        )
        for (const pattern of patterns) equal(matches(pattern, subject), expected(pattern, subject))
      }
    }),
  )
})

test('what NATS refuses is not well formed', () => {
  for (const good of ['a', 'a.b', '$x', 'a-b_c=1/2', '10:0']) equal(isWellFormed('subject', good), true, good)
  for (const bad of ['', ' ', 'a.', '.a', 'a..b', 'a b', '*', 'a.>', 'a>', 'a\n', 'ü']) {
    equal(isWellFormed('subject', bad), false, bad)
  }
  for (const good of ['>', '*', 'a.*.>', '*.a']) equal(isWellFormed('pattern', good), true, good)
  for (const bad of ['>.a', 'a>', '**', 'a.b*']) equal(isWellFormed('pattern', bad), false, bad)
  equal(isWellFormed('key', 'a:b'), false)
  equal(isWellFormed('name', 'a.b'), false)
})
