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

/** Of one prefix: whoever comes from it leaves other tenants' prefixes their part of the slots. */
export const RANGE_MAX = DYNAMIC_MAX / 8

/** From SYN to the accepted connection, with losses. */
const ANNOUNCED_MAX_US = 30e6

export class DynamicPeers {
  readonly #peers: PeerTable
  readonly #memory: PeerMemory
  readonly #left: (peer: Peer) => void
  /** By slot: who had it last, and when that one connected. */
  readonly #last: (Peer | undefined)[] = []
  readonly #since_us = new Float64Array(DYNAMIC_MAX)
  /** By the index of the way: slots that somebody of it had last. */
  readonly #slots = new Map<Way['index'], Set<number>>()
  #next = 0

  /** `left` is told of a peer that is none any more: whoever keeps something of it is to forget that. */
  constructor(peers: PeerTable, memory: PeerMemory, left: (peer: Peer) => void) {
    this.#peers = peers
    this.#memory = memory
    this.#left = left
  }

  /** A new one. Undefined when all slots are taken, or as many as its prefix may have. */
  admit(way: Way, address: IpAddress, now_us: number): Peer | undefined {
    const slot = this.#vacantSlot(way, now_us)
    if (slot === undefined) return undefined
    this.#leave(slot)
    const peer = new Peer(way, FIRST_DYNAMIC + slot, address)
    this.#last[slot] = peer
    this.#slots.set(way.index, (this.#slots.get(way.index) ?? new Set()).add(slot))
    this.#peers.add(peer)
    return peer
  }

  #vacantSlot(way: Way, now_us: number): number | undefined {
    const own = this.#slots.get(way.index)
    if (own && own.size >= RANGE_MAX) return own.values().find((slot) => this.#isVacant(slot, now_us))
    for (let tries = 0; tries < DYNAMIC_MAX; tries++) {
      const slot = this.#next
      this.#next = (this.#next + 1) % DYNAMIC_MAX
      if (this.#isVacant(slot, now_us)) return slot
    }
    return undefined
  }

  #leave(slot: number): void {
    const last = this.#last[slot]
    if (!last) return
    this.#peers.remove(last)
    this.#left(last)
    this.#last[slot] = undefined
    const slots = this.#slots.get(last.way.index)
    slots?.delete(slot)
    if (slots?.size === 0) this.#slots.delete(last.way.index)
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
      if (peer && !ways.has(peer.way.index)) this.#leave(slot)
    }
  }

  #isVacant(slot: number, now_us: number): boolean {
    if (this.#memory.isFree(slot)) return true
    return now_us - this.#since_us[slot]! > ANNOUNCED_MAX_US && this.#memory.withdraw(slot)
  }
}
