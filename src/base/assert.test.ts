import { throws } from 'node:assert/strict'
import { test } from 'node:test'
import { AssertionError, assert, unreachable } from './assert.ts'

test('an assertion that does not hold throws its message, one that holds does not', () => {
  assert(true, 'never seen')
  throws(() => assert(false, 'the ring is full'), new AssertionError('the ring is full'))
})

test('what the compiler proved unreachable says what reached it', () => {
  throws(() => unreachable('a new kind' as never), /unreachable: a new kind/)
})
