/**
 * Peers that come from a prefix: who connects gets a slot, and with it a number, for as long as it has a session; one that
 * connects and then says no more loses it after half a minute. There are as many slots as there may be such sessions, and
 * what is behind them costs nothing.
 */

import type { IpAddress } from '../../base/address.ts'
import { FIRST_DYNAMIC } from './inner-address.ts'
import { DYNAMIC_MAX, type PeerMemory } from './peer-memory.ts'
import { Peer, type PeerTable } from './peer-table.ts'
import type { Way } from './ways.ts'

/** From SYN to the accepted connection, with losses. */
const ANNOUNCED_MAX_US = 30e6

export class DynamicPeers {
  readonly #peers: PeerTable
  readonly #memory: PeerMemory
  /** By slot: who had it last, and when that one connected. */
  readonly #last: (Peer | undefined)[] = []
  readonly #since_us = new Float64Array(DYNAMIC_MAX)
  #next = 0

  constructor(peers: PeerTable, memory: PeerMemory) {
    this.#peers = peers
    this.#memory = memory
  }

  /** A new one. Undefined when all slots are taken. */
  admit(way: Way, address: IpAddress, now_us: number): Peer | undefined {
    for (let tries = 0; tries < DYNAMIC_MAX; tries++) {
      const slot = this.#next
      this.#next = (this.#next + 1) % DYNAMIC_MAX
      if (!this.#isVacant(slot, now_us)) continue
      const last = this.#last[slot]
      if (last) this.#peers.remove(last)
      const peer = new Peer(way, FIRST_DYNAMIC + slot, address)
      this.#last[slot] = peer
      this.#peers.add(peer)
      return peer
    }
    return undefined
  }

  /** It connects: its slot is its own until the session thread has seen who that is. */
  connects(peer: Peer, now_us: number): void {
    const slot = peer.number - FIRST_DYNAMIC
    this.#since_us[slot] = now_us
    this.#memory.announce(slot, peer.way.index, peer.remote)
  }

  /** Whose way is none of these any more: they are strangers now. */
  keep(ways: ReadonlySet<Way['index']>): void {
    for (const [slot, peer] of this.#last.entries()) {
      if (!peer || ways.has(peer.way.index)) continue
      this.#peers.remove(peer)
      this.#last[slot] = undefined
    }
  }

  #isVacant(slot: number, now_us: number): boolean {
    if (this.#memory.isFree(slot)) return true
    return now_us - this.#since_us[slot]! > ANNOUNCED_MAX_US && this.#memory.withdraw(slot)
  }
}
