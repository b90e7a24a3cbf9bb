/**
 * TCP connect and HTTP: does the service answer, and how soon. A connection that is refused is an answer of its host and
 * none of the service, so it counts as lost. Their trains are as many bytes of a stream: sent to a TCP port that takes them,
 * or read from the body of HTTP's answer.
 */

import { Agent, type ClientRequest, get, type IncomingMessage } from 'node:http'
import { connect, type Socket } from 'node:net'
import { parseAddress } from '../../base/address.ts'
import type { Clock } from '../../base/clock.ts'
import type { Endpoint } from '../../linux/socket-address.ts'
import { Deadline } from './deadline.ts'
import type { Answered, Prober } from './prober.ts'
import { TcpBurst } from './tcp-burst.ts'
import { TrainArrivals } from './train.ts'

export interface StreamOptions {
  readonly to: string
  readonly port: number
  readonly from?: string | undefined
  readonly timeout_ms: number
  readonly clock: Clock
  readonly answered: Answered
}

/** To the end of the handshake, and no further. */
export class TcpProber implements Prober {
  readonly #options: StreamOptions
  readonly #open = new Set<Socket>()
  readonly #bursts = new Set<TcpBurst>()

  constructor(options: StreamOptions) {
    this.#options = options
  }

  send(sequence: number): void {
    const { to, port, from, timeout_ms, clock, answered } = this.#options
    const begin_us = clock.now_us()
    const socket = connect({ host: to, port, ...(from !== undefined && { localAddress: from }) })
    this.#open.add(socket)
    socket.on('connect', () => {
      answered(sequence, clock.now_us() - begin_us)
      // Without TIME_WAIT: there is a probe every second.
      socket.resetAndDestroy()
    })
    socket.on('error', () => socket.destroy())
    const late = new Deadline(clock, timeout_ms, () => socket.destroy())
    socket.on('close', () => {
      late.cancel()
      this.#open.delete(socket)
    })
  }

  async train(packets: number, bytes: number, within_ms: number): Promise<number | undefined> {
    const { to, port, from, clock } = this.#options
    const local = from === undefined ? undefined : endpoint(from, 0)
    const burst = new TcpBurst({ to: endpoint(to, port), from: local, bytes: packets * bytes, within_ms, clock })
    this.#bursts.add(burst)
    const rate_kbps = await burst.rate_kbps
    this.#bursts.delete(burst)
    return rate_kbps
  }

  drain(): void {}

  close(): void {
    for (const socket of this.#open) socket.destroy()
    for (const burst of this.#bursts) burst.close()
  }
}

function endpoint(address: string, port: number): Endpoint {
  return { address: parseAddress(address)!, port }
}

export interface HttpOptions extends StreamOptions {
  readonly path: string
  readonly host?: string | undefined
  /** Undefined: any from 200 to 399. */
  readonly status?: number | undefined
}

/** To the head of the answer, over a connection of its own each. */
export class HttpProber implements Prober {
  readonly #options: HttpOptions
  readonly #agent = new Agent({ keepAlive: false, maxSockets: Number.POSITIVE_INFINITY })
  readonly #open = new Set<ClientRequest>()

  constructor(options: HttpOptions) {
    this.#options = options
  }

  send(sequence: number): void {
    const { clock, answered } = this.#options
    const begin_us = clock.now_us()
    this.#get(this.#options.timeout_ms, (answer) => {
      if (this.#isGood(answer.statusCode ?? 0)) answered(sequence, clock.now_us() - begin_us)
      // Whatever the body is, it is not asked for.
      answer.destroy()
    })
  }

  async train(packets: number, bytes: number, within_ms: number): Promise<number | undefined> {
    const { clock } = this.#options
    const { promise, resolve } = Promise.withResolvers<void>()
    const arrivals = new TrainArrivals(packets * bytes)
    const begin_us = clock.now_us()
    let isAnswered = false
    const request = this.#get(within_ms, (answer) => {
      isAnswered = this.#isGood(answer.statusCode ?? 0)
      if (!isAnswered) answer.destroy()
      answer.on('data', (piece: Uint8Array) => {
        arrivals.arrived(clock.now_us(), piece.length)
        if (arrivals.isComplete) answer.destroy()
      })
    })
    request.on('close', resolve)
    await promise
    // Refused, or answered with another status, in less time than it had: that says nothing of the path.
    const isLate = clock.now_us() - begin_us >= within_ms * 1000
    return isAnswered || isLate ? arrivals.rate_kbps(within_ms) : undefined
  }

  /** Over after the time, whatever the server says meanwhile. */
  #get(within_ms: number, answered: (answer: IncomingMessage) => void): ClientRequest {
    const { to, port, from, path, host, clock } = this.#options
    const where = { host: to, port, path, agent: this.#agent }
    const options = { ...where, ...(from !== undefined && { localAddress: from }), ...(host && { headers: { host } }) }
    const request = get(options, answered)
    this.#open.add(request)
    const late = new Deadline(clock, within_ms, () => request.destroy())
    request.on('error', () => {})
    request.on('close', () => {
      late.cancel()
      this.#open.delete(request)
    })
    return request
  }

  drain(): void {}

  close(): void {
    for (const request of this.#open) request.destroy()
    this.#agent.destroy()
  }

  #isGood(status: number): boolean {
    const wanted = this.#options.status
    return wanted === undefined ? status >= 200 && status < 400 : status === wanted
  }
}
