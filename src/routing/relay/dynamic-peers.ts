/**
 * Peers that come from a prefix: who connects gets a slot, and with it a number, for as long as it has a session. There are
 * as many slots as there may be such sessions, and what is behind them costs nothing. A slot is given on only when the
 * kernel has nothing more to say under its number: that would go to the wrong tenant.
 */

import type { IpAddress } from '../../base/address.ts'
import type { Clock } from '../../base/clock.ts'
import { FIRST_DYNAMIC } from './inner-address.ts'
import { DYNAMIC_MAX, type PeerMemory, State } from './peer-memory.ts'
import { Peer, type PeerTable } from './peer-table.ts'
import type { Way } from './ways.ts'

/** Of one prefix: whoever comes from it leaves other tenants' prefixes their part of the slots. */
export const RANGE_MAX = DYNAMIC_MAX / 8

/** From a SYN on: the kernel answers it five times more and gives up 63 s after the first (net.ipv4.tcp_synack_retries). */
const ANNOUNCED_MAX_US = 64e6
/** A closed connection lingers for 2 s, then for 102 s more the kernel repeats its last words (net.ipv4.tcp_orphan_retries). */
const LEAVING_US = 110e6
/** Between two looks which slots have become vacant. One at 4096 of them takes a tenth of a millisecond. */
const LOOK_EVERY_ms = 5000

/** Who has a slot. */
interface Taken {
  readonly peer: Peer
  /** In which state it was seen last, and since when it is; of one that is announced, since its last SYN. */
  state: number
  since_us: number
}

export interface DynamicPeersParts {
  readonly peers: PeerTable
  readonly memory: PeerMemory
  readonly clock: Clock
  /** Is told of a peer that is none any more: whoever keeps something of it is to forget that. */
  readonly left: (peer: Peer) => void
}

export class DynamicPeers {
  readonly #parts: DynamicPeersParts
  readonly #taken = new Map<number, Taken>()
  /** Slots that are nobody's: the one that was left last is given last. */
  readonly #vacant = new Slots()
  /** By the index of the way: how many slots those of it have. */
  readonly #counts = new Map<Way['index'], number>()
  #isLooking = false

  constructor(parts: DynamicPeersParts) {
    this.#parts = parts
  }

  /** A new one. Undefined when all slots are taken, or as many as its prefix may have: that costs next to nothing. */
  admit(way: Way, address: IpAddress): Peer | undefined {
    const { peers, clock } = this.#parts
    const count = this.#counts.get(way.index) ?? 0
    const slot = count < RANGE_MAX ? this.#vacant.take() : undefined
    if (slot === undefined) return undefined
    const peer = new Peer(way, FIRST_DYNAMIC + slot, address)
    this.#taken.set(slot, { peer, state: State.free, since_us: clock.now_us() })
    this.#counts.set(way.index, count + 1)
    peers.add(peer)
    this.#lookSoon()
    return peer
  }

  /** It connects: its slot is its own until the session thread has seen who that is. */
  connects({ number, way, remote }: Peer): void {
    const { memory, clock } = this.#parts
    const slot = number - FIRST_DYNAMIC
    memory.announce(slot, way.index, remote)
    const taken = this.#taken.get(slot)!
    taken.state = memory.stateOf(slot)
    taken.since_us = clock.now_us()
  }

  /** Whose way is none of these any more: they are strangers now, though their slots are theirs until nothing is said there. */
  keep(ways: ReadonlySet<Way['index']>): void {
    for (const { peer } of this.#taken.values()) if (!ways.has(peer.way.index)) this.#leave(peer)
  }

  #leave(peer: Peer): void {
    const { peers, left } = this.#parts
    if (peers.numbered(peer.number) === peer) peers.remove(peer)
    left(peer)
  }

  // ---- slots that become vacant

  #lookSoon(): void {
    if (this.#isLooking) return
    this.#isLooking = true
    this.#parts.clock.after(LOOK_EVERY_ms, () => {
      this.#isLooking = false
      this.#look()
      if (this.#taken.size > 0) this.#lookSoon()
    })
  }

  #look(): void {
    const { memory, clock } = this.#parts
    const now_us = clock.now_us()
    for (const [slot, taken] of this.#taken) {
      const state = memory.stateOf(slot)
      if (state !== taken.state) {
        taken.state = state
        taken.since_us = now_us
      }
      if (state === State.held) continue
      const isOver = now_us - taken.since_us > (state === State.leaving ? LEAVING_US : ANNOUNCED_MAX_US)
      if (isOver && memory.vacate(slot, state)) this.#vacate(slot, taken.peer)
    }
  }

  #vacate(slot: number, peer: Peer): void {
    this.#leave(peer)
    this.#taken.delete(slot)
    this.#vacant.give(slot)
    const { index } = peer.way
    const count = this.#counts.get(index)! - 1
    if (count > 0) this.#counts.set(index, count)
    else this.#counts.delete(index)
  }
}

/** A ring of them. */
class Slots {
  readonly #ring = Int32Array.from({ length: DYNAMIC_MAX }, (_, slot) => slot)
  #first = 0
  #count = DYNAMIC_MAX

  take(): number | undefined {
    if (this.#count === 0) return undefined
    const slot = this.#ring[this.#first]!
    this.#first = (this.#first + 1) % DYNAMIC_MAX
    this.#count--
    return slot
  }

  give(slot: number): void {
    this.#ring[(this.#first + this.#count++) % DYNAMIC_MAX] = slot
  }
}
