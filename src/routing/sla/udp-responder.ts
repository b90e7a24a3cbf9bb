/**
 * Answers UDP probes: with when they came, for whoever measures with trains, and never with more than was asked with. It
 * answers nothing but probes, and only so many, so that nobody can use it against others.
 */

import type { Clock } from '../../base/clock.ts'
import { RateLimits } from '../../base/rate-limit.ts'
import { type Watch, watch } from '../../linux/poll.ts'
import { UdpSocket } from '../../linux/socket.ts'
import type { Endpoint } from '../../linux/socket-address.ts'
import { Fault } from '../../wire/fault.ts'
import { checkProbe, PROBE_FLAG, probePacket, setProbeReceived_us } from '../../wire/probe.ts'

/** A hundred probes of 10 ms, and some trains. */
const ANSWERS_PER_S = 20_000
const RECEIVE_BUFFER_BYTES = 4 << 20

export class UdpResponder {
  /** Not answered: no probes, or too many. */
  refused = 0
  readonly #socket: UdpSocket
  readonly #watching: Watch
  readonly #clock: Clock
  readonly #rate = new RateLimits(1, ANSWERS_PER_S, ANSWERS_PER_S)

  /** Throws when the address is not to be had. */
  constructor(local: Endpoint, clock: Clock) {
    this.#clock = clock
    this.#socket = new UdpSocket(local, { receiveBufferBytes: RECEIVE_BUFFER_BYTES })
    this.#watching = watch(this.#socket.fd, () => this.#read())
  }

  port(): number {
    return this.#socket.localPort()
  }

  close(): void {
    this.#watching.stop()
    this.#socket.close()
  }

  #read(): void {
    for (let datagram = this.#socket.receive(); datagram; datagram = this.#socket.receive())
      if (!this.#answer(datagram.bytes, datagram.from)) this.refused++
  }

  #answer(bytes: Uint8Array, from: Endpoint): boolean {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    const now_us = this.#clock.now_us()
    if (checkProbe(view, 0, bytes.length) !== Fault.none) return false
    const flags = probePacket.flags.get(view, 0)
    // An answer is not answered: two responders would never end.
    if ((flags & PROBE_FLAG.received) !== 0 || !this.#rate.take(0, now_us)) return false
    probePacket.flags.set(view, 0, flags | PROBE_FLAG.received)
    setProbeReceived_us(view, 0, Math.floor(now_us))
    const answer = (flags & PROBE_FLAG.train) === 0 ? bytes : bytes.subarray(0, probePacket.BYTES)
    this.#socket.send(answer, from)
    return true
  }
}
