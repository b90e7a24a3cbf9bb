import { deepEqual, equal } from 'node:assert/strict'
import { test } from 'node:test'
import { ManualClock } from '../base/clock.ts'
import { busHere } from './bus-here.ts'
import { Events, eventsOf } from './events.ts'

test('events wait for the bus in their order, are not told twice, and what is lost is told', async (t) => {
  const here = await busHere(t)
  const bus = await here.join('control')
  const clock = new ManualClock()
  const events = new Events({ bus, clock, module: 'control' })
  events.epoch = 3
  events.tell('leading', 'control')
  await events.close()
  const others = new Events({ bus, clock, module: 'spare' })
  const gone = new Promise<void>((resolve) => void bus.onConnection((connected) => connected || resolve()))
  await here.stop()
  await gone
  for (let i = 0; i < 1100; i++) others.tell('move-begun', `tenant-${i}`, 'x'.repeat(1000))
  await here.start()
  await bus.whenConnected(5000)
  await others.close()
  const told = await eventsOf(bus)
  deepEqual(told[0], { at_ms: 0, module: 'control', epoch: 3, what: 'leading', about: 'control', detail: '' })
  deepEqual(
    told.slice(1, 1001).map(({ about }) => about),
    Array.from({ length: 1000 }, (_, i) => `tenant-${i}`),
  )
  equal(told[1]!.detail.length, 500)
  equal(told[1001]!.detail, '100 events were lost while the bus did not take them')
  equal(told.length, 1002)
})
