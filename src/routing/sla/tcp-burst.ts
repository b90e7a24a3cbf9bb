/**
 * Available bandwidth over TCP: a burst of bytes on a connection of its own, to a port that takes them (discard, RFC 863;
 * echo, RFC 862), and the rate at which the kernel saw them acknowledged. What comes back is read and forgotten.
 */

import type { Clock, Timer } from '../../base/clock.ts'
import type { Endpoint } from '../../linux/socket-address.ts'
import { TcpFailure } from '../../linux/tcp-failure.ts'
import { ENDED, TcpSocket, WOULD_BLOCK } from '../../linux/tcp-socket.ts'

/** How often it is looked whether all was acknowledged. */
const LOOK_ms = 2

export interface BurstOptions {
  readonly to: Endpoint
  readonly from?: Endpoint | undefined
  readonly bytes: number
  readonly within_ms: number
  readonly clock: Clock
}

export class TcpBurst {
  /** In kbit/s. Of which not all was taken in time, what was; undefined when it is refused or reset. */
  readonly rate_kbps: Promise<number | undefined>
  readonly #done = Promise.withResolvers<number | undefined>()
  readonly #socket: TcpSocket | undefined
  readonly #timers: Timer[] = []
  readonly #scratch = new Uint8Array(1 << 16)
  readonly #zeros = new Uint8Array(1 << 16)
  #isOpen = false
  /** The other end says no more. */
  #isEnded = false
  readonly #bytes: number
  #left: number
  #isOver = false

  constructor(options: BurstOptions) {
    const { to, from, bytes, within_ms, clock } = options
    this.#bytes = this.#left = bytes
    this.rate_kbps = this.#done.promise
    const socket = TcpSocket.connect(to, from && { local: from })
    if (socket instanceof TcpFailure) {
      this.#done.resolve(undefined)
      return
    }
    this.#socket = socket
    this.#timers.push(clock.after(within_ms, () => this.#late(within_ms)))
    this.#timers.push(clock.every(LOOK_ms, () => this.#look()))
    const watching = socket.watch(
      () => {
        this.#go()
        if (!this.#isOver) watching.want(this.#isOpen && !this.#isEnded, !this.#isOpen || this.#left > 0)
      },
      { writable: true },
    )
  }

  close(): void {
    this.#end(undefined)
  }

  #late(within_ms: number): void {
    const taken = this.#isOpen ? this.#bytes - this.#left - this.#socket!.unacknowledgedBytes() : 0
    this.#end((taken * 8) / within_ms)
  }

  #go(): void {
    const socket = this.#socket!
    this.#isOpen ||= socket.connected()
    if (this.#isOpen) this.#send(socket)
    let got = this.#isOpen ? socket.receive(this.#scratch) : WOULD_BLOCK
    while (got > 0) got = socket.receive(this.#scratch)
    // Who says no more may still take what we say.
    if (got === ENDED) this.#isEnded = true
    if (socket.failure) this.#end(undefined)
  }

  #send(socket: TcpSocket): void {
    while (this.#left > 0) {
      const sent = socket.send(this.#zeros, 0, Math.min(this.#left, this.#zeros.length))
      if (sent <= 0) return
      this.#left -= sent
    }
  }

  #look(): void {
    const socket = this.#socket!
    if (!this.#isOpen || this.#left > 0 || socket.unacknowledgedBytes() > 0) return
    this.#end((socket.deliveryRate() * 8) / 1000)
  }

  #end(rate_kbps: number | undefined): void {
    this.#isOver = true
    for (const timer of this.#timers.splice(0)) timer.cancel()
    this.#socket?.reset()
    this.#done.resolve(rate_kbps)
  }
}
