/**
 * The agent of a forwarding node: the thread that talks to the rest of the site. It lays out what the workers read, takes
 * FIB batches over, hears what the workers hear, and shares with the cluster what only one node can have seen. It is not on
 * the way of any packet; when it stands still, packets go on.
 */

import { BrokenPathsKnown } from '../agent/broken-paths.ts'
import type { IpAddress, MacAddress } from '../base/address.ts'
import type { Clock, Timer } from '../base/clock.ts'
import type { Logger } from '../base/log.ts'
import type { Random } from '../base/random.ts'
import { inSlices } from '../base/slices.ts'
import { ActionWriter, createActionMemory } from '../dataplane/action.ts'
import { createFibMemory, FibWriter } from '../dataplane/fib/fib.ts'
import { CounterReader, createCounterMemory, type Totals } from '../dataplane/ledger.ts'
import { createPolicyMemory, NODE_POLICY_LIMITS, type PolicyCount, PolicyWriter } from '../dataplane/policy.ts'
import { createQsbrMemory, QsbrWriter } from '../dataplane/qsbr.ts'
import { startWorkers, type Workers } from '../dataplane/start.ts'
import { type Underlay, Ways } from '../dataplane/ways.ts'
import { type Watch, watch } from '../linux/poll.ts'
import { hasFamily, IcmpSocket } from '../linux/socket.ts'
import { withoutPriority } from '../linux/thread.ts'
import type { FibBatch } from '../wire/control/fib.ts'
import type { NeighbourNews, PathNews } from '../wire/control/report.ts'
import { PROTOCOL } from '../wire/ipv4.ts'
import { UDP_PORT } from '../wire/udp.ts'
import { Explainer, type PacketAnswer, type PacketQuestion } from './explainer.ts'
import { Gleaners } from './gleaner.ts'
import { Holdings } from './holdings.ts'
import { NeighbourTable } from './neighbour-table.ts'
import type { NeighbourReport } from './neighbours.ts'
import type { NodeParts } from './node-parts.ts'
import { learntFrom, PATH_MTU_LIFETIME_s, PathMtus } from './path-mtu.ts'
import { createSegmentMemory, SegmentWriter } from './segments.ts'
import type { ForwardingMemory } from './worker.ts'

/** VRFs and counter rows: 10 K tenants a node and room to grow. 4.5 MB of counters a worker. */
const TENANTS_MAX = 12_288

/** 1 GB of FIB, reserved and committed as it is touched: 10 M routes and more. */
const FIB_WORDS = 1 << 28

/** Retired memory is looked at this often when nothing else does. */
const RECLAIM_ms = 10

/** How often to see whether somebody who has said what is broken has been silent for too long. */
const EXPIRE_ms = 1000

export interface ForwardingAgentOptions {
  readonly name: string
  readonly ports: readonly string[]
  readonly workers: number
  readonly underlay: Underlay
  readonly clock: Clock
  readonly random: Random
  readonly log: Logger
  /** Tells the other nodes of the cluster. */
  shareNeighbour(news: NeighbourNews): void
  sharePath(news: PathNews): void
  /** A worker died: the process must end. */
  onDeath(error: Error): void
}

export class ForwardingAgent {
  readonly holdings: Holdings
  readonly neighbours: NeighbourTable
  readonly counters: CounterReader
  readonly #options: ForwardingAgentOptions
  readonly #parts: NodeParts
  readonly #paths: PathMtus
  readonly #broken: BrokenPathsKnown
  readonly #qsbr: QsbrWriter
  readonly #memory: ForwardingMemory
  readonly #qsbrMemory: SharedArrayBuffer
  readonly #counterMemory
  readonly #icmp: { socket: IcmpSocket; watch: Watch }[] = []
  readonly #tunnelAddresses = new Map<string, IpAddress>()
  #reclaim: Timer | undefined
  #expire: Timer | undefined
  #canHear = false
  #workers: Workers | undefined
  #nextWorker = 0

  constructor(options: ForwardingAgentOptions) {
    this.#options = options
    const { workers, clock, random, underlay } = options
    this.#broken = new BrokenPathsKnown(clock)
    this.#qsbrMemory = createQsbrMemory(workers)
    this.#counterMemory = createCounterMemory(workers, TENANTS_MAX)
    this.#memory = {
      fib: createFibMemory({ words: FIB_WORDS, vrfs: TENANTS_MAX }),
      actions: createActionMemory(),
      segments: createSegmentMemory(),
      policies: createPolicyMemory({ ...NODE_POLICY_LIMITS, tenants: TENANTS_MAX }, workers),
      tenants: TENANTS_MAX,
    }
    this.#qsbr = new QsbrWriter(this.#qsbrMemory)
    this.counters = new CounterReader(this.#counterMemory)
    const actions = new ActionWriter(this.#memory.actions, this.#qsbr)
    const ways: Ways = new Ways(actions, underlay, (remote) => this.#paths.of(remote))
    this.#paths = new PathMtus(clock, (remote) => ways.changed(remote))
    this.neighbours = new NeighbourTable(clock, random, (segment, address, mac) => this.#share(segment, address, mac))
    this.#parts = {
      random,
      actions,
      segments: new SegmentWriter(this.#memory.segments, this.#qsbr),
      policies: new PolicyWriter(this.#memory.policies, this.#qsbr),
      fib: new FibWriter(this.#memory.fib, this.#qsbr),
      ways,
      neighbours: this.neighbours,
      segmentsByNumber: new Map(),
      gleaners: new Gleaners(),
      broken: this.#broken,
      send: (frame) => this.#post(frame),
    }
    this.holdings = new Holdings(this.#parts, this.#qsbr, this.counters, TENANTS_MAX)
  }

  /** Starts the workers, which warm up first, and puts the XDP program on the ports. */
  async start(): Promise<void> {
    const { ports, workers } = this.#options
    this.#workers = await startWorkers({
      workers,
      ports: ports.map((interfaceName) => ({ interfaceName, steering: 'node' })),
      program: new URL('./worker.ts', import.meta.url),
      parameters: this.#memory,
      qsbr: this.#qsbrMemory,
      counters: this.#counterMemory,
      tunnels: [{ protocol: PROTOCOL.udp, port: UDP_PORT.vxlan }, { protocol: PROTOCOL.gre }],
      onMessage: (_worker, message) => this.#hear(message as NeighbourReport),
      onDeath: ({ error }) => this.#options.onDeath(error),
    })
    for (const address of this.#tunnelAddresses.values()) this.#workers.steering.setAddress(address, 'tunnel')
    for (const version of [4, 6] as const) if (hasFamily(version)) this.#listen(version)
    this.#reclaim = this.#qsbr.reclaimEvery(RECLAIM_ms, this.#options.clock)
    this.#expire = this.#options.clock.every(EXPIRE_ms, () => {
      if (this.#canHear) this.#pathsChanged(this.#broken.expire())
    })
  }

  /** Tunnel packets to these addresses of the host are ours; those of before are the kernel's again. */
  takeTunnelsTo(addresses: readonly IpAddress[]): void {
    const wanted = new Map(addresses.map((address) => [address.join('.'), address]))
    for (const [key, address] of this.#tunnelAddresses) {
      if (wanted.has(key)) continue
      this.#tunnelAddresses.delete(key)
      this.#workers?.steering.removeAddress(address)
    }
    for (const [key, address] of wanted) {
      if (this.#tunnelAddresses.has(key)) continue
      this.#tunnelAddresses.set(key, address)
      this.#workers?.steering.setAddress(address, 'tunnel')
    }
  }

  /**
   * Returns why the batch could not be taken over. One after the other: while one is taken over, all else goes on, and a
   * long one takes turns with the workers.
   */
  async apply(batch: FibBatch): Promise<string | undefined> {
    const failed = await inSlices(this.holdings.take(batch), this.#options.clock, withoutPriority)
    this.#qsbr.reclaim()
    return failed
  }

  /** Another node resolved neighbours. */
  neighbourNews({ node, neighbours }: NeighbourNews): void {
    if (node === this.#options.name) return
    for (const { tenant, segment, address, mac } of neighbours) {
      const number = this.holdings.tenant(tenant)?.segment(segment)?.number
      if (number !== undefined) this.neighbours.heard(number, address, mac, false)
    }
  }

  /** Another node learnt the MTU of a path. */
  pathNews({ node, remote, mtu, lifetime_s }: PathNews): void {
    if (node !== this.#options.name) this.#paths.learn(remote, mtu, lifetime_s)
  }

  /** A switch or a routing node says what is broken on the ways to tenants' networks. */
  brokenPaths(payload: Uint8Array): void {
    this.#pathsChanged(this.#broken.hear(payload))
  }

  /** Is the bus there? While it is, those who have said what is broken and are silent now are forgotten after a while. */
  busChanged(isConnected: boolean): void {
    this.#canHear = isConnected
    if (isConnected) this.#broken.forgive()
  }

  /** By tenant name. */
  tenants(): { name: string; totals: Totals }[] {
    return [...this.holdings.tenants()].map(({ name, row }) => ({ name, totals: this.counters.tenant(row) }))
  }

  /** What would become of a packet; undefined for a tenant that is not held. */
  explain(question: PacketQuestion): PacketAnswer | undefined {
    const { policies } = this.#parts
    const ports = () => this.#options.ports
    const { holdings } = this
    return new Explainer({ memory: this.#memory, holdings, policies, clock: this.#options.clock, ports }).explain(
      question,
    )
  }

  /** What each policy of tenants has decided here. */
  policies(): (PolicyCount & { tenant: string })[] {
    return [...this.holdings.tenants()].flatMap(({ name: tenant, row }) =>
      this.#parts.policies.counts(row).map((count) => ({ tenant, ...count })),
    )
  }

  /** No worker has stood still since this was last asked. */
  isMoving(): boolean {
    return this.#workers?.areMoving() ?? true
  }

  kernelDrops() {
    return this.#workers?.kernelDrops() ?? []
  }

  ports() {
    return this.#workers?.ports ?? []
  }

  async stop(): Promise<void> {
    this.#reclaim?.cancel()
    this.#expire?.cancel()
    this.neighbours.close()
    this.#paths.close()
    for (const { socket, watch } of this.#icmp) {
      watch.stop()
      socket.close()
    }
    await this.#workers?.stop()
  }

  #pathsChanged(vnis: ReadonlySet<number>): void {
    if (vnis.size === 0) return
    if (!this.holdings.pathsChanged(vnis))
      this.#options.log.error({ segments: vnis.size }, 'groups of next hops have no room to follow what is broken')
  }

  #post(message: unknown): void {
    if (!this.#workers) return
    this.#nextWorker = (this.#nextWorker + 1) % this.#options.workers
    this.#workers.post(this.#nextWorker, message)
  }

  #hear(report: NeighbourReport): void {
    if (report.kind === 'missed') this.#parts.gleaners.missed(report.by, report.address)
    else this.neighbours.heard(report.segment, report.address, report.mac, true)
  }

  #share(number: number, address: IpAddress, mac: MacAddress): void {
    const segment = this.#parts.segmentsByNumber.get(number)
    if (!segment) return
    const neighbour = { tenant: segment.tenant.id, segment: segment.spec.id, address, mac }
    this.#options.shareNeighbour({ node: this.#options.name, neighbours: [neighbour] })
  }

  #listen(version: 4 | 6): void {
    const socket = new IcmpSocket(version)
    const isOurs = (source: IpAddress) => this.#tunnelAddresses.has(source.join('.'))
    const read = (): void => {
      for (let message = socket.receive(); message; message = socket.receive()) {
        const learnt = learntFrom(message.bytes, version, isOurs)
        if (
          learnt &&
          this.#parts.ways.has(learnt.remote) &&
          this.#paths.learn(learnt.remote, learnt.mtu, PATH_MTU_LIFETIME_s)
        )
          this.#options.sharePath({ node: this.#options.name, ...learnt, lifetime_s: PATH_MTU_LIFETIME_s })
      }
    }
    this.#icmp.push({ socket, watch: watch(socket.fd, read) })
  }
}
