/** A control module's end of the thread that keeps its lease (lease-thread.ts). */

import { Worker } from 'node:worker_threads'
import { CONTROL_LEASE } from '../agent/names.ts'
import type { Clock, Timer } from '../base/clock.ts'
import { BusError, type Lease } from '../bus/bus.ts'
import type { BusPlace } from '../bus/place.ts'
import type { FromKeeper, KeeperData, ToKeeper } from './lease-thread.ts'

const PULSE_EVERY_MS = 500

export interface LeaseKeeperOptions {
  readonly place: BusPlace
  readonly holder: string
  readonly ttl_ms: number
  readonly clock: Clock
}

export class LeaseKeeper {
  readonly #holder: string
  readonly #worker: Worker
  readonly #pulse: Timer
  readonly #ended: Promise<unknown>
  #turn = 0
  #hear: (message: FromKeeper) => void = () => {}

  constructor({ place, holder, ttl_ms, clock }: LeaseKeeperOptions) {
    this.#holder = holder
    const pulse = new Int32Array(new SharedArrayBuffer(4))
    const workerData: KeeperData = { place, holder, ttl_ms, pulse }
    this.#worker = new Worker(new URL('./lease-thread.ts', import.meta.url), { workerData })
    this.#worker.on('message', (message: FromKeeper) => message.turn === this.#turn && this.#hear(message))
    // Without it nobody leads for long: the process ends with it, and is started again.
    this.#worker.on('error', (error) => {
      throw error
    })
    this.#ended = new Promise((resolve) => this.#worker.once('exit', resolve))
    this.#pulse = clock.every(PULSE_EVERY_MS, () => Atomics.add(pulse, 0, 1))
  }

  /** Waits for one's turn, as `campaign` does, and like it rejects with 'closed' after the signal. */
  async campaign(signal: AbortSignal): Promise<Lease> {
    const turn = ++this.#turn
    const acquired = Promise.withResolvers<number>()
    const lost = Promise.withResolvers<void>()
    const released = Promise.withResolvers<void>()
    let held = true
    void lost.promise.then(() => {
      held = false
    })
    this.#hear = (message) => {
      if (message.type === 'acquired') acquired.resolve(message.epoch)
      else if (message.type === 'failed') acquired.reject(new BusError(message.code, message.detail))
      else if (message.type === 'lost') lost.resolve()
      else released.resolve()
    }
    const letGo = (): void => {
      this.#say({ type: 'release', turn })
      acquired.reject(new BusError('closed', 'the campaign for the lease was stopped'))
    }
    signal.addEventListener('abort', letGo, { once: true })
    this.#say({ type: 'campaign', turn })
    if (signal.aborted) letGo()
    const epoch = await acquired.promise.finally(() => signal.removeEventListener('abort', letGo))
    return {
      name: CONTROL_LEASE,
      holder: this.#holder,
      epoch,
      lost: lost.promise,
      get held() {
        return held
      },
      release: async () => {
        this.#say({ type: 'release', turn })
        lost.resolve()
        await Promise.race([released.promise, this.#ended])
      },
    }
  }

  async close(): Promise<void> {
    this.#pulse.cancel()
    this.#say({ type: 'close' })
    await this.#ended
  }

  #say(message: ToKeeper): void {
    this.#worker.postMessage(message)
  }
}
