/** The thread of the routes: `route-engine.ts` behind a port to the session thread and one to the agent. */

import { type MessagePort, parentPort, workerData } from 'node:worker_threads'
import { assert } from '../../base/assert.ts'
import { systemClock, type Timer } from '../../base/clock.ts'
import { PACE_WORDS, Pace, type RouteSettings, type ToRoutes } from './messages.ts'
import { RouteEngine } from './route-engine.ts'
import type { Answer, Question } from './speaker.ts'
import { warmUp } from './warm-up.ts'

export interface RouteThreadSetup {
  readonly settings: RouteSettings
  readonly sessions: MessagePort
  readonly pace: SharedArrayBuffer
}

const agent = parentPort
assert(agent !== null, 'this file is a thread')
const { settings, sessions, pace } = workerData as RouteThreadSetup
const words = new Int32Array(pace)
warmUp(settings)
const engine = new RouteEngine({
  settings,
  clock: systemClock,
  send: (message) => sessions.postMessage(message),
  pace: (slot) => ({
    received: Atomics.load(words, slot * PACE_WORDS + Pace.received),
    waiting: Atomics.load(words, slot * PACE_WORDS + Pace.waiting),
  }),
})

/** How often it is looked whether a peer that keeps others waiting still does. */
const BLOCKED_ms = 50

let isStepping = false
let later: Timer | undefined
function step(): void {
  isStepping = engine.step()
  later?.cancel()
  later = undefined
  // Behind whatever has come meanwhile: who asks is answered between two steps.
  if (isStepping) setImmediate(step)
  else if (engine.isBlocked) later = systemClock.after(BLOCKED_ms, step)
}

function awake(): void {
  if (isStepping) return
  isStepping = true
  setImmediate(step)
}

sessions.on('message', (message: ToRoutes) => {
  engine.take(message)
  awake()
})
agent.on('message', ({ id, policies }: Question) => {
  const answer = policies ? engine.reloadPolicies(policies) : engine.counts()
  agent.postMessage({ kind: 'answer', id, answer } satisfies Answer)
  if (policies) awake()
})
agent.postMessage({ kind: 'ready' })
