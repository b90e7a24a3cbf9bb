/**
 * Into which VRFs a VPN route belongs: by a hash from route target to the VRFs that import it, asked once for a set of
 * attributes (RFC 4364 section 4.3.1). How many VRFs there are makes no difference to a route.
 */

import { isRouteTarget } from '../../../wire/bgp/community.ts'
import type { Words } from '../../../wire/bgp/distinguisher.ts'
import { type AttributeSets, NO_SET } from './attribute-sets.ts'

/** A tenant's part in VPN routes. */
export interface VrfTargets {
  readonly vrf: number
  readonly distinguisher: Words
  readonly imports: readonly Words[]
  readonly exports: readonly Words[]
  /** What VPN routes of ours are labelled with (20 bits). */
  readonly label: number
}

const EXTENDED_COMMUNITIES = 16
const COMMUNITY_BYTES = 8
const NOWHERE: readonly number[] = []

export class RouteTargets {
  /** VRFs are numbered by their places here. */
  readonly vrfs: readonly VrfTargets[]
  readonly #sets: AttributeSets
  /** Numbers of VRFs, by the upper and the lower half of the target. */
  readonly #importers = new Map<number, Map<number, number[]>>()
  // By set, and for which version of it that was found out.
  readonly #found: (readonly number[])[] = []
  readonly #version: number[] = []

  constructor(sets: AttributeSets, vrfs: readonly VrfTargets[]) {
    this.#sets = sets
    this.vrfs = vrfs
    for (const [number, { imports }] of vrfs.entries()) for (const target of imports) this.#enter(target, number)
  }

  #enter({ high, low }: Words, vrf: number): void {
    const byLow = this.#importers.get(high) ?? new Map<number, number[]>()
    this.#importers.set(high, byLow)
    const alike = byLow.get(low)
    if (alike) alike.push(vrf)
    else byLow.set(low, [vrf])
  }

  /** The numbers of those that import routes of the set, each once. */
  of(set: number): readonly number[] {
    if (set === NO_SET) return NOWHERE
    if (this.#version[set] === this.#sets.version[set]) return this.#found[set]!
    const found = this.#search(set)
    this.#found[set] = found
    this.#version[set] = this.#sets.version[set]!
    return found
  }

  #search(set: number): readonly number[] {
    const value = this.#sets.find(set, EXTENDED_COMMUNITIES)
    if (value < 0) return NOWHERE
    const { view } = this.#sets.arena
    const found = new Set<number>()
    for (let at = value; at + COMMUNITY_BYTES <= value + this.#sets.foundBytes; at += COMMUNITY_BYTES) {
      const high = view.getUint32(at)
      if (!isRouteTarget(high)) continue
      for (const vrf of this.#importers.get(high)?.get(view.getUint32(at + 4)) ?? []) found.add(vrf)
    }
    return found.size === 0 ? NOWHERE : [...found]
  }
}
