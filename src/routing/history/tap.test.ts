import { deepEqual, equal } from 'node:assert/strict'
import { suite, test } from 'node:test'
import { ManualClock } from '../../base/clock.ts'
import { REFRESH } from '../../wire/bgp/refresh.ts'
import type { ToHistory } from './messages.ts'
import { costOf, EVENT_BYTES, HistoryTap, WAITING_MAX_BYTES } from './tap.ts'

const CHUNK_BYTES = 1 << 20

function scene() {
  const clock = new ManualClock()
  const told: ToHistory[] = []
  const taken = new Int32Array(new SharedArrayBuffer(4))
  const tap = new HistoryTap({ tell: (message) => void told.push(message), taken, clock })
  const memory = new SharedArrayBuffer(8)
  const runs = Int32Array.of(1, 0, CHUNK_BYTES)
  const chunk = (): void => tap.routes({ kind: 'updates', memory, runs })
  const event = (): void =>
    tap.event({ peer: 'transit', remote: '10.0.0.2', from: 'idle', to: 'connect', reason: undefined })
  return { clock, told, taken, tap, chunk, event, kinds: () => told.map(({ kind }) => kind) }
}

suite('the tap of the history', () => {
  test('hands on chunks by reference, with the time to the microsecond and in order', () => {
    const { clock, told, chunk } = scene()
    clock.advance(1000.25)
    chunk()
    clock.advance(0.25)
    chunk()
    clock.advance(5)
    chunk()
    deepEqual(
      told.map(({ at_us }) => at_us),
      [1_000_000, 1_000_250, 1_005_000],
    )
  })

  test('lets chunks go when the history is behind, and says how many once half of it is free', () => {
    const { clock, told, taken, chunk, event, kinds } = scene()
    const fit = WAITING_MAX_BYTES / CHUNK_BYTES
    for (let i = 0; i < fit; i++) chunk()
    clock.advance(1000)
    for (let i = 0; i < 3; i++) chunk()
    event()
    equal(told.length, fit)
    // Not yet: a gap that ends at once begins again at once.
    Atomics.add(taken, 0, CHUNK_BYTES)
    chunk()
    equal(told.length, fit)
    Atomics.add(taken, 0, WAITING_MAX_BYTES / 2)
    clock.advance(500)
    chunk()
    deepEqual(kinds().slice(fit), ['gap', 'updates'])
    const gap = { kind: 'gap', at_us: 1e6, until_us: 1.5e6, chunks: 4, bytes: 4 * CHUNK_BYTES, events: 1 }
    deepEqual(told[fit], gap)
  })

  test('says what it let go once there is room, although nothing comes any more', () => {
    const { clock, told, taken, chunk, kinds } = scene()
    const fit = WAITING_MAX_BYTES / CHUNK_BYTES
    for (let i = 0; i < fit + 3; i++) chunk()
    clock.advance(5000)
    equal(told.length, fit)
    Atomics.add(taken, 0, WAITING_MAX_BYTES / 2)
    clock.advance(1000)
    clock.advance(60_000)
    deepEqual(kinds().slice(fit), ['gap'])
    const gap = { kind: 'gap', at_us: 0, until_us: 0, chunks: 3, bytes: 3 * CHUNK_BYTES, events: 0 }
    deepEqual(told[fit], gap)
  })

  test('says what it let go when it is closed', () => {
    const { told, tap, chunk, kinds, clock } = scene()
    const fit = WAITING_MAX_BYTES / CHUNK_BYTES
    for (let i = 0; i < fit + 3; i++) chunk()
    tap.close()
    clock.advance(60_000)
    deepEqual(kinds().slice(fit), ['gap'])
    equal(told[fit]!.kind === 'gap' && told[fit].chunks, 3)
  })

  test('always tells that a session is up or down', () => {
    const { taken, tap, chunk, kinds } = scene()
    for (let i = 0; i < 100; i++) chunk()
    const before = kinds().length
    tap.routes({ kind: 'down', session: 1 })
    tap.routes({ kind: 'room' })
    deepEqual(kinds().slice(before), ['down'])
    equal(taken[0], 0)
  })

  test('tells where a peer tells its routes anew, and what is kept of those of a session that ended', () => {
    const { told, tap } = scene()
    for (const subtype of [REFRESH.request, REFRESH.begin, REFRESH.end])
      tap.routes({ kind: 'refresh', session: 1, family: 0, subtype })
    tap.routes({ kind: 'down', session: 1, keep: 1, keep_s: 120 })
    deepEqual(told, [
      { kind: 'refresh', at_us: 0, session: 1, family: 0, subtype: REFRESH.begin },
      { kind: 'refresh', at_us: 0, session: 1, family: 0, subtype: REFRESH.end },
      { kind: 'down', at_us: 0, session: 1, keep: 1, keep_s: 120 },
    ])
  })

  test('goes on when the counter of what was taken wraps around', () => {
    const { taken, chunk, event, kinds } = scene()
    const cost = costOf(Int32Array.of(1, 0, CHUNK_BYTES))
    for (let i = 0; i < 5000; i++) {
      chunk()
      Atomics.add(taken, 0, cost)
      event()
      Atomics.add(taken, 0, EVENT_BYTES)
    }
    equal(kinds().length, 10_000)
  })
})
