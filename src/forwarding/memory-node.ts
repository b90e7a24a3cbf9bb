/**
 * A whole forwarding node in memory: one worker's stages between memory ports, with the agent's tables behind them, in the
 * same thread. The tests, the warm-up and the pipeline's benchmark run on it; nothing of it is a stand-in but the underlay,
 * which leads everywhere by port 0.
 */

import { BrokenPathsKnown } from '../agent/broken-paths.ts'
import type { IpAddress } from '../base/address.ts'
import { type Clock, ManualClock } from '../base/clock.ts'
import { Random } from '../base/random.ts'
import { atOnce } from '../base/slices.ts'
import { Actions, ActionWriter, createActionMemory } from '../dataplane/action.ts'
import { createFibMemory, FibReader, FibWriter } from '../dataplane/fib/fib.ts'
import { createFrameMemory, FramePool, Frames } from '../dataplane/frames.ts'
import { CounterReader, createCounterMemory, Ledger, type Totals } from '../dataplane/ledger.ts'
import { MemoryPort } from '../dataplane/memory-port.ts'
import { createPolicyMemory, Policies, PolicyWriter } from '../dataplane/policy.ts'
import type { Port } from '../dataplane/port.ts'
import { createQsbrMemory, QsbrReader, QsbrWriter } from '../dataplane/qsbr.ts'
import type { Adjacency } from '../dataplane/template.ts'
import { type Underlay, Ways } from '../dataplane/ways.ts'
import { Worker } from '../dataplane/worker.ts'
import type { FibBatch } from '../wire/control/fib.ts'
import { type BrokenPaths, brokenPaths } from '../wire/control/liveness.ts'
import { Explainer, type PacketAnswer, type PacketQuestion } from './explainer.ts'
import { Gleaners } from './gleaner.ts'
import { Holdings } from './holdings.ts'
import { NeighbourTable } from './neighbour-table.ts'
import type { NeighbourReport } from './neighbours.ts'
import type { NodeParts } from './node-parts.ts'
import { ForwardingProgram } from './program.ts'
import { createSegmentMemory, Segments, SegmentWriter } from './segments.ts'
import type { ForwardingMemory } from './worker.ts'

export interface MemoryNodeLimits {
  readonly chunks: number
  readonly tenants: number
  readonly fibWords: number
}

/** A few tenants of a few routes: 16 MB. */
const smallNode: MemoryNodeLimits = { chunks: 512, tenants: 64, fibWords: 1 << 20 }

/** The MAC addresses of the one link that the node has. */
export const NODE_MAC = Uint8Array.of(2, 0, 0, 0, 0, 1)
export const ROUTER_MAC = Uint8Array.of(2, 0, 0, 0, 0, 2)

/** Everything is behind one router on port 0, unless a test says otherwise. */
export class FixedUnderlay implements Underlay {
  adjacency: Adjacency | undefined
  readonly #watches = new Set<() => void>()

  constructor(mtu: number) {
    this.adjacency = { port: 0, source: NODE_MAC, destination: ROUTER_MAC, mtu }
  }

  adjacencies(): readonly Adjacency[] {
    return this.adjacency ? [this.adjacency] : []
  }

  watch(_destination: IpAddress, changed: () => void): { close(): void } {
    this.#watches.add(changed)
    return { close: () => void this.#watches.delete(changed) }
  }

  change(adjacency: Adjacency | undefined): void {
    this.adjacency = adjacency
    for (const changed of this.#watches) changed()
  }
}

export class MemoryNode {
  readonly clock: ManualClock
  readonly underlay: FixedUnderlay
  readonly port: MemoryPort
  readonly pool: FramePool
  readonly frames: Frames
  readonly holdings: Holdings
  readonly neighbours: NeighbourTable
  readonly fib: FibWriter
  readonly worker: Worker
  readonly program: ForwardingProgram
  readonly #counters: CounterReader
  readonly #parts: NodeParts
  readonly #qsbr: QsbrWriter
  readonly #memory: ForwardingMemory
  readonly #ports: Port[]
  readonly #ledger: Ledger
  readonly #reader: QsbrReader
  readonly #pathMtus = new Map<string, number>()
  readonly #broken: BrokenPathsKnown

  constructor({ chunks, tenants, fibWords }: MemoryNodeLimits = smallNode, mtu = 1600) {
    this.clock = new ManualClock()
    this.#broken = new BrokenPathsKnown(this.clock)
    this.underlay = new FixedUnderlay(mtu)
    const frameMemory = createFrameMemory(chunks)
    const qsbrMemory = createQsbrMemory(1)
    const counterMemory = createCounterMemory(1, tenants)
    const fibMemory = createFibMemory({ words: fibWords, vrfs: tenants })
    const actionMemory = createActionMemory()
    const segmentMemory = createSegmentMemory({ entries: 1 << 16, segments: 1 << 14 })
    const policyMemory = createPolicyMemory({ rules: 1 << 12, policies: 1 << 8, tenants }, 1)
    this.#memory = { fib: fibMemory, actions: actionMemory, segments: segmentMemory, policies: policyMemory, tenants }
    this.#qsbr = new QsbrWriter(qsbrMemory)
    this.#counters = new CounterReader(counterMemory)
    this.frames = new Frames(frameMemory)
    this.pool = new FramePool(this.frames, 0, chunks)
    this.port = new MemoryPort('underlay', this.frames, this.pool)
    this.fib = new FibWriter(fibMemory, this.#qsbr)
    this.#ports = [this.port]
    this.#ledger = new Ledger(counterMemory, 0, this.pool, this.#ports)
    this.program = new ForwardingProgram(
      {
        frames: this.frames,
        pool: this.pool,
        ledger: this.#ledger,
        fib: new FibReader(fibMemory),
        actions: new Actions(actionMemory),
        segments: new Segments(segmentMemory),
        policies: new Policies(policyMemory, 0),
        tenants,
      },
      (report) => this.#hear(report),
    )
    const actions = new ActionWriter(actionMemory, this.#qsbr)
    const random = new Random(1)
    this.neighbours = new NeighbourTable(this.clock as Clock, random, () => {})
    this.#parts = {
      random,
      actions,
      segments: new SegmentWriter(segmentMemory, this.#qsbr),
      policies: new PolicyWriter(policyMemory, this.#qsbr),
      fib: this.fib,
      ways: new Ways(actions, this.underlay, (remote) => this.#pathMtus.get(remote.join('.'))),
      neighbours: this.neighbours,
      segmentsByNumber: new Map(),
      gleaners: new Gleaners(),
      broken: this.#broken,
      send: (frame) => this.program.message(frame),
    }
    this.holdings = new Holdings(this.#parts, this.#qsbr, this.#counters, tenants)
    this.#reader = new QsbrReader(qsbrMemory, 0)
    this.worker = this.workerOver(this.port)
  }

  /** The node's worker on another port than its own, which that replaces: for benchmarks that bring theirs. */
  workerOver(port: Port): Worker {
    this.#ports[0] = port
    const ledger = this.#ledger
    return new Worker({ ports: this.#ports, program: this.program, ledger, qsbr: this.#reader, clock: this.clock })
  }

  apply(batch: FibBatch): string | undefined {
    const failed = atOnce(this.holdings.take(batch))
    this.#qsbr.reclaim()
    return failed
  }

  /** Takes the frames in and returns what came out, its answers and questions included. */
  send(...frames: Uint8Array[]): Uint8Array[] {
    for (const frame of frames) this.port.inject(frame)
    this.program.housekeeping(this.clock.now_us())
    while (this.worker.step() > 0) {}
    return this.port.sent()
  }

  learnPathMtu(remote: IpAddress, mtu: number): void {
    this.#pathMtus.set(remote.join('.'), mtu)
    this.#parts.ways.changed(remote)
  }

  /** A switch or a routing node says what is broken. */
  break(news: BrokenPaths): void {
    this.holdings.pathsChanged(this.#broken.hear(brokenPaths.encode(news)))
  }

  /** Of a tenant by its name. */
  totals(name: string): Totals | undefined {
    for (const tenant of this.holdings.tenants()) if (tenant.name === name) return this.#counters.tenant(tenant.row)
    return undefined
  }

  /** What would become of a packet. */
  explain(question: PacketQuestion): PacketAnswer | undefined {
    const { policies } = this.#parts
    const { clock, holdings } = this
    return new Explainer({ memory: this.#memory, holdings, policies, clock, ports: () => ['underlay'] }).explain(
      question,
    )
  }

  /** What each of a tenant's policies has decided, as `packets bytes`. */
  policies(name: string): Record<string, string> {
    const row = [...this.holdings.tenants()].find((tenant) => tenant.name === name)!.row
    return Object.fromEntries(
      this.#parts.policies.counts(row).map((one) => [one.name, `${one.packets} ${one.bytes}`] as const),
    )
  }

  /** Of the node as a whole. */
  node(): Totals {
    return this.#counters.node()
  }

  #hear(report: NeighbourReport): void {
    if (report.kind === 'missed') this.#parts.gleaners.missed(report.by, report.address)
    else this.neighbours.heard(report.segment, report.address, report.mac, true)
  }
}
