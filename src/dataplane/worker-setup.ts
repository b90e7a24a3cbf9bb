/** What the agent hands a worker thread at its start, and what the two tell each other; see `worker-thread.ts`. */

import type { FrameMemory } from './frames.ts'
import type { CounterMemory } from './ledger.ts'
import type { WorkerQueues } from './queue-layout.ts'
import { FLAG_WORDS } from './worker.ts'

/** Entries of a socket's rings, powers of two. */
export interface RingSizes {
  readonly receiveSize: number
  readonly sendSize: number
  readonly fillSize: number
  readonly completionSize: number
}

export interface PortSetup {
  readonly name: string
  readonly interfaceIndex: number
  readonly queues: WorkerQueues
}

export interface WorkerSetup {
  readonly worker: number
  readonly workers: number
  readonly frames: FrameMemory
  /** This worker's share of the chunks. */
  readonly chunks: { readonly from: number; readonly to: number }
  readonly dispatch: SharedArrayBuffer
  /** An exchange a port and worker. */
  readonly relays: SharedArrayBuffer
  readonly counters: CounterMemory
  readonly qsbr: SharedArrayBuffer
  /** FLAG_WORDS a worker, and an eventfd each. */
  readonly flags: SharedArrayBuffer
  readonly bells: readonly number[]
  readonly ports: readonly PortSetup[]
  readonly rings: RingSizes
  readonly copy: boolean
  readonly multiBuffer: boolean
  /** URL of the module that exports `createProgram`. */
  readonly program: string
  readonly parameters: unknown
  readonly core: number | undefined
  readonly spin_us: number
}

export interface OpenedSocket {
  readonly port: number
  readonly queue: number
  readonly fd: number
  readonly mode: 'zero-copy' | 'copy'
}

export type ToWorker =
  | { readonly kind: 'open'; readonly registeredBy: number | undefined }
  | { readonly kind: 'program'; readonly message: unknown }
  /** Instead of `open`: the start has failed elsewhere. */
  | { readonly kind: 'end' }

export type FromWorker =
  | { readonly kind: 'made' }
  | { readonly kind: 'opened'; readonly sockets: readonly OpenedSocket[] }
  | { readonly kind: 'program'; readonly message: unknown }

export function flagsOf(flags: SharedArrayBuffer, worker: number): Int32Array {
  return new Int32Array(flags, worker * FLAG_WORDS * 4, FLAG_WORDS)
}
