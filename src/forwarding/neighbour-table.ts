/**
 * The node's neighbours on tenants' segments: who is wanted, who is known, whom to ask. Only the agent's side; packets are
 * the workers' (`neighbours.ts`).
 *
 *   peers and machines without a MAC address in the FIB    wanted for as long as the FIB names them
 *   hosts of a connected subnet                            wanted when a packet missed them, for a while
 *
 * A wanted neighbour is asked for once a second until it answers, and again now and then. An answer meets any one node of
 * the cluster, so what is learnt is shared, and what was learnt once is believed until something else is said: whether a
 * peer is alive is for BFD to tell, and ARP must not take down what works while a bus is away.
 */

import { equalBytes, formatAddress, type IpAddress, type MacAddress } from '../base/address.ts'
import type { Clock, Timer } from '../base/clock.ts'
import type { Random } from '../base/random.ts'

/** RFC 4861's RETRANS_TIMER, and its REACHABLE_TIME as the time between two looks. */
const ASK_AGAIN_ms = 1000
const REFRESH_ms = 30_000

/** Neighbours of connected subnets that were missed, over all tenants; beyond it the oldest is forgotten. */
const GLEANED_MAX = 65_536

/** Asked this often without an answer, a missed one is forgotten. */
const GLEAN_TRIES = 3

export interface Wanted {
  readonly segment: number
  readonly address: IpAddress
  /** Sends an ARP request or a neighbour solicitation. */
  ask(): void
  /** Its MAC address is known, or has changed. */
  resolved(mac: MacAddress): void
  /** Nobody answered and nobody waits any more. Only for those that were missed by a packet. */
  forgotten?(): void
}

interface Entry {
  readonly wanted: Wanted
  readonly gleaned: boolean
  mac: MacAddress | undefined
  tries: number
  timer: Timer
}

export class NeighbourTable {
  readonly #clock: Clock
  readonly #random: Random
  readonly #entries = new Map<string, Entry>()
  readonly #learnt: (segment: number, address: IpAddress, mac: MacAddress) => void
  #gleaned = 0

  /** `learnt` is told what packets of this node brought, known or not: another node may be waiting for it. */
  constructor(clock: Clock, random: Random, learnt: (segment: number, address: IpAddress, mac: MacAddress) => void) {
    this.#clock = clock
    this.#random = random
    this.#learnt = learnt
  }

  /** Keeps the neighbour resolved until `close`. `known` is what a snapshot or another node said of it. */
  want(wanted: Wanted, known?: MacAddress): { close(): void } {
    this.#add(wanted, false, known)
    return { close: () => this.#remove(keyOf(wanted.segment, wanted.address)) }
  }

  /** A packet was for this neighbour of a connected subnet. */
  glean(wanted: Wanted): void {
    if (this.#entries.has(keyOf(wanted.segment, wanted.address))) return
    if (this.#gleaned === GLEANED_MAX) this.#forgetOldest()
    this.#gleaned++
    this.#add(wanted, true, undefined)
  }

  /** A packet on the segment, or another node, said so. `firsthand` is false for what other nodes said. */
  heard(segment: number, address: IpAddress, mac: MacAddress, firsthand: boolean): void {
    const entry = this.#entries.get(keyOf(segment, address))
    if (!entry) return
    entry.tries = 0
    if (firsthand) this.#learnt(segment, address, mac)
    if (entry.mac && equalBytes(entry.mac, mac)) return
    entry.mac = mac
    entry.wanted.resolved(mac)
    this.#schedule(entry)
  }

  macOf(segment: number, address: IpAddress): MacAddress | undefined {
    return this.#entries.get(keyOf(segment, address))?.mac
  }

  /** Forgets what was learnt by packets' misses on a segment that goes away. */
  forgetSegment(segment: number): void {
    for (const [key, entry] of this.#entries) if (entry.wanted.segment === segment) this.#remove(key)
  }

  get unresolved(): number {
    let count = 0
    for (const entry of this.#entries.values()) if (!entry.mac && !entry.gleaned) count++
    return count
  }

  close(): void {
    for (const key of [...this.#entries.keys()]) this.#remove(key)
  }

  #add(wanted: Wanted, gleaned: boolean, known: MacAddress | undefined): void {
    const key = keyOf(wanted.segment, wanted.address)
    const before = this.#entries.get(key)
    if (before) this.#remove(key)
    const mac = known ?? before?.mac
    const entry: Entry = { wanted, gleaned, mac, tries: 0, timer: { cancel() {} } }
    this.#entries.set(key, entry)
    if (mac) wanted.resolved(mac)
    else this.#ask(entry)
    this.#schedule(entry)
  }

  #ask(entry: Entry): void {
    entry.tries++
    entry.wanted.ask()
  }

  // With jitter, so that nodes and neighbours do not ask in step.
  #schedule(entry: Entry): void {
    entry.timer.cancel()
    const interval_ms = (entry.mac ? REFRESH_ms : ASK_AGAIN_ms) * (0.75 + this.#random.below(500) / 1000)
    entry.timer = this.#clock.after(interval_ms, () => {
      if (entry.gleaned && entry.tries >= GLEAN_TRIES) {
        this.#remove(keyOf(entry.wanted.segment, entry.wanted.address))
        return
      }
      this.#ask(entry)
      this.#schedule(entry)
    })
  }

  #forgetOldest(): void {
    for (const [key, entry] of this.#entries) {
      if (!entry.gleaned) continue
      this.#remove(key)
      return
    }
  }

  #remove(key: string): void {
    const entry = this.#entries.get(key)
    if (!entry) return
    entry.timer.cancel()
    this.#entries.delete(key)
    if (!entry.gleaned) return
    this.#gleaned--
    entry.wanted.forgotten?.()
  }
}

function keyOf(segment: number, address: IpAddress): string {
  return `${segment} ${formatAddress(address)}`
}
