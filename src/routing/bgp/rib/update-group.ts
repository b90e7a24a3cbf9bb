/**
 * Peers whose updates are the same bytes: of one table, in one form, under one policy. What is sent is encoded once for
 * all that keep up; who comes later or falls behind has a track of its own until it has caught up.
 *
 *   changed prefixes --> main track    --> peers that keep up
 *                    --> track of one  --> a peer that is new, or slow; joins the main track when both have nothing left
 *
 * The member that a route came from is not told of it: the update goes past it, and if it had been told another's route
 * for the prefix before, it alone is sent a withdrawal.
 */

import { FAMILY } from '../../../wire/bgp/family.ts'
import { REFRESH } from '../../../wire/bgp/refresh.ts'
import type { AttributeRewriter, ExportForm } from './attribute-rewriter.ts'
import { type AttributeSets, FIXED, NO_SET, RESTRICT } from './attribute-sets.ts'
import type { Packer } from './packer.ts'
import { NONE } from './path.ts'
import type { RibPeers } from './rib-peers.ts'
import { ASK_ROUTE, type RoutePolicy } from './route-policy.ts'
import type { RouteFollower, RoutingTable } from './routing-table.ts'
import { type ToldPath, ToldPaths } from './told-paths.ts'
import { Track } from './track.ts'

const IPV6_BYTES = 16
/** Of a default route of our own, which is no path of the table: theirs are not so many. */
const OUR_PATH_ID = 0xffff_ffff

export interface GroupOptions {
  readonly form: ExportForm
  /** The members are clients of ours as a route reflector (RFC 4456). */
  readonly clients: boolean
  /** They are told this set at this prefix, the default route, whatever the table has there. */
  readonly defaultRoute?: { readonly prefix: number; readonly set: number }
  /** Whether the table has all routes that it is to have; if not, `then` is called once it has. Absent, it has. */
  readonly isWhole?: (then: () => void) => boolean
}

export class UpdateGroup implements RouteFollower {
  readonly table: RoutingTable
  readonly options: GroupOptions
  readonly #sets: AttributeSets
  readonly #peers: RibPeers
  readonly #policy: RoutePolicy | undefined
  readonly #wake: (group: UpdateGroup) => void
  #isAwake = false
  #main: Track | undefined
  readonly #others = new Set<Track>()
  /** Members that have been told everything that there is, and hear so once it is all. */
  readonly #withheld = new Set<number>()
  /** Of one prefix, where several paths are told. */
  readonly #ranked: Int32Array

  /** `wake` is called when there is something to tell, and not again until it has all been told. */
  constructor(
    table: RoutingTable,
    peers: RibPeers,
    options: GroupOptions,
    wake: (group: UpdateGroup) => void,
    policy?: RoutePolicy,
  ) {
    this.table = table
    this.options = options
    this.#sets = table.sets
    this.#peers = peers
    this.#policy = policy
    this.#wake = wake
    this.#ranked = new Int32Array(options.form.addPath)
    table.followers.push(this)
    const { defaultRoute } = options
    if (!defaultRoute) return
    table.hold(defaultRoute.prefix)
    table.sets.use(defaultRoute.set)
  }

  get isEmpty(): boolean {
    return this.#main === undefined && this.#others.size === 0
  }

  /** Those that keep up. */
  get members(): number[] {
    return [...(this.#main?.members ?? [])]
  }

  /** The tracks that have something to say, or to finish saying. Of the others those come first that were not asked for last. */
  *busy(): Generator<Track> {
    if (this.#main && isBusy(this.#main)) yield this.#main
    for (const track of [...this.#others]) {
      if (!isBusy(track)) continue
      this.#others.delete(track)
      this.#others.add(track)
      yield track
    }
  }

  changed(prefix: number): void {
    if (!this.#isAwake) this.#awake()
    this.#main?.enqueue(prefix)
    if (this.#others.size > 0) for (const track of this.#others) track.enqueue(prefix)
  }

  #awake(): void {
    this.#isAwake = true
    this.#wake(this)
  }

  /** All has been told: true until the next change. */
  rest(): boolean {
    this.#merge()
    this.#isAwake = this.#hasBusy()
    return !this.#isAwake
  }

  #hasBusy(): boolean {
    if (this.#main && isBusy(this.#main)) return true
    for (const track of this.#others) if (isBusy(track)) return true
    return false
  }

  /** A new member gets everything, on a track of its own unless it is the first. */
  join(peer: number): Track {
    const track = this.#newTrack()
    track.members.add(peer)
    track.awaiting.add(peer)
    this.#enqueueAll(track)
    if (this.#main) this.#others.add(track)
    else this.#main = track
    this.#awake()
    return track
  }

  leave(peer: number): void {
    this.#withheld.delete(peer)
    for (const track of [this.#main, ...this.#others]) {
      if (!track?.drop(peer)) continue
      if (track.members.size > 0) continue
      track.clear()
      this.#forget(track)
    }
    this.endIfEmpty()
  }

  /**
   * Members that are to go on under another policy, with what they were told so far: tracks for another group's `adopt`.
   * Who else is on such a track stays. Where nobody is left `endIfEmpty` is called, unless others are adopted.
   */
  release(peers: ReadonlySet<number>): Track[] {
    const released: Track[] = []
    for (const track of [this.#main, ...this.#others]) {
      const going = [...(track?.members ?? [])].filter((peer) => peers.has(peer))
      if (!track || going.length === 0) continue
      for (const peer of going) if (this.#withheld.delete(peer)) track.awaiting.add(peer)
      if (going.length < track.members.size) {
        const copy = track.copy()
        for (const peer of going) track.move(peer, copy)
        released.push(copy)
        continue
      }
      released.push(track)
      this.#forget(track)
    }
    return released
  }

  /** Goes on with what another group released. What this policy makes of all routes is compared with what was told. */
  adopt(track: Track): void {
    if (this.#main) this.#others.add(track)
    else this.#main = track
    this.#enqueueAll(track)
    this.#awake()
  }

  #newTrack(): Track {
    return new Track(this.table, this.options.form.addPath > 0 ? new ToldPaths(this.#sets) : undefined)
  }

  #enqueueAll(track: Track): void {
    track.enqueueAll()
    const { defaultRoute } = this.options
    if (defaultRoute) track.enqueue(defaultRoute.prefix)
  }

  readonly #isWholeNow = (): void => {
    for (const track of [this.#main, ...this.#others])
      for (const peer of track?.members ?? []) if (this.#withheld.has(peer)) track!.awaiting.add(peer)
    this.#withheld.clear()
    if (this.#hasBusy()) this.#awake()
  }

  // The track is not ours any more. Another may be the main one; it only has to catch up.
  #forget(track: Track): void {
    if (track !== this.#main) {
      this.#others.delete(track)
      return
    }
    const [next] = this.#others
    this.#main = next
    if (next) this.#others.delete(next)
  }

  /** Without members it follows the table no more. */
  endIfEmpty(): void {
    const place = this.table.followers.indexOf(this)
    if (!this.isEmpty || place < 0) return
    this.table.followers.splice(place, 1)
    const { defaultRoute } = this.options
    if (!defaultRoute) return
    this.table.sets.drop(defaultRoute.set)
    this.table.letGo(defaultRoute.prefix)
  }

  /**
   * All routes again for one member (RFC 2918): what it was told so far counts for nothing. One that knows the marks is told
   * where they begin and end (RFC 7313), the others that they have everything.
   */
  refresh(peer: number, knowsMarks: boolean): void {
    this.#awake()
    const track = [this.#main, ...this.#others].find((one) => one?.members.has(peer))
    if (!track) return
    const alone = this.#onItsOwn(track, peer)
    if (knowsMarks) {
      alone.toBegin.add(peer)
      alone.toEnd.add(peer)
    } else alone.awaiting.add(peer)
    this.#enqueueAll(alone)
  }

  // A track of that member alone, all of which is to be told again, and taken back where it is no more.
  #onItsOwn(track: Track, peer: number): Track {
    let alone = track
    if (track.members.size > 1) {
      alone = track.copy()
      track.move(peer, alone)
      this.#others.add(alone)
    }
    alone.forget()
    return alone
  }

  /** A member that does not take what the others do goes on alone, from where it is. */
  detach(peer: number): Track | undefined {
    const main = this.#main
    if (!main || main.members.size < 2 || !main.members.has(peer)) return undefined
    const track = main.copy()
    main.move(peer, track)
    this.#others.add(track)
    return track
  }

  // Tracks that have caught up become one again.
  #merge(): void {
    const main = this.#main
    if (!main || isBusy(main)) return
    for (const track of this.#others) {
      if (isBusy(track)) continue
      for (const peer of track.members) main.members.add(peer)
      track.clear()
      this.#others.delete(track)
    }
  }

  /** Tells a track's members what waits, until nothing does, or `packer` has no room, or `prefixes` were looked at. */
  flush(track: Track, packer: Packer, rewriter: AttributeRewriter, prefixes: number): void {
    packer.begin(track, this.options.form, rewriter)
    if (track.toBegin.size > 0) {
      packer.refreshMark(track.toBegin, REFRESH.begin)
      track.toBegin.clear()
    }
    for (let left = prefixes; left > 0 && track.waiting > 0 && packer.hasRoom(); left--) {
      const prefix = track.take()
      if (track.paths) this.#tellAll(track, track.paths, packer, prefix)
      else this.#tellBest(track, packer, prefix)
    }
    if (track.waiting === 0 && track.awaiting.size > 0) {
      if (this.options.isWhole?.(this.#isWholeNow) ?? true) packer.endOfRib(track.awaiting)
      else for (const peer of track.awaiting) this.#withheld.add(peer)
      track.awaiting.clear()
    }
    if (track.waiting === 0 && track.toEnd.size > 0) {
      packer.refreshMark(track.toEnd, REFRESH.end)
      track.toEnd.clear()
    }
    packer.end()
  }

  #tellBest(track: Track, packer: Packer, prefix: number): void {
    const { current } = this.#peers
    const { defaultRoute } = this.options
    const isOurDefault = defaultRoute?.prefix === prefix
    const path = isOurDefault ? NONE : this.table.best[prefix]!
    const set = isOurDefault ? defaultRoute.set : path === NONE ? NO_SET : this.#choose(prefix, path)
    const source = path === NONE || set === NO_SET ? 0 : current[this.table.peer[path]!]!
    const sent = track.sent[prefix]!
    const sentSource = current[track.source[prefix]!]!
    const label = set === NO_SET ? 0 : this.table.labelOf(path)
    const isNew = set !== sent || source !== sentSource || (this.table.hasLabels && label !== track.label[prefix])
    if (!isNew) {
      track.settle(prefix, set, source, label)
      return
    }
    // What no message to them can hold, they are not told.
    const isTold = set !== NO_SET && packer.announce(prefix, set, source, this.#reflectedFrom(source), label)
    if (isTold) {
      if (sent !== NO_SET && source !== sentSource && track.members.has(source)) packer.withdrawFrom(prefix, source)
      track.settle(prefix, set, source, label)
      return
    }
    // Also of what was told before everything was to come again: the peer may have it still.
    if (set === NO_SET || sentSource !== 0) packer.withdraw(prefix, sentSource)
    track.settle(prefix, NO_SET, 0)
  }

  // RFC 7911: what goes is withdrawn by its identifier, what stays as it is is not told again.
  #tellAll(track: Track, paths: ToldPaths, packer: Packer, prefix: number): void {
    const wanted = this.#wanted(prefix)
    const told = paths.of(prefix)
    for (const { id, source } of told)
      if (!wanted.some((path) => path.id === id)) packer.withdraw(prefix, this.#peers.current[source]!, id)
    const stays: ToldPath[] = []
    for (const path of wanted) {
      const before = told.find(({ id }) => id === path.id)
      const { id, set, source, label } = path
      if (before?.set === set && before.source === source && before.label === label) {
        stays.push(path)
        continue
      }
      // The identifier was of another peer's path, who is to hear of the end of its own as well.
      if (before && before.source !== source) packer.withdraw(prefix, this.#peers.current[before.source]!, id)
      if (packer.announce(prefix, set, source, this.#reflectedFrom(source), label, id)) stays.push(path)
      else if (before) packer.withdraw(prefix, this.#peers.current[before.source]!, id)
    }
    paths.replace(prefix, stays)
    track.settle(prefix, stays[0]?.set ?? NO_SET, 0)
  }

  #wanted(prefix: number): ToldPath[] {
    const { defaultRoute } = this.options
    if (defaultRoute?.prefix === prefix) return [{ id: OUR_PATH_ID, set: defaultRoute.set, source: 0, label: 0 }]
    const { table } = this
    const count = table.decision.ranked(table, table.first[prefix]!, this.#ranked)
    const wanted: ToldPath[] = []
    for (const path of this.#ranked.subarray(0, count)) {
      const set = this.#choose(prefix, path)
      const source = this.#peers.current[table.peer[path]!]!
      if (set !== NO_SET) wanted.push({ id: path, set, source, label: table.labelOf(path) })
    }
    return wanted
  }

  // RFC 4271 section 9.1.3: what of the Loc-RIB may be told to these peers.
  #choose(prefix: number, path: number): number {
    if (this.table.isSuppressed(prefix)) return NO_SET
    const { form, clients } = this.options
    const set = this.table.set[path]!
    const restrict = this.#sets.restrict[set]!
    if (restrict !== 0) {
      if ((restrict & RESTRICT.noAdvertise) !== 0) return NO_SET
      if (form.external && (restrict & (RESTRICT.noExport | RESTRICT.noExportSubconfed)) !== 0) return NO_SET
    }
    if (!this.#hasNextHop(set)) return NO_SET
    const source = this.table.peer[path]!
    // From one internal peer to another only as a reflector (RFC 4456 section 6).
    if (!form.external && this.#peers.external[source] === 0 && this.#peers.client[source] === 0 && !clients)
      return NO_SET
    const policy = this.#policy
    if (policy === undefined) return set
    const chosen = policy.ofSet(set)
    return chosen === ASK_ROUTE ? policy.ofRoute(this.table.prefixes, prefix, set, source) : chosen
  }

  // There is one that these peers can be told: ours, or the route's, which may be of IPv6 where they know only IPv4's.
  #hasNextHop(set: number): boolean {
    const { form } = this.options
    if ((this.#sets.fixed[set]! & FIXED.ours) !== 0) return form.ours !== undefined
    const isOfIpv6 = this.#sets.nextHopBytes[set]! >= IPV6_BYTES
    const mayBeOfIpv6 = form.family === FAMILY.ipv6Unicast || form.family === FAMILY.vpnv6 || form.extendedNextHop
    return !isOfIpv6 || form.nextHopSelf !== undefined || mayBeOfIpv6
  }

  #reflectedFrom(source: number): number {
    const isReflected = !this.options.form.external && this.#peers.external[source] === 0
    return isReflected ? this.#peers.routerId[source]! : 0
  }
}

function isBusy(track: Track): boolean {
  return track.waiting > 0 || track.awaiting.size > 0 || track.toEnd.size > 0
}
