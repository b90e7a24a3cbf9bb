import { deepEqual, equal } from 'node:assert/strict'
import { test } from 'node:test'
import { ManualClock } from '../../base/clock.ts'
import { REFRESH } from '../../wire/bgp/refresh.ts'
import { RefreshLimits } from './refresh-limits.ts'

test('a request that follows another at once waits, with all that come meanwhile, and none of another family or peer', () => {
  const clock = new ManualClock()
  const again: string[] = []
  const limits = new RefreshLimits(clock, (session, family) => again.push(`${session} ${family}`))
  const ask = (session: number, family: number): string => limits.take(session, family, REFRESH.request)
  deepEqual([ask(1, 0), ask(1, 0), ask(1, 0), ask(1, 1), ask(2, 0)], ['passes', 'waits', 'waits', 'passes', 'passes'])
  clock.advance(999)
  deepEqual(again, [])
  clock.advance(1)
  deepEqual(again, ['1 0'])
  equal(ask(1, 0), 'waits')
  clock.advance(1000)
  deepEqual(again, ['1 0', '1 0'])
  clock.advance(5000)
  deepEqual([again.length, ask(1, 0), ask(1, 0)], [2, 'passes', 'waits'])
  limits.forget(1)
  clock.advance(5000)
  equal(again.length, 2)
})

test('marks pass at once, and very many of them are a flood', () => {
  const clock = new ManualClock()
  const limits = new RefreshLimits(clock, () => {})
  const mark = (i: number): string => limits.take(1, 0, i % 2 === 0 ? REFRESH.begin : REFRESH.end)
  for (let i = 0; i < 200; i++) equal(mark(i), 'passes')
  equal(mark(200), 'flood')
  clock.advance(2000)
  deepEqual([mark(0), mark(1), mark(2)], ['passes', 'passes', 'flood'])
})
