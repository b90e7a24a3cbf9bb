/**
 * A session with one peer, over whichever connection comes about: ours, the peer's, or for a moment both. Each has a
 * state machine of its own (machine.ts); the session starts them, decides which of two stays (RFC 4271 section 6.8),
 * waits between failures, counts, and tells what happens as if there were only one.
 *
 * It knows no sockets: connections come from a Connector and by `accept`; time and randomness are handed in.
 */

import type { Clock } from '../../../base/clock.ts'
import type { Random } from '../../../base/random.ts'
import { BGP_HEADER_BYTES } from '../../../wire/bgp/message.ts'
import { CEASE, encodeNotification, type Notification, notification } from '../../../wire/bgp/notification.ts'
import type { Connection, Connector, Message } from './connection.ts'
import { SessionCounters } from './counters.ts'
import { type Down, downByCollision } from './down.ts'
import type { MachineEvent } from './event.ts'
import { Machine, type MachineOwner, type Verdict } from './machine.ts'
import type { Negotiated } from './negotiate.ts'
import { backOff, type SessionOptions } from './session-options.ts'
import { jittered, SessionTimer } from './session-timer.ts'
import { furtherOf, type State } from './states.ts'

export interface SessionEvents {
  /** `reason` when a connection came to its end, or to nothing. */
  stateChanged(from: State, to: State, reason: Down | undefined): void
  /** Routes may be exchanged now. */
  established(negotiated: Negotiated): void
  /** A whole UPDATE or ROUTE-REFRESH, valid during the call. */
  update(message: Message): void
  refresh(message: Message): void
  /** After it was established. What becomes of the routes is for who holds them to decide, by the reason. */
  down(reason: Down): void
}

export interface SessionParts {
  readonly options: SessionOptions
  readonly connector: Connector
  readonly events: SessionEvents
  readonly clock: Clock
  readonly random: Random
}

/** A session that was up for so long has not failed to come up: the waits begin anew. */
const STABLE_US = 60e6
/**
 * In a session's first seconds a second connection is one that both ends were opening at the same time. Later it is a
 * peer that has restarted.
 */
export const COLLISION_US = 5e6

const giveWay: MachineEvent = { type: 'give-way', down: downByCollision }

export class BgpSession implements MachineOwner {
  readonly counters = new SessionCounters()
  /** A change takes effect with the next connection. */
  options: SessionOptions
  readonly connector: Connector
  readonly clock: Clock
  readonly random: Random
  readonly #events: SessionEvents
  readonly #idleHold: SessionTimer
  readonly #ours: Machine
  #theirs: Machine | undefined
  /** One of the peer's that came during the idle hold time, unread. */
  #waiting: Connection | undefined
  #isStarted = false
  #state: State = 'idle'
  #established_us = 0
  #failures = 0

  constructor({ options, connector, events, clock, random }: SessionParts) {
    this.options = options
    this.connector = connector
    this.clock = clock
    this.random = random
    this.#events = events
    this.#idleHold = new SessionTimer(clock, () => this.start())
    this.#ours = new Machine(this, 'outgoing')
  }

  /** The state of whichever machine has come further. */
  get state(): State {
    return this.#state
  }

  /** While it is established. */
  get negotiated(): Negotiated | undefined {
    return this.#established()?.negotiated
  }

  /** While it is established: where UPDATEs go. Who writes to it says so with `sent`. */
  get connection(): Connection | undefined {
    return this.#established()?.connection
  }

  /** How long it has been established; 0 when it is not. */
  get uptime_us(): number {
    return this.#state === 'established' ? this.clock.now_us() - this.#established_us : 0
  }

  /** Begins to connect, and to accept. */
  start(): void {
    this.#isStarted = true
    this.#idleHold.stop()
    if (!this.#isAlive()) this.#ours.handle({ type: 'start' })
    const waiting = this.#waiting
    this.#waiting = undefined
    if (waiting) this.accept(waiting)
  }

  /**
   * Ends the session and takes no connection until it is started again, by itself after a time if one is given. The
   * peer is told why: a Cease, with words for its operator if need be.
   */
  stop(last: Notification, { startAfter_ms = 0 } = {}): void {
    this.#isStarted = false
    this.#end(last, true)
    this.#idleHold.restart(startAfter_ms)
  }

  /** Ends it and begins again at once. A peer that can keeps our routes meanwhile. */
  reset(last: Notification): void {
    if (!this.#isStarted) return
    this.#end(last, false)
    this.start()
  }

  /** The peer has sent what cannot be, as is found out after the message has gone by (RFC 4271 section 8.1.5, event 28). */
  fail(error: Notification): void {
    this.#established()?.handle({ type: 'error', notification: error })
  }

  /**
   * One of the peer's connections. What cannot be taken now is refused with a Cease; in the idle hold time it waits,
   * for a peer that is told no comes back after minutes.
   */
  accept(connection: Connection): void {
    const held = this.#established()
    if (!this.#isStarted) this.#refuse(connection, CEASE.rejected)
    else if (this.#idleHold.running && !this.#isAlive()) this.#keepWaiting(connection)
    else if (this.#isConfirming() || (held && !this.#mayReplace(held))) this.#refuse(connection, CEASE.collision)
    else {
      // Of two connections of the peer's the newer is the one that it knows of: nobody opens a second one to keep both.
      this.#theirs?.handle(held === this.#theirs ? { type: 'peer-restarted' } : giveWay)
      this.#idleHold.stop()
      this.counters.connectsIn++
      this.#theirs = new Machine(this, 'incoming')
      this.#theirs.take(connection)
    }
  }

  /** A whole message of ours; nothing while the session is not established. */
  send(message: Uint8Array): void {
    const { connection } = this
    if (!connection) return
    connection.send(message)
    this.sent(message[BGP_HEADER_BYTES - 1]!, 1)
  }

  /** So many messages of the type were written to the connection. */
  sent(type: number, count: number): void {
    this.counters.messagesOut[type]! += count
    this.#established()?.said()
  }

  // ---- what the machines ask and tell

  changed(machine: Machine, from: State, to: State): void {
    if (to === 'established') {
      this.counters.established++
      this.#established_us = this.clock.now_us()
    }
    if (to === 'idle' && machine === this.#theirs) this.#theirs = undefined
    if (from !== 'idle' && (to === 'idle' || to === 'active')) this.#endOf(machine, from, to)
    else this.#tell(undefined)
    if (to === 'established') this.#events.established(machine.negotiated!)
  }

  // Section 6.8 has it decided by an OPEN that finds the other connection in OpenConfirm. But a KEEPALIVE may come first
  // and establish the one that the peer is about to drop. So an OPEN on that one waits for the other's. And a connection
  // on which we have said nothing yet can always be dropped: the peer has not chosen it.
  judge(machine: Machine, negotiated: Negotiated, hasWaited: boolean): Verdict {
    const other = machine === this.#ours ? this.#theirs : this.#ours
    const stays = isHigher(this.options.offer, negotiated) === (machine === this.#ours)
    switch (other?.state) {
      case undefined:
      case 'idle':
        return 'stay'
      case 'connect':
      case 'active':
        other!.handle(giveWay)
        return 'stay'
      case 'openSent':
        if (stays && other!.isUndecided) other!.handle(giveWay)
        return stays || hasWaited ? 'stay' : 'wait'
      case 'openConfirm':
        if (stays) other!.handle(giveWay)
        return stays ? 'stay' : 'give-way'
      default:
        if (!this.#mayReplace(other!)) return 'give-way'
        other!.handle({ type: 'peer-restarted' })
        return 'stay'
    }
  }

  update(message: Message): void {
    this.#events.update(message)
  }

  refresh(message: Message): void {
    this.#events.refresh(message)
  }

  // ---- the ends of connections, and what comes after

  #endOf(machine: Machine, from: State, to: State): void {
    const reason = machine.down!
    const other = machine === this.#ours ? this.#theirs : this.#ours
    // Of two connections one was to end: that is no failure of the session.
    const isSpare = other?.isOpen === true
    if (from === 'established' || !isSpare) this.counters.lastDown = reason
    if (to === 'idle' && machine.counts && !isSpare) this.#failures++
    // One of the peer's has failed: ours, which has not come about, rests as well. A session for one connection is over.
    if (machine !== this.#ours && (machine.counts || this.options.once) && !isSpare)
      this.#ours.handle({ type: 'give-way', down: reason })
    if (from === 'established') {
      this.counters.flaps++
      if (this.clock.now_us() - this.#established_us >= STABLE_US) this.#failures = 0
    }
    if (to === 'idle' && this.#isStarted && !this.options.once && !this.#isAlive()) this.#hold()
    this.#tell(reason)
    if (from === 'established') this.#events.down(reason)
    other?.settle()
  }

  #hold(): void {
    const { idleHoldMin_ms, idleHoldMax_ms } = this.options
    const wait_ms = backOff(idleHoldMin_ms, idleHoldMax_ms, Math.max(0, this.#failures - 1))
    this.#idleHold.restart(jittered(wait_ms, this.random))
  }

  #end(last: Notification, isHard: boolean): void {
    this.#idleHold.stop()
    this.#failures = 0
    if (this.#waiting) this.#refuse(this.#waiting, CEASE.rejected)
    this.#waiting = undefined
    for (const machine of [this.#ours, this.#theirs]) machine?.handle({ type: 'stop', notification: last, isHard })
  }

  #tell(reason: Down | undefined): void {
    const from = this.#state
    this.#state = furtherOf(this.#ours.state, this.#theirs?.state ?? 'idle')
    if (from !== this.#state) this.#events.stateChanged(from, this.#state, reason)
  }

  #isConfirming(): boolean {
    return this.#ours.state === 'openConfirm' || this.#theirs?.state === 'openConfirm'
  }

  #isAlive(): boolean {
    return this.#ours.state !== 'idle' || this.#theirs !== undefined
  }

  #established(): Machine | undefined {
    if (this.#ours.state === 'established') return this.#ours
    return this.#theirs?.state === 'established' ? this.#theirs : undefined
  }

  /** RFC 4724 section 5: a peer that said it could restart, and connects anew, has restarted. */
  #mayReplace(machine: Machine): boolean {
    const isOld = this.clock.now_us() - this.#established_us >= COLLISION_US
    return isOld && machine.negotiated?.gracefulRestart !== undefined
  }

  #refuse(connection: Connection, subcode: number): void {
    this.counters.connectsRefused++
    connection.send(encodeNotification(notification(CEASE.code, subcode)))
    connection.close()
  }

  #keepWaiting(connection: Connection): void {
    this.#waiting?.close()
    this.#waiting = connection
  }
}

/** RFC 4271 section 6.8, and RFC 6286 section 2.3 for equal identifiers: our connection stays if we are the higher. */
function isHigher(we: { localId: number; localAs: number }, they: { remoteId: number; remoteAs: number }): boolean {
  return we.localId === they.remoteId ? we.localAs > they.remoteAs : we.localId > they.remoteId
}
