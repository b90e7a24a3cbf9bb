/**
 * A worker thread that does nothing but look up, as a forwarding worker does: 64 addresses, a quiescent point, the next 64.
 * The benchmark's main thread reads how far it is and stops it.
 */

import { parentPort, workerData } from 'node:worker_threads'
import { type FibMemory, FibReader } from '../../src/dataplane/fib/fib.ts'
import { QsbrReader } from '../../src/dataplane/qsbr.ts'
import { pinTo } from '../../src/linux/thread.ts'

export interface ReaderData {
  readonly memory: FibMemory
  readonly qsbr: SharedArrayBuffer
  readonly vrf: number
  /** A shared column. */
  readonly addresses: Uint32Array
  /** Words: stop, batches, and whether it is to look up now. */
  readonly progress: SharedArrayBuffer
  readonly core: number
}

const BATCH = 64

function run({ memory, qsbr, vrf, addresses, progress, core }: ReaderData): void {
  pinTo([core])
  const words = new Int32Array(progress)
  const worker = new QsbrReader(qsbr, 0)
  const fib = new FibReader(memory)
  fib.vrfs.fill(vrf)
  parentPort!.postMessage('ready')
  worker.online()
  while (Atomics.load(words, 0) === 0) {
    Atomics.wait(words, 2, 0)
    for (let at = 0; at + BATCH <= addresses.length && words[2] === 1; at += BATCH) {
      for (let i = 0; i < BATCH; i++) fib.addresses[i] = addresses[at + i]!
      fib.lookup4Batch(BATCH)
      worker.quiescent()
      words[1]!++
    }
  }
  worker.offline()
}

run(workerData as ReaderData)
