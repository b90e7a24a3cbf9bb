/**
 * Finished actions, and the slots that name them. What a packet needs in order to leave (which headers, by which port, how
 * large it may be) is worked out once by the agent and laid down here; a worker only copies. DSR section 4.1.2: the result
 * of the one lookup is the unified action.
 *
 *   FIB --> slot --> slots[slot] --> action row
 *                                     word 0 kind      4 mtu, largest IP packet that fits
 *                                          1 port      5 sum of the outer IPv4 header without length and TOS
 *                                          2 bytes     6 argument: drop reason, segment, first member of a group,
 *                                                        1 where what is sent goes to another site
 *                                          3 tunnel    7 argument: members of a group; who is told of a packet
 *                                                        that was dropped, 0 for nobody; where in the template the
 *                                                        EtherType of the packet belongs, 0 for nowhere
 *                                          8 .. 31     header template, 96 bytes
 *
 * An action row never changes while it is named by a slot. A failover, another ECMP member, a neighbour's new MAC address:
 * a new row, and the store of one slot.
 */

import { assert } from '../base/assert.ts'
import { bucketOf, mix32 } from '../base/hash.ts'
import { Drop } from './drop.ts'
import type { QsbrWriter } from './qsbr.ts'
import { Runs } from './runs.ts'

export const ActionKind = {
  /** Dropped under the reason in argument 0. */
  drop: 0,
  /** For the gateway itself; argument 0 is the segment whose address it is, 0 for any. */
  local: 1,
  /** The template is put before the packet, and it leaves by the port. */
  send: 2,
  /**
   * The tenant's policies choose (policy.ts): the first of the argument 1 members from argument 0 on is the ordinary way, and
   * behind it are pairs of a way's number and its slot.
   */
  policy: 3,
  /** The destination is looked up once more, in the VRF of argument 0. */
  vrf: 4,
  /** The member at argument 0 + (hash of the flow over argument 1): the slot whose number stands there says what to do. */
  select: 5,
  /** The first of the argument 1 members from argument 0 on whose action is not a drop. */
  failover: 6,
} as const

/** What a template's outer headers are, for the fields that depend on the packet. */
export const Tunnel = { none: 0, vxlan4: 1, vxlan6: 2, gre4: 3, gre6: 4 } as const

const ROW_WORDS = 32
export const TEMPLATE_AT = 8
export const TEMPLATE_MAX = (ROW_WORDS - TEMPLATE_AT) * 4

/** Slots that stand for good: what the FIB answers where it has no route, and the place of a member that is not there. */
export const NO_ROUTE_SLOT = 0
export const EMPTY_SLOT = 1

/** Groups that lead to groups: select, failover per port, second select (TRIPOD figure 3), and one to spare. */
const DEPTH_MAX = 4

export interface ActionMemory {
  readonly rows: SharedArrayBuffer
  readonly slots: SharedArrayBuffer
  /** Slot numbers: the places of all groups. */
  readonly members: SharedArrayBuffer
}

export interface ActionLimits {
  /** 128 bytes each. */
  actions: number
  /** 4 bytes each. */
  slots: number
  /** 4 bytes each, a run a group. */
  members: number
}

/**
 * 2^17 next hops (16 MB): 10 K tenants with a dozen each. 2^20 members (4 MB): 256 resilient groups, or many small ones.
 * Pages are committed when touched.
 */
const defaultActionLimits: ActionLimits = { actions: 1 << 17, slots: 1 << 17, members: 1 << 20 }

export function createActionMemory(limits: ActionLimits = defaultActionLimits): ActionMemory {
  return {
    rows: new SharedArrayBuffer(limits.actions * ROW_WORDS * 4),
    slots: new SharedArrayBuffer(limits.slots * 4),
    members: new SharedArrayBuffer(limits.members * 4),
  }
}

const NO_ROUTE_ROW = 0
const GROUP_EMPTY_ROW = 1
const GROUP_LOOP_ROW = 2
const EXHAUSTED_ROW = 3
const SITE_LOOP_ROW = 4
const POLICY_DISCARD_ROW = 5
const POLICY_NO_WAY_ROW = 6
const VRF_LOOP_ROW = 7
const NO_LISTENER_ROW = 8
const STANDING_ROWS = 9

/** What becomes of packets that a policy drops: actions that stand for good, by their first word. */
export const POLICY_DISCARD_AT = POLICY_DISCARD_ROW * ROW_WORDS
export const POLICY_NO_WAY_AT = POLICY_NO_WAY_ROW * ROW_WORDS
/** And of one that is led from VRF to VRF to VRF, or to an address of the gateway in another. */
export const VRF_LOOP_AT = VRF_LOOP_ROW * ROW_WORDS
export const NO_LISTENER_AT = NO_LISTENER_ROW * ROW_WORDS

/** What the workers read. */
export class Actions {
  readonly words: Int32Array
  readonly #slots: Int32Array
  readonly #members: Int32Array

  constructor(memory: ActionMemory) {
    this.words = new Int32Array(memory.rows)
    this.#slots = new Int32Array(memory.slots)
    this.#members = new Int32Array(memory.members)
  }

  /**
   * Follows a slot through groups to the action that sends, delivers or drops, or to one where a policy has to choose, or
   * another VRF to be asked.
   * Returns the action's first word in `words`; groups nested too deeply lead to the standing drop `group-loop`.
   */
  resolve(slot: number, hash: number): number {
    const words = this.words
    let at = this.#slots[slot]! * ROW_WORDS
    for (let depth = 0; depth <= DEPTH_MAX; depth++) {
      const kind = words[at]!
      if (kind < ActionKind.select) return at
      const first = words[at + 6]!
      const members = words[at + 7]!
      if (kind === ActionKind.select) at = this.#member(first + bucketOf(mix32(hash + depth), members))
      else at = this.#firstAlive(first, members)
    }
    return GROUP_LOOP_ROW * ROW_WORDS
  }

  /**
   * The same for what came from another site: it goes by ways of this site, whatever is preferred, so two sites that each
   * prefer the other's way do not send it round. Where there is no such way that is the standing drop `site-loop`.
   */
  resolveHere(slot: number, hash: number): number {
    const words = this.words
    let at = this.#slots[slot]! * ROW_WORDS
    for (let depth = 0; depth <= DEPTH_MAX; depth++) {
      const kind = words[at]!
      if (kind === ActionKind.send && words[at + 6] !== 0) return SITE_LOOP_ROW * ROW_WORDS
      if (kind < ActionKind.select) return at
      const first = words[at + 6]!
      const members = words[at + 7]!
      if (kind === ActionKind.select) at = this.#member(first + bucketOf(mix32(hash + depth), members))
      else at = this.#firstHere(first, members)
    }
    return GROUP_LOOP_ROW * ROW_WORDS
  }

  // Where none of this site's is alive, what is wrong with the last of those; of none at all, any that leads to a site.
  #firstHere(first: number, members: number): number {
    let here = GROUP_EMPTY_ROW * ROW_WORDS
    for (let i = 0; i < members; i++) {
      const at = this.#member(first + i)
      const kind = this.words[at]
      if (kind === ActionKind.send && this.words[at + 6] !== 0) {
        if (here === GROUP_EMPTY_ROW * ROW_WORDS) here = SITE_LOOP_ROW * ROW_WORDS
        continue
      }
      here = at
      if (kind !== ActionKind.drop) break
    }
    return here
  }

  /** The same, past policies: for what is none of theirs. */
  resolveOrdinary(slot: number, hash: number): number {
    const at = this.resolve(slot, hash)
    return this.words[at] === ActionKind.policy ? this.resolve(this.ordinarySlot(at), hash) : at
  }

  /** Of the action of a policy, by its first word: where packets go that no policy sends elsewhere. */
  ordinarySlot(at: number): number {
    return this.#members[this.words[at + 6]!]!
  }

  /** Of the same: where packets go by this way. A drop, if they cannot. */
  waySlot(at: number, way: number): number {
    const first = this.words[at + 6]!
    const members = this.words[at + 7]!
    for (let i = 1; i < members; i += 2) if (this.#members[first + i] === way) return this.#members[first + i + 1]!
    return EMPTY_SLOT
  }

  #member(place: number): number {
    return this.#slots[this.#members[place]!]! * ROW_WORDS
  }

  #firstAlive(first: number, members: number): number {
    let at = GROUP_EMPTY_ROW * ROW_WORDS
    for (let i = 0; i < members; i++) {
      at = this.#member(first + i)
      if (this.words[at] !== ActionKind.drop) break
    }
    return at
  }
}

export type Action =
  | { kind: 'drop'; reason: number; miss?: number }
  | { kind: 'local'; segment: number }
  | { kind: 'vrf'; vrf: number }
  | {
      kind: 'send'
      port: number
      tunnel: number
      mtu: number
      template: Uint8Array
      etherTypeAt: number
      /** To another site's gateway. */
      toSite?: boolean
    }
  | { kind: 'select' | 'failover' | 'policy'; first: number; members: number }

/** Slots, groups' members and actions as the agent writes them: exactly one writer a process. */
export class ActionWriter {
  readonly #words: Int32Array
  readonly #bytes: Uint8Array
  readonly #slots: Int32Array
  readonly #members: Int32Array
  readonly #qsbr: QsbrWriter
  readonly #freeRows: number[] = []
  readonly #slotRuns: Runs
  readonly #memberRuns: Runs
  #nextRow = STANDING_ROWS

  constructor(memory: ActionMemory, qsbr: QsbrWriter) {
    this.#words = new Int32Array(memory.rows)
    this.#bytes = new Uint8Array(memory.rows)
    this.#slots = new Int32Array(memory.slots)
    this.#members = new Int32Array(memory.members)
    this.#qsbr = qsbr
    this.#slotRuns = new Runs(EMPTY_SLOT + 1, this.#slots.length)
    this.#memberRuns = new Runs(0, this.#members.length)
    this.#fill(NO_ROUTE_ROW, { kind: 'drop', reason: Drop['no-route'] })
    this.#fill(GROUP_EMPTY_ROW, { kind: 'drop', reason: Drop['group-empty'] })
    this.#fill(GROUP_LOOP_ROW, { kind: 'drop', reason: Drop['group-loop'] })
    this.#fill(EXHAUSTED_ROW, { kind: 'drop', reason: Drop['actions-exhausted'] })
    this.#fill(SITE_LOOP_ROW, { kind: 'drop', reason: Drop['site-loop'] })
    this.#fill(POLICY_DISCARD_ROW, { kind: 'drop', reason: Drop['policy-discard'] })
    this.#fill(POLICY_NO_WAY_ROW, { kind: 'drop', reason: Drop['policy-no-way'] })
    this.#fill(VRF_LOOP_ROW, { kind: 'drop', reason: Drop['vrf-loop'] })
    this.#fill(NO_LISTENER_ROW, { kind: 'drop', reason: Drop['no-listener'] })
    Atomics.store(this.#slots, EMPTY_SLOT, GROUP_EMPTY_ROW)
  }

  /** A fresh slot, which means no route until it is set; undefined when there are none left. */
  allocate(): number | undefined {
    return this.#slotRuns.take(1)
  }

  /**
   * Nothing in the FIB or a group may lead to the slot any more. Workers that are on their way to it still find its action;
   * it is given out again once every worker has passed by.
   */
  release(slot: number): void {
    this.#qsbr.retire(() => {
      this.#name(slot, NO_ROUTE_ROW)
      this.#slotRuns.give(slot, 1)
    })
  }

  /**
   * Lays the action down in a fresh row and makes the slot name it, with one store. False when there are no rows left: then
   * the slot is a drop, `actions-exhausted`, and leads nowhere else.
   */
  set(slot: number, action: Action): boolean {
    assert(slot > EMPTY_SLOT, 'a standing slot does not change')
    const row = this.#takeRow()
    if (row !== undefined) this.#fill(row, action)
    this.#name(slot, row ?? EXHAUSTED_ROW)
    return row !== undefined
  }

  // When every row is taken, some may only wait for the workers to pass by.
  #takeRow(): number | undefined {
    const free = this.#freeRows.pop()
    if (free !== undefined) return free
    if (this.#nextRow < this.#words.length / ROW_WORDS) return this.#nextRow++
    this.#qsbr.reclaim()
    return this.#freeRows.pop()
  }

  /** Consecutive places for a group, all of them empty; undefined when there are none left. */
  allocateMembers(count: number): number | undefined {
    const first = this.#memberRuns.take(count)
    if (first !== undefined) this.#members.fill(EMPTY_SLOT, first, first + count)
    return first
  }

  /** No slot may name the group any more. */
  releaseMembers(first: number, count: number): void {
    this.#qsbr.retire(() => this.#memberRuns.give(first, count))
  }

  /** Puts a slot's number into a place of a group, or a way's into a policy's: one store. EMPTY_SLOT takes the member out. */
  setMember(place: number, slot: number): void {
    Atomics.store(this.#members, place, slot)
  }

  /** Does the slot lead to a drop at the moment? */
  isDrop(slot: number): boolean {
    return this.#words[this.#slots[slot]! * ROW_WORDS] === ActionKind.drop
  }

  #name(slot: number, row: number): void {
    const before = Atomics.exchange(this.#slots, slot, row)
    if (before >= STANDING_ROWS) this.#qsbr.retire(() => void this.#freeRows.push(before))
  }

  #fill(row: number, action: Action): void {
    const at = row * ROW_WORDS
    this.#words.fill(0, at, at + ROW_WORDS)
    this.#words[at] = ActionKind[action.kind]
    if (action.kind === 'drop') {
      this.#words[at + 6] = action.reason
      this.#words[at + 7] = action.miss ?? 0
    } else if (action.kind === 'local') this.#words[at + 6] = action.segment
    else if (action.kind === 'vrf') this.#words[at + 6] = action.vrf
    else if (action.kind === 'send') this.#fillTemplate(at, action)
    else {
      this.#words[at + 6] = action.first
      this.#words[at + 7] = action.members
    }
  }

  #fillTemplate(at: number, action: Extract<Action, { kind: 'send' }>): void {
    const { template } = action
    assert(template.length <= TEMPLATE_MAX, 'a header template larger than its row')
    this.#words[at + 1] = action.port
    this.#words[at + 2] = template.length
    this.#words[at + 3] = action.tunnel
    this.#words[at + 4] = action.mtu
    this.#words[at + 6] = action.toSite ? 1 : 0
    this.#words[at + 7] = action.etherTypeAt
    this.#words[at + 5] = isIpv4(action.tunnel) ? ipv4HeaderSum(template) : 0
    this.#bytes.set(template, (at + TEMPLATE_AT) * 4)
  }
}

function isIpv4(tunnel: number): boolean {
  return tunnel === Tunnel.vxlan4 || tunnel === Tunnel.gre4
}

/** Bytes of the Ethernet header that precedes the outer IP header in every tunnel's template. */
export const OUTER_IP_AT = 14

/** One's complement sum of the template's IPv4 header, whose TOS, length and checksum are zero. */
function ipv4HeaderSum(template: Uint8Array): number {
  let sum = 0
  for (let i = OUTER_IP_AT; i < OUTER_IP_AT + 20; i += 2) sum += (template[i]! << 8) | template[i + 1]!
  return sum
}
