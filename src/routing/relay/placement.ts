/**
 * Which of the routing nodes that live holds a tenant's session (base/rendezvous.ts), as the control module has it too when
 * it tells forwarding nodes where to: a named neighbour by its own address, and whoever comes from a prefix by the first
 * prefix of the segment, so that one node has all of those. While none lives, all are taken to.
 */

import { rendezvous, sessionKey } from '../../base/rendezvous.ts'
import type { RelaySetup, Way } from './ways.ts'

export class Placement {
  #setup: RelaySetup
  /** By VNI. */
  #firstRange = new Map<number, Way>()
  /** That are said to live. */
  #names: readonly string[] = []
  #members: readonly string[] = []

  constructor(setup: RelaySetup) {
    this.#setup = setup
    this.take(setup)
  }

  /** Another site file. */
  take(setup: RelaySetup): void {
    this.#setup = setup
    this.#firstRange = new Map()
    for (const way of setup.ways)
      if (way.number === 0 && !this.#firstRange.has(way.vni)) this.#firstRange.set(way.vni, way)
    this.setMembers(this.#names)
  }

  /** The routing nodes that live; names that are none are left out. */
  setMembers(names: readonly string[]): void {
    this.#names = names
    const alive = this.#setup.members.filter((name) => names.includes(name))
    this.#members = alive.length > 0 ? alive : this.#setup.members
  }

  isHere(way: Way): boolean {
    const { peers } = way.number === 0 ? (this.#firstRange.get(way.vni) ?? way) : way
    return rendezvous(sessionKey(way.vni, peers.address), this.#members) === this.#setup.node
  }
}
