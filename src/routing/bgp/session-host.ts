/**
 * The work of the session thread, without the thread: listeners, connections and sessions (session/), and the updates
 * between them and the route thread. What it never does is look into an update: a table of millions of routes on its way
 * in costs it the copying of bytes, and no neighbour's hold timer runs out over it (DSR section 4.2).
 *
 *   TcpConnection --message--> BgpSession --update--> chunk of many sessions' updates ----> route thread
 *                 <--write---  by number  <------------------------ chunks, by reference --
 */

import { formatAddress, type IpAddress, parseAddress, parseInterface, prefixContains } from '../../base/address.ts'
import type { Clock } from '../../base/clock.ts'
import type { Random } from '../../base/random.ts'
import type { Neighbour, Routing } from '../../config/routing.ts'
import { LinuxError } from '../../linux/error.ts'
import { CONTROL_TRAFFIC_CLASS } from '../../linux/tcp-option.ts'
import type { ConnectOptions, TcpSocket } from '../../linux/tcp-socket.ts'
import { FAMILY, familyOf, hasFamily, NO_FAMILY } from '../../wire/bgp/family.ts'
import { MESSAGE } from '../../wire/bgp/message.ts'
import { CEASE, isNotification, type Notification, notification } from '../../wire/bgp/notification.ts'
import { decodeRefresh, REFRESH } from '../../wire/bgp/refresh.ts'
import type { NeighbourBfd } from '../liveness/neighbour-bfd.ts'
import { ourInnerAddress } from '../relay/inner-address.ts'
import { DYNAMIC_MAX } from '../relay/peer-memory.ts'
import { type RelayEnd, type RelayedPeer, RelayedPeers } from '../relay/relayed-peers.ts'
import type { RelaySetup } from '../relay/ways.ts'
import { Listeners } from './listeners.ts'
import { type FromRoutes, type NearMaximum, type OutChunk, PACE_WORDS, Pace, type ToRoutes } from './messages.ts'
import { lastWords } from './neighbour-changes.ts'
import {
  connectOptionsOf,
  handlingOf,
  RESTART_TIME_s,
  rangesOf,
  sessionOptionsOf,
  socketOptionsOf,
} from './neighbour-options.ts'
import { RefreshLimits } from './refresh-limits.ts'
import { RestingPeers } from './resting-peers.ts'
import type { Message } from './session/connection.ts'
import type { Down } from './session/down.ts'
import type { Negotiated } from './session/negotiate.ts'
import { BgpSession, COLLISION_US } from './session/session.ts'
import type { State } from './session/states.ts'
import { keptAfter, keptOfMoving } from './session-end.ts'
import { siblingAddress } from './sibling-address.ts'
import { type StrangerNews, Strangers } from './strangers.ts'
import { TcpConnection } from './tcp-connection.ts'
import { UpdateChunks, type UpdateChunksParts } from './update-chunks.ts'

/** Sessions in one turn: about 5 ms of connecting. */
const STARTED_AT_ONCE = 50

export interface HostEvent {
  readonly peer: string
  readonly remote: string
  readonly from: State
  readonly to: State
  readonly reason: Down | undefined
}

/** A session, for people. */
export interface SessionShown {
  readonly name: string
  readonly tenant?: string
  readonly address: string
  readonly as: number
  readonly state: State
  readonly uptime_s: number
  readonly flaps: number
  readonly last: string
  /** The state of BFD with it, where that is wanted. */
  readonly bfd?: string
  /** The site file says that there is none with this neighbour. */
  readonly shutdown?: boolean
}

export interface SessionHostOptions {
  readonly routing: Routing
  readonly clock: Clock
  readonly random: Random
  readonly toRoutes: (message: ToRoutes) => void
  /** Who else reads the updates in what the route thread is told, in its own time, and how far it is. */
  readonly history?: UpdateChunksParts['history']
  readonly event: (event: HostEvent) => void
  readonly warn?: (warning: MaximumWarning) => void
  /** Connections were closed because nobody is expected from there. */
  readonly strangers?: (news: StrangerNews) => void
  /** PACE_WORDS a slot. */
  readonly pace: Int32Array
  /** By which tenants' neighbours are reached; without it there are none. */
  readonly relay?: RelayEnd | undefined
  /** Who watches the paths to neighbours that want it. */
  readonly bfd?: Pick<NeighbourBfd, 'watch' | 'leave' | 'stateOf'> | undefined
}

interface Held {
  readonly neighbour: Neighbour
  /** Of a tenant's neighbour, the tenant's address of it. */
  readonly remote: IpAddress
  readonly relayed: RelayedPeer | undefined
  readonly session: BgpSession
  /** What was agreed on in its last session. */
  negotiated?: Negotiated
  /** Another routing node has it from now on. */
  isMoving?: boolean
  /** While it is established. */
  number: number
  slot: number
}

/** A peer sends nearly as many routes as it may. */
export interface MaximumWarning {
  readonly peer: string
  readonly remote: string
  readonly routes: number
  readonly limit: number
}

export class SessionHost {
  readonly #options: SessionHostOptions
  readonly #listeners: Listeners
  readonly #relay: RelayedPeers | undefined
  /** By the peer's address, as the kernel knows it. */
  readonly #byAddress = new Map<string, Held>()
  readonly #byNumber = new Map<number, Held>()
  /** Of those that are held from the beginning. */
  readonly #unstarted = new Set<Held>()
  #routing: Routing
  #ranges: readonly Neighbour[]
  readonly #freeSlots: number[] = []
  #dynamic = 0
  /** The process is young: there may have been another one before it, whose peers wait for us (RFC 4724 section 4.1). */
  #isRestarting = true
  #nextNumber = 1
  #nextSlot = 0
  readonly #updates: UpdateChunks
  readonly #strangers: Strangers
  readonly #resting: RestingPeers
  readonly #refreshes: RefreshLimits

  constructor(options: SessionHostOptions) {
    this.#options = options
    this.#routing = options.routing
    this.#ranges = rangesOf(options.routing)
    const { toRoutes: send, history } = options
    this.#updates = new UpdateChunks({ send, history, paused: (isPaused) => this.#pause(isPaused) })
    this.#resting = new RestingPeers(options.clock)
    const again = (session: number, family: number): void => this.#passRefresh(session, family, REFRESH.request)
    this.#refreshes = new RefreshLimits(options.clock, again)
    this.#strangers = new Strangers(options.clock, (news) => options.strangers?.(news))
    this.#relay = options.relay && new RelayedPeers(options.relay)
    for (const neighbour of options.routing.neighbours) this.#holdNamed(neighbour)
    this.#listeners = new Listeners(options.routing, this.#relay)
    this.#listeners.watch(
      (socket) => this.#accept(socket),
      (socket) => this.#acceptRelayed(socket),
    )
  }

  start(): void {
    this.#options.clock.after(RESTART_TIME_s * 1000, () => this.#endRestart())
    this.#expect()
    for (const held of this.#byAddress.values()) if (held.neighbour.shutdown === false) this.#unstarted.add(held)
    this.#startSome()
  }

  /**
   * Another site file: the sessions of neighbours that are in it as they were go on. `relay`: what the relay was told of it.
   * Returns how many sessions that were up ended.
   */
  reload(routing: Routing, relay?: RelaySetup): number {
    const before = this.#routing
    const ways = new Map(before.neighbours.map(({ name }) => [name, this.#relay?.wayTo(name)?.index]))
    this.#routing = routing
    this.#ranges = rangesOf(routing)
    if (relay) this.#relay?.take(relay)
    const hasMoved = ({ name }: Neighbour): boolean => this.#relay?.wayTo(name)?.index !== ways.get(name)
    const words = lastWords(before.neighbours, routing.neighbours, hasMoved)
    for (const name of words.keys()) this.#resting.release(name)
    let ended = 0
    for (const [known, held] of this.#byAddress) {
      const isNamed = held.relayed && this.#relay?.isNamed(held.relayed)
      const last = words.get(held.neighbour.name) ?? (isNamed && notification(CEASE.code, CEASE.configurationChange))
      if (!last) continue
      if (held.number !== 0) ended++
      this.#dismiss(known, held, last)
    }
    this.#listeners.setNeighbours(routing.neighbours)
    for (const neighbour of routing.neighbours) {
      const held = this.#holdNamed(neighbour)
      if (held && neighbour.shutdown === false) this.#unstarted.add(held)
    }
    this.#expect()
    this.#startSome()
    return ended
  }

  /** Who is to come up here, which decides when peers are told that they know everything (RFC 4724 section 4.1). */
  #expect(): void {
    if (!this.#isRestarting) return
    const expected = [...this.#byAddress.values()].filter(
      ({ neighbour, session }) => neighbour.shutdown === false && !session.options.once && neighbour.graceful_restart,
    )
    const peers = expected.map(({ neighbour, relayed }) => ({ peer: neighbour.name, vrf: relayed?.way.vrf ?? 0 }))
    this.#options.toRoutes({ kind: 'expected', peers })
  }

  #endRestart(): void {
    this.#isRestarting = false
    for (const held of this.#byAddress.values()) this.#hasRestarted(held)
  }

  /** Its next connection is none after a start of ours. */
  #hasRestarted({ neighbour, session }: Held): void {
    if (!session.options.offer.gracefulRestart?.restarting) return
    session.options = sessionOptionsOf(this.#routing, neighbour, { once: session.options.once, restarting: false })
  }

  /** Some of them: in between, peers' own connections are accepted, and what has come about goes on. */
  #startSome(): void {
    let left = STARTED_AT_ONCE
    for (const held of this.#unstarted) {
      if (left-- === 0) break
      this.#startNow(held)
    }
    if (this.#unstarted.size > 0) setImmediate(() => this.#startSome())
  }

  #startNow(held: Held): void {
    if (this.#unstarted.delete(held)) held.session.start()
  }

  /** Takes leave of all peers. */
  close(): void {
    this.#listeners.close()
    this.#unstarted.clear()
    for (const { session } of this.#byAddress.values()) session.stop(notification(CEASE.code, CEASE.shutdown))
  }

  /** What the route thread says. */
  take(message: FromRoutes): void {
    if (message.kind === 'chunk') this.#send(message)
    else if (message.kind === 'taken') this.#updates.taken(message.bytes)
    else if (message.kind === 'near-maximum') this.#nearMaximum(message)
    else if (message.kind === 'over-maximum') this.#rest(message.session)
    else this.#byNumber.get(message.session)?.session.fail(message.notification)
  }

  /**
   * Which routing nodes live: each tenant's neighbour is one node's to hold. Those that are another's now are told to come
   * back, and meet it.
   */
  setMembers(names: readonly string[]): void {
    this.#relay?.setMembers(names)
    for (const [address, held] of this.#byAddress) {
      const { session, relayed } = held
      if (!relayed || this.#relay!.isHere(relayed)) continue
      held.isMoving = true
      // A peer that keeps our routes while we restart need not know: the other node's connection says it. One whose session is
      // hardly up would take that connection for a collision and refuse it.
      const isOld = session.uptime_us >= COLLISION_US
      if (isOld && session.negotiated?.gracefulRestart) (session.connection as TcpConnection | undefined)?.abandon()
      this.#dismiss(address, held, notification(CEASE.code, CEASE.reset))
    }
    for (const neighbour of this.#routing.neighbours) {
      const held = neighbour.tenant === undefined ? undefined : this.#holdNamed(neighbour)
      if (held && neighbour.shutdown === false) held.session.start()
    }
    this.#expect()
  }

  /** It is not held here any more. */
  #dismiss(known: string, held: Held, last: Notification): void {
    this.#unstarted.delete(held)
    held.session.stop(last)
    // One that is there for one connection is forgotten when that has ended.
    if (held.session.options.once) return
    this.#byAddress.delete(known)
    this.#options.bfd?.leave(parseAddress(known)!)
  }

  /** The path to the peer that the kernel knows by this address is broken, says who watches it (RFC 5882). */
  pathFailed(known: IpAddress): void {
    this.#byAddress.get(formatAddress(known))?.session.reset(notification(CEASE.code, CEASE.bfdDown))
  }

  /** For people: every neighbour that is held here, and dynamic ones that are there. */
  show(): SessionShown[] {
    return Array.from(this.#byAddress, ([known, { neighbour, remote, session }]) => ({
      name: neighbour.name,
      ...(neighbour.tenant !== undefined && { tenant: neighbour.tenant }),
      address: formatAddress(remote),
      as: session.negotiated?.remoteAs ?? neighbour.as ?? 0,
      state: session.state,
      uptime_s: Math.floor(session.uptime_us / 1e6),
      flaps: session.counters.flaps,
      ...(neighbour.shutdown !== false && { shutdown: true }),
      last: neighbour.shutdown === false ? (session.counters.lastDown?.sentence ?? '') : 'shut down here',
      ...(neighbour.bfd && { bfd: this.#options.bfd?.stateOf(parseAddress(known)!) ?? 'none' }),
    }))
  }

  // ---- connections

  #acceptRelayed(socket: TcpSocket): void {
    const relay = this.#relay!
    const { address } = socket.remote
    const held = this.#byAddress.get(formatAddress(address)) ?? this.#holdClaimed(relay.claim(address))
    if (held) {
      const { session, relayed } = held
      this.#startNow(held)
      session.accept(new TcpConnection(socket, socket.remote, true, this.#after, relay.relayedOf(relayed!)))
      return
    }
    this.#strangers.came(socket.remote.address)
    relay.refuse(socket)
  }

  #accept(socket: TcpSocket): void {
    const { address } = socket.remote
    const held = this.#byAddress.get(formatAddress(address)) ?? this.#holdDynamic(address)
    if (!held) {
      this.#strangers.came(socket.remote.address)
      socket.reset()
      return
    }
    try {
      socket.set(socketOptionsOf(held.neighbour))
    } catch (error) {
      if (!(error instanceof LinuxError)) throw error
      socket.reset()
      return
    }
    this.#startNow(held)
    held.session.accept(new TcpConnection(socket, socket.remote, true, this.#after))
  }

  readonly #after = (delay_ms: number, run: () => void): void => void this.#options.clock.after(delay_ms, run)

  #holdDynamic(address: IpAddress): Held | undefined {
    const neighbour = this.#ranges.find(({ prefix }) => prefixContains(parseInterface(prefix!)!, address))
    if (!neighbour || this.#dynamic >= DYNAMIC_MAX || this.#resting.has(neighbour.name, address)) return undefined
    this.#dynamic++
    const held = this.#hold(neighbour, address, true)
    held.session.start()
    return held
  }

  /** One that the site file names by its address, if it is this node's to hold and is not held yet. */
  #holdNamed(neighbour: Neighbour): Held | undefined {
    if (neighbour.tenant === undefined) {
      if (neighbour.address === undefined) return undefined
      const remote = parseAddress(neighbour.address)!
      return this.#byAddress.has(formatAddress(remote)) ? undefined : this.#hold(neighbour, remote, false)
    }
    const peer = this.#relay?.named(neighbour.name)
    if (!peer || !this.#relay!.isHere(peer)) return undefined
    if (this.#byAddress.has(formatAddress(this.#relay!.innerAddressOf(peer)))) return undefined
    return this.#hold(neighbour, peer.remote, false, peer)
  }

  #holdClaimed(peer: RelayedPeer | undefined): Held | undefined {
    if (!peer) return undefined
    const neighbour = this.#routing.neighbours.find(({ name }) => name === peer.way.neighbour)
    if (neighbour?.shutdown !== false || this.#resting.has(neighbour.name, peer.remote)) {
      this.#relay!.release(peer)
      return undefined
    }
    this.#dynamic++
    const held = this.#hold(neighbour, peer.remote, true, peer)
    held.session.start()
    return held
  }

  #forget(relayed: RelayedPeer | undefined): void {
    this.#dynamic--
    if (relayed) this.#relay!.release(relayed)
  }

  #hold(neighbour: Neighbour, remote: IpAddress, once: boolean, relayed?: RelayedPeer): Held {
    const { clock, random } = this.#options
    const options = sessionOptionsOf(this.#routing, neighbour, { once, restarting: this.#isRestarting })
    const known = relayed ? this.#relay!.innerAddressOf(relayed) : remote
    const connect = relayed ? this.#relayedOptions() : connectOptionsOf(neighbour)
    const link = relayed && this.#relay!.relayedOf(relayed)
    const held: Held = {
      neighbour,
      remote,
      relayed,
      number: 0,
      slot: 0,
      session: new BgpSession({
        options,
        clock,
        random,
        connector: {
          open: () => TcpConnection.connect({ address: known, port: neighbour.port }, connect, this.#after, link),
        },
        events: {
          stateChanged: (from, to, reason) => this.#changed(held, from, to, reason),
          established: (negotiated) => this.#established(held, negotiated),
          update: (message) => this.#updates.add(held.number, message),
          refresh: (message) => this.#refresh(held, message),
          down: (reason) => this.#down(held, reason),
        },
      }),
    }
    this.#byAddress.set(formatAddress(known), held)
    const own = neighbour.local_address === undefined ? undefined : parseAddress(neighbour.local_address)!
    this.#watch(neighbour, known, relayed ? ourInnerAddress(known.length as 4 | 16).address : own)
    return held
  }

  /** From when on our address is known: at the latest when its session is up. */
  #watch({ name, bfd, shutdown }: Neighbour, remote: IpAddress, local: IpAddress | undefined): void {
    if (bfd && local && shutdown === false) this.#options.bfd?.watch({ name, settings: bfd, local, remote })
  }

  #relayedOptions(): ConnectOptions {
    return { ...this.#relay!.socketOptions, trafficClass: CONTROL_TRAFFIC_CLASS }
  }

  // ---- what the sessions say

  #changed(held: Held, from: State, to: State, reason: Down | undefined): void {
    const { neighbour, remote, session, relayed } = held
    this.#options.event({ peer: neighbour.name, remote: formatAddress(remote), from, to, reason })
    if (to !== 'idle' || !session.options.once) return
    const known = relayed ? this.#relay!.innerAddressOf(relayed) : remote
    if (!this.#byAddress.delete(formatAddress(known))) return
    this.#options.bfd?.leave(known)
    this.#forget(relayed)
  }

  #established(held: Held, negotiated: Negotiated): void {
    const connection = held.session.connection as TcpConnection
    if (!held.relayed) this.#watch(held.neighbour, held.remote, connection.local)
    held.negotiated = negotiated
    this.#hasRestarted(held)
    held.number = this.#nextNumber++
    held.slot = this.#freeSlots.pop() ?? this.#nextSlot++
    this.#byNumber.set(held.number, held)
    this.#pace(held, Pace.received, 0)
    this.#pace(held, Pace.waiting, 0)
    connection.onWrote = () => this.#wrote(held, connection)
    connection.pause(this.#updates.isPaused)
    this.#updates.flush()
    this.#options.toRoutes({
      kind: 'up',
      session: held.number,
      slot: held.slot,
      peer: held.neighbour.name,
      local: connection.local,
      sibling: held.relayed ? held.relayed.way.sibling : siblingOf(connection.local, negotiated),
      remote: held.remote,
      negotiated,
      handling: handlingOf(held.neighbour, held.relayed?.way.vrf ?? 0),
    })
  }

  #down(held: Held, reason: Down): void {
    this.#updates.flush()
    const kept = held.isMoving ? keptOfMoving(held.negotiated) : keptAfter(reason, held.negotiated)
    this.#options.toRoutes({ kind: 'down', session: held.number, ...kept })
    this.#refreshes.forget(held.number)
    this.#byNumber.delete(held.number)
    this.#freeSlots.push(held.slot)
    held.number = 0
  }

  // A peer that sent too many routes would send them again: its session rests, for good unless it is said for how long.
  #rest(number: number): void {
    const held = this.#byNumber.get(number)
    if (!held) return
    const { neighbour, remote, session } = held
    const { restart_s } = neighbour.maximum_prefixes!
    const { once } = session.options
    if (once) this.#resting.add(neighbour.name, remote, restart_s)
    const startAfter_ms = once ? 0 : (restart_s ?? 0) * 1000
    session.stop(notification(CEASE.code, CEASE.maximumPrefixes), { startAfter_ms })
  }

  #nearMaximum({ session, routes }: NearMaximum): void {
    const held = this.#byNumber.get(session)
    if (!held) return
    const { neighbour, remote } = held
    const { limit } = neighbour.maximum_prefixes!
    this.#options.warn?.({ peer: neighbour.name, remote: formatAddress(remote), routes, limit })
  }

  #refresh(held: Held, message: Message): void {
    const refresh = decodeRefresh(message.body())
    if (isNotification(refresh)) {
      held.session.fail(refresh)
      return
    }
    const { afi, safi, subtype } = refresh
    const family = familyOf(afi, safi)
    // Another subtype than was agreed on is to be ignored (RFC 7313 section 5).
    const most = held.negotiated?.enhancedRefresh ? REFRESH.end : REFRESH.request
    if (family === NO_FAMILY || subtype > most) return
    const fate = this.#refreshes.take(held.number, family, subtype)
    if (fate === 'passes') this.#passRefresh(held.number, family, subtype)
    else if (fate === 'flood') held.session.fail(notification(CEASE.code, CEASE.outOfResources))
  }

  // Behind the updates that came before it.
  #passRefresh(session: number, family: number, subtype: number): void {
    this.#updates.flush()
    this.#options.toRoutes({ kind: 'refresh', session, family, subtype })
  }

  #pause(isPaused: boolean): void {
    for (const { session } of this.#byNumber.values())
      (session.connection as TcpConnection | undefined)?.pause(isPaused)
  }

  // ---- what the sessions are told

  #send({ memory, runs }: OutChunk): void {
    for (const { audience, except, from, to, messages } of runs) {
      const bytes = new Uint8Array(memory, from, to - from)
      for (const number of audience) {
        const held = number === except ? undefined : this.#byNumber.get(number)
        if (!held) continue
        const connection = held.session.connection as TcpConnection
        this.#pace(held, Pace.received, this.#options.pace[held.slot * PACE_WORDS + Pace.received]! + bytes.length)
        connection.write(bytes)
        held.session.sent(MESSAGE.update, messages)
      }
    }
  }

  #wrote(held: Held, connection: TcpConnection): void {
    const before = this.#options.pace[held.slot * PACE_WORDS + Pace.waiting]!
    this.#pace(held, Pace.waiting, connection.waiting_bytes)
    if (connection.waiting_bytes === 0 && before > 0) this.#options.toRoutes({ kind: 'room' })
  }

  #pace({ slot }: Held, word: number, value: number): void {
    Atomics.store(this.#options.pace, slot * PACE_WORDS + word, value)
  }
}

/** It is looked for only where it is of use: where ten thousand sessions come up, there is one interface each. */
function siblingOf(local: IpAddress, { families }: Negotiated): IpAddress | undefined {
  const other = local.length === 4 ? FAMILY.ipv6Unicast : FAMILY.ipv4Unicast
  return hasFamily(families, other) ? siblingAddress(local) : undefined
}
