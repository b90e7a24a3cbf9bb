/** The history in its thread; the test's own thread is that of the sessions. */

import { deepEqual, equal, ok } from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { parseAddress, parsePrefix } from '../../base/address.ts'
import { systemClock } from '../../base/clock.ts'
import { plainHandling, plainNegotiated } from '../bgp/messages.ts'
import { updateOf } from './diary.ts'
import { History } from './history.ts'
import { type PrefixHistory, readPrefixHistory } from './prefix-history.ts'
import { HistoryTap } from './tap.ts'

function read(directory: string, prefix: string): PrefixHistory {
  return readPrefixHistory(directory, parsePrefix(prefix)!, undefined, systemClock.wall_ms() * 1000)
}

const remote = parseAddress('10.0.0.2')!

function begin(directory: string, failed: (error: Error, isOver: boolean) => void) {
  const routing = { as: 65_001, neighbours: [] }
  const history = new History({ directory, size_bytes: 64 << 20, node: 'routing', routing, failed })
  const tell = (message: unknown): void => history.end.port.postMessage(message)
  const tap = new HistoryTap({ tell, taken: new Int32Array(history.end.taken), clock: systemClock })
  const up = (): void =>
    tap.routes({
      ...{ kind: 'up', session: 1, slot: 0, peer: 'transit', local: parseAddress('10.0.0.1')!, remote },
      negotiated: plainNegotiated,
      handling: plainHandling,
    })
  const updates = (message: Uint8Array, count: number): void => {
    const memory = new SharedArrayBuffer(message.length * count)
    for (let i = 0; i < count; i++) new Uint8Array(memory).set(message, i * message.length)
    tap.routes({ kind: 'updates', memory, runs: Int32Array.of(1, 0, message.length * count) })
  }
  return { history, tap, up, updates }
}

test('what was told before the end is on disk after it', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'gatehouse-history-'))
  try {
    const { history, up, updates } = begin(directory, (error) => ok(false, error.message))
    up()
    for (let i = 0; i < 50; i++) updates(updateOf({ announce: ['10.2.0.0/16'] }), 1000)
    updates(updateOf({ announce: ['203.0.113.0/24'], path: [65_002, 7] }), 1)
    await history.close()
    history.end.port.close()
    equal(read(directory, '10.2.0.0/16').events.length, 50_000)
    const { events, gaps } = read(directory, '203.0.113.0/24')
    deepEqual([events.map(({ route }) => route?.['AS path']), gaps], [['65002 7'], []])
  } finally {
    rmSync(directory, { recursive: true })
  }
})

test('neighbours of another site file are known to the thread', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'gatehouse-history-'))
  try {
    const { history, up, updates } = begin(directory, (error) => ok(false, error.message))
    history.reload({ neighbours: [{ name: 'transit', as: 65_002, tenant: 'acme' }] as never })
    up()
    updates(updateOf({ announce: ['10.2.0.0/16'] }), 1)
    await history.close()
    history.end.port.close()
    const { events } = read(directory, '10.2.0.0/16')
    deepEqual(
      events.map(({ peer }) => peer.tenant),
      ['acme'],
    )
  } finally {
    rmSync(directory, { recursive: true })
  }
})

test('a history that cannot be kept says why, and ends when it is told to', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'gatehouse-history-'))
  try {
    writeFileSync(join(directory, 'file'), '')
    const told = Promise.withResolvers<[string, boolean]>()
    const inFile = join(directory, 'file', 'history')
    const { history } = begin(inFile, (error, isOver) => told.resolve([error.message, isOver]))
    const [message, isOver] = await told.promise
    ok(/ENOTDIR/.test(message) && isOver, message)
    await history.close()
    history.end.port.close()
  } finally {
    rmSync(directory, { recursive: true })
  }
})
