/**
 * The state machine of RFC 4271 section 8.2.2. A state is a function: it meets an event, has the machine do what the
 * RFC says, and returns the state that follows. What the actions are made of is machine.ts's; which of two connections
 * stays is session.ts's.
 *
 *           start             connected, OPEN sent       OPEN received        KEEPALIVE received
 *    Idle ---------> Connect --------------> OpenSent ---------> OpenConfirm ---------> Established
 *      |              |   ^                   ^  |
 *      | passive      v   | retry             |  | connection lost
 *      +----------> Active -------------------+  |
 *                     ^      the peer connects   |
 *                     +--------------------------+
 *
 * Everything else that goes wrong leads back to Idle, from where the session starts again when it has waited.
 *
 * In two points routers in the field, and we, are milder than the RFC's letter. A connection that could not be made
 * leads from Connect to Active, not to Idle: we go on accepting the peer's while we wait for the next try of our own.
 * And a machine is one connection's: while one of ours is being made, one of the peer's has a machine of its own, so
 * that both meet section 6.8 once their OPENs are there, and neither end drops what the other one has chosen.
 */

import { downByConnection } from './down.ts'
import type { MachineEvent } from './event.ts'
import type { Machine } from './machine.ts'

export type State = 'idle' | 'connect' | 'active' | 'openSent' | 'openConfirm' | 'established'

type StateFunction = (machine: Machine, event: MachineEvent) => State

/** Nothing is held for the peer. */
function idle(machine: Machine, event: MachineEvent): State {
  if (event.type !== 'start') return 'idle'
  return machine.isPassive ? 'active' : machine.connect()
}

/** A connection of ours is being made, or is there and our OPEN waits for the peer's. */
function connect(machine: Machine, event: MachineEvent): State {
  switch (event.type) {
    case 'connect-retry-expired':
      return machine.connect()
    case 'connection-failed':
      return machine.retry(event.why)
    default:
      return beforeOpen('connect', machine, event)
  }
}

/** The peer is to connect; we try again when the retry timer says so. */
function active(machine: Machine, event: MachineEvent): State {
  switch (event.type) {
    case 'connect-retry-expired':
      return machine.connect()
    case 'connection-failed':
      return machine.retry(event.why)
    default:
      return beforeOpen('active', machine, event)
  }
}

/** What Connect and Active have in common: from the connection to our OPEN, which the delay open timer may hold back. */
function beforeOpen(state: State, machine: Machine, event: MachineEvent): State {
  switch (event.type) {
    case 'connected':
      return machine.delaysOpen() ? state : machine.sendOpen()
    case 'delay-open-expired':
      return machine.sendOpen()
    case 'open': // Event 20: the peer was quicker than the timer.
      machine.sendOpen()
      return machine.confirm(event.negotiated)
    default:
      return inAnyState(machine, event)
  }
}

/** Our OPEN is out. When the peer's is there too, it may still have to wait for one on another connection. */
function openSent(machine: Machine, event: MachineEvent): State {
  switch (event.type) {
    case 'open':
      return machine.isUndecided ? inAnyState(machine, event) : machine.confirm(event.negotiated)
    case 'keepalive':
      return machine.isUndecided ? machine.hearEarly() : inAnyState(machine, event)
    case 'connection-failed':
      return machine.retry(event.why)
    default:
      return inAnyState(machine, event)
  }
}

/** Both OPENs are good; the peer's KEEPALIVE says that it thinks so too. */
function openConfirm(machine: Machine, event: MachineEvent): State {
  switch (event.type) {
    case 'keepalive':
      machine.heard()
      return 'established'
    case 'keepalive-expired':
      machine.sendKeepalive()
      return 'openConfirm'
    default:
      return inAnyState(machine, event)
  }
}

function established(machine: Machine, event: MachineEvent): State {
  switch (event.type) {
    case 'keepalive':
    case 'update':
    case 'route-refresh':
      machine.heard()
      return 'established'
    case 'keepalive-expired':
      machine.sendKeepalive()
      return 'established'
    default:
      return inAnyState(machine, event)
  }
}

/** What ends a connection in every state that has one; and what a state did not expect ends it too, section 6.6. */
function inAnyState(machine: Machine, event: MachineEvent): State {
  switch (event.type) {
    case 'start': // Events 1 and 3 to 7 are ignored outside of Idle.
      return machine.state
    case 'stop':
      return machine.endByOrder(event.notification, event.isHard)
    case 'hold-expired':
      return machine.endByHoldTimer()
    case 'send-hold-expired':
      return machine.endBySendHoldTimer()
    case 'connection-failed':
      return machine.end(downByConnection(event.why))
    case 'notification':
      return machine.endByPeer(event.notification)
    case 'error':
      return machine.endByError(event.notification)
    case 'give-way':
      return machine.giveWay(event.down)
    case 'peer-restarted':
      return machine.endByRestart()
    default:
      return machine.endByUnexpected(event.type)
  }
}

const STATES: Readonly<Record<State, StateFunction>> = { idle, connect, active, openSent, openConfirm, established }

export function nextState(machine: Machine, event: MachineEvent): State {
  return STATES[machine.state](machine, event)
}

const ORDER = Object.keys(STATES) as State[]

/** The state that is further on, in the order of RFC 4273's bgpPeerState: idle(1) to established(6). */
export function furtherOf(one: State, other: State): State {
  return ORDER.indexOf(one) > ORDER.indexOf(other) ? one : other
}
