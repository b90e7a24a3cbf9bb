/**
 * Which of a prefix's paths is the best: RFC 4271 section 9.1.2, phase 2, as a row of sieves. Each keeps those that are
 * the best in one respect, and the next one goes on with them:
 *
 *   highest LOCAL_PREF            9.1.1
 *   shortest AS_PATH              9.1.2.2 a
 *   lowest ORIGIN                 9.1.2.2 b
 *   lowest MED of each neighbour  9.1.2.2 c
 *   external before internal      9.1.2.2 d
 *   nearest next hop              9.1.2.2 e
 *     what is left here may share the load (multipath)
 *   lowest router ID              9.1.2.2 f; RFC 4456 section 9: of the originator, if it was reflected
 *   shortest CLUSTER_LIST         RFC 4456 section 9
 *   lowest address                9.1.2.2 g
 */

import type { AttributeSets } from './attribute-sets.ts'
import { INELIGIBLE, NONE } from './path.ts'
import type { RibPeers } from './rib-peers.ts'

/** What a table shows of its paths. */
export interface PathColumns {
  readonly set: Int32Array
  readonly peer: Uint16Array
  readonly next: Int32Array
  readonly flags: Uint8Array
}

export interface DecisionOptions {
  /** Compare MEDs of different neighbours too. */
  readonly alwaysCompareMed: boolean
}

/** Paths of one prefix that are compared; more than any exchange has members. */
const CANDIDATES_MAX = 4096
const NOBODY = new Int32Array(0)

/** How far a next hop is: 0 when it is connected or not known to be further. */
export type MetricOf = (set: number) => number

export class Decision {
  readonly #sets: AttributeSets
  readonly #peers: RibPeers
  readonly #options: DecisionOptions
  readonly #metricOf: MetricOf
  readonly #candidates = new Int32Array(CANDIDATES_MAX)
  readonly #beaten = new Uint8Array(CANDIDATES_MAX)

  constructor(sets: AttributeSets, peers: RibPeers, options: DecisionOptions, metricOf: MetricOf = () => 0) {
    this.#sets = sets
    this.#peers = peers
    this.#options = options
    this.#metricOf = metricOf
  }

  /** The best of the list that begins with path `first`; 0 when none may be used. */
  best(paths: PathColumns, first: number): number {
    if (first === NONE) return NONE
    if (paths.next[first] === NONE) return (paths.flags[first]! & INELIGIBLE) === 0 ? first : NONE
    const count = this.#equals(paths, first)
    return count === 0 ? NONE : this.#tieBreak(paths, count)
  }

  /** The paths that may share the load with the best one, itself among them, best first; returns how many. */
  multipath(paths: PathColumns, first: number, into: Int32Array): number {
    const count = this.#equals(paths, first)
    const candidates = this.#candidates.slice(0, count)
    let left = count
    for (let i = 0; i < Math.min(count, into.length); i++) {
      this.#candidates.set(candidates.subarray(0, left))
      const best = this.#tieBreak(paths, left)
      into[i] = best
      candidates.copyWithin(candidates.indexOf(best), candidates.indexOf(best) + 1, left--)
    }
    return Math.min(count, into.length)
  }

  /** All paths that may be used, best first, as many as there is room for; returns how many. */
  ranked(paths: PathColumns, first: number, into: Int32Array): number {
    let ranked = 0
    for (; ranked < into.length; ranked++) {
      const best = this.bestBut(paths, first, into.subarray(0, ranked))
      if (best === NONE) break
      into[ranked] = best
    }
    return ranked
  }

  /** The best one but for these; NONE when no other may be used. */
  bestBut(paths: PathColumns, first: number, without: Int32Array): number {
    const count = this.#equals(paths, first, without)
    return count === 0 ? NONE : this.#tieBreak(paths, count)
  }

  // Down to those among which only the tie-breakers decide; they are in #candidates.
  #equals(paths: PathColumns, first: number, without: Int32Array = NOBODY): number {
    const sets = this.#sets
    const candidates = this.#candidates
    let count = 0
    for (let path = first; path !== NONE && count < CANDIDATES_MAX; path = paths.next[path]!)
      if ((paths.flags[path]! & INELIGIBLE) === 0 && !without.includes(path)) candidates[count++] = path
    if (count <= 1) return count
    count = this.#keepLowest(count, (path) => -sets.localPref[paths.set[path]!]!)
    count = this.#keepLowest(count, (path) => sets.asPathLength[paths.set[path]!]!)
    count = this.#keepLowest(count, (path) => sets.origin[paths.set[path]!]!)
    count = this.#keepLowestMed(paths, count)
    count = this.#keepLowest(count, (path) => 1 - this.#peers.external[paths.peer[path]!]!)
    return this.#keepLowest(count, (path) => this.#metricOf(paths.set[path]!))
  }

  #tieBreak(paths: PathColumns, among: number): number {
    const sets = this.#sets
    const peers = this.#peers
    let count = among
    count = this.#keepLowest(
      count,
      (path) => sets.originatorId[paths.set[path]!]! || peers.routerId[paths.peer[path]!]!,
    )
    count = this.#keepLowest(count, (path) => sets.clusterListLength[paths.set[path]!]!)
    let best = this.#candidates[0]!
    for (let i = 1; i < count; i++) {
      const path = this.#candidates[i]!
      const order = peers.compareAddresses(paths.peer[path]!, paths.peer[best]!)
      // Several paths of one peer (RFC 7911): the one that came first.
      if (order < 0 || (order === 0 && path < best)) best = path
    }
    return best
  }

  #keepLowest(count: number, rank: (path: number) => number): number {
    const candidates = this.#candidates
    let kept = 0
    let lowest = Number.POSITIVE_INFINITY
    for (let i = 0; i < count; i++) {
      const path = candidates[i]!
      const here = rank(path)
      if (here > lowest) continue
      if (here < lowest) kept = 0
      lowest = here
      candidates[kept++] = path
    }
    return kept
  }

  // Section 9.1.2.2 c: goes who has a competitor by way of the same AS with a lower MED. A missing one is 0.
  #keepLowestMed(paths: PathColumns, count: number): number {
    const candidates = this.#candidates
    const { neighbourAs, med } = this.#sets
    let kept = 0
    for (let i = 0; i < count; i++) {
      const set = paths.set[candidates[i]!]!
      let isBeaten = false
      for (let j = 0; j < count && !isBeaten; j++) {
        const other = paths.set[candidates[j]!]!
        const areComparable = this.#options.alwaysCompareMed || neighbourAs[other] === neighbourAs[set]
        isBeaten = areComparable && med[other]! < med[set]!
      }
      // Marked, not moved: those behind are still to be compared with it.
      this.#beaten[i] = isBeaten ? 1 : 0
    }
    for (let i = 0; i < count; i++) if (this.#beaten[i] === 0) candidates[kept++] = candidates[i]!
    return kept
  }
}
