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

/** Neighbours of connected subnets that were missed, a segment: beyond it the oldest of the same segment is forgotten. */
const GLEANED_MAX = 1024

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

/** One neighbour, whoever is interested in it. */
interface Entry {
  readonly segment: number
  readonly address: IpAddress
  /** Those that the FIB names. */
  readonly wanted: Set<Wanted>
  /** One that a packet missed, in a connected subnet. */
  gleaned: Wanted | undefined
  mac: MacAddress | undefined
  /** Questions since the last answer. */
  tries: number
  timer: Timer
}

export class NeighbourTable {
  readonly #clock: Clock
  readonly #random: Random
  readonly #entries = new Map<string, Entry>()
  readonly #learnt: (segment: number, address: IpAddress, mac: MacAddress) => void
  /** By segment, oldest first. */
  readonly #gleaned = new Map<number, Set<Entry>>()
  /** Named by the FIB and not known yet. */
  readonly #waiting = new Set<Entry>()

  /** `learnt` is told what packets of this node brought, known or not: another node may be waiting for it. */
  constructor(clock: Clock, random: Random, learnt: (segment: number, address: IpAddress, mac: MacAddress) => void) {
    this.#clock = clock
    this.#random = random
    this.#learnt = learnt
  }

  /** Keeps the neighbour resolved until `close`. */
  want(wanted: Wanted): { close(): void } {
    const entry = this.#entryOf(wanted)
    entry.wanted.add(wanted)
    if (!entry.mac) this.#waiting.add(entry)
    this.#begin(entry, wanted)
    return {
      close: () => {
        entry.wanted.delete(wanted)
        this.#dropIfIdle(entry)
      },
    }
  }

  /** A packet was for this neighbour of a connected subnet. */
  glean(wanted: Wanted): void {
    const entry = this.#entryOf(wanted)
    if (entry.gleaned) return
    const { segment } = wanted
    const others = this.#gleaned.get(segment) ?? new Set()
    this.#gleaned.set(segment, others)
    const [oldest] = others
    if (oldest && others.size >= GLEANED_MAX) this.#forgetGleaned(oldest)
    others.add(entry)
    entry.gleaned = wanted
    this.#begin(entry, wanted)
  }

  /** A packet on the segment, or another node, said so. `firsthand` is false for what other nodes said. */
  heard(segment: number, address: IpAddress, mac: MacAddress, firsthand: boolean): void {
    const entry = this.#entries.get(keyOf(segment, address))
    if (!entry) return
    entry.tries = 0
    if (firsthand) this.#learnt(segment, address, mac)
    if (entry.mac && equalBytes(entry.mac, mac)) return
    entry.mac = mac
    this.#waiting.delete(entry)
    for (const wanted of entry.wanted) wanted.resolved(mac)
    entry.gleaned?.resolved(mac)
    this.#schedule(entry)
  }

  /** The segment goes away, and with it what was gleaned on it. */
  forgetSegment(segment: number): void {
    for (const entry of [...(this.#gleaned.get(segment) ?? [])]) this.#forgetGleaned(entry)
    this.#gleaned.delete(segment)
  }

  /** Next hops of the FIB that are waited for. */
  get unresolved(): number {
    return this.#waiting.size
  }

  /** Nobody is asked any more. */
  close(): void {
    for (const entry of this.#entries.values()) entry.timer.cancel()
    this.#entries.clear()
  }

  #entryOf({ segment, address }: Wanted): Entry {
    const key = keyOf(segment, address)
    const known = this.#entries.get(key)
    if (known) return known
    const timer = { cancel() {} }
    const entry: Entry = { segment, address, wanted: new Set(), gleaned: undefined, mac: undefined, tries: 0, timer }
    this.#entries.set(key, entry)
    return entry
  }

  #begin(entry: Entry, wanted: Wanted): void {
    if (entry.mac) {
      wanted.resolved(entry.mac)
      return
    }
    if (entry.tries === 0) this.#ask(entry)
    this.#schedule(entry)
  }

  #ask(entry: Entry): void {
    entry.tries++
    const [wanted = entry.gleaned] = entry.wanted
    wanted?.ask()
  }

  // With jitter, so that nodes and neighbours do not ask in step.
  #schedule(entry: Entry): void {
    entry.timer.cancel()
    const interval_ms = (entry.mac ? REFRESH_ms : ASK_AGAIN_ms) * (0.75 + this.#random.below(500) / 1000)
    entry.timer = this.#clock.after(interval_ms, () => {
      if (entry.tries >= GLEAN_TRIES) this.#forgetGleaned(entry)
      if (!this.#entries.has(keyOf(entry.segment, entry.address))) return
      this.#ask(entry)
      this.#schedule(entry)
    })
  }

  #forgetGleaned(entry: Entry): void {
    const gleaned = entry.gleaned
    if (!gleaned) return
    entry.gleaned = undefined
    this.#gleaned.get(entry.segment)?.delete(entry)
    this.#dropIfIdle(entry)
    gleaned.forgotten?.()
  }

  #dropIfIdle(entry: Entry): void {
    if (entry.wanted.size === 0) this.#waiting.delete(entry)
    if (entry.gleaned || entry.wanted.size > 0) return
    entry.timer.cancel()
    this.#entries.delete(keyOf(entry.segment, entry.address))
  }
}

function keyOf(segment: number, address: IpAddress): string {
  return `${segment} ${formatAddress(address)}`
}
