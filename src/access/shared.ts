/**
 * What the stages of one switch worker share: the views of shared memory, the columns, the frames it makes. One object
 * a worker, made once.
 */

import { mix32 } from '../base/hash.ts'
import { RateLimits } from '../base/rate-limit.ts'
import type { Actions } from '../dataplane/action.ts'
import { Batch } from '../dataplane/batch.ts'
import type { FibReader } from '../dataplane/fib/fib.ts'
import { CHUNK_BYTES, type FramePool, type Frames, NO_FRAME } from '../dataplane/frames.ts'
import { FIRST_TENANT, type Ledger } from '../dataplane/ledger.ts'
import { ATTACHMENTS_MAX, type Attachments } from './attachments.ts'
import { Columns } from './classify.ts'
import type { MacTable } from './mac-table.ts'
import type { OwnAddresses } from './own-addresses.ts'
import type { PortTable } from './port-table.ts'

/** Counter rows: what is routed for others, and then a row an attachment. */
export const TRANSIT_ROW = FIRST_TENANT
export const COUNTER_ROWS = TRANSIT_ROW + ATTACHMENTS_MAX

export function rowOfAttachment(attachment: number): number {
  return TRANSIT_ROW + attachment
}

/** The switch's VRFs: where packets are routed, and which senders' tunnel packets are believed (any slot but none). */
export const Vrf = { underlay: 0, remotes: 1 } as const
export const VRFS = 2

/**
 * What `local` means in the underlay's VRF; a number from 2 on is the slot of the group that spreads a VIP's packets.
 */
export const Local = { host: 0, tunnelEnd: 1 } as const

/** ICMP errors a worker: as many as Linux sends (net.ipv4.icmp_msgs_per_sec), useless to reflect with. */
const ICMP_RATE_PER_S = 1000
const ICMP_BURST = 50

/** The same in all switches, so that two side by side choose the same node for a flow. */
const NODE_SALT = 0x7f4a7c15

export interface SwitchViews {
  readonly frames: Frames
  readonly pool: FramePool
  readonly ledger: Ledger
  readonly fib: FibReader
  readonly actions: Actions
  readonly attachments: Attachments
  readonly macs: MacTable
  readonly own: OwnAddresses
  readonly ports: PortTable
  /** Salts the choice among paths: different in each switch, or the second one has nothing left to choose from. */
  readonly pathSalt: number
}

export class Shared {
  readonly views: SwitchViews
  readonly columns = new Columns()
  readonly originated = new Batch()
  readonly #icmp = new RateLimits(1, ICMP_RATE_PER_S, ICMP_BURST)
  now_us = 0

  constructor(views: SwitchViews) {
    this.views = views
  }

  /** Words of the action that leads to one of the nodes behind a VIP: the same node for both directions of a flow. */
  chooseNode(group: number, flow: number): number {
    return this.views.actions.resolve(group, mix32(flow ^ NODE_SALT))
  }

  mayAnswer(): boolean {
    return this.#icmp.take(0, this.now_us)
  }

  /** Makes room for one more frame of our own: what was made before leaves first. */
  flushOriginated(): void {
    if (this.originated.room === 0) this.views.ledger.settle(this.originated)
  }

  /** A copy of a frame in chunks of its own, laid out as the original is; NO_FRAME when too few are free. */
  copy(address: number, length: number, total: number): number {
    const { frames, pool } = this.views
    if (pool.free < frames.chunksOf(address, length, total)) return NO_FRAME
    const head = copyChunk(frames, pool, address, length)
    let from = address
    let to = head
    for (let rest = total - length; rest > 0; ) {
      const bytes = frames.nextLength(from)
      const next = copyChunk(frames, pool, frames.nextAddress(from), bytes)
      frames.link(to, next, bytes)
      from = frames.nextAddress(from)
      to = next
      rest -= bytes
    }
    return head
  }
}

function copyChunk(frames: Frames, pool: FramePool, address: number, length: number): number {
  const to = pool.take() + (address & (CHUNK_BYTES - 1))
  frames.bytes.copyWithin(to, address, address + length)
  return to
}
