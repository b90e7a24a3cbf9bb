/**
 * Ports of workers that have no queue of the device: there are more workers than queues, as on a virtual machine's only
 * one. Such a worker receives nothing from the device; what it sends goes to the worker that owns a queue, chunk for
 * chunk.
 *
 *   worker 2, RelayPort --- exchange --->  worker 0, RelayingPort --> its own port of the device
 */

import type { Batch } from './batch.ts'
import type { FrameBorrower, FrameLender } from './exchange.ts'
import { type KernelDrops, noKernelDrops, type Port } from './port.ts'

/** At the worker without a queue. `wake` is called when there is something for the other. */
export class RelayPort implements Port {
  readonly name: string
  readonly fds: readonly number[] = []
  readonly pending = false
  readonly #lender: FrameLender
  readonly #wake: () => void

  constructor(name: string, lender: FrameLender, wake: () => void) {
    this.name = name
    this.#lender = lender
    this.#wake = wake
  }

  receive(): void {}

  send(address: number, length: number, total: number): boolean {
    return this.#lender.lend(address, length, total, 0)
  }

  flush(): void {
    this.#lender.collect()
    if (this.#lender.publish()) this.#wake()
  }

  get holds(): number {
    return this.#lender.lent
  }

  kernelDrops(): KernelDrops {
    return noKernelDrops
  }

  close(): void {}
}

/**
 * At the worker with a queue: its own port, which also sends what others hand over. What does not fit waits with them.
 */
export class RelayingPort implements Port {
  readonly name: string
  readonly fds: readonly number[]
  readonly #port: Port
  readonly #borrowers: readonly FrameBorrower[]

  constructor(port: Port, borrowers: readonly FrameBorrower[]) {
    this.name = port.name
    this.fds = port.fds
    this.#port = port
    this.#borrowers = borrowers
  }

  get pending(): boolean {
    for (let i = 0; i < this.#borrowers.length; i++) if (this.#borrowers[i]!.pending()) return true
    return this.#port.pending
  }

  receive(batch: Batch, index: number, max: number): void {
    this.#port.receive(batch, index, max)
  }

  send(address: number, length: number, total: number): boolean {
    return this.#port.send(address, length, total)
  }

  flush(): void {
    for (let i = 0; i < this.#borrowers.length; i++) {
      const from = this.#borrowers[i]!
      while (from.look() && this.#port.send(from.address, from.length, from.total)) from.take()
      from.settle()
    }
    this.#port.flush()
  }

  /** Less what it owes: the lender counts that as its own. */
  get holds(): number {
    let holds = this.#port.holds
    for (let i = 0; i < this.#borrowers.length; i++) holds -= this.#borrowers[i]!.owed
    return holds
  }

  kernelDrops(): KernelDrops {
    return this.#port.kernelDrops()
  }

  close(): void {
    this.#port.close()
  }
}
