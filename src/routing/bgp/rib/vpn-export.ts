/**
 * A VRF's routes on their way into the VPN: follows the VRF's table and enters the best path of each prefix into the table
 * of VPN routes, behind the VRF's route distinguisher and with its route targets (RFC 4364 section 4.3.1). From there they
 * go to VPN peers, and into other VRFs of ours that import the target. What came from the VPN does not go back.
 */

import { NO_SET } from './attribute-sets.ts'
import { grown16, grown32 } from './columns.ts'
import { withTargets } from './made-sets.ts'
import { NONE, PATH_FLAG } from './path.ts'
import { NO_PREFIX } from './prefix-table.ts'
import type { VrfTargets } from './route-targets.ts'
import type { RouteFollower, RoutingTable } from './routing-table.ts'
import type { VpnPrefixTable } from './wide-prefix-table.ts'

export class VpnExport implements RouteFollower {
  readonly #table: RoutingTable
  readonly #vpn: RoutingTable
  readonly #prefixes: VpnPrefixTable
  readonly #vrf: VrfTargets
  readonly #touched: (table: RoutingTable) => void
  /** By the VRF's prefix: whose path was entered, 0 for none. */
  #peer: Uint16Array = new Uint16Array(16)
  // By set: the one with the targets, and which versions of both that holds for.
  #made: Int32Array = new Int32Array(16)
  #setVersion: Int32Array = new Int32Array(16)
  #madeVersion: Int32Array = new Int32Array(16)
  readonly #words = new Uint32Array(4)

  constructor(table: RoutingTable, vpn: RoutingTable, vrf: VrfTargets, touched: (table: RoutingTable) => void) {
    this.#table = table
    this.#vpn = vpn
    this.#prefixes = vpn.prefixes as VpnPrefixTable
    this.#vrf = vrf
    this.#touched = touched
    table.followers.push(this)
  }

  changed(prefix: number): void {
    this.#peer = grown16(this.#peer, prefix + 1)
    const path = this.#table.best[prefix]!
    const isOurs = path !== NONE && (this.#table.flags[path]! & PATH_FLAG.imported) === 0
    const peer = isOurs ? this.#table.peer[path]! : 0
    const before = this.#peer[prefix]!
    if (peer === 0 && before === 0) return
    const { high, low } = this.#vrf.distinguisher
    this.#table.prefixes.address(prefix, this.#words)
    const length = this.#table.prefixes.length(prefix)
    const found = this.#prefixes.findVpn(high, low, this.#words, length, peer !== 0)
    if (before !== 0 && before !== peer) this.#withdraw(found, before)
    this.#peer[prefix] = peer
    if (peer === 0) return
    const set = this.#withTargets(this.#table.set[path]!)
    if (set !== NO_SET) {
      this.#vpn.announce(found, peer, 0, set, set, 0, this.#vrf.label)
      return
    }
    // With the targets it is more than a message holds.
    if (before === peer) this.#withdraw(found, peer)
    this.#touched(this.#vpn)
    this.#peer[prefix] = 0
  }

  #withdraw(found: number, peer: number): void {
    if (found !== NO_PREFIX && this.#vpn.withdraw(found, peer, 0)) this.#touched(this.#vpn)
  }

  #withTargets(set: number): number {
    const { sets } = this.#table
    this.#made = grown32(this.#made, set + 1)
    this.#setVersion = grown32(this.#setVersion, set + 1)
    this.#madeVersion = grown32(this.#madeVersion, set + 1)
    const known = this.#made[set]!
    const isKnown = this.#setVersion[set] === sets.version[set] && this.#madeVersion[set] === sets.version[known]
    if (known !== NO_SET && isKnown) return known
    const made = withTargets(sets, set, this.#vrf.exports)
    this.#made[set] = made
    this.#setVersion[set] = sets.version[set]!
    this.#madeVersion[set] = sets.version[made]!
    return made
  }
}
