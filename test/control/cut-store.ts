/** The store of a bus loses the end of a stream, by any number of bytes, while nodes have what was in it already. */

import { equal } from 'node:assert/strict'
import { readdirSync, readFileSync, truncateSync } from 'node:fs'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { expectedWith, FIRST, goThrough } from './kill-points.ts'
import { publish, routesOf, Scene, whole } from './scene.ts'
import { keptBy } from './state.ts'

const HEAD_BYTES = 16

/** Two batches that undo each other: whatever was lost of the one, the other one is told next. */
const BATCHES = ['192.168.1.2', '192.168.1.3'].map((via) => whole(routesOf('bgp-3', via, [300, 310])))

export interface Cut {
  readonly stream: string
  /** The control module is another one afterwards, and remembers nothing. */
  readonly restarts: boolean
  /** How many bytes are left of the last record, by its length. */
  lefts(length: number): readonly number[]
  /** Instead, of so many bytes of the whole. */
  anywhere?(length: number): number
}

export async function cutStore(t: TestContext, { stream, restarts, lefts, anywhere }: Cut): Promise<void> {
  const scene = await Scene.of(t, { busHere: true })
  let control = scene.controlHere('control', FIRST)
  const { readers, bus } = await goThrough(scene)
  const states = await Promise.all(BATCHES.map((batch) => expectedWith(batch)))
  readers.keep = keptBy(states)
  let turn = 0
  const next = async (): Promise<void> => {
    turn = 1 - turn
    await publish(bus, BATCHES[turn]!)
    await readers.equal(states[turn]!)
  }
  await next()
  // What is cut off is never all that was said of these routes.
  await next()
  for (const left of lefts(lastRecord(scene, stream).length)) {
    if (restarts) await control.close()
    await scene.killBus()
    const { path, at, length } = lastRecord(scene, stream)
    if (length > 0) truncateSync(path, anywhere ? anywhere(at + length) : at + Math.min(left, length - 1))
    await scene.startBus()
    if (restarts) control = scene.controlHere('control', FIRST)
    await next()
    equal(readers.flushed.join('\n'), '', `with ${left} bytes of ${length}`)
  }
}

function lastRecord({ store }: Scene, stream: string): { path: string; at: number; length: number } {
  const directory = join(store, 'bus', 'streams', stream)
  const segment = readdirSync(directory)
    .filter((name) => name.endsWith('.log'))
    .sort()
    .at(-1)!
  const path = join(directory, segment)
  const bytes = readFileSync(path)
  let at = 0
  // All of it was cut off, and nothing has come since.
  if (bytes.length === 0) return { path, at, length: 0 }
  for (;;) {
    const length = HEAD_BYTES + bytes.readUInt32BE(at)
    if (at + length >= bytes.length) return { path, at, length }
    at += length
  }
}
