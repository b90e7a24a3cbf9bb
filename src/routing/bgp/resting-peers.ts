/**
 * Peers of ranges that are kept out for a while, by the names of their ranges and their addresses: their sessions are
 * forgotten when they end, and would begin anew with the next connection.
 */

import { formatAddress, type IpAddress } from '../../base/address.ts'
import type { Clock } from '../../base/clock.ts'

/** Peers beyond so many take the places of those that came first. */
const PEERS_MAX = 65_536

export class RestingPeers {
  readonly #clock: Clock
  readonly #peers = new Set<string>()

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** For good, which is until the range is changed, unless it is said for how long. */
  add(name: string, address: IpAddress, time_s: number | undefined): void {
    const peer = keyOf(name, address)
    this.#peers.add(peer)
    if (time_s !== undefined) this.#clock.after(time_s * 1000, () => this.#peers.delete(peer))
    const [first] = this.#peers
    if (this.#peers.size > PEERS_MAX) this.#peers.delete(first!)
  }

  has(name: string, address: IpAddress): boolean {
    return this.#peers.has(keyOf(name, address))
  }

  /** All of a range. */
  release(name: string): void {
    for (const peer of this.#peers) if (peer.startsWith(keyOf(name))) this.#peers.delete(peer)
  }
}

function keyOf(name: string, address?: IpAddress): string {
  return `${name} ${address ? formatAddress(address) : ''}`
}
