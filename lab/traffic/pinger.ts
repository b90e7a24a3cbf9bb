/**
 * Echo requests at a steady pace and their answers, with microseconds between (RFC 792, RFC 4443). One object serves
 * one destination; sockets are shared by all of a namespace. An answer that takes longer than a second counts as lost.
 */

import { equalBytes, type IpAddress, parseAddress } from '../../src/base/address.ts'
import { type Clock, systemClock, type Timer } from '../../src/base/clock.ts'
import { watch } from '../../src/linux/poll.ts'
import { IcmpSocket } from '../../src/linux/socket.ts'
import { ICMP_TYPE, icmpEcho, writeIcmpChecksum } from '../../src/wire/icmp.ts'
import { ICMPV6_TYPE } from '../../src/wire/icmpv6.ts'
import { Histogram } from './histogram.ts'
import type { PingLosses, PingPlan, PingReport } from './plan.ts'

const TIMEOUT_MS = 1000
const PAYLOAD_BYTES = 56
const SEQUENCES = 0x10000

export class Pinger {
  readonly identifier: number
  readonly latency = new Histogram()
  sent = 0
  lost = 0
  readonly #to: IpAddress
  readonly #socket: IcmpSocket
  readonly #clock: Clock
  readonly #message = new Uint8Array(icmpEcho.BYTES + PAYLOAD_BYTES).fill(0x5a)
  readonly #view = new DataView(this.#message.buffer)
  /** When each sequence number left; gone when it was answered or given up. In the order of sending. */
  readonly #waiting = new Map<number, number>()

  constructor(identifier: number, to: string, socket: IcmpSocket, clock: Clock = systemClock) {
    this.identifier = identifier
    this.#to = parseAddress(to)!
    this.#socket = socket
    this.#clock = clock
    const type = this.#to.length === 4 ? ICMP_TYPE.echoRequest : ICMPV6_TYPE.echoRequest
    icmpEcho.type.set(this.#view, 0, type)
    icmpEcho.code.set(this.#view, 0, 0)
    icmpEcho.identifier.set(this.#view, 0, identifier)
  }

  send(): void {
    this.giveUp()
    const sequence = this.sent++ % SEQUENCES
    icmpEcho.sequence.set(this.#view, 0, sequence)
    if (this.#to.length === 4) writeIcmpChecksum(this.#view, 0, this.#message.length)
    this.#waiting.set(sequence, this.#clock.now_us())
    // A packet that does not even leave is a lost one too, a second from now.
    this.#socket.send(this.#message, this.#to)
  }

  answered(from: IpAddress, sequence: number): void {
    if (!equalBytes(from, this.#to)) return
    const sent_us = this.#waiting.get(sequence)
    if (sent_us === undefined) return
    this.#waiting.delete(sequence)
    const took_us = this.#clock.now_us() - sent_us
    if (took_us > TIMEOUT_MS * 1000) this.lost++
    else this.latency.add(took_us)
  }

  /** Counts what has waited too long. */
  giveUp(): void {
    const latest_us = this.#clock.now_us() - TIMEOUT_MS * 1000
    for (const [sequence, sent_us] of this.#waiting) {
      if (sent_us > latest_us) return
      this.#waiting.delete(sequence)
      this.lost++
    }
  }

  get waiting(): number {
    return this.#waiting.size
  }
}

/** All pings of one tenant's end: one namespace, up to one socket a family. */
export class PingSet {
  readonly #pingers: Pinger[] = []
  readonly #sockets: IcmpSocket[] = []
  readonly #watches: { stop(): void }[] = []
  readonly #timers: Timer[] = []

  /** The calling thread must be in the namespace that they start from. */
  constructor(pings: readonly Pick<PingPlan, 'to' | 'identifier'>[]) {
    for (const version of [4, 6] as const) {
      const wanted = pings.filter(({ to }) => to.includes(':') === (version === 6))
      if (wanted.length === 0) continue
      const socket = new IcmpSocket(version)
      this.#sockets.push(socket)
      const byIdentifier = new Map<number, Pinger>()
      for (const { to, identifier } of wanted) {
        const pinger = new Pinger(identifier, to, socket)
        this.#pingers.push(pinger)
        byIdentifier.set(pinger.identifier, pinger)
      }
      this.#watches.push(watch(socket.fd, () => receive(socket, version, byIdentifier)))
    }
  }

  start(interval_ms: number): void {
    for (const [i, pinger] of this.#pingers.entries()) {
      // Spread over the interval, so that they do not queue behind each other.
      const first = systemClock.after((interval_ms * i) / this.#pingers.length, () => {
        pinger.send()
        this.#timers.push(systemClock.every(interval_ms, () => pinger.send()))
      })
      this.#timers.push(first)
    }
  }

  /** Sends no more; the answers that are still on their way are waited for. */
  async stop(): Promise<void> {
    for (const timer of this.#timers) timer.cancel()
    const deadline_us = systemClock.now_us() + TIMEOUT_MS * 1000
    while (this.#pingers.some((pinger) => pinger.waiting > 0) && systemClock.now_us() < deadline_us)
      await new Promise<void>((resolve) => systemClock.after(20, resolve))
    for (const pinger of this.#pingers) pinger.giveUp()
    for (const watching of this.#watches) watching.stop()
    for (const socket of this.#sockets) socket.close()
  }

  report(): PingReport {
    const latency = new Histogram()
    for (const pinger of this.#pingers) latency.merge(pinger.latency.data())
    const sum = (of: (pinger: Pinger) => number): number => this.#pingers.reduce((total, each) => total + of(each), 0)
    return { sent: sum((pinger) => pinger.sent), lost: sum((pinger) => pinger.lost), latency: latency.data() }
  }

  losses(): PingLosses[] {
    return this.#pingers.map(({ identifier, sent, lost }) => ({ identifier, sent, lost }))
  }
}

function receive(socket: IcmpSocket, version: 4 | 6, pingers: ReadonlyMap<number, Pinger>): void {
  const reply = version === 4 ? ICMP_TYPE.echoReply : ICMPV6_TYPE.echoReply
  for (let answer = socket.receive(); answer; answer = socket.receive()) {
    if (answer.bytes.length < icmpEcho.BYTES || answer.bytes[0] !== reply) continue
    const view = new DataView(answer.bytes.buffer, answer.bytes.byteOffset, answer.bytes.length)
    pingers.get(icmpEcho.identifier.get(view, 0))?.answered(answer.from.address, icmpEcho.sequence.get(view, 0))
  }
}
