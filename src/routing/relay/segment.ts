/**
 * A segment of a tenant's as the relay holds it: its tunnel, our addresses on it, and the prefixes that dynamic neighbours
 * come from.
 */

import type { IpAddress } from '../../base/address.ts'
import { prefixContains } from '../../base/address.ts'
import { type Tunnel, tunnelOf } from './frame-writer.ts'
import { isAt } from './peer-table.ts'
import type { RelaySetup, SegmentSetup, Way } from './ways.ts'

export class Segment {
  readonly vni: number
  readonly tunnel: Tunnel
  /** The largest packet that the underlay takes for it, tunnel and all. */
  readonly packetMax: number
  /** A row of the limit of answers. */
  readonly row: number
  readonly #gateways: readonly IpAddress[]
  readonly #ranges: readonly Way[]

  constructor(setup: SegmentSetup, ranges: readonly Way[], packetMax: number, row: number) {
    this.vni = setup.vni
    this.tunnel = tunnelOf(setup)
    this.packetMax = packetMax
    this.row = row
    this.#gateways = setup.gateways
    this.#ranges = ranges
  }

  /** Whether the address at `at` is one of ours on it. */
  isOurs(view: DataView, at: number, length: number): boolean {
    for (const gateway of this.#gateways) if (isAt(gateway, view, at, length)) return true
    return false
  }

  /** By which a peer that no neighbour is named for would come. */
  rangeOf(address: IpAddress): Way | undefined {
    return this.#ranges.find(({ peers }) => prefixContains(peers, address))
  }

  get hasRanges(): boolean {
    return this.#ranges.length > 0
  }
}

/** By VNI. `packetMax`: for a VIP, what fits into a tunnel there. */
export function segmentsOf(setup: RelaySetup, packetMax: (vip: IpAddress) => number): Map<number, Segment> {
  const ranges = Map.groupBy(
    setup.ways.filter(({ number }) => number === 0),
    ({ vni }) => vni,
  )
  return new Map(
    setup.segments.map((one, row) => [one.vni, new Segment(one, ranges.get(one.vni) ?? [], packetMax(one.vip), row)]),
  )
}
