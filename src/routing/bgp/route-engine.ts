/**
 * The work of the route thread, without the thread: updates in, tables, updates out. It is fed with `take`, and does what
 * there is to do in steps, between which whoever asks is answered.
 *
 *   take(updates) --> queue --> Inbound --> RoutingTable --> UpdateGroup --> Packer --> send(chunk)
 */

import type { Prefix } from '../../base/address.ts'
import type { Clock } from '../../base/clock.ts'
import { attributeContext, OUTCOME } from '../../wire/bgp/facts.ts'
import { FAMILY, type Family, families, hasFamily } from '../../wire/bgp/family.ts'
import { MESSAGE } from '../../wire/bgp/message.ts'
import { notification } from '../../wire/bgp/notification.ts'
import { REFRESH } from '../../wire/bgp/refresh.ts'
import type { RouteBatch } from '../../wire/control/route.ts'
import { Reader } from '../../wire/cursor.ts'
import type { Chain } from '../policy/chain.ts'
import { PolicyBook, type PolicySource } from '../policy/policy-book.ts'
import { Workbench } from '../policy/workbench.ts'
import { exportFormOf } from './export-form.ts'
import { KeptRoutes } from './kept-routes.ts'
import type {
  AggregateSetting,
  FromRoutes,
  RefreshSaid,
  RouteSettings,
  SessionDown,
  SessionUp,
  ToRoutes,
  Updates,
} from './messages.ts'
import { PolicyReviews } from './policy-review.ts'
import { Purges } from './purges.ts'
import { Aggregate } from './rib/aggregate.ts'
import { AttributeRewriter } from './rib/attribute-rewriter.ts'
import { AttributeSets } from './rib/attribute-sets.ts'
import { Decision } from './rib/decision.ts'
import { GatewayLists } from './rib/gateway-lists.ts'
import { Inbound } from './rib/inbound.ts'
import { LocalRoutes } from './rib/local-routes.ts'
import { ownSet } from './rib/made-sets.ts'
import { type Chunk, Packer } from './rib/packer.ts'
import type { AddressTable } from './rib/prefix-table.ts'
import { RibPeers } from './rib/rib-peers.ts'
import { RouteFeed } from './rib/route-feed.ts'
import type { RoutePolicy } from './rib/route-policy.ts'
import { RouteTargets } from './rib/route-targets.ts'
import { RoutingTable } from './rib/routing-table.ts'
import { SetAssembler } from './rib/set-assembler.ts'
import { UpdateGroup } from './rib/update-group.ts'
import { VpnExport } from './rib/vpn-export.ts'
import { VpnImport } from './rib/vpn-import.ts'
import { prefixTableOf } from './rib/wide-prefix-table.ts'

/** So long a step takes at most, give or take one message: who asks waits no longer than a few of them. */
const STEP_us = 4000
/** Messages between two looks at the clock. */
const MESSAGES_PER_LOOK = 64
/** Prefixes of a table that are marked in one step, and of a track that are told. */
const MARK_PREFIXES = 50_000
const FLUSH_PREFIXES = 20_000
/** Of updates that a session was handed and the network has not taken: a peer that is further behind waits. */
const WAITING_MAX_BYTES = 2 << 20
/** So long the members of a group wait for the slowest one. */
const PATIENCE_us = 200_000
const NOT_BLOCKED = -1
/** Of one batch for the control module: a step's worth. */
const PUBLISH_PREFIXES = 10_000
/** Learnt routes stand behind the site's own, and before those of nobody in particular. */
const PREFERENCE = 100
/** The peer that our own routes are of. External, so that internal peers are told of them too. */
const OURSELVES = { name: 'ourselves', address: new Uint8Array(4), external: true, client: false } as const
/** RFC 4486: what a session ends with that has sent more prefixes than it may. */
const CEASE = { code: 6, maximumPrefixes: 1 } as const

/** Of neighbours that are no tenant's; VPN routes are here. */
const NO_VRF = 0
const UNICAST_OF: ReadonlyMap<Family, Family> = new Map<Family, Family>([
  [FAMILY.vpnv4, FAMILY.ipv4Unicast],
  [FAMILY.vpnv6, FAMILY.ipv6Unicast],
])

interface Session {
  readonly number: number
  readonly up: SessionUp
  readonly rib: number
  readonly inbound: Inbound
  readonly tables: readonly (RoutingTable | undefined)[]
  readonly groups: (UpdateGroup | undefined)[]
  /** What its routes meet on their way in, and routes to it. */
  imports: Chain
  exports: Chain
  /** Bytes that were handed over for it since it came up. */
  posted: number
  /** It was told to end: what it still sends is not looked at. */
  isEnding: boolean
  /** It was said that it comes near to what it may send. */
  isWarned: boolean
}

/** What other policies came to. */
export interface PolicyReload {
  /** Sessions whose routes are looked at again, and sessions that are told what is another thing for them now. */
  readonly imports: number
  readonly exports: number
  /** Tables that are walked over for it. */
  readonly tables: number
  readonly sessionsReset: number
}

export interface RouteEngineOptions {
  readonly settings: RouteSettings
  readonly clock: Clock
  readonly send: (message: FromRoutes) => void
  /** Who takes batches of tenants' routes for the control module, one at a time while `room` says so. */
  readonly publish?: { readonly room: () => boolean; readonly send: (batch: Uint8Array) => void }
  /** There is something to do again that nobody asked for: it is time. */
  readonly wake?: () => void
  /** How far the session in a slot is; see PACE_WORDS. */
  readonly pace: (slot: number) => { readonly received: number; readonly waiting: number }
}

export class RouteEngine {
  readonly #options: RouteEngineOptions
  readonly #sets = new AttributeSets()
  readonly #peers = new RibPeers()
  readonly #decision: Decision
  readonly #assembler = new SetAssembler(this.#sets)
  readonly #rewriter = new AttributeRewriter(this.#sets)
  readonly #packer: Packer
  readonly #sessions = new Map<number, Session>()
  /** By RIB number. */
  readonly #byRib = new Map<number, Session>()
  readonly #tables = new Map<string, RoutingTable>()
  readonly #groups = new Map<string, UpdateGroup>()
  /** Those that have something to tell, and since when a slow member keeps it back. */
  readonly #awake = new Map<UpdateGroup, number>()
  readonly #touched = new Set<RoutingTable>()
  readonly #queue: ToRoutes[] = []
  readonly #purges = new Purges((table) => this.#touched.add(table))
  readonly #kept: KeptRoutes
  /** Numbers of sessions whose routes are gone. */
  #retired: number[] = []
  /** Tenants by the number of their VRF, and the other way. */
  readonly #tenants: ReadonlyMap<number, string>
  readonly #vrfs: ReadonlyMap<string, number>
  readonly #feed: RouteFeed
  readonly #ourselves: number
  readonly #local: LocalRoutes
  readonly #targets: RouteTargets
  readonly #policies: PolicyBook
  readonly #reviews = new PolicyReviews()
  #resets = 0
  // Of the updates at the head of the queue: the run and the place in it.
  #run = 0
  #at = -1
  // Of the mark at the head of the queue: how far its table is marked.
  #marked = 0
  readonly #readers = new WeakMap<SharedArrayBuffer, Reader>()

  constructor(options: RouteEngineOptions) {
    this.#options = options
    const { alwaysCompareMed, policies, origin, multipath, as, routerId } = options.settings
    this.#policies = new PolicyBook(new Workbench(this.#sets, this.#peers), policies)
    this.#decision = new Decision(this.#sets, this.#peers, { alwaysCompareMed })
    this.#targets = new RouteTargets(this.#sets, options.settings.targets)
    this.#tenants = new Map(options.settings.tenants)
    this.#vrfs = new Map(options.settings.tenants.map(([vrf, name]) => [name, vrf]))
    this.#feed = new RouteFeed({ origin, preference: PREFERENCE, multipath }, new GatewayLists(this.#sets))
    this.#ourselves = this.#peers.add({ ...OURSELVES, as, routerId })
    this.#local = new LocalRoutes(this.#sets, {
      peer: this.#ourselves,
      tableOf: (tenant, family) => this.#tableOfTenant(tenant, family),
    })
    this.#kept = new KeptRoutes(options.clock, (rib, tables, isLast) => {
      const retire = (): void => void this.#retired.push(rib)
      this.#purges.add({ rib, tables, ...(isLast && { done: retire }) })
      options.wake?.()
    })
    this.#packer = new Packer({
      send: (chunk) => this.#handOver(chunk),
      room: (audience) => this.#roomOf(audience),
    })
  }

  take(message: ToRoutes): void {
    this.#queue.push(message)
  }

  /** Works for one step. False when nothing is left to do that does not wait for a peer. */
  step(): boolean {
    const until_us = this.#options.clock.now_us() + STEP_us
    while (this.#queue.length > 0 && this.#options.clock.now_us() < until_us) this.#takeNext(until_us)
    this.#purges.step()
    const reviewed = this.#reviews.step()
    if (reviewed) this.#touched.add(reviewed)
    const isTelling = this.#tell()
    const isPublishing = this.#publish()
    this.#forget()
    for (const table of this.#touched) table.releaseUnused()
    this.#touched.clear()
    return this.#queue.length > 0 || this.#purges.isBusy || this.#reviews.isBusy || isTelling || isPublishing
  }

  /** There is something to tell that waits for a peer: to be looked at again after a while, if nothing happens before. */
  get isBlocked(): boolean {
    return this.#awake.size > 0
  }

  /** How many routes there are, for people. */
  counts(): { sessions: number; tables: number; prefixes: number; paths: number; attributeSets: number } {
    let prefixes = 0
    let paths = 0
    for (const table of this.#tables.values()) {
      prefixes += table.prefixes.count
      paths += table.paths
    }
    const attributeSets = this.#sets.count
    return { sessions: this.#sessions.size, tables: this.#tables.size, prefixes, paths, attributeSets }
  }

  // ---- the control module

  /** Routes of tenants that are ours to tell their peers. */
  originate(batch: RouteBatch): void {
    for (const table of this.#local.take(batch)) this.#touched.add(table)
  }

  /** The control module is to be told everything again. */
  replay(): void {
    this.#feed.replay()
  }

  /** False when nothing is left to tell, or there is no room for it. */
  #publish(): boolean {
    const { publish } = this.#options
    if (!publish || !this.#feed.isBusy || !publish.room()) return false
    publish.send(this.#feed.next(PUBLISH_PREFIXES, this.#touched))
    return this.#feed.isBusy
  }

  // ---- what comes in

  #takeNext(until_us: number): void {
    const message = this.#queue[0]!
    if (message.kind === 'updates') {
      if (!this.#takeUpdates(message, until_us)) return
    } else if (message.kind === 'up') this.#up(message)
    else if (message.kind === 'down') this.#down(message)
    else if (message.kind === 'refresh' && !this.#refresh(message)) return
    this.#queue.shift()
  }

  /** False when the time was over before the end. */
  #takeUpdates({ memory, runs }: Updates, until_us: number): boolean {
    const view = new DataView(memory)
    const reader = this.#readerOf(memory)
    let looks = MESSAGES_PER_LOOK
    for (; this.#run < runs.length; this.#run += 3, this.#at = -1) {
      const session = this.#sessions.get(runs[this.#run]!)
      const from = runs[this.#run + 1]!
      const to = runs[this.#run + 2]!
      let at = this.#at < 0 ? from : this.#at
      // Routes that nobody is told of leave prefixes behind that nobody knows.
      for (const table of session?.tables ?? []) if (table) this.#touched.add(table)
      while (at < to && session && !session.isEnding) {
        const bytes = view.getUint16(at + 16)
        if (view.getUint8(at + 18) === MESSAGE.update) this.#update(session, reader, view, at, bytes)
        at += bytes
        if (--looks > 0) continue
        looks = MESSAGES_PER_LOOK
        if (this.#options.clock.now_us() < until_us) continue
        this.#at = at
        return false
      }
      this.#options.send({ kind: 'taken', bytes: to - from })
    }
    this.#run = 0
    this.#at = -1
    return true
  }

  #readerOf(memory: SharedArrayBuffer): Reader {
    const known = this.#readers.get(memory)
    if (known) return known
    const made = new Reader(new Uint8Array(memory))
    this.#readers.set(memory, made)
    return made
  }

  #update(session: Session, reader: Reader, view: DataView, at: number, bytes: number): void {
    const outcome = session.inbound.update(reader, view, at, bytes)
    if (outcome === OUTCOME.reset) {
      const { errorCode, errorSubcode, errorAt, errorEnd } = session.inbound.facts
      this.#reset(session, errorCode || 3, errorSubcode, new Uint8Array(view.buffer.slice(errorAt, errorEnd)))
      return
    }
    const { maximumPrefixes, warningPrefixes } = session.up.handling
    const routes = session.inbound.pathCount
    if (warningPrefixes > 0 && routes > warningPrefixes && !session.isWarned) {
      session.isWarned = true
      this.#options.send({ kind: 'near-maximum', session: session.number, routes })
    }
    if (maximumPrefixes > 0 && routes > maximumPrefixes)
      this.#reset(session, CEASE.code, CEASE.maximumPrefixes, new Uint8Array(0))
  }

  #reset(session: Session, code: number, subcode: number, data: Uint8Array): void {
    session.isEnding = true
    this.#resets++
    this.#options.send({ kind: 'reset', session: session.number, notification: notification(code, subcode, data) })
  }

  // ---- sessions

  #up(up: SessionUp): void {
    const { settings } = this.#options
    const { handling, negotiated } = up
    const { external } = negotiated
    const rib = this.#peers.add({
      name: up.peer,
      address: up.remote,
      as: negotiated.remoteAs,
      routerId: negotiated.remoteId,
      external,
      client: handling.reflectorClient,
    })
    const tables = families.map((_, family) =>
      hasFamily(negotiated.families, family) ? this.#tableOf(handling.vrf, family as Family) : undefined,
    )
    const imports = this.#policies.chainFor('in', up.peer, external)
    const exports = this.#policies.chainFor('out', up.peer, external)
    const inbound = new Inbound(
      {
        peer: rib,
        context: attributeContext({
          as4: negotiated.as4,
          external,
          families: negotiated.families,
          extendedNextHop: negotiated.extendedNextHop,
          addPath: negotiated.addPathReceive,
        }),
        tables,
        localAs: settings.as,
        routerId: settings.routerId,
        clusterId: settings.clusterId,
        allowAsIn: handling.allowAsIn,
        firstAs: external && handling.enforceFirstAs ? negotiated.remoteAs : 0,
        policies: tables.map((table, family) => table && policyOf(imports, family as Family)),
        onEndOfRib: (family) => {
          if (this.#kept.endOfRib(keyOf(up), family as Family)) inbound.before = 0
        },
      },
      this.#sets,
      this.#assembler,
    )
    const before = this.#kept.comeBack(keyOf(up), negotiated.gracefulRestart?.forwarding ?? 0)
    inbound.before = before
    if (before !== 0) this.#peers.current[before] = rib
    const session: Session = {
      number: up.session,
      up,
      rib,
      inbound,
      tables,
      groups: [],
      imports,
      exports,
      posted: 0,
      isEnding: false,
      isWarned: false,
    }
    this.#sessions.set(up.session, session)
    this.#byRib.set(rib, session)
    for (const family of tables.keys()) this.#groupFor(session, family as Family)?.join(rib)
  }

  /** Where it is told routes of the family, if it can be; it is not a member yet. */
  #groupFor(session: Session, family: Family): UpdateGroup | undefined {
    const { up, exports } = session
    const table = session.tables[family]
    if (!table) return undefined
    const form = exportFormOf(up, family, this.#options.settings)
    if (!form) return undefined
    const clients = up.handling.reflectorClient
    const shown = { ...form, nextHopSelf: form.nextHopSelf?.join('.'), ours: form.ours?.join('.') }
    const name = JSON.stringify([up.handling.vrf, clients, up.handling.defaultOriginate, shown, exports.id])
    let group = this.#groups.get(name)
    if (!group) {
      const wake = (awake: UpdateGroup): void => void this.#awake.set(awake, NOT_BLOCKED)
      const defaultRoute = up.handling.defaultOriginate ? this.#defaultRoute(table, family) : undefined
      const how = { form, clients, ...(defaultRoute && { defaultRoute }) }
      group = new UpdateGroup(table, this.#peers, how, wake, policyOf(exports, family))
      this.#groups.set(name, group)
    }
    session.groups[family] = group
    return group
  }

  #defaultRoute(table: RoutingTable, family: Family): { prefix: number; set: number } | undefined {
    if (table.hasLabels) return undefined
    const prefix = (table.prefixes as AddressTable).findAddress(new Uint32Array(4), 0, 0, true)
    return { prefix, set: ownSet(this.#sets, family) }
  }

  #down({ session: number, keep = 0, keep_s = 0 }: SessionDown): void {
    const session = this.#sessions.get(number)
    if (!session) return
    this.#sessions.delete(number)
    for (const group of session.groups) {
      group?.leave(session.rib)
      if (group?.isEmpty) this.#dropGroup(group)
    }
    this.#reviews.forget(session.rib)
    this.#byRib.delete(session.rib)
    this.#kept.keep(keyOf(session.up), session.rib, session.tables, keep, keep_s)
  }

  #dropGroup(group: UpdateGroup): void {
    for (const [name, one] of this.#groups) if (one === group) this.#groups.delete(name)
  }

  /** False when it is not done yet. */
  #refresh({ session: number, family, subtype }: RefreshSaid): boolean {
    const session = this.#sessions.get(number)
    const table = session?.tables[family]
    if (!session || !table) return true
    if (subtype === REFRESH.request) session.groups[family]?.refresh(session.rib, session.up.negotiated.enhancedRefresh)
    else if (subtype === REFRESH.end) this.#purges.add({ rib: session.rib, tables: [table], onlyStale: true })
    else if (subtype === REFRESH.begin) return this.#mark(session.rib, table)
    return true
  }

  #mark(rib: number, table: RoutingTable): boolean {
    table.markStale(rib, this.#marked, this.#marked + MARK_PREFIXES)
    this.#marked += MARK_PREFIXES
    if (this.#marked < table.prefixes.end) return false
    this.#marked = 0
    return true
  }

  // ---- policies

  /**
   * Policies of another site file. Sessions whose policies say the same as before are left alone. Of the others what they
   * sent is looked at again where it lies, and what they were told is compared with what they would be told now.
   */
  reloadPolicies(source: PolicySource): PolicyReload {
    this.#policies.update(source)
    const resets = this.#resets
    const imports = [...this.#sessions.values()].filter((session) => this.#takesImports(session))
    const exports = [...this.#sessions.values()].filter((session) => this.#takesExports(session))
    const tables = new Set(imports.flatMap((session) => session.tables).filter((table) => table !== undefined))
    for (const table of tables) this.#review(table, imports)
    for (const family of families.keys()) this.#regroup(exports, family as Family)
    const sessionsReset = this.#resets - resets
    return { imports: imports.length, exports: exports.length, tables: tables.size, sessionsReset }
  }

  /** True when it has another chain now. */
  #takesImports(session: Session): boolean {
    const chain = this.#policies.chainFor('in', session.up.peer, session.up.negotiated.external)
    if (chain === session.imports) return false
    session.imports = chain
    session.inbound.policies = session.tables.map((table, family) => table && policyOf(chain, family as Family))
    return true
  }

  #takesExports(session: Session): boolean {
    const chain = this.#policies.chainFor('out', session.up.peer, session.up.negotiated.external)
    if (chain === session.exports) return false
    session.exports = chain
    return true
  }

  #review(table: RoutingTable, sessions: readonly Session[]): void {
    const concerned = sessions.filter((session) => session.tables.includes(table))
    const policyIn = ({ tables, inbound }: Session): RoutePolicy | undefined => inbound.policies[tables.indexOf(table)]
    this.#reviews.add(table, new Map(concerned.map((session) => [session.rib, policyIn(session)])))
  }

  // Those that leave a group for the same other one go together, with what they were told.
  #regroup(sessions: readonly Session[], family: Family): void {
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
      if (before.isEmpty) this.#dropGroup(before)
    }
  }

  // A number may be given anew once no track has it as a source, which is when all has been told.
  #forget(): void {
    if (this.#awake.size > 0) return
    for (const rib of this.#retired) this.#peers.remove(rib)
    this.#retired = []
  }

  #tableOf(vrf: number, family: Family): RoutingTable {
    const name = `${vrf} ${family}`
    const known = this.#tables.get(name)
    if (known) return known
    const made = new RoutingTable(prefixTableOf(family), this.#sets, this.#decision)
    this.#tables.set(name, made)
    const tenant = this.#tenants.get(vrf)
    if (tenant !== undefined && this.#options.publish) this.#feed.follow(made, tenant, family)
    this.#joinVpn(made, vrf, family)
    for (const setting of this.#options.settings.aggregates)
      if (setting.vrf === vrf && isOfFamily(setting.prefix, family)) this.#aggregate(made, family, setting)
    return made
  }

  #aggregate(table: RoutingTable, family: Family, { prefix, summaryOnly }: AggregateSetting): void {
    const { as, routerId } = this.#options.settings
    const view = new DataView(Uint8Array.from(prefix.address).buffer)
    const words = new Uint32Array(4)
    for (let word = 0; 4 * word < prefix.address.length; word++) words[word] = view.getUint32(4 * word)
    const set = ownSet(this.#sets, family, { as, routerId })
    new Aggregate(table, { words, length: prefix.length, summaryOnly, set, peer: this.#ourselves })
  }

  // Between a VRF's table and that of VPN routes of the same addresses.
  #joinVpn(table: RoutingTable, vrf: number, family: Family): void {
    const touched = (other: RoutingTable): void => void this.#touched.add(other)
    const unicast = UNICAST_OF.get(family)
    if (unicast !== undefined) {
      const tableOf = (into: number): RoutingTable => this.#tableOf(into, unicast)
      new VpnImport(table, { targets: this.#targets, tableOf, touched })
      return
    }
    const targets = this.#options.settings.targets.find((one) => one.vrf === vrf)
    if (!targets || targets.exports.length === 0) return
    const vpn = family === FAMILY.ipv4Unicast ? FAMILY.vpnv4 : FAMILY.vpnv6
    new VpnExport(table, this.#tableOf(NO_VRF, vpn), targets, touched)
  }

  #tableOfTenant(tenant: string, family: Family): RoutingTable | undefined {
    const vrf = this.#vrfs.get(tenant)
    return vrf === undefined ? undefined : this.#tableOf(vrf, family)
  }

  // ---- what goes out

  /** Tells what waits, as far as there is room. False when nothing was told. */
  #tell(): boolean {
    const now_us = this.#options.clock.now_us()
    let told = false
    for (const [group, blocked_us] of this.#awake) {
      this.#touched.add(group.table)
      let toldHere = false
      for (const track of group.busy()) {
        const before = track.waiting + track.awaiting.size
        group.flush(track, this.#packer, this.#rewriter, FLUSH_PREFIXES)
        if (track.waiting + track.awaiting.size < before) toldHere = true
      }
      if (group.rest()) this.#awake.delete(group)
      else if (toldHere) this.#awake.set(group, NOT_BLOCKED)
      else if (blocked_us === NOT_BLOCKED) this.#awake.set(group, now_us)
      else if (now_us - blocked_us > PATIENCE_us && this.#detachSlow(group)) toldHere = true
      told ||= toldHere
    }
    this.#packer.flush()
    return told
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
      const session = this.#byRib.get(rib)
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
        const session = rib === except ? undefined : this.#byRib.get(rib)
        if (session) session.posted = (session.posted + to - from) | 0
      }
    const numberOf = (rib: number): number => this.#byRib.get(rib)?.number ?? 0
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

function isOfFamily({ address }: Prefix, family: Family): boolean {
  return family === (address.length === 4 ? FAMILY.ipv4Unicast : FAMILY.ipv6Unicast)
}

/** Who the peer is, whatever session it has. */
function keyOf({ peer, remote, handling }: SessionUp): string {
  return `${handling.vrf} ${peer} ${remote.join('.')}`
}

function policyOf(chain: Chain, family: Family): RoutePolicy | undefined {
  return chain.isOpen ? undefined : chain.evaluator(family)
}
