/**
 * The agent of a switch, without its process: it takes batches of the control module over, follows the underlay and
 * BFD, and writes what the workers read. It is not on the way of any packet. What it needs of the kernel and the bus is
 * handed in, so that a test can be all of them.
 */

import { formatAddress, type IpAddress } from '../base/address.ts'
import type { Clock, Timer } from '../base/clock.ts'
import type { Logger } from '../base/log.ts'
import type { Bfd, BfdNews } from '../bfd/speaker.ts'
import { FibFullError } from '../dataplane/fib/fib.ts'
import type { CounterReader, Totals } from '../dataplane/ledger.ts'
import type { ForwardingRoute } from '../dataplane/route-choice.ts'
import { type Underlay, Ways } from '../dataplane/ways.ts'
import type { BrokenPath } from '../wire/control/liveness.ts'
import type { SwitchBatch } from '../wire/control/switch.ts'
import { Balances } from './balances.ts'
import { Liveness } from './liveness.ts'
import type { SwitchWriters } from './memory.ts'
import { Local, rowOfAttachment, TRANSIT_ROW, Vrf } from './shared.ts'
import { type OwnRoute, UnderlayTable } from './underlay-table.ts'
import { Wires } from './wires.ts'

/** What `dataplane/underlay.ts` tells a switch. */
export interface SwitchUnderlay extends Underlay {
  routes(): Iterable<ForwardingRoute>
  localAddresses(): readonly IpAddress[]
  isUp(port: number): boolean
}

export interface SwitchPort {
  readonly name: string
  readonly isCustomer: boolean
}

export interface SwitchAgentParts {
  /** A port's place is its number. */
  readonly ports: readonly SwitchPort[]
  readonly writers: SwitchWriters
  readonly counters: CounterReader
  readonly underlay: SwitchUnderlay
  readonly clock: Clock
  readonly log: Logger
  /** Starts BFD; its news are to be given to the function. */
  bfd(news: (news: BfdNews) => void): Bfd
  mtuOf(port: number): number
  /** These wires of tenants have no carrier, and no others. */
  broken(paths: readonly BrokenPath[]): void
  /** What is ours has changed: the addresses that the kernel answers for, and those that tunnels end at. */
  steer(addresses: { host: readonly IpAddress[]; tunnel: readonly IpAddress[] }): void
}

/** Retired memory is looked at this often when nothing else does. */
const RECLAIM_ms = 10

export class SwitchAgent {
  readonly #parts: SwitchAgentParts
  readonly #bfd: Bfd
  readonly #table: UnderlayTable
  readonly #liveness: Liveness
  readonly #balances: Balances
  readonly #wires: Wires
  readonly #reclaim: Timer
  #own: IpAddress | undefined
  /** Believed senders of tunnel packets, by their text, and the slot that says so. */
  readonly #remotes = new Map<string, IpAddress>()
  readonly #believed: number
  #isRefreshDue = false

  constructor(parts: SwitchAgentParts) {
    this.#parts = parts
    const { writers, underlay, log, clock, ports } = parts
    const { actions, attachments } = writers
    this.#bfd = parts.bfd((news) => this.#liveness.heard(news))
    this.#table = new UnderlayTable(writers, log)
    this.#liveness = new Liveness({
      ...{ bfd: this.#bfd, underlay, log },
      ownFor: (node) => this.#ownOf(node.length),
      changed: () => this.#refreshSoon(),
    })
    const ways = new Ways(actions, underlay, () => undefined)
    this.#balances = new Balances({ actions, ways, liveness: this.#liveness })
    const customers = new Map(
      ports.flatMap(({ name, isCustomer }, port) => (isCustomer ? [[name, port] as const] : [])),
    )
    this.#wires = new Wires({
      ...{ actions, attachments, ways, balances: this.#balances, mtuOf: parts.mtuOf },
      customerPort: (name) => customers.get(name),
      forget: (attachment) => parts.counters.reset(rowOfAttachment(attachment)),
    })
    this.#believed = actions.allocate()!
    actions.set(this.#believed, { kind: 'local', segment: Local.host })
    this.#reclaim = writers.qsbr.reclaimEvery(RECLAIM_ms, clock)
    this.underlayChanged()
  }

  /** Takes a batch over, which is always whole. Returns why it could not; then the switch goes on with what it has. */
  apply(batch: SwitchBatch): string | undefined {
    const wrong = this.#wires.check(batch.attachments, batch.address) ?? this.#balances.check(batch.balances)
    if (wrong !== undefined) return wrong
    this.#own = batch.address
    const failed =
      this.#believe(batch.vips) ??
      this.#balances.apply(batch.balances) ??
      this.#wires.apply(batch.attachments, batch.address)
    this.underlayChanged()
    this.#balances.closeLeft()
    this.#parts.writers.qsbr.reclaim()
    return failed
  }

  /** Routes, neighbours, own addresses or links are others now. */
  underlayChanged(): void {
    const { underlay, writers, ports } = this.#parts
    for (const [port, { isCustomer }] of ports.entries())
      writers.ports.set(port, { isCustomer, isUp: underlay.isUp(port) })
    // Before all else: a tenant's packets wait for it.
    this.#parts.broken(this.#brokenWires())
    for (const bytes of [4, 16]) {
      const own = this.#ownOf(bytes)
      if (own) writers.own.set(own)
    }
    this.#table.sync(this.#routesBesideCustomers(), this.#ownRoutes())
    this.#steer()
    this.#refreshSoon()
  }

  /** A supervisor says that the node's process has ended. */
  nodeDied(name: string): void {
    const address = this.#balances.addressOf(name)
    if (address) this.#liveness.died(address)
  }

  /** Frames of each attachment, for people. */
  attachments(): { port: string; vlan: number; vni: number; vip: string; totals: Totals }[] {
    return this.#wires.held().map(({ number, spec: { port, vlan, vni, vip } }) => {
      return { port, vlan, vni, vip: formatAddress(vip), totals: this.#parts.counters.tenant(rowOfAttachment(number)) }
    })
  }

  /** What was routed for others. */
  transit(): Totals {
    return this.#parts.counters.tenant(TRANSIT_ROW)
  }

  nodes() {
    return this.#balances.show()
  }

  async close(): Promise<void> {
    this.#reclaim.cancel()
    await this.#bfd.stop()
  }

  /** A segment with several wires here is broken when all of them are. */
  #brokenWires(): BrokenPath[] {
    const { ports, underlay } = this.#parts
    const remote = this.#own
    const down = new Set(ports.flatMap(({ name, isCustomer }, i) => (isCustomer && !underlay.isUp(i) ? name : [])))
    if (!remote || down.size === 0) return []
    const wires = Map.groupBy(this.#wires.held(), ({ spec }) => spec.vni)
    return Array.from(wires)
      .filter(([, held]) => held.every(({ spec }) => down.has(spec.port)))
      .map(([vni]) => ({ vni, remote, peer: undefined }))
  }

  // Several nodes and links change together: one look at the groups does.
  #refreshSoon(): void {
    if (this.#isRefreshDue) return
    this.#isRefreshDue = true
    queueMicrotask(() => {
      this.#isRefreshDue = false
      const failed = this.#balances.refresh()
      if (failed !== undefined) this.#parts.log.error({ failed }, 'nodes have changed and their group could not follow')
    })
  }

  /** Whatever the kernel's routes say, no underlay packet leaves by a customer's port. */
  *#routesBesideCustomers(): Iterable<ForwardingRoute> {
    const { ports, underlay } = this.#parts
    for (const route of underlay.routes()) {
      const { resolution } = route
      const leaks =
        resolution.status === 'resolved' && resolution.adjacencies.some(({ port }) => ports[port]!.isCustomer)
      if (!leaks) yield route
    }
  }

  #ownRoutes(): OwnRoute[] {
    const local = this.#parts.underlay.localAddresses().map((address) => ({ address, local: Local.host }))
    const tunnelEnd = this.#own ? [{ address: this.#own, local: Local.tunnelEnd }] : []
    return [...local, ...tunnelEnd, ...this.#balances.routes()]
  }

  #steer(): void {
    const spread = new Set(this.#balances.routes().map(({ address }) => formatAddress(address)))
    const own = this.#own && formatAddress(this.#own)
    const host = this.#parts.underlay.localAddresses().filter((address) => {
      const name = formatAddress(address)
      return name !== own && !spread.has(name)
    })
    this.#parts.steer({ host, tunnel: this.#own ? [this.#own] : [] })
  }

  /**
   * Where BFD and ICMP errors come from: the tunnel endpoint where it is of that length, and else any address that is.
   */
  #ownOf(bytes: number): IpAddress | undefined {
    const all = [...(this.#own ? [this.#own] : []), ...this.#parts.underlay.localAddresses()]
    return all.find((address) => address.length === bytes && !isNotForOthers(address))
  }

  #believe(vips: readonly IpAddress[]): string | undefined {
    const { fib } = this.#parts.writers
    const wanted = new Map(vips.map((vip) => [formatAddress(vip), vip]))
    const host = (address: IpAddress) => ({ address, length: address.length * 8 })
    for (const [name, address] of this.#remotes) {
      if (wanted.has(name)) continue
      fib.remove(Vrf.remotes, host(address))
      this.#remotes.delete(name)
    }
    for (const [name, address] of wanted) {
      try {
        fib.insert(Vrf.remotes, host(address), this.#believed)
      } catch (error) {
        if (!(error instanceof FibFullError)) throw error
        return `VIP ${name}: the FIB is full`
      }
      this.#remotes.set(name, address)
    }
    return undefined
  }
}

/** Loopback and link-local addresses. */
function isNotForOthers(address: IpAddress): boolean {
  if (address.length === 4) return address[0] === 127 || (address[0] === 169 && address[1] === 254)
  const isLoopback = address.subarray(0, 15).every((byte) => byte === 0)
  return isLoopback || (address[0] === 0xfe && (address[1]! & 0xc0) === 0x80)
}
