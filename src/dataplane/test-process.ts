/**
 * A process of its own around workers, as a node is, for tests that end it: `test-process.ts NAMESPACE WORKERS`. Tells
 * its parent when it runs and passes on to a worker what the parent says.
 */

import { assert } from '../base/assert.ts'
import { enterNamespace } from '../linux/namespace.ts'
import { createCounterMemory } from './ledger.ts'
import { createQsbrMemory } from './qsbr.ts'
import { startWorkers } from './start.ts'
import type { TestMessage } from './test-program.ts'

export interface ToProcess {
  readonly worker: number
  readonly message: TestMessage
}

export const EXIT_CODE = 70

const rings = { receiveSize: 2048, sendSize: 1024, fillSize: 2048, completionSize: 1024 }

async function main(namespace: string, count: number): Promise<void> {
  enterNamespace(namespace)
  const workers = await startWorkers({
    workers: count,
    ports: [{ interfaceName: 'port', steering: 'customer' }],
    program: new URL('./test-program.ts', import.meta.url),
    parameters: { out: 0 },
    tunnels: [],
    qsbr: createQsbrMemory(count),
    counters: createCounterMemory(count, 4),
    frames: { rings, chunks: new Array<number>(count).fill(4096) },
    onMessage() {},
    onDeath({ worker, error }) {
      console.error(`worker ${worker} died: ${error.message}`)
      process.exit(EXIT_CODE)
    },
  })
  process.on('message', ({ worker, message }: ToProcess) => workers.post(worker, message))
  process.send!('runs')
}

if (import.meta.main) {
  const [namespace, count] = process.argv.slice(2)
  assert(namespace !== undefined && count !== undefined, 'a namespace and a number of workers')
  await main(namespace, Number(count))
}
