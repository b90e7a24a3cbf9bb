/**
 * The work of the route thread, without the thread: updates in, tables, updates out. It is fed with `take`, and does what
 * there is to do in steps, between which whoever asks is answered.
 *
 *   take(updates) --> queue --> Inbound --> RoutingTable --> UpdateGroup --> Packer --> send(chunk)
 */

import type { IpAddress } from '../../base/address.ts'
import type { Clock } from '../../base/clock.ts'
import { errorNotification } from '../../wire/bgp/check-attributes.ts'
import { attributeContext, OUTCOME } from '../../wire/bgp/facts.ts'
import { type Family, families, hasFamily } from '../../wire/bgp/family.ts'
import { MESSAGE } from '../../wire/bgp/message.ts'
import { REFRESH } from '../../wire/bgp/refresh.ts'
import type { RouteBatch } from '../../wire/control/route.ts'
import { Reader } from '../../wire/cursor.ts'
import { PolicyBook, type PolicySource } from '../policy/policy-book.ts'
import { Workbench } from '../policy/workbench.ts'
import { KeptRoutes } from './kept-routes.ts'
import type {
  Failed,
  FromRoutes,
  OverMaximum,
  RefreshSaid,
  RouteHandling,
  RouteSettings,
  SessionDown,
  SessionUp,
  ToRoutes,
  Updates,
} from './messages.ts'
import { PolicyReviews } from './policy-review.ts'
import { Purges } from './purges.ts'
import { Restart } from './restart.ts'
import { AttributeSets } from './rib/attribute-sets.ts'
import { Inbound } from './rib/inbound.ts'
import type { NextHops, Reach } from './rib/next-hops.ts'
import { RibPeers } from './rib/rib-peers.ts'
import type { RoutingTable, WayIn } from './rib/routing-table.ts'
import { SetAssembler } from './rib/set-assembler.ts'
import { keyOf, policyOf, type RouteSession } from './route-session.ts'
import { NO_VRF, type Publisher, Tables } from './tables.ts'
import { UpdateGroups } from './update-groups.ts'

/** So long a step takes updates at most, and tells them, give or take a look: who asks waits no longer than a few steps. */
const STEP_us = 4000
/** Of updates, between two looks at the clock: some 60 messages of a full table, or 1000 withdrawals in one. */
const LOOK_BYTES = 4096
/** Prefixes of a table that are marked in one step. */
const MARK_PREFIXES = 50_000

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
  readonly publish?: Publisher
  /** Asks how a next hop is reached, which `nextHopChanged` answers. Absent, all of them are. */
  readonly askNextHop?: (address: IpAddress) => void
  /** There is something to do again that nobody asked for: it is time. */
  readonly wake?: () => void
  /** How far the session in a slot is; see PACE_WORDS. */
  readonly pace: (slot: number) => { readonly received: number; readonly waiting: number }
}

export class RouteEngine {
  readonly #options: RouteEngineOptions
  readonly #sets = new AttributeSets()
  readonly #peers = new RibPeers()
  readonly #assembler = new SetAssembler(this.#sets)
  readonly #sessions = new Map<number, RouteSession>()
  /** By RIB number. */
  readonly #byRib = new Map<number, RouteSession>()
  readonly #tables: Tables
  readonly #groups: UpdateGroups
  readonly #queue: ToRoutes[] = []
  readonly #purges = new Purges((table) => this.#tables.touched.add(table))
  readonly #kept: KeptRoutes
  readonly #restart: Restart
  /** By the number of a session that is gone: the tables that its routes are in still. */
  readonly #leaving = new Map<number, readonly RoutingTable[]>()
  /** Numbers of sessions whose routes are gone. */
  #retired: { readonly rib: number; readonly tables: readonly RoutingTable[] }[] = []
  readonly #policies: PolicyBook
  readonly #reviews = new PolicyReviews()
  #resets = 0
  // Of the updates at the head of the queue: the run and the place in it.
  #run = 0
  #at = -1
  // Over their memory. Nothing else keeps that, or it would be garbage for a long time.
  #open: { readonly view: DataView; readonly reader: Reader } | undefined
  // Of the mark at the head of the queue: how far its table is marked.
  #marked = 0

  constructor(options: RouteEngineOptions) {
    this.#options = options
    const { settings, clock, send, pace } = options
    this.#policies = new PolicyBook(new Workbench(this.#sets, this.#peers), settings.policies)
    this.#tables = new Tables(this.#sets, this.#peers, settings, options.publish, options.askNextHop)
    const inVpn = new Set(settings.targets.map(({ vrf }) => vrf))
    this.#restart = new Restart(
      clock,
      (vrf) => (inVpn.has(vrf) ? NO_VRF : vrf),
      () => options.wake?.(),
    )
    this.#groups = new UpdateGroups({
      ...{ settings, sets: this.#sets, peers: this.#peers, clock, send, pace },
      session: (rib) => this.#byRib.get(rib),
      touched: (table) => this.#tables.touched.add(table),
      isWhole: (vrf, then) => this.#restart.isWhole(vrf, then),
    })
    this.#kept = new KeptRoutes(clock, (rib, tables, isLast) => {
      // The number will be another session's.
      const next = this.#byRib.get(this.#peers.current[rib]!)
      if (isLast && next?.inbound.before === rib) next.inbound.before = 0
      if (isLast) this.#reviews.forget(rib)
      const done = (): void => this.#retire(rib)
      this.#purges.add({ rib, tables, ...(isLast && { done }) })
      options.wake?.()
    })
  }

  take(message: ToRoutes): void {
    this.#queue.push(message)
  }

  /** Works for one step. False when nothing is left to do that does not wait for a peer. */
  step(): boolean {
    const until_us = this.#options.clock.now_us() + STEP_us
    while (this.#queue.length > 0 && this.#options.clock.now_us() < until_us) if (!this.#takeNext(until_us)) break
    this.#purges.step()
    const reviewed = this.#reviews.step()
    if (reviewed) this.#tables.touched.add(reviewed)
    const isRechecking = this.#tables.recheck()
    const isImporting = this.#tables.importVpn(this.#queue.length > 0 || this.#purges.isBusy)
    const isTelling = this.#groups.tell(STEP_us)
    const isPublishing = this.#tables.publish()
    this.#forget(isImporting)
    this.#tables.releaseUnused()
    return (
      this.#queue.length > 0 ||
      this.#purges.isBusy ||
      this.#reviews.isBusy ||
      isTelling ||
      isPublishing ||
      isRechecking ||
      isImporting
    )
  }

  /** There is something to tell that waits for a peer: to be looked at again after a while, if nothing happens before. */
  get isBlocked(): boolean {
    return this.#groups.isBusy
  }

  /** How many routes there are, for people. */
  counts(): { sessions: number; tables: number; prefixes: number; paths: number; attributeSets: number } {
    return { sessions: this.#sessions.size, ...this.#tables.counts(), attributeSets: this.#sets.count }
  }

  // ---- the control module

  /** Routes of tenants that are ours to tell their peers. */
  originate(batch: RouteBatch): void {
    this.#tables.originate(batch)
  }

  /** The control module is to be told everything again. */
  replay(): void {
    this.#tables.replay()
  }

  /** Of another site file: routes of tenants that are new go their ways. */
  setTenants(tenants: RouteSettings['tenants']): void {
    this.#tables.setTenants(tenants)
  }

  nextHopChanged(address: IpAddress, reach: Reach): void {
    this.#tables.nextHopChanged(address, reach)
  }

  // ---- what comes in

  /** False when it is not done yet. */
  #takeNext(until_us: number): boolean {
    const message = this.#queue[0]!
    if (message.kind === 'updates') {
      if (!this.#takeUpdates(message, until_us)) return false
    } else if (message.kind === 'up') this.#up(message)
    else if (message.kind === 'down') this.#down(message)
    else if (message.kind === 'expected') this.#restart.expect(message)
    else if (message.kind === 'refresh' && !this.#refresh(message)) return false
    this.#queue.shift()
    return true
  }

  /** False when the time was over before the end. */
  #takeUpdates({ memory, runs }: Updates, until_us: number): boolean {
    this.#open ??= { view: new DataView(memory), reader: new Reader(new Uint8Array(memory)) }
    const { view, reader } = this.#open
    let left = LOOK_BYTES
    for (; this.#run < runs.length; this.#run += 3, this.#at = -1) {
      const session = this.#sessions.get(runs[this.#run]!)
      const from = runs[this.#run + 1]!
      const to = runs[this.#run + 2]!
      let at = this.#at < 0 ? from : this.#at
      // Routes that nobody is told of leave prefixes behind that nobody knows.
      for (const table of session?.tables ?? []) if (table) this.#tables.touched.add(table)
      while (at < to && session && !session.isEnding) {
        const bytes = view.getUint16(at + 16)
        if (view.getUint8(at + 18) === MESSAGE.update) this.#update(session, reader, view, at, bytes)
        at += bytes
        left -= bytes
        if (left > 0) continue
        left = LOOK_BYTES
        if (this.#options.clock.now_us() < until_us) continue
        this.#at = at
        return false
      }
      this.#options.send({ kind: 'taken', bytes: to - from })
    }
    this.#run = 0
    this.#at = -1
    this.#open = undefined
    return true
  }

  #update(session: RouteSession, reader: Reader, view: DataView, at: number, bytes: number): void {
    const outcome = session.inbound.update(reader, view, at, bytes)
    if (outcome === OUTCOME.reset) {
      const notification = errorNotification(reader, session.inbound.facts)
      this.#end(session, { kind: 'failed', session: session.number, notification })
      return
    }
    const { maximumPrefixes, warningPrefixes } = session.up.handling
    const routes = session.inbound.pathCount
    if (warningPrefixes > 0 && routes > warningPrefixes && !session.isWarned) {
      session.isWarned = true
      this.#options.send({ kind: 'near-maximum', session: session.number, routes })
    }
    if (maximumPrefixes > 0 && routes > maximumPrefixes)
      this.#end(session, { kind: 'over-maximum', session: session.number })
  }

  #end(session: RouteSession, why: Failed | OverMaximum): void {
    session.isEnding = true
    this.#resets++
    this.#options.send(why)
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
      tracked: isTracked(handling),
    })
    const tables = families.map((_, family) =>
      hasFamily(negotiated.families, family) ? this.#tables.of(handling.vrf, family as Family) : undefined,
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
        nextHops: this.#nextHopsFor(handling),
        onEndOfRib: (family) => {
          this.#kept.endOfRib(keyOf(up), family as Family)
          this.#restart.endOfRib(up, family)
        },
      },
      this.#sets,
      this.#assembler,
    )
    // Of a family that was not agreed on no End-of-RIB will come.
    const forwarding = negotiated.families & (negotiated.gracefulRestart?.forwarding ?? 0)
    const before = this.#kept.comeBack(keyOf(up), forwarding)
    inbound.before = before
    if (before !== 0) this.#peers.current[before] = rib
    const session: RouteSession = {
      number: up.session,
      up,
      rib,
      inbound,
      tables,
      groups: [],
      imports,
      exports,
      posted: 0,
      marked: new Set(),
      isEnding: false,
      isWarned: false,
    }
    this.#sessions.set(up.session, session)
    this.#byRib.set(rib, session)
    this.#restart.up(up)
    this.#groups.join(session)
  }

  #down({ session: number, keep = 0, keep_s = 0 }: SessionDown): void {
    const session = this.#sessions.get(number)
    if (!session) return
    this.#sessions.delete(number)
    this.#groups.leave(session)
    this.#byRib.delete(session.rib)
    this.#leaving.set(
      session.rib,
      session.tables.filter((table) => table !== undefined),
    )
    this.#kept.keep(session, keep, keep_s)
  }

  /** False when it is not done yet. */
  #refresh({ session: number, family, subtype }: RefreshSaid): boolean {
    const session = this.#sessions.get(number)
    const table = session?.tables[family]
    if (!session || !table) return true
    if (subtype === REFRESH.request) session.groups[family]?.refresh(session.rib, session.up.negotiated.enhancedRefresh)
    else if (subtype === REFRESH.end) {
      // Where nothing was to come again nothing is missing.
      if (!session.marked.delete(family)) return true
      const purged = (paths: number): void => session.inbound.lost(family, paths)
      this.#purges.add({ rib: session.rib, tables: [table], onlyStale: true, purged })
    } else if (subtype === REFRESH.begin) {
      session.marked.add(family)
      return this.#mark(session.rib, table)
    }
    return true
  }

  #mark(rib: number, table: RoutingTable): boolean {
    // What was marked before is cleared first, or the new marks would go with it.
    if (this.#purges.isClearing(rib, table)) return false
    table.markStale(rib, this.#marked, this.#marked + MARK_PREFIXES)
    this.#marked += MARK_PREFIXES
    if (this.#marked < table.prefixes.end) return false
    this.#marked = 0
    return true
  }

  // ---- policies

  /**
   * Policies of another site file. Sessions whose policies say the same as before are left alone. Of the others what they
   * sent is looked at again where it lies, also of those that are gone and whose routes are kept, and what they were told is
   * compared with what they would be told now.
   */
  reloadPolicies(source: PolicySource): PolicyReload {
    this.#policies.update(source)
    const resets = this.#resets
    const having = [...this.#sessions.values(), ...this.#kept.sessions()]
    const imports = having.filter((session) => this.#takesImports(session))
    const exports = [...this.#sessions.values()].filter((session) => this.#takesExports(session))
    const tables = new Set(imports.flatMap((session) => session.tables).filter((table) => table !== undefined))
    for (const table of tables) this.#review(table, imports)
    for (const family of families.keys()) this.#groups.regroup(exports, family as Family)
    const sessionsReset = this.#resets - resets
    return { imports: imports.length, exports: exports.length, tables: tables.size, sessionsReset }
  }

  /** True when it has another chain now. */
  #takesImports(session: RouteSession): boolean {
    const chain = this.#policies.chainFor('in', session.up.peer, session.up.negotiated.external)
    if (chain === session.imports) return false
    session.imports = chain
    session.inbound.policies = session.tables.map((table, family) => table && policyOf(chain, family as Family))
    return true
  }

  #takesExports(session: RouteSession): boolean {
    const chain = this.#policies.chainFor('out', session.up.peer, session.up.negotiated.external)
    if (chain === session.exports) return false
    session.exports = chain
    return true
  }

  #review(table: RoutingTable, sessions: readonly RouteSession[]): void {
    const concerned = sessions.filter((session) => session.tables.includes(table))
    const wayIn = ({ tables, inbound, up }: RouteSession): WayIn => ({
      policy: inbound.policies[tables.indexOf(table)],
      nextHops: this.#nextHopsFor(up.handling),
    })
    this.#reviews.add(table, new Map(concerned.map((session) => [session.rib, wayIn(session)])))
  }

  #nextHopsFor(handling: RouteHandling): NextHops | undefined {
    return isTracked(handling) ? this.#tables.nextHops : undefined
  }

  #retire(rib: number): void {
    this.#retired.push({ rib, tables: this.#leaving.get(rib) ?? [] })
    this.#leaving.delete(rib)
  }

  // A number may be given anew once no track has it as a source, which is when all of its tables has been told; where routes go
  // between tables, when all of all has.
  #forget(isImporting: boolean): void {
    this.#retired = this.#retired.filter(({ rib, tables }) => {
      const isSpread = tables.some((table) => this.#tables.isInVpn(table))
      const isHeld = isSpread
        ? isImporting || this.#groups.isBusy
        : tables.some((table) => this.#groups.isBusyAt(table))
      if (!isHeld) this.#peers.remove(rib)
      return isHeld
    })
  }
}

/**
 * A route server is on nobody's way, and where tenants' routes lead is the control module's to find out.
 */
function isTracked({ vrf, routeServerClient }: RouteHandling): boolean {
  return vrf === 0 && !routeServerClient
}
