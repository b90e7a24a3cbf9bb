/**
 * One BFD session in asynchronous mode: the state machine of RFC 5880 section 6.8, with its two timers, and the echo
 * function where it is wanted and the peer allows it. It knows no sockets: packets come in by `receive` and go out by
 * `events.send`, time and randomness are handed in, so two of them talk to each other in a test. Demand mode is never
 * asked for; a peer that asks for it is obeyed.
 *
 *                                  +--+
 *                                  |  | UP, ADMIN DOWN, TIMER
 *                                  |  V
 *                          DOWN  +------+  INIT
 *                   +------------|      |------------+
 *                   |            | DOWN |            |
 *                   |  +-------->|      |<--------+  |
 *                   |  |         +------+         |  |
 *                   |  |                          |  |
 *                   |  |               ADMIN DOWN,|  |
 *                   |  |ADMIN DOWN,          DOWN,|  |
 *                   |  |TIMER                TIMER|  |
 *                   V  |                          |  V
 *                 +------+                      +------+
 *            +----|      |                      |      |----+
 *        DOWN|    | INIT |--------------------->|  UP  |    |INIT, UP
 *            +--->|      | INIT, UP             |      |<---+
 *                 +------+                      +------+
 */

import { assert } from '../base/assert.ts'
import type { Clock, Timer } from '../base/clock.ts'
import type { Random } from '../base/random.ts'
import { BFD_DIAGNOSTIC, BFD_FLAG, BFD_STATE, bfd, bfdState } from '../wire/bfd.ts'
import { type Authentication, AuthenticationState } from './authentication.ts'
import { EchoFunction } from './echo.ts'

export type BfdStateName = keyof typeof BFD_STATE
export type BfdDiagnosticName = keyof typeof BFD_DIAGNOSTIC

export interface BfdTimers {
  /** How often we would like to send. */
  desiredMinTx_us: number
  /** How often we are able to listen. */
  requiredMinRx_us: number
  /** Our packets that must be lost in a row before the peer gives us up. */
  detectMultiplier: number
}

/** A dead node is noticed within 150 ms; 20 packets a second and session cost an agent nothing. */
export const defaultBfdTimers: BfdTimers = { desiredMinTx_us: 50_000, requiredMinRx_us: 50_000, detectMultiplier: 3 }

export interface BfdSessionOptions extends BfdTimers {
  /** Not 0, and no other session of this system has it. */
  discriminator: number
  /** A passive end does not send before it has heard from its peer. */
  role: 'active' | 'passive'
  /** An end that is not enabled yet says AdminDown, which keeps its peer Down. */
  enabled: boolean
  authentication?: Authentication | undefined
  /** How often we would like to send echo packets; 0 never. */
  desiredEchoTx_us?: number | undefined
  /** How often we are able to send the peer's echo packets back; 0 never. */
  requiredMinEchoRx_us?: number | undefined
}

export interface BfdEvents {
  /** The packet is only valid during the call. */
  send(packet: Uint8Array): void
  /** The same, for the peer's forwarding plane. */
  sendEcho?(packet: Uint8Array): void
  changed(state: BfdStateName, diagnostic: BfdDiagnosticName): void
  /**
   * Asked before a silence is believed: hands over what was received and not yet read. A stall of our own thread is
   * not the peer's death.
   */
  drain(): void
}

/** RFC 5880 section 6.8.3: whoever is not Up sends at most once a second. */
const SLOW_us = 1_000_000

const STATE_NAMES = Object.keys(BFD_STATE) as BfdStateName[]
const DIAGNOSTIC_NAMES = Object.keys(BFD_DIAGNOSTIC) as BfdDiagnosticName[]

export class BfdSession {
  readonly discriminator: number
  readonly #options: BfdSessionOptions
  readonly #events: BfdEvents
  readonly #clock: Clock
  readonly #random: Random
  readonly #authentication: AuthenticationState | undefined
  readonly #echo: EchoFunction | undefined
  readonly #packet: Uint8Array
  readonly #view: DataView

  // RFC 5880 section 6.8.1, with the RFC's initial values.
  #state: number
  #diagnostic: number = BFD_DIAGNOSTIC.none
  #remoteState: number = BFD_STATE.down
  #remoteDiscriminator = 0
  #remoteMinRx_us = 1
  #remoteMinTx_us = 0
  #remoteMinEchoRx_us = 0
  #remoteMultiplier = 0
  #remoteDemand = false
  #polling = false
  /** What the peer was last promised, and what it may still believe: the lower of two only once it has answered a poll. */
  #minRx_us: number
  #believedMinRx_us: number

  /** After a failure of the echo function: control packets that still get through bring nothing up before. */
  #restsUntil_us = Number.NEGATIVE_INFINITY

  #sent_us = Number.NEGATIVE_INFINITY
  #transmitTimer: Timer | undefined
  #transmitAt_us = 0
  /** The peer was heard, and has not fallen silent since. */
  #isListening = false
  #silentAt_us = 0
  #detectionRings_us = 0
  #detectionTimer: Timer | undefined
  #closed = false

  constructor(options: BfdSessionOptions, events: BfdEvents, clock: Clock, random: Random) {
    assert(options.discriminator !== 0 && options.detectMultiplier > 0, 'a discriminator and a multiplier are not 0')
    this.discriminator = options.discriminator
    this.#options = options
    this.#events = events
    this.#clock = clock
    this.#random = random
    this.#authentication = options.authentication && new AuthenticationState(options.authentication, random.u32())
    this.#minRx_us = this.#believedMinRx_us = options.requiredMinRx_us
    if (options.desiredEchoTx_us) this.#echo = this.#makeEcho()
    this.#packet = new Uint8Array(bfd.BYTES + (this.#authentication?.bytes ?? 0))
    this.#view = new DataView(this.#packet.buffer)
    this.#state = options.enabled ? BFD_STATE.down : BFD_STATE.adminDown
    if (!options.enabled) this.#diagnostic = BFD_DIAGNOSTIC.administrativelyDown
    this.#schedule()
  }

  get state(): BfdStateName {
    return STATE_NAMES[this.#state]!
  }

  /** Why the session last left Up. */
  get diagnostic(): BfdDiagnosticName {
    return DIAGNOSTIC_NAMES[this.#diagnostic]!
  }

  /** The silence after which the peer is given up, RFC 5880 section 6.8.4; 0 before it was heard. */
  get detectionTime_us(): number {
    return this.#remoteMultiplier * Math.max(this.#believedMinRx_us, this.#remoteMinTx_us)
  }

  /** The peer ends the session on purpose, which is no failure of the path (RFC 5882 section 3.2). */
  get isPeerDown(): boolean {
    return this.#remoteState === BFD_STATE.adminDown
  }

  /** Of the last echo that came back; undefined while none is sent. */
  get echo_us(): number | undefined {
    return this.#echo?.isActive ? this.#echo.roundTrip_us : undefined
  }

  /** RFC 5880 section 6.8.16. From now on the session may come up. */
  enable(): void {
    if (this.#state === BFD_STATE.adminDown) this.#change(BFD_STATE.down, BFD_DIAGNOSTIC.none)
  }

  /** Tells the peer that the session ends on purpose, which is not a failure of the path. */
  disable(): void {
    this.#change(BFD_STATE.adminDown, BFD_DIAGNOSTIC.administrativelyDown)
  }

  /** How long the peer may take to find out that it hears nothing from us; 0 while there is nobody to find it out. */
  get patience_us(): number {
    return this.#mayTransmit() && this.#isListening ? this.#options.detectMultiplier * this.#interval_us() : 0
  }

  /** Says again what it said last. */
  repeat(): void {
    if (this.#mayTransmit()) this.#emit(0)
  }

  /** Says nothing more. To take leave, `disable` first. */
  close(): void {
    this.#closed = true
    this.#transmitTimer?.cancel()
    this.#detectionTimer?.cancel()
    this.#echo?.set(0)
  }

  /** An echo packet that has come back. False when it is none of ours. */
  receiveEcho(frame: DataView, at: number, end: number): boolean {
    return this.#echo?.receive(frame, at, end) ?? false
  }

  /**
   * A packet for this session that `checkBfd` has passed: RFC 5880 section 6.8.6 from the authentication on. False when
   * it is not authentic.
   */
  receive(frame: DataView, at: number): boolean {
    const now_us = this.#clock.now_us()
    const authenticated = (bfd.stateFlags.get(frame, at) & BFD_FLAG.authentication) !== 0
    if (authenticated !== (this.#authentication !== undefined)) return false
    if (this.#authentication && !this.#authentication.accepts(frame, at, now_us, this.detectionTime_us)) return false
    this.#learn(frame, at, now_us)
    if (this.#state === BFD_STATE.adminDown) return true
    if (now_us >= this.#restsUntil_us) this.#follow(bfdState(frame, at))
    this.#paceEcho()
    if ((bfd.stateFlags.get(frame, at) & BFD_FLAG.poll) !== 0) this.#emit(BFD_FLAG.final)
    return true
  }

  #learn(frame: DataView, at: number, now_us: number): void {
    const flags = bfd.stateFlags.get(frame, at)
    const intervalBefore_us = this.#interval_us()
    const silentBefore = !this.#mayTransmit()
    this.#remoteDiscriminator = bfd.myDiscriminator.get(frame, at)
    this.#remoteState = bfdState(frame, at)
    this.#remoteDemand = (flags & BFD_FLAG.demand) !== 0
    this.#remoteMinRx_us = bfd.requiredMinRx_us.get(frame, at)
    this.#remoteMinTx_us = bfd.desiredMinTx_us.get(frame, at)
    this.#remoteMinEchoRx_us = bfd.requiredMinEchoRx_us.get(frame, at)
    this.#remoteMultiplier = bfd.detectMultiplier.get(frame, at)
    if ((flags & BFD_FLAG.final) !== 0) this.#answered()
    this.#silentAt_us = now_us + this.detectionTime_us
    this.#isListening = true
    this.#watchSilence(now_us)
    if (silentBefore || this.#interval_us() !== intervalBefore_us) this.#schedule()
  }

  #answered(): void {
    this.#polling = false
    this.#believedMinRx_us = this.#minRx_us
  }

  // RFC 5880 section 6.8.6, the part that is drawn at the top.
  #follow(remote: number): void {
    const state = this.#state
    if (remote === BFD_STATE.adminDown) {
      if (state !== BFD_STATE.down) this.#change(BFD_STATE.down, BFD_DIAGNOSTIC.neighbourSignalledDown)
    } else if (state === BFD_STATE.down) {
      if (remote === BFD_STATE.down) this.#change(BFD_STATE.init, this.#diagnostic)
      else if (remote === BFD_STATE.init) this.#change(BFD_STATE.up, BFD_DIAGNOSTIC.none)
    } else if (state === BFD_STATE.init) {
      if (remote !== BFD_STATE.down) this.#change(BFD_STATE.up, BFD_DIAGNOSTIC.none)
    } else if (remote === BFD_STATE.down) this.#change(BFD_STATE.down, BFD_DIAGNOSTIC.neighbourSignalledDown)
  }

  #change(state: number, diagnostic: number): void {
    if (state === this.#state) return
    const wasUp = this.#state === BFD_STATE.up
    this.#state = state
    this.#diagnostic = diagnostic
    if (wasUp) this.#paceEcho()
    // Section 6.8.3: our sending interval changes between slow and wanted, which a Poll Sequence tells the peer.
    if (wasUp || state === BFD_STATE.up) this.#polling = true
    // Section 6.8.7: what differs from the last packet is said at once.
    if (this.#mayTransmit()) this.#emit(0)
    this.#schedule()
    this.#events.changed(this.state, this.diagnostic)
  }

  // ---- the echo function, RFC 5880 section 6.8.9

  #makeEcho(): EchoFunction {
    const { discriminator, detectMultiplier } = this.#options
    const events = {
      send: (packet: Uint8Array) => this.#events.sendEcho?.(packet),
      failed: () => this.#echoFailed(),
      drain: () => this.#events.drain(),
    }
    return new EchoFunction({ discriminator, detectMultiplier, events, clock: this.#clock })
  }

  #echoFailed(): void {
    this.#restsUntil_us = this.#clock.now_us() + SLOW_us
    this.#change(BFD_STATE.down, BFD_DIAGNOSTIC.echoFailed)
  }

  /**
   * Echo packets go while the session is up and the peer sends them back, no more of them than it likes. They tell of a
   * failure then, and control packets need not: the peer is told that once a second is enough (section 6.4).
   */
  #paceEcho(): void {
    if (!this.#echo) return
    const may = this.#state === BFD_STATE.up && this.#remoteMinEchoRx_us > 0 && !this.#closed
    this.#echo.set(may ? Math.max(this.#options.desiredEchoTx_us!, this.#remoteMinEchoRx_us) : 0)
    const { requiredMinRx_us } = this.#options
    const minRx_us = may ? Math.max(requiredMinRx_us, SLOW_us) : requiredMinRx_us
    if (minRx_us === this.#minRx_us) return
    this.#minRx_us = minRx_us
    // Section 6.8.3: a peer that may send more often now does so once it has heard of it.
    this.#believedMinRx_us = Math.max(minRx_us, this.#believedMinRx_us)
    this.#polling = true
  }

  // ---- sending, RFC 5880 section 6.8.7

  #desiredMinTx_us(): number {
    const wanted_us = this.#options.desiredMinTx_us
    return this.#state === BFD_STATE.up ? wanted_us : Math.max(wanted_us, SLOW_us)
  }

  #interval_us(): number {
    return Math.max(this.#desiredMinTx_us(), this.#remoteMinRx_us)
  }

  #mayTransmit(): boolean {
    if (this.#closed || this.#remoteMinRx_us === 0) return false
    if (this.#options.role === 'passive' && this.#remoteDiscriminator === 0) return false
    const demanded = this.#remoteDemand && this.#state === BFD_STATE.up && this.#remoteState === BFD_STATE.up
    return !demanded || this.#polling
  }

  /** Sets the time of the next periodic packet anew, counted from the last one. */
  #schedule(): void {
    this.#transmitTimer?.cancel()
    this.#transmitTimer = undefined
    const now_us = this.#clock.now_us()
    if (this.#mayTransmit()) {
      this.#transmitAt_us = Math.max(now_us, this.#sent_us + this.#jittered_us())
      this.#transmitTimer = this.#clock.after((this.#transmitAt_us - now_us) / 1000, () => {
        if (this.#mayTransmit()) this.#emit(0)
        this.#schedule()
      })
    }
    this.#watchSilence(now_us)
  }

  /** Less by 0 to 25%, and with a multiplier of 1 by 10 to 25%, so that systems do not fall into step. */
  #jittered_us(): number {
    const part = this.#random.below(1024) / 1024
    const jitter = this.#options.detectMultiplier === 1 ? 0.1 + 0.15 * part : 0.25 * part
    return this.#interval_us() * (1 - jitter)
  }

  /** `final` answers a poll and goes out of turn. */
  #emit(final: number): void {
    const view = this.#view
    const poll = final === 0 && this.#polling ? BFD_FLAG.poll : 0
    const flags = final | poll | (this.#authentication ? BFD_FLAG.authentication : 0)
    bfd.versionDiagnostic.set(view, 0, (1 << 5) | this.#diagnostic)
    bfd.stateFlags.set(view, 0, (this.#state << 6) | flags)
    bfd.detectMultiplier.set(view, 0, this.#options.detectMultiplier)
    bfd.length.set(view, 0, this.#packet.length)
    bfd.myDiscriminator.set(view, 0, this.discriminator)
    bfd.yourDiscriminator.set(view, 0, this.#remoteDiscriminator)
    bfd.desiredMinTx_us.set(view, 0, this.#desiredMinTx_us())
    bfd.requiredMinRx_us.set(view, 0, this.#minRx_us)
    bfd.requiredMinEchoRx_us.set(view, 0, this.#options.requiredMinEchoRx_us ?? 0)
    this.#authentication?.sign(view, 0)
    if (final === 0) this.#sent_us = this.#clock.now_us()
    this.#events.send(this.#packet)
  }

  // ---- detection, RFC 5880 section 6.8.4

  // Nothing is to be done before our next packet goes: then it is looked again, which saves every seventh time that the
  // thread wakes. Else the timer stands while the moment of silence moves on, and when it rings looks where that is now.
  #watchSilence(now_us: number): void {
    if (!this.#isListening || (this.#transmitTimer && this.#transmitAt_us < this.#silentAt_us)) return
    if (this.#detectionTimer && this.#detectionRings_us <= this.#silentAt_us) return
    this.#detectionTimer?.cancel()
    this.#detectionRings_us = this.#silentAt_us
    this.#detectionTimer = this.#clock.after(Math.max(0, this.#silentAt_us - now_us) / 1000, () => this.#listen())
  }

  #listen(): void {
    this.#detectionTimer = undefined
    if (this.#clock.now_us() >= this.#silentAt_us) this.#events.drain()
    const now_us = this.#clock.now_us()
    if (this.#closed) return
    if (now_us < this.#silentAt_us) this.#watchSilence(now_us)
    else this.#fallSilent()
  }

  #fallSilent(): void {
    this.#isListening = false
    // Section 6.8.1: the peer that comes back may have another discriminator, and may want to hear from us again.
    this.#remoteDiscriminator = 0
    this.#remoteMinRx_us = 1
    this.#remoteState = BFD_STATE.down
    this.#remoteDemand = false
    this.#remoteMinEchoRx_us = 0
    if (this.#state === BFD_STATE.init || this.#state === BFD_STATE.up)
      this.#change(BFD_STATE.down, BFD_DIAGNOSTIC.detectionTimeExpired)
    else this.#schedule()
  }
}
