/** The thread of the sessions: `session-host.ts` behind a port to the route thread and one to the agent. */

import { type MessagePort, parentPort, workerData } from 'node:worker_threads'
import { assert } from '../../base/assert.ts'
import { systemClock } from '../../base/clock.ts'
import { freshSeed, Random } from '../../base/random.ts'
import { BfdService } from '../../bfd/service.ts'
import type { Routing } from '../../config/routing.ts'
import { stopWatching } from '../../linux/poll.ts'
import { setScheduling } from '../../linux/thread.ts'
import type { HistoryEnd } from '../history/history.ts'
import { HistoryTap } from '../history/tap.ts'
import { NeighbourBfd } from '../liveness/neighbour-bfd.ts'
import type { RelayEnd } from '../relay/relayed-peers.ts'
import type { FromRoutes } from './messages.ts'
import { SessionHost } from './session-host.ts'
import type { Answer, Question } from './speaker.ts'

export interface SessionThreadSetup {
  readonly routing: Routing
  readonly routes: MessagePort
  readonly pace: SharedArrayBuffer
  /** By which tenants' neighbours are reached. */
  readonly relay?: RelayEnd | undefined
  /** Where what comes is recorded too. */
  readonly history?: HistoryEnd | undefined
}

const agent = parentPort
assert(agent !== null, 'this file is a thread')
const { routing, routes, pace, relay, history } = workerData as SessionThreadSetup
const tap =
  history &&
  new HistoryTap({
    tell: (message) => history.port.postMessage(message),
    taken: new Int32Array(history.taken),
    clock: systemClock,
  })
// Its news come here at once, for they end sessions.
const bfd = new NeighbourBfd({
  bfd: (news) => new BfdService({ enabled: true, neighbours: true, news, onDeath: died }),
  failed: (remote) => host.pathFailed(remote),
  told: (news) => agent.postMessage({ kind: 'watched', news }),
})
const host: SessionHost = new SessionHost({
  routing,
  clock: systemClock,
  random: new Random(freshSeed()),
  toRoutes(message) {
    routes.postMessage(message)
    tap?.routes(message)
  },
  history: tap,
  event(event) {
    // Ten thousand sessions that come up pass through a hundred thousand states on the way, which are the history's alone.
    if (event.to === 'established' || event.from === 'established') agent.postMessage({ kind: 'event', event })
    tap?.event(event)
  },
  strangers: (news) => agent.postMessage({ kind: 'strangers', news }),
  warn: (warning) => agent.postMessage({ kind: 'near-maximum', warning }),
  pace: new Int32Array(pace),
  relay,
  bfd,
})
routes.on('message', (message: FromRoutes) => host.take(message))
agent.on('message', async ({ id, what, members, site }: Question) => {
  let answer: unknown
  if (what === 'close') {
    host.close()
    tap?.close()
    // Peers hear that BFD ends on purpose, and do not take us for dead.
    await bfd.close()
    stopWatching()
  } else if (what === 'members') host.setMembers(members!)
  else if (what === 'site') answer = host.reload(site!.routing, site!.relay)
  else answer = host.show()
  agent.postMessage({ kind: 'answer', id, answer } satisfies Answer)
})

/** Neighbours would take us for dead: as with every other thread, the process is over. */
function died(error: Error): void {
  throw error
}

// Hold times of thousands of tenants' sessions: what others do with the cores, tables being loaded among it, costs none.
if (relay) setScheduling('round-robin')
host.start()
agent.postMessage({ kind: 'ready' })
