/**
 * What the threads of the BGP speaker tell each other. Sessions are known by numbers that are never given twice, so that
 * what one thread still has to say of a session that is gone can harm no other.
 *
 *   session thread  -- expected, up, updates ..., refresh, down -->  route thread
 *                   <-- chunks of updates, failed, taken --
 *
 * Updates travel as bytes in shared memory, whole messages one behind the other, as they came and as they are to be sent.
 */

import type { IpAddress, Prefix } from '../../base/address.ts'
import { FAMILY } from '../../wire/bgp/family.ts'
import { MESSAGE_BYTES_MAX } from '../../wire/bgp/message.ts'
import type { Notification } from '../../wire/bgp/notification.ts'
import type { PolicySource } from '../policy/policy-book.ts'
import type { VrfTargets } from './rib/route-targets.ts'
import type { Negotiated } from './session/negotiate.ts'

/** How a peer's routes are treated: of the site file. */
export interface RouteHandling {
  readonly vrf: number
  /** RFC 7947: as a route server does it, nothing of ours is put in. */
  readonly routeServerClient: boolean
  /** RFC 4456. */
  readonly reflectorClient: boolean
  readonly nextHopSelf: boolean
  /** An external peer's routes keep their next hop too. */
  readonly nextHopUnchanged: boolean
  /** How often our AS may be in a path. */
  readonly allowAsIn: number
  /** RFC 4271 section 6.3: an external peer's paths begin with its AS. */
  readonly enforceFirstAs: boolean
  /** At how many routes the session ends, and at how many it is said that it comes near to that; 0 never. */
  readonly maximumPrefixes: number
  readonly warningPrefixes: number
  /** The peer's AS in paths to it is told as ours (RFC 4364 section 10; hub and spoke). */
  readonly asOverride: boolean
  /** It is told a default route, whether we have one or not. */
  readonly defaultOriginate: boolean
  /** Paths of a prefix at most that it is told, where it takes several (RFC 7911). */
  readonly addPathSend: number
}

/** A session with an external peer of today that has IPv4 alone, and no hold time. */
export const plainNegotiated: Negotiated = {
  remoteAs: 65_002,
  remoteId: 2,
  external: true,
  as4: true,
  holdTime_s: 0,
  families: 1 << FAMILY.ipv4Unicast,
  addPathReceive: 0,
  addPathSend: 0,
  extendedNextHop: 0,
  receiveBytesMax: MESSAGE_BYTES_MAX,
  sendBytesMax: MESSAGE_BYTES_MAX,
  refresh: true,
  enhancedRefresh: false,
}

/** A peer that nothing is said of. */
export const plainHandling: RouteHandling = {
  vrf: 0,
  routeServerClient: false,
  reflectorClient: false,
  nextHopSelf: false,
  nextHopUnchanged: false,
  allowAsIn: 0,
  enforceFirstAs: false,
  maximumPrefixes: 0,
  warningPrefixes: 0,
  asOverride: false,
  defaultOriginate: false,
  addPathSend: 0,
}

/**
 * How far a session is behind, in memory that both threads see: what it was handed since it came up, and what of that still
 * waits for the network. PACE_WORDS a slot; a session has a slot while it is up.
 */
export const PACE_WORDS = 2
export const Pace = { received: 0, waiting: 1 } as const

export interface SessionUp {
  readonly kind: 'up'
  readonly session: number
  readonly slot: number
  readonly peer: string
  readonly local: IpAddress
  /** Ours of the other family where the session is, if there is one: the next hop of that family's routes. */
  readonly sibling?: IpAddress | undefined
  readonly remote: IpAddress
  readonly negotiated: Negotiated
  readonly handling: RouteHandling
}

/** Peers with which sessions are to come up here after a start, dynamic ones and those of other nodes not among them. */
export interface Expected {
  readonly kind: 'expected'
  readonly peers: readonly { readonly peer: string; readonly vrf: number }[]
}

/** Whole messages of sessions: three numbers each, the session, from and to. */
export interface Updates {
  readonly kind: 'updates'
  readonly memory: SharedArrayBuffer
  readonly runs: Int32Array
}

/** The peer asks for all routes, or says where its own begin to come again, and where they end (REFRESH). */
export interface RefreshSaid {
  readonly kind: 'refresh'
  readonly session: number
  readonly family: number
  readonly subtype: number
}

export interface SessionDown {
  readonly kind: 'down'
  readonly session: number
  /** It ended in a way that keeps the routes of these families, for so long (RFC 4724). */
  readonly keep?: number
  readonly keep_s?: number
}

/** A session that was behind has nothing left to send. */
export interface Room {
  readonly kind: 'room'
}

export type ToRoutes = Expected | SessionUp | Updates | RefreshSaid | SessionDown | Room

/** A part of a chunk and who gets it: sessions by number. */
export interface OutRun {
  readonly audience: readonly number[]
  readonly except: number
  readonly from: number
  readonly to: number
  /** How many there are in it. */
  readonly messages: number
}

export interface OutChunk {
  readonly kind: 'chunk'
  readonly memory: SharedArrayBuffer
  readonly runs: readonly OutRun[]
}

/** The peer has sent what cannot be: the session is to end with this. */
export interface Failed {
  readonly kind: 'failed'
  readonly session: number
  readonly notification: Notification
}

/** The session has more routes than it may: it is to end (RFC 4486), and to rest. */
export interface OverMaximum {
  readonly kind: 'over-maximum'
  readonly session: number
}

/** The session comes near to the number of routes that it may have. */
export interface NearMaximum {
  readonly kind: 'near-maximum'
  readonly session: number
  readonly routes: number
}

/** So many bytes of updates have been taken over: there is room for more. */
export interface Taken {
  readonly kind: 'taken'
  readonly bytes: number
}

export type FromRoutes = OutChunk | Failed | OverMaximum | NearMaximum | Taken

/** A summary that we bring up while there is something in it. */
export interface AggregateSetting {
  readonly vrf: number
  readonly prefix: Prefix
  /** Peers are told nothing of what is in it. */
  readonly summaryOnly: boolean
}

export interface RouteSettings {
  /** Who tells the control module: the routing node; empty when there is nobody to tell. */
  readonly origin: string
  /** Tenants by the numbers of their VRFs, which are told to the control module. */
  readonly tenants: readonly (readonly [vrf: number, name: string])[]
  /** Of those that take part in VPNs. */
  readonly targets: readonly VrfTargets[]
  /** Paths at most that share a prefix's packets. */
  readonly multipath: number
  readonly aggregates: readonly AggregateSetting[]
  readonly as: number
  readonly routerId: number
  readonly clusterId: number
  readonly alwaysCompareMed: boolean
  /** Routes are of use only while the kernel has a way to their next hops. */
  readonly nextHopTracking: boolean
  readonly policies?: PolicySource
}

/** A speaker without tenants, of which nothing else is said. */
export const plainSettings: RouteSettings = {
  origin: '',
  tenants: [],
  targets: [],
  multipath: 1,
  aggregates: [],
  as: 65_001,
  routerId: 1,
  clusterId: 1,
  alwaysCompareMed: false,
  nextHopTracking: false,
}
