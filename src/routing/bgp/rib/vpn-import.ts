/**
 * VPN routes on their way into VRFs: follows a table of VPN routes and enters the best path of each prefix into the tables
 * of the VRFs that import one of its route targets (RFC 4364 section 4.3). There it stands beside what the VRF learns
 * itself, as a path of the same peer, whose identifier is the VPN prefix: the same prefix behind two route distinguishers
 * is two paths.
 *
 * Entries are made VRF by VRF, many prefixes at a time: where ten thousand tables are written to in turn, each is out of the
 * caches again before the next route for it comes.
 *
 *   prefixes that have changed --> entries (VRF, prefix, path or none) --sorted by VRF--> tables, some at a step
 */

import { NO_SET } from './attribute-sets.ts'
import { grown16, grown32, grownUnsigned32 } from './columns.ts'
import { NONE, PATH_FLAG } from './path.ts'
import { PrefixQueue } from './prefix-queue.ts'
import { type AddressTable, NO_PREFIX } from './prefix-table.ts'
import type { RouteTargets } from './route-targets.ts'
import type { RouteFollower, RoutingTable } from './routing-table.ts'
import type { VpnPrefixTable } from './wide-prefix-table.ts'

/** Entries that are made together, and prefixes that are looked at in one step until there are as many. */
const BATCH_ENTRIES = 1 << 20
const STEP_PREFIXES = 4000
/** While more come, it is waited for them for so many steps, a tenth of a second or two. */
const PATIENCE_STEPS = 32

const NOWHERE: ReadonlySet<number> = new Set()

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
  /** By VPN prefix: what was entered, or is about to be, and whose path it was. */
  #set: Int32Array = new Int32Array(16)
  #peer: Uint16Array = new Uint16Array(16)
  readonly #queue = new PrefixQueue()
  // The entries of a batch, in columns: the VRF's number, the VPN prefix, the peer, and the set, or NO_SET to take it out.
  #vrf: Uint32Array = new Uint32Array(16)
  #prefix: Uint32Array = new Uint32Array(16)
  #of: Uint16Array = new Uint16Array(16)
  #what: Int32Array = new Int32Array(16)
  #count = 0
  /** Entries by VRF, and how many of them are made. */
  #order: Uint32Array = new Uint32Array(0)
  #isSorted = false
  #made = 0
  /** Steps for which it has been waited for more changes. */
  #waited = 0
  /** Prefixes of the batch, which are held for it. */
  #held: number[] = []
  readonly #words = new Uint32Array(4)
  /** By VRF's number: its table, once something went there. */
  readonly #tables: RoutingTable[] = []

  constructor(vpn: RoutingTable, options: VpnImportOptions) {
    this.#vpn = vpn
    this.#prefixes = vpn.prefixes as VpnPrefixTable
    this.#options = options
    vpn.followers.push(this)
  }

  get isBusy(): boolean {
    return this.#queue.count > 0 || this.#held.length > 0
  }

  changed(prefix: number): void {
    if (this.#queue.add(prefix)) this.#vpn.hold(prefix)
  }

  /** Makes so many entries at most. `more`: more changes are about to come, which are better taken together. */
  step(entriesMax: number, more: boolean): void {
    if (!this.#isSorted && !this.#gather(more)) return
    const end = Math.min(this.#count, this.#made + entriesMax)
    for (; this.#made < end; this.#made++) this.#enter(this.#order[this.#made]!)
    if (this.#made < this.#count) return
    for (const prefix of this.#held) this.#vpn.letGo(prefix)
    this.#options.touched(this.#vpn)
    this.#held = []
    this.#made = this.#count = 0
    this.#isSorted = false
  }

  // The entries of the prefixes that wait, some at a step. False when they are not to be made yet.
  #gather(more: boolean): boolean {
    if (this.#held.length === 0 && more && this.#waited++ < PATIENCE_STEPS) return false
    this.#waited = 0
    for (let left = STEP_PREFIXES; left > 0 && this.#queue.count > 0 && this.#count < BATCH_ENTRIES; left--) {
      const prefix = this.#queue.take()
      this.#held.push(prefix)
      this.#difference(prefix)
    }
    if (this.#queue.count > 0 && this.#count < BATCH_ENTRIES) return false
    this.#sort()
    this.#isSorted = true
    return true
  }

  // What there is to enter and to take out, between what the prefix's best path was and what it is.
  #difference(prefix: number): void {
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
    const stays = peer === peerBefore ? new Set(after) : NOWHERE
    for (const vrf of before) if (!stays.has(vrf)) this.#push(vrf, prefix, peerBefore, NO_SET)
    for (const vrf of after) this.#push(vrf, prefix, peer, set)
    if (set !== NO_SET) vpn.sets.use(set)
    if (setBefore !== NO_SET) vpn.sets.drop(setBefore)
    this.#set[prefix] = set
    this.#peer[prefix] = peer
  }

  #push(vrf: number, prefix: number, peer: number, set: number): void {
    const entry = this.#count++
    if (entry >= this.#vrf.length) {
      this.#vrf = grownUnsigned32(this.#vrf, entry + 1)
      this.#prefix = grownUnsigned32(this.#prefix, entry + 1)
      this.#of = grown16(this.#of, entry + 1)
      this.#what = grown32(this.#what, entry + 1)
    }
    this.#vrf[entry] = vrf
    this.#prefix[entry] = prefix
    this.#of[entry] = peer
    this.#what[entry] = set
  }

  // By VRF, and within one in the order in which they were made: a counting sort.
  #sort(): void {
    const starts = new Uint32Array(this.#options.targets.vrfs.length + 1)
    for (let entry = 0; entry < this.#count; entry++) starts[this.#vrf[entry]! + 1]!++
    for (let vrf = 1; vrf < starts.length; vrf++) starts[vrf]! += starts[vrf - 1]!
    this.#order = grownUnsigned32(this.#order, this.#count)
    for (let entry = 0; entry < this.#count; entry++) this.#order[starts[this.#vrf[entry]!]!++] = entry
  }

  #enter(entry: number): void {
    const vrf = this.#vrf[entry]!
    const prefix = this.#prefix[entry]!
    const set = this.#what[entry]!
    const { distinguisher } = this.#options.targets.vrfs[vrf]!
    // What the VRF exported itself is there already.
    if (this.#prefixes.isBehind(prefix, distinguisher)) return
    const table = this.#tableOf(vrf)
    this.#prefixes.address(prefix, this.#words)
    const length = this.#prefixes.length(prefix)
    const found = (table.prefixes as AddressTable).findAddress(this.#words, 0, length, set !== NO_SET)
    if (set !== NO_SET) table.announce(found, this.#of[entry]!, prefix + 1, set, set, PATH_FLAG.imported)
    else if (found !== NO_PREFIX && table.withdraw(found, this.#of[entry]!, prefix + 1)) this.#options.touched(table)
  }

  #tableOf(vrf: number): RoutingTable {
    const known = this.#tables[vrf]
    if (known) return known
    const table = this.#options.tableOf(this.#options.targets.vrfs[vrf]!.vrf)
    this.#tables[vrf] = table
    return table
  }
}
