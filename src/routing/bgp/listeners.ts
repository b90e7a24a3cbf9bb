/**
 * Where peers connect to: the addresses of the site file, for neighbours that are no tenant's and with their keys (TCP-MD5),
 * and the relay's device for all others, whose keys are the relay's.
 */

import { formatAddress, type IpAddress, parseAddress } from '../../base/address.ts'
import type { Routing } from '../../config/routing.ts'
import { TcpListener } from '../../linux/tcp-listener.ts'
import type { Md5Key } from '../../linux/tcp-md5.ts'
import { CONTROL_TRAFFIC_CLASS } from '../../linux/tcp-option.ts'
import type { TcpSocket } from '../../linux/tcp-socket.ts'
import { BGP_PORT } from '../../wire/bgp/message.ts'
import type { RelayedPeers } from '../relay/relayed-peers.ts'
import { keysOf } from './neighbour-options.ts'

/** Connections of tenants' peers in one turn: no stranger's is among them. */
const RELAYED_AT_ONCE = 256

export class Listeners {
  readonly #public: readonly TcpListener[]
  readonly #relayed: readonly TcpListener[]
  #keys: ReadonlyMap<string, Md5Key>

  /** Throws if an address is not to be had. */
  constructor({ listen, neighbours }: Routing, relay: RelayedPeers | undefined) {
    this.#keys = keysByName(neighbours)
    this.#public = listen.map(({ address, port }) => this.#listen(parseAddress(address)!, port))
    const options = { ...relay?.socketOptions, trafficClass: CONTROL_TRAFFIC_CLASS }
    const addresses = relay?.addresses() ?? []
    this.#relayed = addresses.map((address) => new TcpListener({ address, port: BGP_PORT }, options))
  }

  /** Hands over connections as they come. */
  watch(accept: (socket: TcpSocket) => void, acceptRelayed: (socket: TcpSocket) => void): void {
    for (const listener of this.#public) listener.watch(accept)
    for (const listener of this.#relayed) listener.watch(acceptRelayed, {}, RELAYED_AT_ONCE)
  }

  /** The keys of other neighbours. Connections that are there keep theirs. */
  setNeighbours(neighbours: Routing['neighbours']): void {
    const before = this.#keys
    this.#keys = keysByName(neighbours)
    for (const listener of this.#public) {
      const isMine = ({ peers }: Md5Key): boolean => peers.address.length === listener.local.address.length
      for (const [name, key] of before) if (isMine(key) && !this.#keys.has(name)) listener.removeMd5Key(key.peers)
      for (const [name, key] of this.#keys) if (isMine(key) && !before.has(name)) listener.setMd5Key(key)
    }
  }

  close(): void {
    for (const listener of [...this.#public, ...this.#relayed]) listener.close()
  }

  #listen(address: IpAddress, port: number): TcpListener {
    const md5Keys = [...this.#keys.values()].filter(({ peers }) => peers.address.length === address.length)
    return new TcpListener({ address, port }, { trafficClass: CONTROL_TRAFFIC_CLASS, md5Keys })
  }
}

/** By what tells them apart. */
function keysByName(neighbours: Routing['neighbours']): Map<string, Md5Key> {
  const nameOf = ({ peers, key }: Md5Key): string => `${formatAddress(peers.address)}/${peers.length} ${key.join()}`
  return new Map(keysOf(neighbours).map((key) => [nameOf(key), key]))
}
