import { deepEqual } from 'node:assert/strict'
import { test } from 'node:test'
import { setImmediate as turn } from 'node:timers/promises'
import { ManualClock } from '../../base/clock.ts'
import { Settling } from './settling.ts'

function scene() {
  const clock = new ManualClock()
  const told: number[] = []
  const peers = { up: [false, false], said_us: 0 }
  const settling = new Settling({
    clock,
    sessions: async () => peers.up,
    said_us: () => peers.said_us,
    within_ms: 300_000,
    settled: () => told.push(clock.now_us() / 1e6),
  })
  return {
    peers,
    settling,
    told,
    async until(s: number) {
      while (clock.now_us() < s * 1e6) {
        clock.advance(250)
        await turn()
      }
      return told
    },
  }
}

test('a speaker is settled when all sessions are up and nothing has come for a while', async () => {
  const { peers, until } = scene()
  deepEqual(await until(10), [])
  peers.up = [true, false]
  deepEqual(await until(20), [])
  peers.up = [true, true]
  peers.said_us = 20e6
  deepEqual(await until(21), [])
  peers.said_us = 21e6
  deepEqual(await until(30), [22.5])
})

test('sessions that do not come are not waited for longer than stale routes are kept', async () => {
  const { until } = scene()
  deepEqual(await until(299), [])
  deepEqual(await until(400), [300])
})

test('it can be hurried, and ended', async () => {
  const { settling, until } = scene()
  await until(10)
  settling.hurry(5000)
  deepEqual(await until(20), [15])
  const other = scene()
  other.settling.close()
  deepEqual(await other.until(400), [])
})
