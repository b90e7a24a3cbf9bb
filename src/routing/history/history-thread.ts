/** The thread of the history: `recorder.ts` behind a port to the session thread. It gives way to all other threads. */

import { setPriority } from 'node:os'
import { parentPort, receiveMessageOnPort, workerData } from 'node:worker_threads'
import { assert } from '../../base/assert.ts'
import { systemClock } from '../../base/clock.ts'
import type { FromHistory, HistoryThreadSetup, ToHistoryThread } from './history.ts'
import type { ToHistory } from './messages.ts'
import { Recorder } from './recorder.ts'
import { costOf, EVENT_BYTES } from './tap.ts'

/** A tenth of a core, when all of them want it, and as much as there is when nobody does. */
const NICENESS = 10

const agent = parentPort
assert(agent !== null, 'this file is a thread')
const { sessions, taken, ...settings } = workerData as HistoryThreadSetup
const words = new Int32Array(taken)
// Of the calling thread: on Linux a thread has a niceness of its own.
setPriority(0, NICENESS)
const recorder = new Recorder({
  ...settings,
  started_us: systemClock.wall_ms() * 1000,
  failed: ({ message }) => agent.postMessage({ kind: 'failed', message } satisfies FromHistory),
})

let isFlushing = false
function take(message: ToHistory): void {
  // Behind the site file that its session is of, which came before it over another port.
  if (message.kind !== 'updates') for (let said = hear(); said; said = hear()) obey(said)
  recorder.take(message)
  if (message.kind === 'updates') Atomics.add(words, 0, costOf(message.runs))
  else if (message.kind === 'event' || message.kind === 'refresh') Atomics.add(words, 0, EVENT_BYTES)
  if (isFlushing) return
  isFlushing = true
  // Behind whatever else has come.
  setImmediate(() => {
    isFlushing = false
    recorder.flush()
  })
}

function hear(): ToHistoryThread | undefined {
  return receiveMessageOnPort(agent!)?.message
}

function obey(message: ToHistoryThread): void {
  if (message.kind === 'neighbours') recorder.setNeighbours(message.neighbours)
  // Behind what is being taken.
  else setImmediate(close)
}

function close(): void {
  for (let left = receiveMessageOnPort(sessions); left; left = receiveMessageOnPort(sessions)) take(left.message)
  recorder.close()
  agent!.postMessage({ kind: 'closed' } satisfies FromHistory)
}

sessions.on('message', take)
agent.on('message', obey)
