/**
 * The session thread's side of the relay: which tenants' neighbours are held here, by which addresses the kernel knows
 * them, and the word that goes to the relay before a connection is closed.
 */

import { formatAddress, type IpAddress } from '../../base/address.ts'
import type { ConnectOptions, TcpSocket } from '../../linux/tcp-socket.ts'
import { innerAddress, innerNumberOf, ourInnerAddress } from './inner-address.ts'
import { PeerMemory } from './peer-memory.ts'
import { Placement } from './placement.ts'
import type { RelaySetup, Way } from './ways.ts'

/** What the relay's thread says of itself, for the session thread. */
export interface RelayEnd {
  readonly setup: RelaySetup
  readonly memory: SharedArrayBuffer
  /** The TUN device, and the versions of IP that are on it. */
  readonly device: string
  readonly versions: readonly (4 | 6)[]
}

/** What a connection (tcp-connection.ts) has to know when it goes through the relay. */
export interface Relayed {
  /** Ours, as the peer sees it. */
  readonly local: IpAddress
  /** A connection of these ports begins; or is about to be closed by the session, and the peer may be told. */
  begins(localPort: number, remotePort: number): void
  ends(localPort: number, remotePort: number): void
}

/** A tenant's peer. */
export interface RelayedPeer {
  readonly way: Way
  readonly number: number
  /** The tenant's address of it. */
  readonly remote: IpAddress
}

export class RelayedPeers {
  readonly #end: RelayEnd
  readonly #memory: PeerMemory
  readonly #placement: Placement
  /** By neighbour, and by index. */
  #ways = new Map<string | undefined, Way>()
  #indexed = new Map<number, Way>()
  /** Segments with the addresses of peers that have a neighbour of their own. */
  #named = new Set<string>()

  constructor(end: RelayEnd) {
    this.#end = end
    this.#placement = new Placement(end.setup)
    this.#memory = new PeerMemory(end.memory)
    this.take(end.setup)
  }

  /** What the relay is told of another site file, from now on. */
  take(setup: RelaySetup): void {
    this.#placement.take(setup)
    this.#ways = new Map(setup.ways.map((way) => [way.neighbour, way]))
    this.#indexed = new Map(setup.ways.map((way) => [way.index, way]))
    const named = setup.ways.filter(({ number }) => number !== 0)
    this.#named = new Set(named.map(({ vni, peers }) => placeOf(vni, peers.address)))
  }

  /** Where to listen. */
  addresses(): IpAddress[] {
    return this.#end.versions.map((version) => ourInnerAddress(version === 4 ? 4 : 16).address)
  }

  /** Of all sockets to tenants' peers: nobody reaches them from elsewhere. */
  get socketOptions(): Pick<ConnectOptions, 'device'> {
    return { device: this.#end.device }
  }

  /** Of a neighbour of the site file. */
  wayTo(neighbour: string): Way | undefined {
    return this.#ways.get(neighbour)
  }

  /** The peer that a neighbour of the site file is; undefined for a prefix. */
  named(neighbour: string): RelayedPeer | undefined {
    const way = this.#ways.get(neighbour)
    if (!way || way.number === 0) return undefined
    return { way, number: way.number, remote: way.peers.address }
  }

  /** The peer of a prefix whom the kernel knows by this address, held from now on. */
  claim(inner: IpAddress): RelayedPeer | undefined {
    const number = innerNumberOf(inner)
    const peer = this.#memory.claim(number)
    if (!peer) return undefined
    const way = this.#indexed.get(peer.way)
    const claimed = way && { way, number, remote: peer.address }
    if (claimed && !this.isNamed(claimed)) return claimed
    // It came before the site file changed.
    this.#memory.release(number)
    return undefined
  }

  /** Whether a peer of a prefix has a neighbour of its own by now: the relay takes what it says for that one's. */
  isNamed({ way, remote }: RelayedPeer): boolean {
    return way.number === 0 && this.#named.has(placeOf(way.vni, remote))
  }

  /** The session with it is over. */
  release({ way, number }: RelayedPeer): void {
    if (way.number === 0) this.#memory.release(number)
  }

  /** Whether this node is to hold it. */
  isHere({ way }: RelayedPeer): boolean {
    return this.#placement.isHere(way)
  }

  setMembers(names: readonly string[]): void {
    this.#placement.setMembers(names)
  }

  /** By which the kernel knows it. */
  innerAddressOf({ number, remote }: RelayedPeer): IpAddress {
    return innerAddress(number, remote.length)
  }

  relayedOf({ way, number }: RelayedPeer): Relayed {
    return {
      local: way.local,
      begins: (localPort, remotePort) => this.#memory.forget(number, localPort, remotePort),
      ends: (localPort, remotePort) => this.#memory.mean(number, localPort, remotePort),
    }
  }

  /** Nobody wants the connection: its peer is to know. */
  refuse(socket: TcpSocket): void {
    const number = innerNumberOf(socket.remote.address)
    if (this.#memory.knows(number)) this.#memory.mean(number, socket.local.port, socket.remote.port)
    socket.reset()
  }
}

function placeOf(vni: number, address: IpAddress): string {
  return `${vni} ${formatAddress(address)}`
}
