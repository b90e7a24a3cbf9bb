/**
 * The forwarding node under test, a process of its own in the device's namespace: the agent and its one worker as the
 * forwarding module runs them, told what to hold by the benchmark in the control module's place.
 */

import { spawnSync } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseAddress } from '../../src/base/address.ts'
import { systemClock } from '../../src/base/clock.ts'
import { silent } from '../../src/base/log.ts'
import { Random } from '../../src/base/random.ts'
import type { PortDrops } from '../../src/dataplane/kernel-drops.ts'
import type { Totals } from '../../src/dataplane/ledger.ts'
import { Underlay } from '../../src/dataplane/underlay.ts'
import { ForwardingAgent } from '../../src/forwarding/agent.ts'
import { setScheduling, withoutPriority } from '../../src/linux/thread.ts'
import type { RouteColumns } from '../../src/wire/control/columns.ts'
import type { FibBatch } from '../../src/wire/control/fib.ts'
import { answerParent } from './child.ts'
import { difference, MORE_ROUTES, type Size, snapshotOf, Updates } from './site.ts'
import { ADDRESS } from './wires.ts'

/** Routes of a batch of updates. */
const BATCH_ROUTES = 256

export type NodeOrder =
  | { readonly kind: 'start'; readonly size: Size }
  | { readonly kind: 'counters' }
  | { readonly kind: 'update'; readonly routes_per_s: number; readonly seconds: number }
  /** What may make a node stand still: many routes at once, a child process, all that it holds told anew. */
  | { readonly kind: 'load' }
  | { readonly kind: 'spawn' }
  | { readonly kind: 'reload' }

export interface NodeCounters {
  readonly totals: Totals
  readonly kernel: readonly PortDrops[]
  /** Processor time of the worker's thread, which softirqs on top of it are part of. */
  readonly worker_s: number
}

class Node {
  readonly #agent: ForwardingAgent
  /** Made beforehand, as they would come from the control module. */
  readonly #all: FibBatch
  readonly #more: RouteColumns
  readonly #updates: Updates
  #generation = 1

  static async start(size: Size): Promise<Node> {
    const node = new Node(size)
    await node.reload()
    node.#agent.takeTunnelsTo([parseAddress(ADDRESS.vip)!])
    await node.#agent.start()
    return node
  }

  private constructor(size: Size) {
    this.#all = snapshotOf(size)
    this.#more = new Updates(size).next(MORE_ROUTES)
    this.#updates = new Updates(size)
    setScheduling('round-robin')
    const ports = ['in', 'out']
    this.#agent = new ForwardingAgent({
      name: 'node',
      ports,
      workers: 1,
      underlay: Underlay.open({ ports, clock: systemClock }),
      clock: systemClock,
      random: new Random(1),
      log: silent,
      shareNeighbour() {},
      sharePath() {},
      onDeath(error) {
        console.error(error.message)
        process.exit(1)
      },
    })
  }

  counters(): NodeCounters {
    return { totals: this.#agent.counters.node(), kernel: this.#agent.kernelDrops(), worker_s: busiestThread_s() }
  }

  /** Returns how many were made a second. */
  async update(routes_per_s: number, seconds: number): Promise<number> {
    const start_ms = performance.now()
    let made = 0
    for (let passed_ms = 0; passed_ms < seconds * 1000; passed_ms = performance.now() - start_ms) {
      for (const due = (passed_ms / 1000) * routes_per_s; made < due; made += BATCH_ROUTES)
        await this.#update(BATCH_ROUTES)
      await sleep(1)
    }
    return (made / (performance.now() - start_ms)) * 1000
  }

  load(): Promise<void> {
    return this.#apply(difference(this.#more))
  }

  reload(): Promise<void> {
    return this.#apply(this.#all)
  }

  #update(routes: number): Promise<void> {
    return this.#apply(difference(this.#updates.next(routes)))
  }

  async #apply(batch: FibBatch): Promise<void> {
    const generation = ++this.#generation
    const failed = await this.#agent.apply({ ...batch, generation, base: generation - 1 })
    if (failed !== undefined) throw new Error(failed)
  }
}

/** Of the threads but the agent's own: the worker. */
function busiestThread_s(): number {
  const threads = readdirSync('/proc/self/task').filter((thread) => Number(thread) !== process.pid)
  return Math.max(
    ...threads.map((thread) => Number(readFileSync(`/proc/self/task/${thread}/schedstat`, 'utf8').split(' ')[0]) / 1e9),
  )
}

/** Without the agent's priority, which the child would inherit. */
function spawn(): void {
  using _ = withoutPriority()
  spawnSync('true')
}

let node: Node | undefined

async function obey(order: NodeOrder): Promise<unknown> {
  if (order.kind === 'start') node = await Node.start(order.size)
  else if (order.kind === 'counters') return node!.counters()
  else if (order.kind === 'update') return await node!.update(order.routes_per_s, order.seconds)
  else if (order.kind === 'load') await node!.load()
  else if (order.kind === 'spawn') spawn()
  else await node!.reload()
  return undefined
}

if (import.meta.main) answerParent(obey)
