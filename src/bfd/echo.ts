/**
 * The echo function of one session (RFC 5880 sections 6.4 and 6.8.9): packets that the peer's forwarding plane sends back as
 * they are. What is in them is our own matter: by a number that changes with every session and that nobody else knows, what
 * comes back is told from what somebody else has made up.
 *
 *   discriminator u32 | sequence u32 | secret, 8 bytes
 *
 * When as many in a row are lost as the multiplier says, the way there or back is broken.
 */

import type { Clock, Timer } from '../base/clock.ts'
import { secretWord } from '../base/random.ts'
import { header, u32 } from '../wire/header.ts'

/**
 * Longer than it needs: FRR looks at nothing that is shorter than its own, of 26 bytes. The last four are free for whoever
 * carries it (forwarding/routing-traffic.ts).
 */
const PACKET_BYTES = 32

/** Version and length stand where FRR has them too, so that a peer that reads ours finds a discriminator. */
const echoPacket = header('BFD echo, of our own', {
  versionLength: u32,
  discriminator: u32,
  sequence: u32,
  secretHigh: u32,
  secretLow: u32,
})

export interface EchoEvents {
  /** The packet is only valid during the call. */
  send(packet: Uint8Array): void
  failed(): void
  /** Asked before a silence is believed. */
  drain(): void
}

export interface EchoParts {
  readonly discriminator: number
  readonly detectMultiplier: number
  readonly events: EchoEvents
  readonly clock: Clock
}

export class EchoFunction {
  /** The last one's way there and back; 0 before the first. */
  roundTrip_us = 0
  readonly #parts: EchoParts
  readonly #packet = new Uint8Array(PACKET_BYTES)
  readonly #view = new DataView(this.#packet.buffer)
  readonly #secretHigh: number
  readonly #secretLow: number
  #interval_us = 0
  #sequence = 0
  /** When each of the last ones was sent: as many as the detection time is long, and some. */
  readonly #sent_us = new Float64Array(256)
  #silentAt_us = 0
  #sending: Timer | undefined
  /** Set only when the silence would be over before the next packet goes. */
  #watching: Timer | undefined

  constructor(parts: EchoParts) {
    this.#parts = parts
    this.#secretHigh = secretWord()
    this.#secretLow = secretWord()
  }

  get isActive(): boolean {
    return this.#interval_us > 0
  }

  /** The pace, in microseconds; 0 ends it. */
  set(interval_us: number): void {
    if (interval_us === this.#interval_us) return
    this.#interval_us = interval_us
    this.#sending?.cancel()
    this.#watching?.cancel()
    if (!this.isActive) return
    this.#silentAt_us = this.#parts.clock.now_us() + this.#detectionTime_us()
    this.#send()
  }

  /** What came back. False when it is none of ours. */
  receive(frame: DataView, at: number, end: number): boolean {
    if (!this.isActive || end - at < echoPacket.BYTES) return false
    const sequence = echoPacket.sequence.get(frame, at)
    const isOurs =
      echoPacket.discriminator.get(frame, at) === this.#parts.discriminator &&
      echoPacket.secretHigh.get(frame, at) === this.#secretHigh &&
      echoPacket.secretLow.get(frame, at) === this.#secretLow
    const age = (this.#sequence - sequence) >>> 0
    // Of those that were sent within the detection time: older ones say nothing of now.
    if (!isOurs || age >= this.#parts.detectMultiplier + 1) return false
    const now_us = this.#parts.clock.now_us()
    this.roundTrip_us = now_us - this.#sent_us[sequence & 0xff]!
    this.#silentAt_us = now_us + this.#detectionTime_us()
    return true
  }

  // Half an interval more than it takes to lose them all but one: not every way there and back takes as long.
  #detectionTime_us(): number {
    return this.#interval_us * (this.#parts.detectMultiplier + 0.5)
  }

  /** False once too many in a row are lost. */
  #isHeard(): boolean {
    const { clock, events } = this.#parts
    if (clock.now_us() >= this.#silentAt_us) events.drain()
    if (!this.isActive) return false
    if (clock.now_us() < this.#silentAt_us) return true
    events.failed()
    return false
  }

  #send(): void {
    const { clock, events, discriminator } = this.#parts
    if (!this.#isHeard()) return
    this.#sequence = (this.#sequence + 1) >>> 0
    const view = this.#view
    echoPacket.versionLength.set(view, 0, 0x0100_0000 | (PACKET_BYTES << 16))
    echoPacket.discriminator.set(view, 0, discriminator)
    echoPacket.sequence.set(view, 0, this.#sequence)
    echoPacket.secretHigh.set(view, 0, this.#secretHigh)
    echoPacket.secretLow.set(view, 0, this.#secretLow)
    const now_us = clock.now_us()
    this.#sent_us[this.#sequence & 0xff] = now_us
    this.#sending = clock.after(this.#interval_us / 1000, () => this.#send())
    if (this.#silentAt_us < now_us + this.#interval_us)
      this.#watching = clock.after((this.#silentAt_us - now_us) / 1000, () => this.#isHeard())
    events.send(this.#packet)
  }
}

/** Whose it claims to be; 0 when it is too short to say. */
export function echoDiscriminator(packet: Uint8Array): number {
  if (packet.length < echoPacket.BYTES) return 0
  const view = new DataView(packet.buffer, packet.byteOffset, packet.byteLength)
  return echoPacket.discriminator.get(view, 0)
}
