/**
 * The tables of the speaker, one a VRF and family, made when they are first asked for; and what hangs on them:
 *
 *   VRF's table  <-- aggregates, our own routes
 *                --> what the control module is told
 *                <-> the table of VPN routes, by route target
 */

import type { IpAddress, Prefix } from '../../base/address.ts'
import { FAMILY, type Family, families } from '../../wire/bgp/family.ts'
import type { RouteBatch } from '../../wire/control/route.ts'
import type { AggregateSetting, RouteSettings } from './messages.ts'
import { Aggregate } from './rib/aggregate.ts'
import type { AttributeSets } from './rib/attribute-sets.ts'
import { Decision } from './rib/decision.ts'
import { GatewayLists } from './rib/gateway-lists.ts'
import { LocalRoutes } from './rib/local-routes.ts'
import { ownSet, remoteSet } from './rib/made-sets.ts'
import { NextHops, type Reach } from './rib/next-hops.ts'
import type { RibPeers } from './rib/rib-peers.ts'
import { RouteFeed } from './rib/route-feed.ts'
import { RouteTargets, type VrfTargets } from './rib/route-targets.ts'
import { RoutingTable } from './rib/routing-table.ts'
import { VpnExport } from './rib/vpn-export.ts'
import { VpnImport } from './rib/vpn-import.ts'
import { prefixTableOf } from './rib/wide-prefix-table.ts'

/** Of one batch for the control module: a step's worth. */
const PUBLISH_PREFIXES = 10_000
const RECHECK_PREFIXES = 20_000
/** Entries in VRFs that are made in one step: some milliseconds' worth. */
const IMPORT_ENTRIES = 8000
/** Learnt routes stand behind the site's own, and before those of nobody in particular. */
const PREFERENCE = 100
/** The peer that our own routes are of. External, so that internal peers are told of them too. */
const OURSELVES = { name: 'ourselves', address: new Uint8Array(4), external: true, client: false } as const

/** Of tenants' virtual networks, which only this site has. */
export const OWN_ORIGIN = 'vpc'

/** Of neighbours that are no tenant's; VPN routes are here. */
export const NO_VRF = 0
const UNICAST_OF: ReadonlyMap<Family, Family> = new Map<Family, Family>([
  [FAMILY.vpnv4, FAMILY.ipv4Unicast],
  [FAMILY.vpnv6, FAMILY.ipv6Unicast],
])

/** Who takes batches of tenants' routes for the control module, one at a time while `room` says so. */
export interface Publisher {
  readonly room: () => boolean
  readonly send: (batch: Uint8Array) => void
  /** Which they say that it is: seconds since 1970. */
  readonly now_s: () => number
}

export class Tables {
  /** Tables in which prefixes may be unused now. */
  readonly touched = new Set<RoutingTable>()
  /** Where they are asked about. */
  readonly nextHops: NextHops | undefined
  readonly #sets: AttributeSets
  readonly #peers: RibPeers
  /** Tables that are gone through for next hops that have changed, and from which prefix on. */
  readonly #rechecks = new Map<RoutingTable, number>()
  readonly #imports: VpnImport[] = []
  readonly #inVpn = new Set<RoutingTable>()
  readonly #settings: RouteSettings
  readonly #publisher: Publisher | undefined
  readonly #decision: Decision
  /** By `numberOf`. */
  readonly #tables = new Map<number, RoutingTable>()
  /** Tenants by the number of their VRF, and the other way. */
  #tenants: ReadonlyMap<number, string>
  #vrfs: ReadonlyMap<string, number>
  readonly #feed: RouteFeed
  readonly #ourselves: number
  /** By who says so: our own, and other sites'. */
  readonly #local = new Map<string, LocalRoutes>()
  readonly #targets: RouteTargets
  readonly #targetsOf: ReadonlyMap<number, VrfTargets>

  constructor(
    sets: AttributeSets,
    peers: RibPeers,
    settings: RouteSettings,
    publisher: Publisher | undefined,
    askNextHop?: (address: IpAddress) => void,
  ) {
    this.#sets = sets
    this.#peers = peers
    this.#settings = settings
    const lists = new GatewayLists(sets)
    this.nextHops = askNextHop && new NextHops(sets, (set) => lists.nextHop(set), askNextHop)
    this.#publisher = publisher
    const { alwaysCompareMed, origin, multipath, as, routerId, tenants, targets } = settings
    const metricOf = (set: number): number => this.nextHops?.metric(set) ?? 0
    this.#decision = new Decision(sets, peers, { alwaysCompareMed }, metricOf)
    this.#tenants = new Map(tenants)
    this.#vrfs = new Map(tenants.map(([vrf, name]) => [name, vrf]))
    this.#targets = new RouteTargets(sets, targets)
    this.#targetsOf = new Map(targets.map((one) => [one.vrf, one]))
    this.#feed = new RouteFeed({ origin, preference: PREFERENCE, multipath }, lists)
    this.#ourselves = peers.add({ ...OURSELVES, as, routerId })
  }

  /** Tables that are there keep the name that they were made under. */
  setTenants(tenants: RouteSettings['tenants']): void {
    this.#tenants = new Map(tenants)
    this.#vrfs = new Map(tenants.map(([vrf, name]) => [name, vrf]))
  }

  of(vrf: number, family: Family): RoutingTable {
    const number = numberOf(vrf, family)
    const known = this.#tables.get(number)
    if (known) return known
    const made = new RoutingTable(prefixTableOf(family), this.#sets, this.#decision)
    this.#tables.set(number, made)
    const tenant = this.#tenants.get(vrf)
    if (tenant !== undefined && this.#publisher) this.#feed.follow(made, tenant, family)
    this.#joinVpn(made, vrf, family)
    for (const setting of this.#settings.aggregates)
      if (setting.vrf === vrf && isOfFamily(setting.prefix, family)) this.#aggregate(made, family, setting)
    return made
  }

  /** Routes go from it into others, or come from others into it. */
  isInVpn(table: RoutingTable): boolean {
    return this.#inVpn.has(table)
  }

  /** Routes of tenants that are ours to tell their peers: their virtual networks here, or what they have at another site. */
  originate(batch: RouteBatch): void {
    const known = this.#local.get(batch.origin) ?? this.#localOf(batch.origin)
    this.#local.set(batch.origin, known)
    for (const table of known.take(batch)) this.touched.add(table)
  }

  #localOf(origin: string): LocalRoutes {
    const isOwn = origin === OWN_ORIGIN
    const { as, routerId } = this.#settings
    return new LocalRoutes(this.#sets, {
      peer: isOwn ? this.#ourselves : this.#peers.add({ ...OURSELVES, name: origin, as, routerId }),
      setOf: isOwn ? ownSet : remoteSet,
      tableOf: (tenant, family) => {
        const vrf = this.#vrfs.get(tenant)
        return vrf === undefined ? undefined : this.of(vrf, family)
      },
    })
  }

  /** The control module is to be told everything again. */
  replay(): void {
    this.#feed.replay()
  }

  /** Tells the control module. False when nothing is left to tell, or there is no room for it. */
  publish(): boolean {
    const feed = this.#feed
    if (!this.#publisher || !feed.isBusy || !this.#publisher.room()) return false
    this.#publisher.send(feed.next(PUBLISH_PREFIXES, this.#publisher.now_s(), this.touched))
    return feed.isBusy
  }

  /** Goes on with VPN routes' way into VRFs; `more`: there are updates to take still. False when there is nothing to do. */
  importVpn(more: boolean): boolean {
    for (const one of this.#imports) if (one.isBusy) one.step(IMPORT_ENTRIES, more)
    return this.#imports.some(({ isBusy }) => isBusy)
  }

  /** How the next hop is reached is another matter now. */
  nextHopChanged(address: IpAddress, reach: Reach): void {
    if (!this.nextHops?.change(address, reach)) return
    for (const family of families.keys()) {
      const table = this.#tables.get(numberOf(NO_VRF, family))
      if (table) this.#rechecks.set(table, 0)
    }
  }

  /** Goes on through a table for that. False when there is nothing more to do. */
  recheck(): boolean {
    const [next] = this.#rechecks
    if (!next) return false
    const [table, from] = next
    table.recheckNextHops(this.nextHops!, this.#peers.tracked, from, from + RECHECK_PREFIXES)
    if (from + RECHECK_PREFIXES < table.prefixes.end) this.#rechecks.set(table, from + RECHECK_PREFIXES)
    else this.#rechecks.delete(table)
    return this.#rechecks.size > 0
  }

  /** At the end of a step, when nobody holds numbers of prefixes that he has just looked up. */
  releaseUnused(): void {
    for (const table of this.touched) table.releaseUnused()
    this.touched.clear()
  }

  counts(): { tables: number; prefixes: number; paths: number } {
    let prefixes = 0
    let paths = 0
    for (const table of this.#tables.values()) {
      prefixes += table.prefixes.count
      paths += table.paths
    }
    return { tables: this.#tables.size, prefixes, paths }
  }

  #aggregate(table: RoutingTable, family: Family, { prefix, summaryOnly }: AggregateSetting): void {
    const { as, routerId } = this.#settings
    const view = new DataView(Uint8Array.from(prefix.address).buffer)
    const words = new Uint32Array(4)
    for (let word = 0; 4 * word < prefix.address.length; word++) words[word] = view.getUint32(4 * word)
    const set = ownSet(this.#sets, family, { as, routerId })
    new Aggregate(table, { words, length: prefix.length, summaryOnly, set, peer: this.#ourselves })
  }

  // Between a VRF's table and that of VPN routes of the same addresses.
  #joinVpn(table: RoutingTable, vrf: number, family: Family): void {
    if (UNICAST_OF.has(family) || this.#targetsOf.has(vrf)) this.#inVpn.add(table)
    const touched = (other: RoutingTable): void => void this.touched.add(other)
    const unicast = UNICAST_OF.get(family)
    if (unicast !== undefined) {
      const tableOf = (into: number): RoutingTable => this.of(into, unicast)
      this.#imports.push(new VpnImport(table, { targets: this.#targets, tableOf, touched }))
      return
    }
    const targets = this.#targetsOf.get(vrf)
    if (!targets || targets.exports.length === 0) return
    const vpn = family === FAMILY.ipv4Unicast ? FAMILY.vpnv4 : FAMILY.vpnv6
    new VpnExport(table, this.of(NO_VRF, vpn), targets, touched)
  }
}

function numberOf(vrf: number, family: number): number {
  return vrf * families.length + family
}

function isOfFamily({ address }: Prefix, family: Family): boolean {
  return family === (address.length === 4 ? FAMILY.ipv4Unicast : FAMILY.ipv6Unicast)
}
