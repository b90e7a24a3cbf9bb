import { deepEqual } from 'node:assert/strict'
import { test } from 'node:test'
import { CEASE, notification } from '../../wire/bgp/notification.ts'
import { downByConnection, downByOrder } from './session/down.ts'
import type { Negotiated } from './session/negotiate.ts'
import { keptAfter } from './session-end.ts'

const gracefulRestart = { restartTime_s: 120, restarting: false, notification: true, families: 1, forwarding: 1 }
const negotiated = { families: 1, gracefulRestart } as Negotiated

test('a path that BFD found broken keeps no routes, where a connection that broke does', () => {
  deepEqual(keptAfter(downByConnection('the peer closed the connection'), negotiated), { keep: 1, keep_s: 120 })
  deepEqual(keptAfter(downByOrder(notification(CEASE.code, CEASE.reset)), negotiated), { keep: 1, keep_s: 120 })
  deepEqual(keptAfter(downByOrder(notification(CEASE.code, CEASE.bfdDown)), negotiated), {})
})
