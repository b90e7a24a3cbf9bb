/**
 * Several queues of one device as one port: there are more queues than workers, and each worker serves some. Receives
 * from all of them in turn and sends by the first.
 */

import type { Batch } from './batch.ts'
import type { KernelDrops, Port } from './port.ts'

export class QueuesPort implements Port {
  readonly name: string
  readonly fds: readonly number[]
  readonly #queues: readonly Port[]
  #first = 0

  constructor(queues: readonly Port[]) {
    this.name = queues[0]!.name
    this.fds = queues.flatMap((queue) => queue.fds)
    this.#queues = queues
  }

  get pending(): boolean {
    for (let i = 0; i < this.#queues.length; i++) if (this.#queues[i]!.pending) return true
    return false
  }

  get unsent(): boolean {
    for (let i = 0; i < this.#queues.length; i++) if (this.#queues[i]!.unsent) return true
    return false
  }

  // Each queue gets its turn to be first, as the ports of a worker do.
  receive(batch: Batch, index: number, max: number): void {
    const queues = this.#queues
    const end = batch.count + Math.min(max, batch.room)
    this.#first = this.#first + 1 < queues.length ? this.#first + 1 : 0
    for (let i = 0; i < queues.length && batch.count < end; i++) {
      const queue = this.#first + i < queues.length ? this.#first + i : this.#first + i - queues.length
      queues[queue]!.receive(batch, index, end - batch.count)
    }
  }

  send(address: number, length: number, total: number): boolean {
    return this.#queues[0]!.send(address, length, total)
  }

  flush(): void {
    for (let i = 0; i < this.#queues.length; i++) this.#queues[i]!.flush()
  }

  get holds(): number {
    let holds = 0
    for (let i = 0; i < this.#queues.length; i++) holds += this.#queues[i]!.holds
    return holds
  }

  kernelDrops(): KernelDrops {
    const all = this.#queues.map((queue) => queue.kernelDrops())
    return {
      received: all.reduce((sum, { received }) => sum + received, 0),
      invalid: all.reduce((sum, { invalid }) => sum + invalid, 0),
    }
  }

  close(): void {
    for (const queue of this.#queues) queue.close()
  }
}
