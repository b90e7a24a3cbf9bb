import { deepEqual, equal } from 'node:assert/strict'
import { test } from 'node:test'
import { busHere } from './bus-here.ts'
import { announce, modulesOf, type Presence, withdraw } from './presence.ts'

const presence = (pid: number): Presence => ({ role: 'forwarding', pid, ready: true, since: 0 })

test('a module is there from when it says so until it ends', async (t) => {
  const here = await busHere(t)
  const bus = await here.join('fn-1')
  const announced = announce(bus, 'fn-1', presence(1))
  equal((await modulesOf(bus)).get('fn-1')?.pid, 1)
  await announced.close()
  deepEqual([...(await modulesOf(bus)).keys()], [])
})

test('a bus that lost everything is told again', async (t) => {
  const here = await busHere(t)
  const bus = await here.join('fn-1')
  announce(bus, 'fn-1', presence(1))
  await modulesOf(bus)
  const again = new Promise<void>((resolve) => bus.onConnection((connected) => connected && resolve()))
  await here.stop()
  here.wipe()
  await here.start()
  await again
  equal((await modulesOf(bus)).get('fn-1')?.pid, 1)
})

test('the end of a process takes nothing from the one that came after it, and needs no bus', async (t) => {
  const here = await busHere(t)
  const bus = await here.join('fn-1')
  const first = announce(bus, 'fn-1', presence(1))
  const second = announce(bus, 'fn-1', presence(2))
  await first.close()
  equal((await modulesOf(bus)).get('fn-1')?.pid, 2)
  await withdraw(bus, 'fn-1', 3)
  equal((await modulesOf(bus)).get('fn-1')?.pid, 2)
  await here.stop()
  await second.close()
})
