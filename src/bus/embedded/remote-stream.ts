/** A stream on the embedded bus, from the client's side. */

import { BusError, checkSize, type Stream, type StreamEntry, type StreamLimits } from '../bus.ts'
import type { CallMessage, CallOptions, Link } from './link.ts'
import { expectation } from './protocol.ts'

export class RemoteStream implements Stream {
  readonly #link: Link
  readonly #name: string
  readonly #limits: StreamLimits
  /** On which connection the server was told of it. */
  #opened: { connects: number; done: Promise<unknown> } | undefined

  constructor(link: Link, name: string, limits: StreamLimits) {
    this.#link = link
    this.#name = name
    this.#limits = limits
  }

  async append(payload: Uint8Array, options: { expectLast?: number } = {}): Promise<number> {
    checkSize(payload)
    const message = {
      type: 'append',
      stream: this.#name,
      expectation: expectation(options.expectLast),
      payload,
    } as const
    const { number } = await this.#call('done', message)
    return number
  }

  async read(from: number): Promise<StreamEntry[]> {
    const { items } = await this.#call('page', { type: 'read', stream: this.#name, waits: 0, from })
    return items.map(({ number, payload }) => ({ sequence: number, payload }))
  }

  async *consume(from: number, { signal }: { signal: AbortSignal }): AsyncGenerator<StreamEntry, void> {
    let next = from
    let store: string | undefined
    while (!signal.aborted) {
      await this.#link.untilConnected(signal)
      if (signal.aborted) return
      store ??= this.#link.store
      if (this.#link.connected && store !== this.#link.store) {
        throw new BusError('wrong-sequence', `stream ${this.#name} was replaced by another one`)
      }
      for (const { number, payload } of await this.#waitFor(next, signal)) {
        if (signal.aborted) return
        next = number + 1
        yield { sequence: number, payload }
      }
    }
  }

  async bounds(): Promise<{ first: number; last: number }> {
    const { first, last } = await this.#call('page', { type: 'openStream', stream: this.#name, ...this.#limits })
    return { first, last }
  }

  /** Nothing: the signal fired, or the connection is to be waited for. */
  async #waitFor(from: number, signal: AbortSignal): Promise<readonly { number: number; payload: Uint8Array }[]> {
    try {
      const options = { timeout_ms: 'never', signal } as const
      const { items } = await this.#call('page', { type: 'read', stream: this.#name, waits: 1, from }, options)
      return items
    } catch (error) {
      if (signal.aborted) return []
      if (error instanceof BusError && error.code === 'disconnected') return []
      throw error
    }
  }

  // The server learns of the stream, and of its limits, once a connection. Frames keep their order, so the call itself
  // need not wait for that, and its payload is on the way before the caller may touch it again.
  async #call<Type extends 'done' | 'page'>(answers: Type, message: CallMessage, options?: CallOptions) {
    if (this.#opened?.connects !== this.#link.connects || !this.#link.connected) {
      const done = this.#link.call('page', { type: 'openStream', stream: this.#name, ...this.#limits })
      this.#opened = { connects: this.#link.connects, done }
      done.catch(() => {
        if (this.#opened?.done === done) this.#opened = undefined
      })
    }
    const [answer] = await Promise.all([this.#link.call(answers, message, options), this.#opened.done])
    return answer
  }
}
