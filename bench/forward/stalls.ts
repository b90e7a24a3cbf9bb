/**
 * What makes a node stand still: the longest time that any packet of a steady stream takes while something happens for the
 * first time in the node's life. The sender writes the time into every packet, so its own pauses are not counted.
 */

import { setTimeout as sleep } from 'node:timers/promises'
import { type BenchRow, benchRow } from '../report.ts'
import type { Pace, TestBed, Way } from './bed.ts'
import type { GatehouseNode } from './devices.ts'
import type { Rare } from './frames.ts'
import type { NodeOrder } from './node.ts'
import { MORE_ROUTES } from './site.ts'

const WAY: Way = { tunnel: 'vxlan', bytes: 64 }

/** Far from full, so that what is late is late for the event, and often enough to see a stall of 50 us. */
const PACKETS_per_s = 50_000

interface Event {
  readonly what: string
  /** In the stream, or something that the node's agent does meanwhile. */
  readonly rare?: Rare
  readonly order?: NodeOrder
}

const EVENTS: readonly Event[] = [
  { what: 'nothing happens' },
  { what: 'the first IPv6 packet', rare: 'ipv6' },
  { what: 'the first packet with TTL 1', rare: 'ttl' },
  {
    what: `${MORE_ROUTES.toLocaleString('en-US')} routes are loaded`,
    order: { kind: 'load' },
  },
  { what: 'the agent starts a child process', order: { kind: 'spawn' } },
  { what: 'the agent is told anew all that it holds', order: { kind: 'reload' } },
]

export interface Stall {
  readonly what: string
  readonly longest_ms: number | null
}

/** The node must be fresh. What happens is to be over within `pace.seconds`: the last takes two of a million routes. */
export async function measureStalls(bed: TestBed, node: GatehouseNode, pace: Pace): Promise<Stall[]> {
  const stalls: Stall[] = []
  for (const { what, rare, order } of EVENTS) {
    const after_s = pace.seconds / 4
    const inStream = rare && { kind: rare, after_s }
    const running = bed.trickle(node, WAY, PACKETS_per_s, pace, inStream)
    const happening = order && sleep((pace.warmUp_s + after_s) * 1000).then(() => node.ask<void>(order))
    const [{ latency }] = await Promise.all([running, happening])
    stalls.push({ what, longest_ms: latency ? latency.max_us / 1000 : null })
  }
  return stalls
}

export function stallRows(stalls: readonly Stall[]): BenchRow[] {
  return stalls.map(({ what, longest_ms }, i) =>
    benchRow({
      what: `longest stall while ${what}`,
      ...{ value: longest_ms, unit: 'ms', better: 'lower' },
      ...(i > 0 && { bar: 5, aim: 1 }),
    }),
  )
}
