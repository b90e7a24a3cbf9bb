/**
 * VPN routes on their way into VRFs: follows a table of VPN routes and enters the best path of each prefix into the tables
 * of the VRFs that import one of its route targets (RFC 4364 section 4.3). There it stands beside what the VRF learns
 * itself, as a path of the same peer, whose identifier is the VPN prefix: the same prefix behind two route distinguishers
 * is two paths.
 */

import { NO_SET } from './attribute-sets.ts'
import { grown16, grown32 } from './columns.ts'
import { NONE, PATH_FLAG } from './path.ts'
import { type AddressTable, NO_PREFIX } from './prefix-table.ts'
import type { RouteTargets, VrfTargets } from './route-targets.ts'
import type { RouteFollower, RoutingTable } from './routing-table.ts'
import type { VpnPrefixTable } from './wide-prefix-table.ts'

export interface VpnImportOptions {
  readonly targets: RouteTargets
  /** Of the same address family as the VPN table. */
  readonly tableOf: (vrf: number) => RoutingTable
  /** Told of each table in which prefixes may be unused now. */
  readonly touched: (table: RoutingTable) => void
}

export class VpnImport implements RouteFollower {
  readonly #vpn: RoutingTable
  readonly #prefixes: VpnPrefixTable
  readonly #options: VpnImportOptions
  /** By VPN prefix: what was entered, and whose path it was. */
  #set = new Int32Array(16)
  #peer = new Uint16Array(16)
  readonly #words = new Uint32Array(4)
  /** By VRF: its table, once something went there. */
  readonly #tables = new Map<VrfTargets, RoutingTable>()

  constructor(vpn: RoutingTable, options: VpnImportOptions) {
    this.#vpn = vpn
    this.#prefixes = vpn.prefixes as VpnPrefixTable
    this.#options = options
    vpn.followers.push(this)
  }

  changed(prefix: number): void {
    const vpn = this.#vpn
    this.#set = grown32(this.#set, prefix + 1)
    this.#peer = grown16(this.#peer, prefix + 1)
    const path = vpn.best[prefix]!
    const set = path === NONE ? NO_SET : vpn.set[path]!
    const peer = path === NONE ? 0 : vpn.peer[path]!
    const setBefore = this.#set[prefix]!
    const peerBefore = this.#peer[prefix]!
    if (set === setBefore && peer === peerBefore) return
    const { targets } = this.#options
    const before = targets.of(setBefore)
    const after = targets.of(set)
    if (before.length > 0 || after.length > 0) {
      this.#prefixes.address(prefix, this.#words)
      for (const one of before) if (peer !== peerBefore || !after.includes(one)) this.#withdraw(prefix, one, peerBefore)
      for (const one of after) this.#announce(prefix, one, peer, set)
    }
    if (set !== NO_SET) vpn.sets.use(set)
    if (setBefore !== NO_SET) vpn.sets.drop(setBefore)
    this.#set[prefix] = set
    this.#peer[prefix] = peer
  }

  #announce(prefix: number, vrf: VrfTargets, peer: number, set: number): void {
    // What the VRF exported itself is there already.
    if (this.#isOf(prefix, vrf)) return
    const table = this.#tableOf(vrf)
    table.announce(this.#find(table, prefix, true), peer, prefix + 1, set, set, PATH_FLAG.imported)
  }

  #withdraw(prefix: number, vrf: VrfTargets, peer: number): void {
    const table = this.#tableOf(vrf)
    const found = this.#find(table, prefix, false)
    if (found !== NO_PREFIX && table.withdraw(found, peer, prefix + 1)) this.#options.touched(table)
  }

  #tableOf(vrf: VrfTargets): RoutingTable {
    const known = this.#tables.get(vrf)
    if (known) return known
    const table = this.#options.tableOf(vrf.vrf)
    this.#tables.set(vrf, table)
    return table
  }

  #isOf(prefix: number, { distinguisher }: VrfTargets): boolean {
    return this.#prefixes.isBehind(prefix, distinguisher)
  }

  #find({ prefixes }: RoutingTable, prefix: number, enter: boolean): number {
    const length = this.#prefixes.length(prefix)
    return (prefixes as AddressTable).findAddress(this.#words, 0, length, enter)
  }
}
