/**
 * What the relay and the session thread have to know of each other at once, in memory that both see: which ends of
 * connections the session means, and who the peers of prefixes are. A message between threads would come too late: the
 * kernel sends a FIN during the very call that closes a socket.
 *
 * A slot a peer: those that the site file names first, then the dynamic ones.
 *
 *   slot  | four connections whose end is meant |                     a dynamic one also:  | state | way | address |
 *
 *   dynamic:  free --(a SYN came: the relay)--> announced --(it was accepted: the session thread)--> held
 *               ^                                  |      ^                                           |
 *               +--(nobody came, after a time)-----+      +--(a SYN of the same peer's)--+        (it is over)
 *               +--(the kernel has said its last words)---------------------------- leaving <---------+
 */

import type { IpAddress } from '../../base/address.ts'
import { assert } from '../../base/assert.ts'
import { NEIGHBOURS_MAX, PROBES_MAX } from '../../config/limits.ts'
import { FIRST_DYNAMIC, FIRST_NAMED } from './inner-address.ts'

/** Strangers in all that may have a session by ranges: each costs memory. */
export const DYNAMIC_MAX = 4096

/** Peers that the site file names, and targets of its probes, and as many that it named before. */
export const NAMED_MAX = 2 * (NEIGHBOURS_MAX + PROBES_MAX)
/** A slot a number. */
export const PEER_SLOTS = NAMED_MAX + DYNAMIC_MAX

/** Two at a time while both ends connect, and as many that are on their way out. */
const ENDS = 4
const DYNAMIC_WORDS = 6
export const State = { free: 0, announced: 1, held: 2, leaving: 3 } as const

/** Who came from a prefix. */
export interface DynamicPeer {
  /** The index of the way. */
  readonly way: number
  readonly address: IpAddress
}

export class PeerMemory {
  readonly memory: SharedArrayBuffer
  readonly #words: Int32Array
  readonly #dynamicAt: number

  /** The other thread passes the memory of the first one. */
  constructor(memory?: SharedArrayBuffer) {
    const ends = PEER_SLOTS * ENDS
    this.memory = memory ?? new SharedArrayBuffer((ends + DYNAMIC_MAX * DYNAMIC_WORDS) * 4)
    this.#words = new Int32Array(this.memory)
    this.#dynamicAt = ends
  }

  // ---- ends of connections

  /** The session is about to close or reset this connection. */
  mean(number: number, localPort: number, remotePort: number): void {
    const first = this.#slotOf(number) * ENDS
    const ports = (localPort << 16) | remotePort
    if (this.isMeant(number, localPort, remotePort)) return
    // The oldest goes: its end was sent long ago.
    for (let i = first + ENDS - 1; i > first; i--) Atomics.store(this.#words, i, Atomics.load(this.#words, i - 1))
    Atomics.store(this.#words, first, ports)
  }

  /** A connection of the same ports that begins anew. */
  forget(number: number, localPort: number, remotePort: number): void {
    const first = this.#slotOf(number) * ENDS
    const ports = (localPort << 16) | remotePort
    for (let i = first; i < first + ENDS; i++) Atomics.compareExchange(this.#words, i, ports, 0)
  }

  isMeant(number: number, localPort: number, remotePort: number): boolean {
    const first = this.#slotOf(number) * ENDS
    const ports = (localPort << 16) | remotePort
    for (let i = first; i < first + ENDS; i++) if (Atomics.load(this.#words, i) === ports) return true
    return false
  }

  // ---- peers of prefixes

  /** The relay: a SYN of this peer's is on its way to the kernel. The slot is free, or was its own before. */
  announce(slot: number, way: number, address: IpAddress): void {
    const at = this.#dynamicAt + slot * DYNAMIC_WORDS
    const state = Atomics.load(this.#words, at)
    if (state === State.announced || state === State.held) return
    this.#words[at + 1] = way * 2 + (address.length === 4 ? 0 : 1)
    new Uint8Array(this.memory, (at + 2) * 4, 16).set(address)
    Atomics.store(this.#words, at, State.announced)
  }

  stateOf(slot: number): number {
    return Atomics.load(this.#words, this.#dynamicAt + slot * DYNAMIC_WORDS)
  }

  /** The relay: it is in this state no longer, but free. False when it has left the state meanwhile. */
  vacate(slot: number, state: number): boolean {
    const at = this.#dynamicAt + slot * DYNAMIC_WORDS
    return Atomics.compareExchange(this.#words, at, state, State.free) === state
  }

  /** The session thread: who has the number, and it is held from now on. Undefined when it is nobody's. */
  claim(number: number): DynamicPeer | undefined {
    const slot = number - FIRST_DYNAMIC
    if (slot < 0 || slot >= DYNAMIC_MAX) return undefined
    const at = this.#dynamicAt + slot * DYNAMIC_WORDS
    if (Atomics.compareExchange(this.#words, at, State.announced, State.held) !== State.announced) return undefined
    const kind = this.#words[at + 1]!
    const address = new Uint8Array(new Uint8Array(this.memory, (at + 2) * 4, (kind & 1) === 0 ? 4 : 16))
    return { way: kind >>> 1, address }
  }

  /** The session thread: the session is over. Its last words are not: the kernel has them, and may say them again. */
  release(number: number): void {
    Atomics.store(this.#words, this.#dynamicAt + (number - FIRST_DYNAMIC) * DYNAMIC_WORDS, State.leaving)
  }

  /** Whether it is a number that a peer can have. */
  knows(number: number): boolean {
    if (number >= FIRST_DYNAMIC) return number < FIRST_DYNAMIC + DYNAMIC_MAX
    return number >= FIRST_NAMED && number < FIRST_NAMED + NAMED_MAX
  }

  #slotOf(number: number): number {
    assert(this.knows(number), `there is no peer of number ${number}`)
    return slotOf(number)
  }
}

/** By the number of a peer. */
export function slotOf(number: number): number {
  return number >= FIRST_DYNAMIC ? NAMED_MAX + number - FIRST_DYNAMIC : number - FIRST_NAMED
}
