import { deepEqual, equal } from 'node:assert/strict'
import { test } from 'node:test'
import { ManualClock } from '../../base/clock.ts'
import { RestingPeers } from './resting-peers.ts'

const address = (last: number) => Uint8Array.of(192, 0, 2, last)

test('a peer of a range rests for its time, or for good until its range is another one, and no other range', () => {
  const clock = new ManualClock()
  const resting = new RestingPeers(clock)
  const has = (...of: [name: string, last: number][]) => of.map(([name, last]) => resting.has(name, address(last)))
  resting.add('range', address(1), 60)
  resting.add('range', address(2), undefined)
  resting.add('range-2', address(2), undefined)
  clock.advance(59_000)
  deepEqual(has(['range', 1], ['range', 2], ['range', 3], ['range-2', 1]), [true, true, false, false])
  clock.advance(1000)
  deepEqual(has(['range', 1], ['range', 2]), [false, true])
  resting.release('range')
  deepEqual(has(['range', 2], ['range-2', 2]), [false, true])
})

test('a time that is over counts for nothing when the peer has come to rest again since', () => {
  const clock = new ManualClock()
  const resting = new RestingPeers(clock)
  resting.add('range', address(1), 60)
  resting.release('range')
  resting.add('range', address(1), undefined)
  clock.advance(600_000)
  equal(resting.has('range', address(1)), true)
})
