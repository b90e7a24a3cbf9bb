import { deepEqual, equal, ok } from 'node:assert/strict'
import { suite, test } from 'node:test'
import type { Updates } from './messages.ts'
import type { Message } from './session/connection.ts'
import { UpdateChunks } from './update-chunks.ts'

const BYTES = 4096

function scene() {
  const sent: Updates[] = []
  const paused: boolean[] = []
  const history = { given: 0, taken: 0 }
  const chunks = new UpdateChunks({
    send(updates) {
      sent.push(updates)
      history.given = (history.given + BYTES) | 0
    },
    paused: (isPaused) => void paused.push(isPaused),
    history,
  })
  const chunk = (value: number): SharedArrayBuffer => {
    chunks.add(1, { bytes: new Uint8Array(BYTES).fill(value), at: 0, end: BYTES } as unknown as Message)
    chunks.flush()
    return sent.at(-1)!.memory
  }
  return { chunks, history, paused, sent, chunk }
}

suite('chunks of updates', () => {
  test('are filled again when the route thread and the history have read them, and not before', () => {
    const { chunks, history, chunk, sent } = scene()
    const first = chunk(1)
    const others = new Set([chunk(2), chunk(3)])
    equal(others.has(first), false)
    chunks.taken(BYTES)
    others.add(chunk(4))
    history.taken = 4 * BYTES
    others.add(chunk(5))
    equal(others.has(first), false)
    equal(new Uint8Array(first)[0], 1)
    // What is about to be filled next was chosen before that.
    equal(chunk(6), first)
    deepEqual(sent.at(-1)!.runs, Int32Array.of(1, 0, BYTES))
    equal(new Uint8Array(first)[0], 6)
  })

  test('are never two at a time in the same memory, also where counters wrap around', () => {
    const { chunks, history, chunk } = scene()
    history.given = history.taken = 0x7fff_ffff
    const unread: SharedArrayBuffer[] = []
    const memories = new Set<SharedArrayBuffer>()
    for (let i = 0; i < 1000; i++) {
      const memory = chunk(i)
      equal(unread.includes(memory), false)
      memories.add(memory)
      unread.push(memory)
      if (unread.length < 5) continue
      unread.shift()
      chunks.taken(BYTES)
      history.taken = (history.taken + BYTES) | 0
    }
    ok(memories.size < 10, `${memories.size} chunks for five at a time`)
  })

  test('are left to a history that does not come on', () => {
    const { chunks, chunk } = scene()
    const memories = new Set<SharedArrayBuffer>()
    for (let i = 0; i < 500; i++) {
      memories.add(chunk(i))
      chunks.taken(BYTES)
    }
    equal(memories.size, 500)
  })

  test('keep peers from being read while too many are on their way', () => {
    const { chunks, paused, chunk } = scene()
    const most = (8 << 20) / BYTES
    for (let i = 0; i < most; i++) chunk(i)
    deepEqual(paused, [])
    chunk(0)
    deepEqual(paused, [true])
    chunks.taken((4 << 20) + 2 * BYTES)
    deepEqual(paused, [true, false])
  })
})
