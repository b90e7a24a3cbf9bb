/**
 * All neighbours of many VRFs, as one process: a session each, from an address of its own. They announce what they are told to
 * and count what the others of their VRF have said, and do nothing with a route, so that what is measured is the daemon.
 *
 *   parent --{ kind }--> child        `announce`, `withdraw`: so many routes a neighbour
 *   parent <--{ ... }-- child         `up` (all of them), `down` (one), `passed-on` (everybody has everything of the others)
 */

import { parseAddress } from '../../src/base/address.ts'
import { systemClock } from '../../src/base/clock.ts'
import { Random } from '../../src/base/random.ts'
import { BgpSession } from '../../src/routing/bgp/session/session.ts'
import { defaultSessionOptions } from '../../src/routing/bgp/session/session-options.ts'
import { TcpConnection } from '../../src/routing/bgp/tcp-connection.ts'
import { FAMILY } from '../../src/wire/bgp/family.ts'
import { UpdateBuilder } from '../../src/wire/bgp/update-builder.ts'
import { PrefixCounts } from './prefix-counts.ts'

export interface VrfPeersSetup {
  readonly vrfs: number
  /** Of a VRF: their AS numbers. */
  readonly neighbours: readonly number[]
  /** The daemon's. */
  readonly address: string
  readonly as: number
  /** Of all routes: an address of nobody's. */
  readonly nextHop: string
}

export interface ToVrfPeers {
  readonly kind: 'announce' | 'withdraw'
  /** Of each neighbour. */
  readonly routes: number
}

export type FromVrfPeers =
  | { readonly kind: 'up' }
  | { readonly kind: 'down' }
  | { readonly kind: 'passed-on'; readonly from_ms: number; readonly to_ms: number }

export const NEIGHBOUR_SUBNET = '10.64.0.0/13'
/** Of a neighbour, by its place among those of its VRF; VRFs are numbered from 1. */
export function neighbourAddress(vrf: number, place: number): string {
  return `10.${64 + (vrf >>> 8)}.${vrf & 255}.${1 + place}`
}

const BGP_PORT = 179
const HOLD_TIME_s = 180
const PREFIXES_PER_SET = 5
/** The first of those of four bytes that are private (RFC 6996). */
const PRIVATE_AS = 4_200_000_000
/** On their way at a time: as many as wait at BIRD's door, and who comes in vain comes again after a second. */
const CONNECTING_MAX = 8

function now_ms(): number {
  return performance.timeOrigin + performance.now()
}

const after = (delay_ms: number, run: () => void): void => void systemClock.after(delay_ms, run)

class VrfPeer {
  readonly session: BgpSession
  readonly counts: PrefixCounts
  readonly place: number
  /** Everything that is to come has come. */
  isDone = true

  constructor(setup: VrfPeersSetup, vrf: number, place: number, told: (peer: VrfPeer, isUp?: boolean) => void) {
    this.place = place
    // Some daemons send a neighbour its own routes too.
    this.counts = new PrefixCounts(place)
    const address = parseAddress(setup.address)!
    const local = { address: parseAddress(neighbourAddress(vrf, place))!, port: 0 }
    const offer = {
      ...{ localAs: setup.neighbours[place]!, localId: 256 * vrf + 1 + place },
      ...{ remoteAs: [{ from: setup.as, to: setup.as }], holdTime_s: HOLD_TIME_s, holdTimeMin_s: 3 },
      ...{ families: [{ family: FAMILY.ipv4Unicast }], extendedMessages: false },
    }
    this.session = new BgpSession({
      options: { ...defaultSessionOptions, offer, connectRetryMin_ms: 1000, connectRetryMax_ms: 1000 },
      ...{ clock: systemClock, random: new Random(vrf * 256 + place) },
      connector: { open: () => TcpConnection.connect({ address, port: BGP_PORT }, { local }, after) },
      events: {
        stateChanged: (from, to) => {
          if (to === 'established') told(this, true)
          else if (from === 'established') told(this, false)
        },
        update: ({ bytes, at, end }) => {
          this.counts.update(bytes, at, end)
          told(this)
        },
        established() {},
        refresh() {},
        down() {},
      },
    })
  }
}

class VrfPeers {
  readonly #setup: VrfPeersSetup
  readonly #peers: VrfPeer[] = []
  readonly #tell: (message: FromVrfPeers) => void
  #begun = 0
  #up = 0
  #kind: ToVrfPeers['kind'] = 'announce'
  #expected = 0
  #left = 0
  #from_ms = 0

  constructor(setup: VrfPeersSetup, tell: (message: FromVrfPeers) => void) {
    this.#setup = setup
    this.#tell = tell
    for (let vrf = 1; vrf <= setup.vrfs; vrf++)
      for (let place = 0; place < setup.neighbours.length; place++)
        this.#peers.push(new VrfPeer(setup, vrf, place, (peer, isUp) => this.#told(peer, isUp)))
  }

  connect(): void {
    while (this.#begun < this.#peers.length && this.#begun - this.#up < CONNECTING_MAX)
      this.#peers[this.#begun++]!.session.start()
  }

  /** All of them at the same time. */
  change({ kind, routes }: ToVrfPeers): void {
    const updates = this.#setup.neighbours.map((as, place) => this.#encode(kind, routes, as, place))
    this.#kind = kind
    this.#expected = routes * (this.#setup.neighbours.length - 1)
    // Whom nobody tells anything is done with what he says.
    this.#left = this.#expected === 0 ? 0 : this.#peers.length
    for (const peer of this.#peers) {
      peer.counts.announced = peer.counts.withdrawn = 0
      peer.isDone = this.#expected === 0
    }
    this.#from_ms = now_ms()
    for (const { session, place } of this.#peers) (session.connection as TcpConnection).write(updates[place]!)
    if (this.#left === 0) this.#tell({ kind: 'passed-on', from_ms: this.#from_ms, to_ms: now_ms() })
  }

  #told(peer: VrfPeer, isUp?: boolean): void {
    if (isUp === false) {
      this.#up--
      this.#tell({ kind: 'down' })
    }
    if (isUp) {
      if (++this.#up === this.#peers.length) this.#tell({ kind: 'up' })
      this.connect()
    }
    const { counts } = peer
    if (peer.isDone || (this.#kind === 'announce' ? counts.announced : counts.withdrawn) < this.#expected) return
    peer.isDone = true
    if (--this.#left === 0) this.#tell({ kind: 'passed-on', from_ms: this.#from_ms, to_ms: now_ms() })
  }

  /** 10.PLACE.0.0/24 and on, the same ones in every VRF, as tenants' networks are; five at a time with the same attributes. */
  #encode(kind: ToVrfPeers['kind'], routes: number, as: number, place: number): Uint8Array {
    const builder = new UpdateBuilder()
    const bytes = new Uint8Array(routes * 32 + 4096)
    builder.target(bytes)
    const step = kind === 'announce' ? PREFIXES_PER_SET : routes
    let end = 0
    for (let i = 0; i < routes; i += step) {
      builder.begin(end, FAMILY.ipv4Unicast, kind === 'announce' ? this.#attributes(as, i) : undefined)
      for (let n = i; n < Math.min(i + step, routes); n++)
        builder.addPrefix4(((10 << 24) + (place << 16) + (n << 8)) >>> 0, 24)
      end = builder.finish()
    }
    return bytes.slice(0, end)
  }

  #attributes(as: number, i: number): Uint8Array {
    const path = [as, PRIVATE_AS + i].flatMap((one) =>
      [one >>> 24, one >>> 16, one >>> 8, one].map((byte) => byte & 255),
    )
    return Uint8Array.from([
      ...[0x40, 1, 1, 0],
      ...[0x40, 2, 10, 2, 2, ...path],
      ...[0x40, 3, 4, ...parseAddress(this.#setup.nextHop)!],
    ])
  }
}

if (import.meta.main) {
  const peers = new VrfPeers(JSON.parse(process.argv[2]!), (message) => void process.send!(message))
  process.on('message', (message: ToVrfPeers) => peers.change(message))
  process.on('disconnect', () => process.exit(0))
  peers.connect()
}
