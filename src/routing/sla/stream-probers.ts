/**
 * TCP connect and HTTP: does the service answer, and how soon. A connection that is refused is an answer of its host and
 * none of the service, so it counts as lost.
 */

import { Agent, type ClientRequest, get } from 'node:http'
import { connect, type Socket } from 'node:net'
import type { Clock } from '../../base/clock.ts'
import type { Answered, Prober } from './prober.ts'

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
    const late = clock.after(timeout_ms, () => socket.destroy())
    socket.on('close', () => {
      late.cancel()
      this.#open.delete(socket)
    })
  }

  drain(): void {}

  close(): void {
    for (const socket of this.#open) socket.destroy()
  }
}

export interface HttpOptions extends StreamOptions {
  readonly path: string
  readonly host?: string | undefined
  /** Undefined: any from 200 to 399. */
  readonly status?: number | undefined
}

/** To the head of the answer, over a connection of its own. */
export class HttpProber implements Prober {
  readonly #options: HttpOptions
  readonly #agent = new Agent({ keepAlive: false, maxSockets: Number.POSITIVE_INFINITY })
  readonly #open = new Set<ClientRequest>()

  constructor(options: HttpOptions) {
    this.#options = options
  }

  send(sequence: number): void {
    const { to, port, from, path, host, timeout_ms, clock, answered } = this.#options
    const begin_us = clock.now_us()
    const where = { host: to, port, path, agent: this.#agent, timeout: timeout_ms }
    const options = { ...where, ...(from !== undefined && { localAddress: from }), ...(host && { headers: { host } }) }
    const request = get(options, (answer) => {
      if (this.#isGood(answer.statusCode ?? 0)) answered(sequence, clock.now_us() - begin_us)
      // Whatever the body is, it is not asked for.
      answer.destroy()
    })
    this.#open.add(request)
    request.on('timeout', () => request.destroy())
    request.on('error', () => {})
    request.on('close', () => this.#open.delete(request))
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
