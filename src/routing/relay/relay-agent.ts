/** The relay as the agent of its process holds it: the thread, what it is asked, and its end. */

import { Worker } from 'node:worker_threads'
import { raiseDescriptorLimit } from '../../linux/descriptor-limit.ts'
import { DYNAMIC_MAX, PeerMemory } from './peer-memory.ts'
import type { RelayCounts } from './refusal.ts'
import { innerVersions } from './relay-device.ts'
import type { RelayQuestion, RelayReady, RelayThreadSetup } from './relay-thread.ts'
import type { RelayEnd } from './relayed-peers.ts'
import type { RelaySetup } from './ways.ts'

type FromRelay = RelayReady | { readonly kind: 'answer'; readonly id: number; readonly answer: RelayCounts }

/** Ours, the peer's, and one that is taking its leave. */
const CONNECTIONS_PER_PEER = 3
const OTHER_DESCRIPTORS = 4096

export class RelayAgent {
  readonly #setup: RelaySetup
  readonly #memory: SharedArrayBuffer
  readonly #worker: Worker
  readonly #ready = Promise.withResolvers<string>()
  readonly #waiting = new Map<number, (answer: RelayCounts) => void>()
  #next = 1
  #isEnding = false

  private constructor(setup: RelaySetup, onDeath: (error: Error) => void) {
    this.#setup = setup
    this.#memory = new PeerMemory().memory
    const workerData: RelayThreadSetup = { setup, memory: this.#memory }
    this.#worker = new Worker(new URL('./relay-thread.ts', import.meta.url), { workerData })
    this.#worker.on('message', (message: FromRelay) => this.#take(message))
    this.#worker.on('error', (error) => {
      this.#ready.reject(error as Error)
      onDeath(error as Error)
    })
    this.#worker.on('exit', () => {
      if (!this.#isEnding) onDeath(new Error('the thread of the session relay ended'))
    })
  }

  /**
   * Also sees to it that the process may have a connection from and to each peer. Resolves when the device is up. Rejects
   * when it, or the port of the tunnels, is not to be had.
   */
  static async start(setup: RelaySetup, onDeath: (error: Error) => void): Promise<RelayAgent> {
    raiseDescriptorLimit(descriptorsFor(setup))
    const agent = new RelayAgent(setup, onDeath)
    await agent.#ready.promise
    return agent
  }

  /** For the session thread. */
  async end(): Promise<RelayEnd> {
    const device = await this.#ready.promise
    return { setup: this.#setup, memory: this.#memory, device, versions: innerVersions() }
  }

  async counts(): Promise<RelayCounts> {
    return await this.#ask({ what: 'show' })
  }

  /** Another site file. Who is gone is known for a while yet: his session takes leave through the relay. */
  async take(setup: RelaySetup): Promise<void> {
    raiseDescriptorLimit(descriptorsFor(setup))
    await this.#ask({ what: 'setup', setup })
  }

  /** Which routing nodes live. */
  async setMembers(members: readonly string[]): Promise<void> {
    await this.#ask({ what: 'members', members })
  }

  /** After the sessions have taken their leave: their last words still go out. */
  async close(): Promise<void> {
    await this.#ask({ what: 'close' })
    this.#isEnding = true
    await this.#worker.terminate()
  }

  #take(message: FromRelay): void {
    if (message.kind === 'ready') {
      this.#ready.resolve(message.device)
      return
    }
    this.#waiting.get(message.id)?.(message.answer)
    this.#waiting.delete(message.id)
  }

  #ask(question: Omit<RelayQuestion, 'id'>): Promise<RelayCounts> {
    const id = this.#next++
    const { promise, resolve } = Promise.withResolvers<RelayCounts>()
    this.#waiting.set(id, resolve)
    this.#worker.postMessage({ id, ...question } satisfies RelayQuestion)
    return promise
  }
}

function descriptorsFor({ ways }: RelaySetup): number {
  return CONNECTIONS_PER_PEER * (ways.length + DYNAMIC_MAX) + OTHER_DESCRIPTORS
}
