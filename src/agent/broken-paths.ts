/**
 * What is broken on the ways to tenants' own networks: switches say which of their wires have no carrier, routing nodes whom
 * BFD does not reach, and forwarding nodes take their backups by it. Nothing is stored and nobody decides in between, so that
 * it works while the control module, the store and the bus's streams are gone.
 *
 * A plain publish may be lost, so what is broken is said again every second. What a switch has said of its wires holds until it
 * says otherwise, for nobody else sees them. A neighbour may be another routing node's by now: one that has fallen silent is
 * believed for a while and no longer. While the bus is away nobody can be heard, and what was known stays.
 */

import { equalBytes, formatAddress, type IpAddress } from '../base/address.ts'
import type { Clock, Timer } from '../base/clock.ts'
import type { Bus } from '../bus/bus.ts'
import { type BrokenPath, brokenPaths } from '../wire/control/liveness.ts'
import { BROKEN_SUBJECT } from './names.ts'

const SAY_AGAIN_ms = 1000
/** So often that all is well again is said, in case that it is lost. */
const SAY_WELL = 5
/** A routing node's sessions are another's by then, which speaks for itself. */
const BELIEVED_ms = 60_000
const NOTHING: ReadonlySet<number> = new Set()

/** A source's side. */
export class BrokenPathsTeller {
  readonly #bus: Bus
  readonly #source: string
  readonly #again: Timer
  /** Undefined before anything was said: what another life has said may still be believed. */
  #broken: ReadonlyMap<string, BrokenPath> | undefined
  #left = 0

  constructor(bus: Bus, clock: Clock, source: string) {
    this.#bus = bus
    this.#source = source
    this.#again = clock.every(SAY_AGAIN_ms, () => {
      if (this.#broken && this.#left > 0) this.#say(this.#broken)
    })
  }

  /** These are broken now, and no others. */
  are(broken: Iterable<BrokenPath>): void {
    const now = new Map(Array.from(broken, (path) => [keysOf(path).join(), path]))
    const before = this.#broken
    this.#broken = now
    if (before && now.size === before.size && [...now.keys()].every((key) => before.has(key))) return
    this.#left = SAY_WELL
    this.#say(now)
  }

  /** Who ends says nothing of what it knew. */
  close(): void {
    this.#again.cancel()
    if (this.#broken) this.are([])
  }

  #say(broken: ReadonlyMap<string, BrokenPath>): void {
    if (broken.size === 0) this.#left--
    const news = { source: this.#source, broken: [...broken.values()] }
    this.#bus.publish(BROKEN_SUBJECT, brokenPaths.encode(news))
  }
}

interface Said {
  /** As it came: mostly it comes again. */
  readonly payload: Uint8Array
  readonly keys: ReadonlySet<string>
  readonly broken: readonly BrokenPath[]
  heard_us: number
}

/** A forwarding node's side. */
export class BrokenPathsKnown {
  readonly #clock: Clock
  /** By source. */
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

  /** Takes a message over; what is none is passed over. Returns the segments of which something else is known now, by VNI. */
  hear(payload: Uint8Array): ReadonlySet<number> {
    for (const said of this.#said.values()) {
      if (!equalBytes(said.payload, payload)) continue
      said.heard_us = this.#clock.now_us()
      return NOTHING
    }
    const news = brokenPaths.decode(payload)
    return news.ok ? this.#know(news.value.source, payload, news.value.broken) : NOTHING
  }

  /** What silent sources have said of neighbours is not known any more. To be called while they can be heard. */
  expire(): ReadonlySet<number> {
    const oldest_us = this.#clock.now_us() - BELIEVED_ms * 1000
    let changed = NOTHING
    for (const [source, { heard_us, broken }] of [...this.#said]) {
      const wires = broken.filter(({ peer }) => peer === undefined)
      if (heard_us > oldest_us || wires.length === broken.length) continue
      changed = changed.union(this.#know(source, brokenPaths.encode({ source, broken: wires }), wires))
    }
    return changed
  }

  /** Nobody could be heard for a while: the time does not count. */
  forgive(): void {
    for (const said of this.#said.values()) said.heard_us = this.#clock.now_us()
  }

  #know(source: string, payload: Uint8Array, broken: readonly BrokenPath[]): ReadonlySet<number> {
    const before = this.#said.get(source)
    const keys = new Set(broken.flatMap(keysOf))
    if (keys.size === 0) this.#said.delete(source)
    else this.#said.set(source, { payload, keys, broken, heard_us: this.#clock.now_us() })
    if (keys.symmetricDifference(before?.keys ?? new Set()).size === 0) return NOTHING
    return new Set([...broken, ...(before?.broken ?? [])].map(({ vni }) => vni))
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
