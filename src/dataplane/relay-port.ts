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
  readonly unsent = false
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
 * At the worker with a queue: its own port, which also sends what others hand over. What does not fit waits with them,
 * and when their exchange is full as well they count what they refuse, as they would at a full device of their own.
 */
export class RelayingPort implements Port {
  readonly name: string
  readonly fds: readonly number[]
  readonly #port: Port
  readonly #borrowers: readonly FrameBorrower[]
  #isFull = false
  /** The device has no place for what others hand over, and takes nothing: that waits for the device, and not for us. */
  #isStuck = false

  constructor(port: Port, borrowers: readonly FrameBorrower[]) {
    this.name = port.name
    this.fds = port.fds
    this.#port = port
    this.#borrowers = borrowers
  }

  get pending(): boolean {
    if (!this.#isStuck) for (let i = 0; i < this.#borrowers.length; i++) if (this.#borrowers[i]!.pending()) return true
    return this.#port.pending
  }

  get unsent(): boolean {
    return this.#port.unsent
  }

  receive(batch: Batch, index: number, max: number): void {
    this.#port.receive(batch, index, max)
  }

  send(address: number, length: number, total: number): boolean {
    return this.#port.send(address, length, total)
  }

  flush(): void {
    let taken = this.#takeOver()
    this.#port.flush()
    if (this.#isFull && taken === 0) {
      taken = this.#takeOver() // the flush may have made room
      this.#port.flush()
    }
    this.#isStuck = this.#isFull && taken === 0
  }

  #takeOver(): number {
    let taken = 0
    this.#isFull = false
    for (let i = 0; i < this.#borrowers.length; i++) {
      const from = this.#borrowers[i]!
      while (!this.#isFull && from.look()) {
        if (this.#port.send(from.address, from.length, from.total)) {
          from.take()
          taken++
        } else this.#isFull = true
      }
      from.settle()
    }
    return taken
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
