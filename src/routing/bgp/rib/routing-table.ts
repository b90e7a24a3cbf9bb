/**
 * The routes of one family in one VRF: Adj-RIBs-In and Loc-RIB together (RFC 4271 section 3.2). Every prefix has a list
 * of paths, one a peer (or several, RFC 7911), and one of them is the best. Who exports routes hears of each prefix whose
 * best path may have changed.
 *
 *   prefix   first path -> path -> path        columns by the prefix's number
 *            best path
 *   path     attribute set, peer, next         columns by the path's number
 *
 * A path keeps the set that the peer sent beside the one that policy made of it, so a changed policy needs neither a
 * second table nor the peer's help.
 */

import type { Aggregate } from './aggregate.ts'
import { type AttributeSets, NO_SET } from './attribute-sets.ts'
import { grown8, grown16, grown32, grownUnsigned32 } from './columns.ts'
import type { Decision, PathColumns } from './decision.ts'
import type { NextHops } from './next-hops.ts'
import { INELIGIBLE, NONE, PATH_FLAG } from './path.ts'
import type { PrefixTable } from './prefix-table.ts'
import { ASK_ROUTE, type RoutePolicy } from './route-policy.ts'

/** More than there are followers. */
const RELEASED = 0xffff

/** Of one prefix, from one peer (RFC 7911): all of a prefix are compared with each other whenever one changes. */
const PATHS_OF_PEER_MAX = 128

/** Told of every prefix whose best path may be another one or have other attributes. */
export interface RouteFollower {
  changed(prefix: number): void
}

/** What a peer's routes meet on their way in. */
export interface WayIn {
  /** None: all are accepted as they are. */
  readonly policy: RoutePolicy | undefined
  /** Where they are of use only while their next hops can be reached. */
  readonly nextHops: NextHops | undefined
}

export class RoutingTable implements PathColumns {
  readonly prefixes: PrefixTable
  readonly sets: AttributeSets
  readonly decision: Decision
  readonly followers: RouteFollower[] = []
  /** Of summaries that stand for all that is in them. */
  readonly aggregates: Aggregate[] = []
  /** Columns by prefix: paths' numbers. */
  first: Int32Array = new Int32Array(16)
  best: Int32Array = new Int32Array(16)
  /** How many followers still need the prefix's number. */
  holds: Uint16Array = new Uint16Array(16)
  /** Columns by path. Path 0 is none. */
  set: Int32Array = new Int32Array(16)
  received: Int32Array = new Int32Array(16)
  peer: Uint16Array = new Uint16Array(16)
  next: Int32Array = new Int32Array(16)
  flags: Uint8Array = new Uint8Array(16)
  pathId: Uint32Array = new Uint32Array(0)
  /** Of VPN routes. */
  label: Uint32Array = new Uint32Array(0)
  readonly hasLabels: boolean
  paths = 0
  /** Paths that were not taken: their peer had too many of the prefix. */
  refused = 0
  /** Paths of the peer that `#find` looked for last, when it found none. */
  #foundOfPeer = 0
  #pathEnd = 1
  #freePath = NONE
  #unused: Int32Array = new Int32Array(16)
  #unusedCount = 0

  constructor(prefixes: PrefixTable, sets: AttributeSets, decision: Decision) {
    this.prefixes = prefixes
    this.sets = sets
    this.decision = decision
    this.hasLabels = prefixes.labels.length > 0
  }

  /** The columns have room for a prefix of this number. */
  #reserve(prefix: number): void {
    if (prefix < this.first.length) return
    this.first = grown32(this.first, prefix + 1)
    this.best = grown32(this.best, prefix + 1)
    this.holds = grown16(this.holds, prefix + 1)
  }

  /**
   * A peer's route: `received` as it came, `set` as policy has it (the same, mostly). Replaces what the peer said of the
   * prefix before (RFC 4271 section 3.1), with the same path identifier. True when it had said nothing.
   */
  announce(
    prefix: number,
    peer: number,
    pathId: number,
    received: number,
    set: number,
    flags: number,
    label = 0,
  ): boolean {
    this.#reserve(prefix)
    const sets = this.sets
    const path = this.#find(prefix, peer, pathId)
    sets.use(set)
    sets.use(received)
    if (path !== NONE) {
      const isSame = this.set[path] === set && this.#isAsFlagged(path, flags) && this.labelOf(path) === label
      if (this.hasLabels) this.label[path] = label
      sets.drop(this.set[path]!)
      sets.drop(this.received[path]!)
      this.set[path] = set
      this.received[path] = received
      this.flags[path] = flags
      if (!isSame) this.#decide(prefix)
      return false
    }
    if (this.#foundOfPeer >= PATHS_OF_PEER_MAX) {
      this.refused++
      sets.drop(set)
      sets.drop(received)
      return false
    }
    const added = this.#takePath()
    this.set[added] = set
    this.received[added] = received
    this.peer[added] = peer
    this.flags[added] = flags
    if (pathId !== 0 || this.pathId.length > 0) this.#setPathId(added, pathId)
    if (this.hasLabels) {
      this.label = grownUnsigned32(this.label, Math.max(added + 1, this.set.length))
      this.label[added] = label
    }
    this.next[added] = this.first[prefix]!
    this.first[prefix] = added
    if ((flags & INELIGIBLE) === 0) this.#decide(prefix)
    return true
  }

  #isAsFlagged(path: number, flags: number): boolean {
    return ((this.flags[path]! ^ flags) & ~PATH_FLAG.stale) === 0
  }

  /** False when the peer had no such route. */
  withdraw(prefix: number, peer: number, pathId: number): boolean {
    if (prefix >= this.first.length) return false
    let before = NONE
    for (let path = this.first[prefix]!; path !== NONE; before = path, path = this.next[path]!) {
      if (this.peer[path] !== peer || this.#pathIdOf(path) !== pathId) continue
      this.#unlink(prefix, before, path)
      return true
    }
    return false
  }

  #unlink(prefix: number, before: number, path: number): void {
    if (before === NONE) this.first[prefix] = this.next[path]!
    else this.next[before] = this.next[path]!
    const { sets } = this
    const wasBest = this.best[prefix] === path
    const mattered = wasBest || (this.flags[path]! & INELIGIBLE) === 0
    sets.drop(this.set[path]!)
    sets.drop(this.received[path]!)
    this.#givePath(path)
    if (wasBest) this.best[prefix] = NONE
    if (mattered) this.#decide(prefix)
    this.releaseIfUnused(prefix)
  }

  /** Marks all paths of a peer as stale, at prefixes `from` to before `to`. */
  markStale(peer: number, from: number, to: number): void {
    const end = Math.min(to, this.prefixes.end, this.first.length)
    for (let prefix = from; prefix < end; prefix++)
      for (let path = this.first[prefix]!; path !== NONE; path = this.next[path]!)
        if (this.peer[path] === peer) this.flags[path]! |= PATH_FLAG.stale
  }

  /**
   * Takes all paths of a peer away, or the stale ones alone, from prefixes `from` to before `to`; returns how many.
   */
  purge(peer: number, from: number, to: number, onlyStale = false): number {
    let purged = 0
    const end = Math.min(to, this.prefixes.end, this.first.length)
    for (let prefix = from; prefix < end; prefix++) {
      let before = NONE
      for (let path = this.first[prefix]!; path !== NONE; ) {
        const next = this.next[path]!
        if (this.peer[path] === peer && (!onlyStale || (this.flags[path]! & PATH_FLAG.stale) !== 0)) {
          this.#unlink(prefix, before, path)
          purged++
        } else before = path
        path = next
      }
    }
    return purged
  }

  /**
   * Asks anew about the paths of these peers, as they were received, at prefixes `from` to before `to`. Returns how many of
   * them have become others.
   */
  reconsider(ways: ReadonlyMap<number, WayIn>, from: number, to: number): number {
    let changed = 0
    const end = Math.min(to, this.prefixes.end, this.first.length)
    for (let prefix = from; prefix < end; prefix++) {
      const before = changed
      for (let path = this.first[prefix]!; path !== NONE; path = this.next[path]!) {
        const way = ways.get(this.peer[path]!)
        if (way && this.#reconsiderPath(prefix, path, way)) changed++
      }
      if (changed > before) this.#decide(prefix)
    }
    return changed
  }

  /**
   * Looks at the next hops of peers' paths again that are of use only while those are reachable, and chooses anew, for the way
   * to them may be another; at prefixes `from` to before `to`.
   */
  recheckNextHops(nextHops: NextHops, tracked: Uint8Array, from: number, to: number): void {
    const end = Math.min(to, this.prefixes.end, this.first.length)
    for (let prefix = from; prefix < end; prefix++) {
      let isConcerned = false
      for (let path = this.first[prefix]!; path !== NONE; path = this.next[path]!) {
        if (tracked[this.peer[path]!] === 0) continue
        isConcerned = true
        if (nextHops.isReachable(this.set[path]!)) this.flags[path]! &= ~PATH_FLAG.unreachable
        else this.flags[path]! |= PATH_FLAG.unreachable
      }
      if (isConcerned) this.#decide(prefix)
    }
  }

  #reconsiderPath(prefix: number, path: number, { policy, nextHops }: WayIn): boolean {
    const received = this.received[path]!
    let chosen = policy === undefined ? received : policy.ofSet(received)
    if (chosen === ASK_ROUTE) chosen = policy!.ofRoute(this.prefixes, prefix, received, this.peer[path]!)
    const isDenied = chosen === NO_SET
    const set = isDenied ? received : chosen
    let flags = this.flags[path]! & ~(PATH_FLAG.denied | PATH_FLAG.unreachable)
    if (isDenied) flags |= PATH_FLAG.denied
    if (nextHops && !nextHops.isReachable(set)) flags |= PATH_FLAG.unreachable
    if (set === this.set[path] && flags === this.flags[path]) return false
    this.sets.use(set)
    this.sets.drop(this.set[path]!)
    this.set[path] = set
    this.flags[path] = flags
    return true
  }

  /** The path that the peer announced; NONE when there is none. */
  #find(prefix: number, peer: number, pathId: number): number {
    this.#foundOfPeer = 0
    for (let path = this.first[prefix]!; path !== NONE; path = this.next[path]!) {
      if (this.peer[path] !== peer) continue
      if (this.#pathIdOf(path) === pathId) return path
      this.#foundOfPeer++
    }
    return NONE
  }

  /** Chooses anew, and tells the followers when the outcome is another. */
  #decide(prefix: number): void {
    const best = this.decision.best(this, this.first[prefix]!)
    // The same path as before may have other attributes now.
    this.best[prefix] = best
    for (let i = 0; i < this.followers.length; i++) this.followers[i]!.changed(prefix)
  }

  /** Somebody needs the prefix's number, whatever becomes of its paths, until he lets it go. */
  hold(prefix: number): void {
    this.#reserve(prefix)
    this.holds[prefix]!++
  }

  letGo(prefix: number): void {
    this.holds[prefix]!--
    this.releaseIfUnused(prefix)
  }

  /** A prefix of which nothing is known any more, by us or by a follower, is to go. */
  releaseIfUnused(prefix: number): void {
    if (this.first[prefix] !== NONE || this.holds[prefix] !== 0) return
    this.#unused = grown32(this.#unused, this.#unusedCount + 1)
    this.#unused[this.#unusedCount++] = prefix
  }

  /**
   * Gives the numbers of prefixes back that are still unused. Not while somebody holds numbers that he has just looked up;
   * and many at a time, because they wait for memory together.
   */
  releaseUnused(): void {
    const unused = this.#unused
    let count = 0
    for (let i = 0; i < this.#unusedCount; i++) {
      const prefix = unused[i]!
      if (this.first[prefix] !== NONE || this.holds[prefix] !== 0) continue
      // It may be there twice.
      this.holds[prefix] = RELEASED
      unused[count++] = prefix
    }
    this.#unusedCount = 0
    for (let i = 0; i < count; i++) this.holds[unused[i]!] = 0
    this.prefixes.remove(unused, count)
  }

  #takePath(): number {
    this.paths++
    if (this.#freePath !== NONE) {
      const path = this.#freePath
      this.#freePath = this.next[path]!
      return path
    }
    const path = this.#pathEnd++
    if (path >= this.set.length) {
      this.set = grown32(this.set, path + 1)
      this.received = grown32(this.received, path + 1)
      this.peer = grown16(this.peer, path + 1)
      this.next = grown32(this.next, path + 1)
      this.flags = grown8(this.flags, path + 1)
    }
    return path
  }

  #givePath(path: number): void {
    this.paths--
    this.peer[path] = 0
    this.next[path] = this.#freePath
    this.#freePath = path
  }

  // The column is there from the first path on that has one.
  #setPathId(path: number, pathId: number): void {
    this.pathId = grownUnsigned32(this.pathId, Math.max(path + 1, this.set.length))
    this.pathId[path] = pathId
  }

  /** Peers are told a summary instead. */
  isSuppressed(prefix: number): boolean {
    for (let i = 0; i < this.aggregates.length; i++) if (this.aggregates[i]!.suppresses(prefix)) return true
    return false
  }

  /** 0 where there are no labels. */
  labelOf(path: number): number {
    return this.label[path] ?? 0
  }

  #pathIdOf(path: number): number {
    return path < this.pathId.length ? this.pathId[path]! : 0
  }
}
