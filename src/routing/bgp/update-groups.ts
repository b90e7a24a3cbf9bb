/**
 * Who is told what with whom: sessions that get the same routes in the same form are one group (rib/update-group.ts), whose
 * updates are written once. And how much of it goes out at a time: as much as the sessions can take, where the others wait a
 * while for the slowest, and go on without it then.
 */

import type { Clock } from '../../base/clock.ts'
import type { Family } from '../../wire/bgp/family.ts'
import { exportFormOf } from './export-form.ts'
import type { OutChunk, RouteSettings } from './messages.ts'
import { AttributeRewriter } from './rib/attribute-rewriter.ts'
import type { AttributeSets } from './rib/attribute-sets.ts'
import { ownSet } from './rib/made-sets.ts'
import { type Chunk, Packer } from './rib/packer.ts'
import type { AddressTable } from './rib/prefix-table.ts'
import type { RibPeers } from './rib/rib-peers.ts'
import type { RoutingTable } from './rib/routing-table.ts'
import { UpdateGroup } from './rib/update-group.ts'
import { policyOf, type RouteSession } from './route-session.ts'

/** Prefixes of a track that are told before the next one's turn, and another look at the clock: a millisecond or two. */
const TURN_PREFIXES = 2000
/** Of updates that a session was handed and the network has not taken: a peer that is further behind waits. */
const WAITING_MAX_BYTES = 2 << 20
/** So long the members of a group wait for the slowest one. */
const PATIENCE_us = 200_000
const NOT_BLOCKED = -1

export interface UpdateGroupsOptions {
  readonly settings: RouteSettings
  readonly sets: AttributeSets
  readonly peers: RibPeers
  readonly clock: Clock
  /** By its number in the RIB. */
  readonly session: (rib: number) => RouteSession | undefined
  readonly send: (chunk: OutChunk) => void
  /** How far the session in a slot is; see PACE_WORDS. */
  readonly pace: (slot: number) => { readonly received: number; readonly waiting: number }
  /** Told of tables in which prefixes may be unused now. */
  readonly touched: (table: RoutingTable) => void
  /** Whether the routes of a VRF are all here: see Restart. */
  readonly isWhole: (vrf: number, then: () => void) => boolean
}

export class UpdateGroups {
  readonly #options: UpdateGroupsOptions
  readonly #rewriter: AttributeRewriter
  readonly #packer: Packer
  readonly #groups = new Map<string, UpdateGroup>()
  readonly #names = new Map<UpdateGroup, string>()
  /** Those that have something to tell, and since when a slow member keeps it back. */
  readonly #awake = new Map<UpdateGroup, number>()

  constructor(options: UpdateGroupsOptions) {
    this.#options = options
    this.#rewriter = new AttributeRewriter(options.sets)
    this.#packer = new Packer({
      send: (chunk) => this.#handOver(chunk),
      room: (audience) => this.#roomOf(audience),
    })
  }

  /** There is something to tell. */
  get isBusy(): boolean {
    return this.#awake.size > 0
  }

  isBusyAt(table: RoutingTable): boolean {
    for (const group of this.#awake.keys()) if (group.table === table) return true
    return false
  }

  join(session: RouteSession): void {
    for (const family of session.tables.keys()) this.#groupFor(session, family as Family)?.join(session.rib)
  }

  leave({ groups, rib }: RouteSession): void {
    for (const group of groups) {
      group?.leave(rib)
      if (group?.isEmpty) this.#drop(group)
    }
  }

  /**
   * Sessions of which something has changed that decides what they are told. Those that leave a group for the same other
   * one go together, with what they were told.
   */
  regroup(sessions: readonly RouteSession[], family: Family): void {
    const moves = new Map<UpdateGroup, Map<UpdateGroup, Set<number>>>()
    for (const session of sessions) {
      const before = session.groups[family]
      const after = this.#groupFor(session, family)
      if (!before || !after || before === after) continue
      const targets = moves.get(before) ?? new Map<UpdateGroup, Set<number>>()
      moves.set(before, targets.set(after, (targets.get(after) ?? new Set()).add(session.rib)))
    }
    // All leave before anybody joins: two groups may change places.
    const released = Array.from(moves, ([before, targets]) =>
      Array.from(targets, ([after, ribs]) => ({ after, tracks: before.release(ribs) })),
    )
    for (const { after, tracks } of released.flat()) for (const track of tracks) after.adopt(track)
    for (const before of moves.keys()) {
      before.endIfEmpty()
      if (before.isEmpty) this.#drop(before)
    }
  }

  /** Tells what waits, as far as there is room, for about so long: tracks have turns. False when nothing was told. */
  tell(time_us: number): boolean {
    const { clock, touched } = this.#options
    const now_us = clock.now_us()
    const until_us = now_us + time_us
    let told = false
    for (const [group, blocked_us] of this.#awake) {
      touched(group.table)
      const toldHere = this.#tellGroup(group, until_us)
      if (group.rest()) this.#awake.delete(group)
      else if (toldHere) {
        // Behind the others, and once more if there is time for it.
        this.#awake.delete(group)
        this.#awake.set(group, NOT_BLOCKED)
      } else if (blocked_us === NOT_BLOCKED) this.#awake.set(group, now_us)
      else if (now_us - blocked_us > PATIENCE_us && this.#detachSlow(group)) told = true
      told ||= toldHere
      if (toldHere && clock.now_us() >= until_us) break
    }
    this.#packer.flush()
    return told
  }

  #tellGroup(group: UpdateGroup, until_us: number): boolean {
    let told = false
    for (const track of group.busy()) {
      const before = track.waiting + track.awaiting.size
      group.flush(track, this.#packer, this.#rewriter, TURN_PREFIXES)
      if (track.waiting + track.awaiting.size < before) told = true
      if (this.#options.clock.now_us() >= until_us) break
    }
    return told
  }

  /** Where the session is told routes of the family, if it can be; it is not a member yet. */
  #groupFor(session: RouteSession, family: Family): UpdateGroup | undefined {
    const { up, exports } = session
    const table = session.tables[family]
    if (!table) return undefined
    const form = exportFormOf(up, family, this.#options.settings)
    if (!form) return undefined
    const { vrf, reflectorClient: clients, defaultOriginate } = up.handling
    const shown = { ...form, nextHopSelf: form.nextHopSelf?.join('.'), ours: form.ours?.join('.') }
    const name = JSON.stringify([vrf, clients, defaultOriginate, shown, exports.id])
    let group = this.#groups.get(name)
    if (!group) {
      const defaultRoute = defaultOriginate ? this.#defaultRoute(table, family) : undefined
      const isWhole = (then: () => void): boolean => this.#options.isWhole(vrf, then)
      const how = { form, clients, isWhole, ...(defaultRoute && { defaultRoute }) }
      const wake = (awake: UpdateGroup): void => void this.#awake.set(awake, NOT_BLOCKED)
      group = new UpdateGroup(table, this.#options.peers, how, wake, policyOf(exports, family))
      this.#groups.set(name, group)
      this.#names.set(group, name)
    }
    session.groups[family] = group
    return group
  }

  #defaultRoute(table: RoutingTable, family: Family): { prefix: number; set: number } | undefined {
    if (table.hasLabels) return undefined
    const prefix = (table.prefixes as AddressTable).findAddress(new Uint32Array(4), 0, 0, true)
    return { prefix, set: ownSet(this.#options.sets, family) }
  }

  #drop(group: UpdateGroup): void {
    this.#groups.delete(this.#names.get(group)!)
    this.#names.delete(group)
  }

  // Members that take nothing go on alone, so that the others need not wait for them.
  #detachSlow(group: UpdateGroup): boolean {
    const slow = group.members.filter((rib) => this.#roomOf([rib]) <= 0)
    if (slow.length === group.members.length) return false
    return slow.some((rib) => group.detach(rib) !== undefined)
  }

  #roomOf(audience: readonly number[]): number {
    let room = Number.POSITIVE_INFINITY
    for (const rib of audience) {
      const session = this.#options.session(rib)
      if (!session) continue
      const { received, waiting } = this.#options.pace(session.up.slot)
      // Counters in memory wrap around at 32 bits; what is on the way never is that much.
      room = Math.min(room, WAITING_MAX_BYTES - (((session.posted - received) | 0) + waiting))
    }
    return room
  }

  #handOver({ memory, runs }: Chunk): void {
    for (const { audience, except, only, from, to } of runs)
      for (const rib of only === 0 ? audience : [only]) {
        const session = rib === except ? undefined : this.#options.session(rib)
        if (session) session.posted = (session.posted + to - from) | 0
      }
    const numberOf = (rib: number): number => this.#options.session(rib)?.number ?? 0
    this.#options.send({
      kind: 'chunk',
      memory,
      runs: runs.map(({ audience, except, only, ...run }) => ({
        audience: (only === 0 ? audience : [only]).map(numberOf),
        except: numberOf(except),
        ...run,
      })),
    })
  }
}
