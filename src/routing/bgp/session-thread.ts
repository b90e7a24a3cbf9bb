/** The thread of the sessions: `session-host.ts` behind a port to the route thread and one to the agent. */

import { type MessagePort, parentPort, workerData } from 'node:worker_threads'
import { assert } from '../../base/assert.ts'
import { systemClock } from '../../base/clock.ts'
import { freshSeed, Random } from '../../base/random.ts'
import type { Routing } from '../../config/routing.ts'
import type { FromRoutes } from './messages.ts'
import { SessionHost } from './session-host.ts'
import type { Answer, Question } from './speaker.ts'

export interface SessionThreadSetup {
  readonly routing: Routing
  readonly routes: MessagePort
  readonly pace: SharedArrayBuffer
}

const agent = parentPort
assert(agent !== null, 'this file is a thread')
const { routing, routes, pace } = workerData as SessionThreadSetup
const host = new SessionHost({
  routing,
  clock: systemClock,
  random: new Random(freshSeed()),
  toRoutes: (message) => routes.postMessage(message),
  event: (event) => agent.postMessage({ kind: 'event', event }),
  pace: new Int32Array(pace),
})
routes.on('message', (message: FromRoutes) => host.take(message))
agent.on('message', ({ id, what }: Question) => {
  if (what === 'close') host.close()
  agent.postMessage({ kind: 'answer', id, answer: host.show() } satisfies Answer)
})
host.start()
agent.postMessage({ kind: 'ready' })
