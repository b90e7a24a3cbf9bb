/** The thread of the routes: `route-engine.ts` behind a port to the session thread and one to the agent. */

import { type MessagePort, parentPort, workerData } from 'node:worker_threads'
import { assert } from '../../base/assert.ts'
import { systemClock, type Timer } from '../../base/clock.ts'
import { stopWatching } from '../../linux/poll.ts'
import { NextHopWatch } from '../next-hop-watch.ts'
import { PACE_WORDS, Pace, type RouteSettings, type ToRoutes } from './messages.ts'
import { RouteEngine } from './route-engine.ts'
import type { Answer, Published, Question } from './speaker.ts'
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
/** Batches for the control module that the agent has not passed on yet, and how many of them may be. */
let unpublished = 0
const UNPUBLISHED_MAX = 4
const publish = {
  room: () => unpublished < UNPUBLISHED_MAX,
  now_s: () => Math.floor(systemClock.wall_ms() / 1000),
  send(batch: Uint8Array): void {
    unpublished++
    agent!.postMessage({ kind: 'routes', batch })
  },
}
// The kernel's answer is there at once, and news of it come when they do.
const nextHops = settings.nextHopTracking
  ? new NextHopWatch(systemClock, (address, reach) => {
      engine.nextHopChanged(address, reach)
      awake()
    })
  : undefined
const engine: RouteEngine = new RouteEngine({
  settings,
  clock: systemClock,
  send: (message) => sessions.postMessage(message),
  ...(settings.origin !== '' && { publish }),
  ...(nextHops && { askNextHop: (address) => nextHops.watch(address) }),
  wake: awake,
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

function answerTo({ what, policies, tenants, batch }: Question): unknown {
  if (what === 'close') return stopWatching()
  if (what === 'policies') {
    engine.setTenants(tenants!)
    return engine.reloadPolicies(policies!)
  }
  if (what === 'originate') return engine.originate(batch!)
  if (what === 'replay') return engine.replay()
  return engine.counts()
}

agent.on('message', (message: Question | Published) => {
  if (message.what === 'published') unpublished--
  else agent.postMessage({ kind: 'answer', id: message.id, answer: answerTo(message) } satisfies Answer)
  if (message.what !== 'show') awake()
})
agent.postMessage({ kind: 'ready' })
