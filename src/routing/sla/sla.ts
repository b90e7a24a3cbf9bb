/**
 * IP SLA: the probes of a routing node, in a thread of their own (sla-thread.ts), and the responders that answer others'
 * UDP probes. What is up, and how good, comes as news: a probe's state whenever that is another, all of them now and then.
 */

import { Worker } from 'node:worker_threads'
import type { Probe } from '../../config/probe.ts'
import type { ProbeState } from './probe-runner.ts'

export interface SlaSettings {
  /** How often the qualities of all probes are told, whether they changed or not. */
  readonly quality_ms: number
  readonly probes: readonly Probe[]
  readonly responders: readonly { readonly address: string; readonly port: number }[]
}

export interface SlaOptions extends SlaSettings {
  readonly news: (states: readonly ProbeState[]) => void
  /** A probe that cannot be sent, by its name, or a responder that cannot listen, until they can: the others go on. */
  readonly failed: (what: string, error: string, probe: string | undefined) => void
  /** The thread is gone. */
  readonly onDeath: (error: Error) => void
}

export type FromSla =
  | { readonly kind: 'news'; readonly states: readonly ProbeState[] }
  | { readonly kind: 'failed'; readonly what: string; readonly error: string; readonly probe: string | undefined }
  /** Nothing is watched any more, and the thread may be ended. */
  | { readonly kind: 'closed' }

export class Sla {
  readonly #worker: Worker
  readonly #closed = Promise.withResolvers<void>()
  #isEnding = false

  /** Its sockets are in the calling thread's network namespace. */
  constructor({ probes, responders, quality_ms, news, failed, onDeath }: SlaOptions) {
    const workerData: SlaSettings = { probes, responders, quality_ms }
    this.#worker = new Worker(new URL('./sla-thread.ts', import.meta.url), { workerData })
    this.#worker.on('message', (message: FromSla) => {
      if (message.kind === 'news') news(message.states)
      else if (message.kind === 'closed') this.#closed.resolve()
      else failed(message.what, message.error, message.probe)
    })
    this.#worker.on('error', (error) => onDeath(error as Error))
    this.#worker.on('exit', () => {
      this.#closed.resolve()
      if (!this.#isEnding) onDeath(new Error('the thread of probes ended'))
    })
  }

  async close(): Promise<void> {
    this.#isEnding = true
    this.#worker.postMessage('close')
    await this.#closed.promise
    await this.#worker.terminate()
  }
}
