import { equal, match, notEqual } from 'node:assert/strict'
import { test } from 'node:test'
import { Random } from '../../base/random.ts'
import { Gaps, Numberer } from './numbering.ts'

test('what is missing between two messages of one publisher on one subject is counted', () => {
  const numberer = new Numberer(new Random(1))
  const sent = Array.from({ length: 10 }, () => numberer.next('a'))
  const gaps = new Gaps()
  // Whoever comes late has missed nothing.
  equal(gaps.missedBefore('a', sent[2]!), 0)
  equal(gaps.missedBefore('a', sent[3]!), 0)
  equal(gaps.missedBefore('a', sent[7]!), 3)
  equal(gaps.missedBefore('a', sent[9]!), 1)
})

test('subjects and publishers are numbered apart', () => {
  const [one, two] = [new Numberer(new Random(1)), new Numberer(new Random(2))]
  const gaps = new Gaps()
  for (let i = 0; i < 5; i++) {
    equal(gaps.missedBefore('a', one.next('a')), 0)
    equal(gaps.missedBefore('b', one.next('b')), 0)
    equal(gaps.missedBefore('a', two.next('a')), 0)
    two.next('not ours')
  }
})

test('what was overtaken is not counted twice', () => {
  const numberer = new Numberer(new Random(1))
  const [first, second, third, fourth] = Array.from({ length: 4 }, () => numberer.next('a'))
  const gaps = new Gaps()
  equal(gaps.missedBefore('a', first!), 0)
  equal(gaps.missedBefore('a', third!), 1)
  equal(gaps.missedBefore('a', second!), 0)
  equal(gaps.missedBefore('a', fourth!), 0)
})

test('a publisher of more subjects than it remembers starts over under another name', () => {
  const numberer = new Numberer(new Random(1))
  const before = numberer.next('a')
  for (let i = 0; i < 4096; i++) numberer.next(`other.${i}`)
  const after = numberer.next('a')
  match(after, /\.1$/)
  notEqual(before, after)
  const gaps = new Gaps()
  equal(gaps.missedBefore('a', before), 0)
  equal(gaps.missedBefore('a', after), 0)
})
