/**
 * What is broken on the ways to tenants' own networks: switches say which of their wires have no carrier, routing nodes whom
 * BFD does not reach, and forwarding nodes take their backups by it. Nothing is stored and nobody decides in between, so that
 * it works while the control module, the store and the bus's streams are gone.
 *
 * A plain publish may be lost, and a source may die: what is broken is said again every second, and a source that has fallen
 * silent is believed for a while and no longer. While the bus is away nobody can be heard, and what was known stays.
 */

import { formatAddress, type IpAddress } from '../base/address.ts'
import type { Clock, Timer } from '../base/clock.ts'
import type { Bus } from '../bus/bus.ts'
import { type BrokenPath, type BrokenPaths, brokenPaths } from '../wire/control/liveness.ts'
import { BROKEN_SUBJECT } from './names.ts'

const SAY_AGAIN_ms = 1000
/** So often that all is well again is said, in case that it is lost. */
const SAY_WELL = 5
/** A routing node's sessions are another's by then, which speaks for itself; a switch is up again or its wires are dead. */
const BELIEVED_ms = 60_000

/** A source's side. */
export class BrokenPathsTeller {
  readonly #bus: Bus
  readonly #source: string
  readonly #again: Timer
  #broken: ReadonlyMap<string, BrokenPath> = new Map()
  #left = 0

  constructor(bus: Bus, clock: Clock, source: string) {
    this.#bus = bus
    this.#source = source
    this.#again = clock.every(SAY_AGAIN_ms, () => {
      if (this.#left > 0) this.#say()
    })
  }

  /** These are broken now, and no others. */
  are(broken: Iterable<BrokenPath>): void {
    const now = new Map(Array.from(broken, (path) => [keysOf(path).join(), path]))
    if (now.size === this.#broken.size && [...now.keys()].every((key) => this.#broken.has(key))) return
    this.#broken = now
    this.#left = SAY_WELL
    this.#say()
  }

  /** Who ends says nothing of what it knew. */
  close(): void {
    this.#again.cancel()
    this.are([])
  }

  #say(): void {
    if (this.#broken.size === 0) this.#left--
    const news = { source: this.#source, broken: [...this.#broken.values()] }
    this.#bus.publish(BROKEN_SUBJECT, brokenPaths.encode(news))
  }
}

interface Said {
  readonly keys: ReadonlySet<string>
  readonly vnis: ReadonlySet<number>
  heard_us: number
}

/** A forwarding node's side. */
export class BrokenPathsKnown {
  readonly #clock: Clock
  readonly #said = new Map<string, Said>()

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** Is the wire of the segment behind this switch broken, or the path to this neighbour on it? */
  isBroken(vni: number, remote: IpAddress, peer?: IpAddress): boolean {
    if (this.#said.size === 0) return false
    const wire = wireKey(vni, remote)
    const path = peer && peerKey(vni, peer)
    for (const { keys } of this.#said.values()) if (keys.has(wire) || (path && keys.has(path))) return true
    return false
  }

  /** Returns the segments of which something else is known now, by VNI. */
  hear({ source, broken }: BrokenPaths): ReadonlySet<number> {
    const before = this.#said.get(source)
    const keys = new Set(broken.flatMap(keysOf))
    const vnis = new Set(broken.map(({ vni }) => vni))
    if (keys.size === 0) this.#said.delete(source)
    else this.#said.set(source, { keys, vnis, heard_us: this.#clock.now_us() })
    const isSame = keys.symmetricDifference(before?.keys ?? new Set()).size === 0
    return isSame ? new Set() : vnis.union(before?.vnis ?? new Set())
  }

  /** Sources that have been silent for too long know nothing any more. To be called while they can be heard. */
  expire(): ReadonlySet<number> {
    const oldest_us = this.#clock.now_us() - BELIEVED_ms * 1000
    let vnis: ReadonlySet<number> = new Set()
    for (const [source, said] of this.#said) {
      if (said.heard_us > oldest_us) continue
      this.#said.delete(source)
      vnis = vnis.union(said.vnis)
    }
    return vnis
  }

  /** Nobody could be heard for a while: the time does not count. */
  forgive(): void {
    for (const said of this.#said.values()) said.heard_us = this.#clock.now_us()
  }
}

function keysOf({ vni, remote, peer }: BrokenPath): string[] {
  return [...(remote ? [wireKey(vni, remote)] : []), ...(peer ? [peerKey(vni, peer)] : [])]
}

function wireKey(vni: number, remote: IpAddress): string {
  return `wire ${vni} ${formatAddress(remote)}`
}

function peerKey(vni: number, peer: IpAddress): string {
  return `peer ${vni} ${formatAddress(peer)}`
}
