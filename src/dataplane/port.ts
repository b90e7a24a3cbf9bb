/**
 * A port is where frames come from and go to: a queue of a network device (`xdp-port.ts`), memory (`memory-port.ts`), a
 * recording (`replay-port.ts`), another worker's port (`relay-port.ts`), or another port seen through faults
 * (`fault-port.ts`). One worker owns it.
 *
 * Ownership: a frame that `receive` appended belongs to the batch; one that `send` took belongs to the port, which
 * returns it to the pool when it is out; one that `send` refused still belongs to the caller.
 */

import type { Batch } from './batch.ts'

export interface Port {
  readonly name: string
  /** Descriptors to sleep on: readable when there is something to receive. */
  readonly fds: readonly number[]
  /** There is work that no descriptor tells of, so this is no time to sleep. */
  readonly pending: boolean
  /** What was sent has not left, and it may do so in a moment: a flush then is due, which no descriptor tells of. */
  readonly unsent: boolean
  /** Appends up to `max` frames, marked as coming from port number `index`. */
  receive(batch: Batch, index: number, max: number): void
  /** Queues a frame for transmission; false when there is no room. */
  send(address: number, length: number, total: number): boolean
  /** Starts what was queued; once a batch. */
  flush(): void
  /**
   * Chunks that the port holds at the moment, in rings or on their way out: frames are conserved over pool and ports.
   */
  readonly holds: number
  /** Losses before or behind us that only the device knows. */
  kernelDrops(): KernelDrops
  close(): void
}

export interface KernelDrops {
  /** Frames that the kernel had no buffer or no ring place for. */
  received: number
  /** Descriptors that the kernel refused. */
  invalid: number
}

export const noKernelDrops: KernelDrops = { received: 0, invalid: 0 }
