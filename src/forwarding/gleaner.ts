/**
 * Gleaners: for next hops that stand for a whole subnet, on a customer's segment or at a host. The packet's destination is
 * the neighbour. The first packet misses it; it is asked for, and once it answers it has a host route of its own.
 */

import { formatAddress, type IpAddress, type MacAddress } from '../base/address.ts'
import { PolicyChoice } from '../dataplane/policy-choice.ts'
import type { Adjacency } from '../dataplane/template.ts'
import type { Way } from '../dataplane/ways.ts'
import type { FibPeer } from '../wire/control/fib.ts'
import type { Wanted } from './neighbour-table.ts'
import type { NodeParts } from './node-parts.ts'
import type { SegmentState } from './segment-state.ts'
import { actionOf, type Tunnelled, tunnelOf } from './tunnelled.ts'

/** By the numbers that drop actions carry. */
export class Gleaners {
  readonly #byNumber = new Map<number, Gleaner>()
  #next = 1

  open(parts: NodeParts, spec: Tunnelled, segment: SegmentState): Gleaner {
    const number = this.#next++
    const gleaner = new Gleaner(number, parts, spec, segment, () => void this.#byNumber.delete(number))
    this.#byNumber.set(number, gleaner)
    return gleaner
  }

  /** A packet for this address met no neighbour. */
  missed(number: number, address: IpAddress): void {
    this.#byNumber.get(number)?.missed(address)
  }
}

interface Found {
  readonly way: Way
  readonly address: IpAddress
  /** Where the tenant has policies: they decide about packets to its neighbours, too. */
  choice: PolicyChoice | undefined
}

export class Gleaner {
  readonly number: number
  readonly #parts: NodeParts
  readonly #spec: Tunnelled
  readonly #segment: SegmentState
  readonly #closed: () => void
  readonly #found = new Map<string, Found>()
  readonly #kept = new Map<string, { close(): void }>()

  constructor(number: number, parts: NodeParts, spec: Tunnelled, segment: SegmentState, closed: () => void) {
    this.number = number
    this.#parts = parts
    this.#spec = spec
    this.#segment = segment
    this.#closed = closed
  }

  missed(address: IpAddress): void {
    this.#parts.neighbours.glean({ ...this.#wanted(address), forgotten: () => this.#forget(address) })
  }

  /** Those that the site file names need not be missed first; they are kept resolved. */
  keep(peers: readonly FibPeer[]): void {
    const wanted = new Map(peers.map((peer) => [formatAddress(peer.address), peer]))
    for (const [key, kept] of this.#kept) {
      if (wanted.has(key)) continue
      kept.close()
      this.#kept.delete(key)
    }
    for (const [key, { address, mac }] of wanted) {
      if (mac) this.#resolved(address, mac)
      else if (!this.#kept.has(key)) this.#kept.set(key, this.#parts.neighbours.want(this.#wanted(address)))
    }
  }

  /** The tenant has other policies now. */
  followPolicies(): void {
    for (const found of this.#found.values()) {
      const before = found.choice
      found.choice = this.#choiceOf(found.way)
      this.#lead(found)
      before?.close()
    }
  }

  close(): void {
    for (const kept of this.#kept.values()) kept.close()
    for (const { address } of [...this.#found.values()]) this.#forget(address)
    this.#closed()
  }

  #wanted(address: IpAddress): Wanted {
    return {
      segment: this.#segment.number,
      address,
      ask: () => this.#segment.ask(address, this.#spec.remote, tunnelOf(this.#spec)),
      resolved: (mac) => this.#resolved(address, mac),
    }
  }

  #resolved(address: IpAddress, mac: MacAddress): void {
    const make = (adjacency: Adjacency) => actionOf(this.#spec, this.#segment, adjacency, mac)
    const known = this.#found.get(formatAddress(address))
    if (known) {
      known.way.lay(make)
      return
    }
    const way = this.#parts.ways.open(this.#spec.remote, make)
    if (!way) return
    const found = { way, address, choice: this.#choiceOf(way) }
    this.#found.set(formatAddress(address), found)
    this.#lead(found)
  }

  #lead({ way, address, choice }: Found): void {
    const slot = choice?.slot ?? way.slot
    this.#parts.fib.insert(this.#segment.tenant.row, { address, length: address.length * 8 }, slot)
  }

  // A neighbour is reached over its own connection alone: that is the way of those policies that name it.
  #choiceOf({ slot }: Way): PolicyChoice | undefined {
    const { policies } = this.#segment.tenant.spec
    if (this.#spec.kind !== 'connected' || policies.length === 0) return undefined
    const ways = policies.filter(({ segments }) => segments.includes(this.#segment.spec.id)).map(({ way }) => way)
    return PolicyChoice.open(
      this.#parts.actions,
      slot,
      Array.from(new Set(ways), (way) => ({ way, slot, isUp: true })),
    )
  }

  #forget(address: IpAddress): void {
    const found = this.#found.get(formatAddress(address))
    if (!found) return
    this.#found.delete(formatAddress(address))
    this.#parts.fib.remove(this.#segment.tenant.row, { address, length: address.length * 8 })
    found.choice?.close()
    found.way.close()
  }
}
