/**
 * Peers of ranges that are kept out for a while, by the names of their ranges and their addresses: their sessions are
 * forgotten when they end, and would begin anew with the next connection.
 */

import { formatAddress, type IpAddress } from '../../base/address.ts'
import type { Clock, Timer } from '../../base/clock.ts'

/** Peers beyond so many take the places of those that came first. */
const PEERS_MAX = 65_536

export class RestingPeers {
  readonly #clock: Clock
  /** With the timers of those that are let in again. */
  readonly #peers = new Map<string, Timer | undefined>()

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** For good, which is until the range is changed, unless it is said for how long. */
  add(name: string, address: IpAddress, time_s: number | undefined): void {
    const peer = keyOf(name, address)
    this.#free(peer)
    this.#peers.set(peer, time_s === undefined ? undefined : this.#clock.after(time_s * 1000, () => this.#free(peer)))
    const [first] = this.#peers.keys()
    if (this.#peers.size > PEERS_MAX) this.#free(first!)
  }

  has(name: string, address: IpAddress): boolean {
    return this.#peers.has(keyOf(name, address))
  }

  /** All of a range. */
  release(name: string): void {
    for (const peer of this.#peers.keys()) if (peer.startsWith(keyOf(name))) this.#free(peer)
  }

  #free(peer: string): void {
    this.#peers.get(peer)?.cancel()
    this.#peers.delete(peer)
  }
}

function keyOf(name: string, address?: IpAddress): string {
  return `${name} ${address ? formatAddress(address) : ''}`
}
