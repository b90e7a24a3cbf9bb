/**
 * A forwarding node without its wires, in a process of its own: it follows the control module's batches as nodes do, and lays
 * them into a FIB of shared memory as nodes do.
 *
 *   parent <--{ changes, at_ms }-- child      so many changes of routes are in the FIB, since the beginning
 */

import { BatchFollower } from '../../src/agent/follower.ts'
import { fibFeed } from '../../src/agent/names.ts'
import { systemClock } from '../../src/base/clock.ts'
import { silent } from '../../src/base/log.ts'
import { freshSeed, Random } from '../../src/base/random.ts'
import { type BusPlace, openBus } from '../../src/bus/place.ts'
import { MemoryNode } from '../../src/forwarding/memory-node.ts'
import { type FibBatch, fibBatch } from '../../src/wire/control/fib.ts'

export interface NodeSetup {
  readonly cluster: string
  readonly name: string
  readonly bus: BusPlace
  readonly directory: string
}

export interface FromNode {
  readonly kind: 'applied'
  readonly changes: number
  readonly at_ms: number
}

const LIMITS = { chunks: 64, tenants: 2048, fibWords: 1 << 26 }

async function run({ cluster, name, bus: place, directory }: NodeSetup): Promise<void> {
  const random = new Random(freshSeed())
  const bus = await openBus(place, { name, clock: systemClock, random })
  const node = new MemoryNode(LIMITS)
  let changes = 0
  const follower = new BatchFollower<FibBatch>({
    ...{ bus, feed: fibFeed(cluster), message: fibBatch, module: name },
    ...{ directory: `${directory}/${name}`, clock: systemClock, log: silent },
    apply(batch) {
      const failed = node.apply(batch)
      changes += batch.routes4.lengths.length + batch.routes6.lengths.length
      const at_ms = performance.timeOrigin + performance.now()
      process.send!({ kind: 'applied', changes, at_ms } satisfies FromNode)
      return failed
    },
  })
  follower.start()
}

if (import.meta.main) {
  process.on('disconnect', () => process.exit(0))
  await run(JSON.parse(process.argv[2]!))
}
