/**
 * UDP echo, to a responder of ours (udp-responder.ts) or to any server of RFC 862. With a responder trains are measured by
 * its clock where they arrive, and so by the way there alone.
 */

import { equalBytes, type IpAddress } from '../../base/address.ts'
import type { Clock } from '../../base/clock.ts'
import { type Watch, watch } from '../../linux/poll.ts'
import { UdpSocket } from '../../linux/socket.ts'
import type { Endpoint } from '../../linux/socket-address.ts'
import { Fault } from '../../wire/fault.ts'
import { checkProbe, PROBE_FLAG, PROBE_MAGIC, probePacket, probeReceived_us } from '../../wire/probe.ts'
import { udp } from '../../wire/udp.ts'
import type { Answered, Prober } from './prober.ts'
import { TrainArrivals } from './train.ts'

const IP_BYTES = { 4: 20, 16: 40 } as const
/** As many as wait for an answer where one is sent each 10 ms and may take a minute. */
const WAITING_MAX = 6000

export interface UdpProberOptions {
  readonly to: Endpoint
  /** Ours; zeros leave it to the kernel. */
  readonly from: IpAddress
  /** Of a probe's payload. */
  readonly bytes: number
  readonly clock: Clock
  readonly answered: Answered
}

/** A train that is on its way. */
interface Running {
  readonly arrivals: TrainArrivals
  /** Of a packet. */
  readonly bytes: number
  readonly done: () => void
}

export class UdpProber implements Prober {
  readonly #options: UdpProberOptions
  readonly #socket: UdpSocket
  readonly #watching: Watch
  /** When each one that may still be answered left, by sequence. */
  readonly #sent = new Map<number, number>()
  #trains = 0
  /** By number. */
  readonly #running = new Map<number, Running>()

  constructor(options: UdpProberOptions) {
    this.#options = options
    this.#socket = new UdpSocket({ address: options.from, port: 0 }, { receiveBufferBytes: 1 << 20 })
    this.#watching = watch(this.#socket.fd, () => this.drain())
  }

  send(sequence: number): void {
    const packet = packetOf(Math.max(this.#options.bytes, probePacket.BYTES), { sequence: sequence >>> 0 })
    this.#sent.set(sequence >>> 0, this.#options.clock.now_us())
    const [oldest] = this.#sent.keys()
    if (this.#sent.size > WAITING_MAX) this.#sent.delete(oldest!)
    this.#socket.send(packet, this.#options.to)
  }

  async train(packets: number, bytes: number, within_ms: number): Promise<number | undefined> {
    const { promise, resolve } = Promise.withResolvers<void>()
    const arrivals = new TrainArrivals(packets * bytes)
    this.#trains = (this.#trains + 1) & 0xffff
    const number = this.#trains
    this.#running.set(number, { arrivals, bytes, done: resolve })
    const headers = IP_BYTES[this.#options.to.address.length === 4 ? 4 : 16] + udp.BYTES
    const packet = packetOf(Math.max(bytes - headers, probePacket.BYTES), { train: number, flags: PROBE_FLAG.train })
    for (let i = 0; i < packets; i++) this.#socket.send(packet, this.#options.to)
    const timer = this.#options.clock.after(within_ms, resolve)
    await promise
    timer.cancel()
    this.#running.delete(number)
    return arrivals.rate_kbps(within_ms)
  }

  drain(): void {
    for (let datagram = this.#socket.receive(); datagram; datagram = this.#socket.receive())
      this.#take(datagram.bytes, datagram.from)
  }

  close(): void {
    this.#watching.stop()
    this.#socket.close()
  }

  #take(bytes: Uint8Array, from: Endpoint): void {
    const { to, clock, answered } = this.#options
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    if (from.port !== to.port || !equalBytes(from.address, to.address)) return
    if (checkProbe(view, 0, bytes.length) !== Fault.none) return
    const flags = probePacket.flags.get(view, 0)
    const now_us = clock.now_us()
    if ((flags & PROBE_FLAG.train) === 0) {
      const sequence = probePacket.sequence.get(view, 0)
      const sent_us = this.#sent.get(sequence)
      if (!this.#sent.delete(sequence)) return
      answered(sequence, now_us - sent_us!)
      return
    }
    const train = this.#running.get(probePacket.train.get(view, 0))
    if (!train) return
    const at_us = (flags & PROBE_FLAG.received) === 0 ? now_us : probeReceived_us(view, 0)
    train.arrivals.arrived(at_us, train.bytes)
    if (train.arrivals.isComplete) train.done()
  }
}

function packetOf(bytes: number, fields: { sequence?: number; train?: number; flags?: number }): Uint8Array {
  const packet = new Uint8Array(bytes)
  const view = new DataView(packet.buffer)
  probePacket.magic.set(view, 0, PROBE_MAGIC)
  probePacket.flags.set(view, 0, fields.flags ?? 0)
  probePacket.train.set(view, 0, fields.train ?? 0)
  probePacket.sequence.set(view, 0, fields.sequence ?? 0)
  return packet
}
