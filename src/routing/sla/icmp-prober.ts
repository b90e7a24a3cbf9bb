/**
 * ICMP echo (RFC 792, RFC 4443): what every host answers. A raw socket a probe gets all ICMP that comes to this host, so it
 * looks for its own by identifier, sequence and sender. Trains are measured by their answers, and so by both ways.
 */

import { equalBytes, type IpAddress } from '../../base/address.ts'
import type { Clock } from '../../base/clock.ts'
import type { Random } from '../../base/random.ts'
import { type Watch, watch } from '../../linux/poll.ts'
import { IcmpSocket } from '../../linux/socket.ts'
import { ICMP_TYPE, icmpEcho, writeIcmpChecksum } from '../../wire/icmp.ts'
import { ICMPV6_TYPE } from '../../wire/icmpv6.ts'
import type { Answered, Prober } from './prober.ts'
import { TrainArrivals } from './train.ts'

/** Before the ICMP message, of a train's packets: the larger of IPv4's header and IPv6's. */
const IP_BYTES = { 4: 20, 16: 40 } as const
const SEQUENCES = 0x10000

export interface IcmpProberOptions {
  readonly to: IpAddress
  /** Ours; undefined leaves it to the kernel. */
  readonly from: IpAddress | undefined
  /** Behind the echo header. */
  readonly bytes: number
  readonly clock: Clock
  readonly random: Random
  readonly answered: Answered
}

/** A train that is on its way. */
interface Running {
  readonly first: number
  readonly packets: number
  /** Of a packet. */
  readonly bytes: number
  readonly arrivals: TrainArrivals
  readonly done: () => void
}

export class IcmpProber implements Prober {
  readonly #options: IcmpProberOptions
  readonly #socket: IcmpSocket
  readonly #watching: Watch
  readonly #identifier: number
  readonly #is4: boolean
  /** By ICMP's sequence: the probe's number and when it left. */
  readonly #sent = new Map<number, { readonly sequence: number; readonly at_us: number }>()
  #next = 0
  readonly #running = new Set<Running>()

  constructor(options: IcmpProberOptions) {
    this.#options = options
    this.#is4 = options.to.length === 4
    this.#identifier = options.random.below(SEQUENCES)
    this.#socket = new IcmpSocket(this.#is4 ? 4 : 6, {}, options.from)
    this.#watching = watch(this.#socket.fd, () => this.drain())
  }

  send(sequence: number): void {
    const number = this.#number()
    this.#sent.set(number, { sequence, at_us: this.#options.clock.now_us() })
    // What was never answered is forgotten once its number comes round again; half of them is far more than are waiting.
    this.#sent.delete((number + SEQUENCES / 2) % SEQUENCES)
    this.#echo(number, this.#options.bytes)
  }

  async train(packets: number, bytes: number, within_ms: number): Promise<number | undefined> {
    const { promise, resolve } = Promise.withResolvers<void>()
    const arrivals = new TrainArrivals(packets * bytes)
    const train = { first: this.#next, packets, bytes, arrivals, done: resolve }
    this.#running.add(train)
    const payload = Math.max(0, bytes - IP_BYTES[this.#is4 ? 4 : 16] - icmpEcho.BYTES)
    for (let i = 0; i < packets; i++) {
      const number = this.#number()
      // Of a probe that was never answered.
      this.#sent.delete(number)
      this.#echo(number, payload)
    }
    const timer = this.#options.clock.after(within_ms, resolve)
    await promise
    timer.cancel()
    this.#running.delete(train)
    return arrivals.rate_kbps(within_ms)
  }

  drain(): void {
    for (let datagram = this.#socket.receive(); datagram; datagram = this.#socket.receive())
      this.#take(datagram.bytes, datagram.from.address)
  }

  close(): void {
    this.#watching.stop()
    this.#socket.close()
  }

  #number(): number {
    const number = this.#next
    this.#next = (this.#next + 1) % SEQUENCES
    return number
  }

  #echo(number: number, payloadBytes: number): void {
    const message = new Uint8Array(icmpEcho.BYTES + payloadBytes)
    const view = new DataView(message.buffer)
    icmpEcho.type.set(view, 0, this.#is4 ? ICMP_TYPE.echoRequest : ICMPV6_TYPE.echoRequest)
    icmpEcho.identifier.set(view, 0, this.#identifier)
    icmpEcho.sequence.set(view, 0, number)
    if (this.#is4) writeIcmpChecksum(view, 0, message.length)
    this.#socket.send(message, this.#options.to)
  }

  #take(bytes: Uint8Array, from: IpAddress): void {
    const { to, clock, answered } = this.#options
    if (bytes.length < icmpEcho.BYTES || !equalBytes(from, to)) return
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    if (icmpEcho.type.get(view, 0) !== (this.#is4 ? ICMP_TYPE.echoReply : ICMPV6_TYPE.echoReply)) return
    if (icmpEcho.identifier.get(view, 0) !== this.#identifier) return
    const number = icmpEcho.sequence.get(view, 0)
    const now_us = clock.now_us()
    const sent = this.#sent.get(number)
    if (sent) {
      this.#sent.delete(number)
      answered(sent.sequence, now_us - sent.at_us)
      return
    }
    for (const { first, packets, bytes: packetBytes, arrivals, done } of this.#running) {
      if ((number - first + SEQUENCES) % SEQUENCES >= packets) continue
      arrivals.arrived(now_us, packetBytes)
      if (arrivals.isComplete) done()
    }
  }
}
