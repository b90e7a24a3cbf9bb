/**
 * One connection's state machine: what the functions of states.ts act on. It holds the connection, the timers of
 * RFC 4271 section 8.1.3 and what was negotiated, and knows how each action is made. A session has one for the
 * connections that it opens, which lasts as long as the session, and one for a connection of the peer's, which ends
 * with it.
 */

import type { Clock } from '../../../base/clock.ts'
import type { Random } from '../../../base/random.ts'
import { KEEPALIVE, MESSAGE } from '../../../wire/bgp/message.ts'
import {
  CEASE,
  decodeNotification,
  encodeNotification,
  FSM_ERROR,
  HOLD_TIMER_EXPIRED,
  hardReset,
  isNotification,
  type Notification,
  notification,
  OPEN_ERROR,
  SEND_HOLD_TIMER_EXPIRED,
} from '../../../wire/bgp/notification.ts'
import { decodeOpen, encodeOpen } from '../../../wire/bgp/open.ts'
import type { Connection, ConnectionHandler, Connector, Message } from './connection.ts'
import type { SessionCounters } from './counters.ts'
import {
  type Down,
  downByCollision,
  downByConnection,
  downByError,
  downByHoldTime,
  downByOrder,
  downByPeer,
  downByRestart,
  downBySendHoldTime,
} from './down.ts'
import type { EventType, MachineEvent } from './event.ts'
import { type Negotiated, negotiate, openOf } from './negotiate.ts'
import { backOff, type SessionOptions } from './session-options.ts'
import { jittered, SessionTimer } from './session-timer.ts'
import { nextState, type State } from './states.ts'

/** Of a connection whose peer may have another one: it stays, it ends, or the other one is waited for. */
export type Verdict = 'stay' | 'give-way' | 'wait'

/** What a machine needs of its session. */
export interface MachineOwner {
  readonly options: SessionOptions
  readonly counters: SessionCounters
  readonly connector: Connector
  readonly clock: Clock
  readonly random: Random
  changed(machine: Machine, from: State, to: State): void
  /** RFC 4271 section 6.8, now that this machine's OPEN is good. Who has waited once is not told to wait again. */
  judge(machine: Machine, negotiated: Negotiated, hasWaited: boolean): Verdict
  update(message: Message): void
  refresh(message: Message): void
}

/** RFC 4271 section 8.2.2 suggests four minutes for a peer to answer our OPEN. */
const OPEN_HOLD_MS = 240_000
/** How long an OPEN may wait for one on the peer's other connection: a few round trips around the world. */
const WAIT_MS = 2000
/** RFC 9687 section 4. */
const SEND_HOLD_MIN_MS = 480_000

/** RFC 6608: the subcode by the state, and the message's type as data. */
const UNEXPECTED_IN: Partial<Record<State, number>> = {
  openSent: FSM_ERROR.openSent,
  openConfirm: FSM_ERROR.openConfirm,
  established: FSM_ERROR.established,
}
const MESSAGE_OF: Partial<Record<EventType, number>> = {
  open: MESSAGE.open,
  update: MESSAGE.update,
  keepalive: MESSAGE.keepalive,
  'route-refresh': MESSAGE.routeRefresh,
}

export class Machine implements ConnectionHandler {
  /** Why the last connection ended. */
  down: Down | undefined
  /** Whether that makes the next start wait longer (RFC 4271: it increments the ConnectRetryCounter). */
  counts = false
  negotiated: Negotiated | undefined
  /** The connection is there; while it is only asked for, false. */
  isOpen = false
  readonly direction: 'outgoing' | 'incoming'
  readonly #owner: MachineOwner
  readonly #connectRetry: SessionTimer
  readonly #delayOpen: SessionTimer
  readonly #hold: SessionTimer
  readonly #keepalive: SessionTimer
  readonly #sendHold: SessionTimer
  /** While the peer's other connection is waited for: see `judge`. */
  readonly #wait: SessionTimer
  readonly #timers: readonly SessionTimer[]
  readonly #events: MachineEvent[] = []
  #state: State
  #connection: Connection | undefined
  #handling = false
  #hold_ms = OPEN_HOLD_MS
  #tries = 0
  #undecided: Negotiated | undefined
  #hasWaited = false
  #heardEarly = false

  /** The machine of a connection that the peer has opened begins where one of ours would that waits for it. */
  constructor(owner: MachineOwner, direction: 'outgoing' | 'incoming') {
    const timer = (expired: () => void): SessionTimer => new SessionTimer(owner.clock, expired)
    this.#owner = owner
    this.direction = direction
    this.#state = direction === 'outgoing' ? 'idle' : 'active'
    this.#connectRetry = timer(() => this.handle({ type: 'connect-retry-expired' }))
    this.#delayOpen = timer(() => this.handle({ type: 'delay-open-expired' }))
    this.#hold = timer(() => this.#fellSilent())
    this.#keepalive = timer(() => this.handle({ type: 'keepalive-expired' }))
    this.#sendHold = timer(() => this.handle({ type: 'send-hold-expired' }))
    this.#wait = timer(() => this.settle())
    this.#timers = [this.#connectRetry, this.#delayOpen, this.#hold, this.#keepalive, this.#sendHold, this.#wait]
  }

  get state(): State {
    return this.#state
  }

  get connection(): Connection | undefined {
    return this.#connection
  }

  get isPassive(): boolean {
    return this.#owner.options.passive
  }

  /** Takes over a connection that the peer has opened. */
  take(connection: Connection): void {
    this.#connection = connection
    connection.start(this)
    this.opened()
  }

  /** Meets an event. One that an action of the machine sets off waits until the action is done. */
  handle(event: MachineEvent): void {
    this.#events.push(event)
    if (this.#handling) return
    this.#handling = true
    try {
      for (let next = this.#events.shift(); next; next = this.#events.shift()) this.#step(next)
    } finally {
      this.#handling = false
    }
  }

  #step(event: MachineEvent): void {
    const from = this.#state
    this.#state = nextState(this, event)
    if (this.#state !== from) this.#owner.changed(this, from, this.#state)
  }

  // ---- what the connection says

  opened(): void {
    this.isOpen = true
    this.handle({ type: 'connected' })
  }

  failed(why: string): void {
    this.handle({ type: 'connection-failed', why })
  }

  fault(notification: Notification): void {
    this.handle({ type: 'error', notification })
  }

  message(message: Message): void {
    this.#owner.counters.messagesIn[message.type]!++
    switch (message.type) {
      case MESSAGE.update:
      case MESSAGE.routeRefresh:
        this.#routes(message)
        break
      case MESSAGE.keepalive:
        this.handle({ type: 'keepalive' })
        break
      case MESSAGE.open:
        this.handle(this.#openEvent(message))
        break
      default:
        this.handle({ type: 'notification', notification: decodeNotification(message.body()) })
    }
  }

  wrote(waiting_bytes: number): void {
    this.#sendHold.restart(waiting_bytes > 0 ? this.#sendHold_ms() : 0)
  }

  /** UPDATE and ROUTE-REFRESH. Some hundred thousand a second: in Established nothing is made for one of them. */
  #routes(message: Message): void {
    const isUpdate = message.type === MESSAGE.update
    if (this.#state !== 'established') {
      this.handle({ type: isUpdate ? 'update' : 'route-refresh' })
      return
    }
    this.heard()
    if (isUpdate) this.#owner.update(message)
    else this.#owner.refresh(message)
  }

  #openEvent(message: Message): MachineEvent {
    const open = decodeOpen(message.body())
    const result = isNotification(open) ? open : negotiate(this.#owner.options.offer, open)
    return isNotification(result) ? { type: 'error', notification: result } : { type: 'open', negotiated: result }
  }

  // ---- what the states do

  /** Begins to connect, anew if need be. The retry timer is also how long that may take. */
  connect(): State {
    const { connector, counters } = this.#owner
    this.#release()
    counters.connectsOut++
    this.#waitForRetry()
    this.#connection = connector.open()
    this.#connection.start(this)
    return 'connect'
  }

  /** The connection did not come about, or was lost before the peer had said anything. */
  retry(why: string): State {
    if (this.direction === 'incoming') return this.end(downByConnection(why), undefined, { counts: false })
    // The wait that is left of a connection that failed at once; a new one after one that had come about.
    const waits = this.#connectRetry.left_ms
    this.#release()
    this.down = downByConnection(why)
    if (waits > 0) this.#connectRetry.restart(waits)
    else if (!this.isPassive) this.#waitForRetry()
    return 'active'
  }

  /** True when our OPEN is to wait for the peer's a little. */
  delaysOpen(): boolean {
    this.#connectRetry.stop()
    this.#delayOpen.restart(this.#owner.options.delayOpen_ms)
    return this.#delayOpen.running
  }

  sendOpen(): State {
    this.#connectRetry.stop()
    this.#delayOpen.stop()
    this.#send(MESSAGE.open, encodeOpen(openOf(this.#owner.options.offer)))
    this.#hold_ms = OPEN_HOLD_MS
    this.#hold.restart(this.#hold_ms)
    return 'openSent'
  }

  /** The peer's OPEN is good: says so, unless the peer's other connection is the one to keep. */
  confirm(negotiated: Negotiated): State {
    const verdict = this.#owner.judge(this, negotiated, this.#hasWaited)
    if (verdict === 'give-way') return this.giveWay(downByCollision)
    if (verdict === 'wait') {
      this.#undecided = negotiated
      this.#hasWaited = true
      this.#wait.restart(WAIT_MS)
      return 'openSent'
    }
    this.negotiated = negotiated
    this.#tries = 0
    this.#connection!.allow(negotiated.receiveBytesMax)
    this.#hold_ms = negotiated.holdTime_s * 1000
    this.#hold.restart(this.#hold_ms)
    this.sendKeepalive()
    return 'openConfirm'
  }

  /** The peer's other connection has come to nothing, or says nothing: goes on with the OPEN that waits, if one does. */
  settle(): void {
    const negotiated = this.#undecided
    if (!negotiated) return
    this.#undecided = undefined
    this.handle({ type: 'open', negotiated })
    if (this.#heardEarly) this.handle({ type: 'keepalive' })
  }

  /** The peer has said OPEN, and hears from us once its other connection is decided on. */
  get isUndecided(): boolean {
    return this.#undecided !== undefined
  }

  /** A KEEPALIVE meanwhile: the peer has not waited. */
  hearEarly(): State {
    this.#heardEarly = true
    return this.#state
  }

  sendKeepalive(): void {
    this.#send(MESSAGE.keepalive, KEEPALIVE)
    this.said()
  }

  /** Something of ours went out: a third of the hold time may pass until the next KEEPALIVE, RFC 4271 section 4.4. */
  said(): void {
    this.#keepalive.restart(jittered(this.#hold_ms / 3, this.#owner.random))
  }

  heard(): void {
    this.#hold.restart(this.#hold_ms)
  }

  /** Takes leave of the peer, with words if there are any, and lets go of all that is held for it. */
  end(down: Down, last?: Notification, { counts = true } = {}): State {
    if (last && this.isOpen) this.#send(MESSAGE.notification, encodeNotification(last))
    this.#release()
    this.down = down
    this.counts = counts
    return 'idle'
  }

  /** `isHard`: a peer that would keep our routes over a NOTIFICATION is told not to (RFC 8538 section 3.1). */
  endByOrder(last: Notification, isHard: boolean): State {
    const keeps = this.negotiated?.gracefulRestart?.notification === true
    this.#tries = 0
    return this.end(downByOrder(last), isHard && keeps ? hardReset(last) : last, { counts: false })
  }

  endByPeer(last: Notification): State {
    // Event 24: a version that the peer does not speak is no reason to wait longer before the next try.
    const isVersion = last.code === OPEN_ERROR.code && last.subcode === OPEN_ERROR.version
    return this.end(downByPeer(last), undefined, { counts: !isVersion })
  }

  endByError(error: Notification): State {
    return this.end(downByError(error), error)
  }

  endByHoldTimer(): State {
    const last = notification(HOLD_TIMER_EXPIRED, 0)
    return this.end(downByHoldTime(this.#hold_ms, last), last)
  }

  endBySendHoldTimer(): State {
    const last = notification(SEND_HOLD_TIMER_EXPIRED, 0)
    return this.end(downBySendHoldTime(this.#sendHold_ms(), last), last)
  }

  giveWay(down: Down): State {
    return this.end(down, notification(CEASE.code, CEASE.collision), { counts: false })
  }

  /** Without a word: nobody listens at the other end any more. */
  endByRestart(): State {
    return this.end(downByRestart, undefined, { counts: false })
  }

  /** RFC 6608: a message that has no place in this state. */
  endByUnexpected(what: EventType): State {
    const type = MESSAGE_OF[what]
    const data = type === undefined ? undefined : Uint8Array.of(type)
    return this.endByError(notification(FSM_ERROR.code, UNEXPECTED_IN[this.#state] ?? FSM_ERROR.unspecific, data))
  }

  // ---- what they are made of

  #send(type: number, message: Uint8Array): void {
    this.#owner.counters.messagesOut[type]!++
    this.#connection!.send(message)
  }

  #waitForRetry(): void {
    const { options, random } = this.#owner
    const wait_ms = backOff(options.connectRetryMin_ms, options.connectRetryMax_ms, this.#tries++)
    this.#connectRetry.restart(jittered(wait_ms, random))
  }

  #sendHold_ms(): number {
    return this.#owner.options.sendHold_ms ?? Math.max(SEND_HOLD_MIN_MS, 2 * this.#hold_ms)
  }

  #fellSilent(): void {
    const isOurs = this.#connection!.drain()
    // What was drained may have ended the connection, or have been a sign of life.
    if (!this.#connection || this.#hold.running) return
    if (isOurs) this.heard()
    else this.handle({ type: 'hold-expired' })
  }

  #release(): void {
    for (const timer of this.#timers) timer.stop()
    this.#connection?.close()
    this.#connection = undefined
    this.isOpen = false
    this.negotiated = undefined
    this.#undecided = undefined
    this.#hasWaited = false
    this.#heardEarly = false
  }
}
