/**
 * What the stages of one forwarding worker share: the views of shared memory, the columns, the frames it makes. One object a
 * worker, made once.
 */

import { RateLimits } from '../base/rate-limit.ts'
import { ActionKind, type Actions, OUTER_IP_AT, VRF_LOOP_AT } from '../dataplane/action.ts'
import { Batch, FORWARD } from '../dataplane/batch.ts'
import { Drop } from '../dataplane/drop.ts'
import { encapsulate } from '../dataplane/encapsulate.ts'
import type { FibReader } from '../dataplane/fib/fib.ts'
import { type FramePool, type Frames, HEADROOM, NO_FRAME } from '../dataplane/frames.ts'
import type { Ledger } from '../dataplane/ledger.ts'
import type { Policies } from '../dataplane/policy.ts'
import { trim } from '../dataplane/trim.ts'
import { ETHERTYPE, ethernet } from '../wire/ethernet.ts'
import type { Field } from '../wire/header.ts'
import { ipv4 } from '../wire/ipv4.ts'
import { IPV6_MTU_MIN, ipv6, trafficClass } from '../wire/ipv6.ts'
import { Columns } from './classify.ts'
import type { Segments } from './segments.ts'
import { fragmentTunnel } from './tunnel-fragments.ts'

/**
 * What the gateway says to a tenant, by limits of their own: without ARP and neighbour discovery nothing reaches it, without
 * path MTU discovery connections hang, and a flood of what asks for anything else (pings, a loop of routes) must cost neither.
 */
export const Answer = { neighbour: 0, tooBig: 1, other: 2 } as const
const ANSWERS = 3

/** Each, of a tenant and worker: enough for path MTU discovery and ping, useless to reflect with. */
const ANSWERS_PER_S = 1000
const ANSWERS_BURST = 200

/** Of an answer, should its tunnel packet have to be cut: 1,280 bytes and headers over a path of 576. */
const PIECES_MAX = 4

/** For `Batch.action`: already rewritten, nothing is to be put before it. */
export const REWRITTEN = 0xffffffff

export interface NodeViews {
  readonly frames: Frames
  readonly pool: FramePool
  readonly ledger: Ledger
  readonly fib: FibReader
  readonly actions: Actions
  readonly segments: Segments
  readonly policies: Policies
  /** Rows of the counters: tenants are below. */
  readonly tenants: number
}

export class Shared {
  readonly frames: Frames
  readonly pool: FramePool
  readonly ledger: Ledger
  readonly fib: FibReader
  readonly actions: Actions
  readonly segments: Segments
  readonly columns = new Columns()
  readonly originated = new Batch()
  readonly tenants: number
  readonly #answers: RateLimits
  /** Tunnel packets that were cut. */
  #cut = 0
  now_us = 0

  constructor(views: NodeViews) {
    this.frames = views.frames
    this.pool = views.pool
    this.ledger = views.ledger
    this.fib = views.fib
    this.actions = views.actions
    this.segments = views.segments
    this.tenants = views.tenants
    this.#answers = new RateLimits(views.tenants * ANSWERS, ANSWERS_PER_S, ANSWERS_BURST)
  }

  /** `answer` is one of `Answer`. */
  mayAnswer(tenant: number, answer: number): boolean {
    return this.#answers.take(tenant * ANSWERS + answer, this.now_us)
  }

  /** Where such an answer may be written; NO_FRAME if there can be none now, which is counted. */
  chunkForAnswer(tenant: number, answer: number): number {
    const mayAnswer = this.mayAnswer(tenant, answer)
    const chunk = mayAnswer ? this.takeChunk() : NO_FRAME
    if (chunk === NO_FRAME) this.ledger.notOriginated(tenant, mayAnswer ? Drop['no-frames'] : Drop['icmp-rate'])
    return chunk
  }

  /** A fresh chunk: where an IP packet may be written with room for any tunnel header before it, or NO_FRAME. */
  takeChunk(): number {
    const chunk = this.pool.take()
    return chunk === NO_FRAME ? NO_FRAME : chunk + HEADROOM
  }

  /** Enters a packet of `bytes` bytes made at `l3` as originated for the tenant and sends it where its destination leads. */
  originate(tenant: number, hash: number, l3: number, bytes: number, etherType: number): void {
    const batch = this.originated
    if (batch.room < PIECES_MAX) this.ledger.settle(batch)
    const row = this.#push(tenant, l3, bytes)
    batch.hash[row] = hash
    batch.l3[row] = l3
    const verdict = this.chooseAction(batch, row, etherType)
    if (verdict !== FORWARD) batch.verdict[row] = verdict
    else if (bytes <= this.actions.words[batch.action[row]! + 4]!) this.rewrite(batch, row, etherType)
    else batch.verdict[row] = this.rewriteInPieces(batch, row, etherType)
  }

  /** Enters a finished frame of `bytes` bytes at `address` as originated for the tenant; it leaves by the port. */
  originateFrame(tenant: number, address: number, bytes: number, port: number): void {
    const row = this.#push(tenant, address, bytes)
    this.originated.out[row] = port
  }

  #push(tenant: number, address: number, bytes: number): number {
    const batch = this.originated
    // What was made before leaves first.
    if (batch.room === 0) this.ledger.settle(batch)
    const row = batch.push(0, address, bytes, bytes)
    batch.tenant[row] = tenant
    this.ledger.originated(tenant)
    return row
  }

  /** Looks the destination up and writes `action`; a drop reason unless it can be sent. For packets of the gateway's own. */
  chooseAction(batch: Batch, row: number, etherType: number): number {
    const at = this.lookup(batch, row, etherType)
    const words = this.actions.words
    batch.action[row] = at
    if (words[at] === ActionKind.send) return FORWARD
    return words[at] === ActionKind.drop ? words[at + 6]! : Drop['no-listener']
  }

  lookup(batch: Batch, row: number, etherType: number): number {
    const hash = batch.hash[row]!
    const words = this.actions.words
    const at = this.actions.resolveOrdinary(this.slotIn(batch.tenant[row]!, batch, row, etherType), hash)
    if (words[at] !== ActionKind.vrf) return at
    const there = this.actions.resolveOrdinary(this.slotIn(words[at + 6]!, batch, row, etherType), hash)
    return words[there] === ActionKind.vrf ? VRF_LOOP_AT : there
  }

  /** What the VRF says of the row's destination. */
  slotIn(vrf: number, batch: Batch, row: number, etherType: number): number {
    const l3 = batch.l3[row]!
    return etherType === ETHERTYPE.ipv4
      ? this.fib.lookup4(vrf, ipv4.destination.get(this.frames.view, l3))
      : this.fib.lookup6(vrf, this.frames.view, l3 + ipv6.destination.offset)
  }

  /** Where the row goes by the slot; what another site sent leaves by ways of this one. */
  follow(row: number, slot: number, hash: number): number {
    return this.columns.fromSite[row] === 0 ? this.actions.resolve(slot, hash) : this.actions.resolveHere(slot, hash)
  }

  /** The largest IP packet that reaches the sender of the row's packet through the tunnel that it came by. */
  mtuBack(batch: Batch, row: number): number {
    const at = this.actions.resolve(this.columns.replySlot[row]!, batch.hash[row]!)
    if (this.actions.words[at] !== ActionKind.send) return Number.MAX_SAFE_INTEGER
    return this.actions.words[at + 4]! - (this.columns.l2[row] === 0 ? 0 : ethernet.BYTES)
  }

  rewrite(batch: Batch, row: number, etherType: number): void {
    const view = this.frames.view
    const l3 = batch.l3[row]!
    const tos = etherType === ETHERTYPE.ipv4 ? ipv4.tos.get(view, l3) : trafficClass(view, l3)
    encapsulate(this.frames, this.actions, batch, row, batch.action[row]!, l3, tos, etherType)
  }

  /** The same for what is larger than the action's MTU: the tunnel packet goes in pieces. Returns the row's verdict. */
  rewriteInPieces(batch: Batch, row: number, etherType: number): number {
    const at = batch.action[row]!
    this.rewrite(batch, row, etherType)
    return this.#cutTunnel(batch, row, at)
  }

  #cutTunnel(batch: Batch, row: number, at: number): number {
    const words = this.actions.words
    const outerMtu = words[at + 4]! + words[at + 2]! - OUTER_IP_AT
    return fragmentTunnel(this, batch, row, outerMtu, this.#cut++)
  }

  /**
   * Turns a frame round: to the MAC address in the field `to` of the header at `header`, from the gateway's, through the
   * tunnel that it came by. Its inner packet ends where the column `end` says.
   */
  turnRound(batch: Batch, row: number, to: Field, header: number): number {
    const { frames, segments, columns, actions } = this
    const l2 = columns.l2[row]!
    const at = actions.resolve(columns.replySlot[row]!, batch.hash[row]!)
    if (actions.words[at] !== ActionKind.send) return Drop['underlay-unresolved']
    const isLarge = columns.end[row]! - l2 > actions.words[at + 4]!
    if (isLarge && columns.end[row]! - batch.l3[row]! > IPV6_MTU_MIN) return Drop['too-big']
    const destination = l2 + ethernet.destination.offset
    frames.bytes.copyWithin(destination, header + to.offset, header + to.offset + 6)
    segments.writeGatewayMac(batch.segment[row]!, frames.view, l2 + ethernet.source.offset)
    const bytes = columns.end[row]! - batch.address[row]!
    if (bytes > batch.total[row]!) {
      // Only the answer to duplicate address detection is longer than the question, which is in one piece.
      batch.length[row] = bytes
      batch.total[row] = bytes
    } else trim(this.pool, batch, row, columns.end[row]!)
    encapsulate(frames, actions, batch, row, at, l2, 0, ETHERTYPE.bridgedEthernet)
    batch.action[row] = REWRITTEN
    return isLarge ? this.#cutTunnel(batch, row, at) : FORWARD
  }
}
