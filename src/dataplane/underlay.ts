/**
 * The underlay as the agent sees it: the kernel is its control plane, and this follows it. For every tunnel endpoint
 * that somebody watches it says by which port and to which MAC addresses packets leave, says so again when a route,
 * neighbour or link changes, and has the kernel find the neighbours that it needs and keep them fresh. What somebody
 * has entered by hand is left as it is.
 *
 * What follows from routes and neighbours is `route-choice.ts`'s. A device that was removed and made again is another
 * device: the sockets of its port are gone, and nothing leads there any more until the process starts anew.
 */

import { formatAddress, formatMac, type IpAddress } from '../base/address.ts'
import type { Clock, Timer } from '../base/clock.ts'
import { LinuxError } from '../linux/error.ts'
import { CarrierReader } from '../linux/ethtool.ts'
import { interfaceIndex } from '../linux/libc.ts'
import { deleteNeighbour, isFixed, manageNeighbour, type Neighbour, type NeighbourKey } from '../linux/neighbour.ts'
import { type NetworkEvent, NetworkView } from '../linux/network-view.ts'
import { type ForwardingRoute, isSameResolution, neighbourName, type Resolution, RouteChoice } from './route-choice.ts'
import type { Adjacency } from './template.ts'

/**
 * The kernel tells of a lost carrier at once, and of what follows it within a second only after that second. So after
 * an event of a link the wires are looked at this often, for a little more than a second; a look costs some 20 us.
 */
const ALERT_POLL_ms = 5
const ALERT_ms = 1200

/** Otherwise this often, or as often as asked for: an event that we do not see, in another namespace, may have delayed ours. */
const CARRIER_POLL_ms = 100

/** A neighbour that does not answer is asked for again; the kernel itself would try every five seconds. */
const NEIGHBOUR_RETRY_ms = 1000

export interface UnderlayOptions {
  /** Names of interfaces; a port's place is its number. */
  readonly ports: readonly string[]
  readonly clock: Clock
  /** Somebody forwards by all of `routes()`, as a switch does: the neighbours of all routes are sought. */
  readonly followRoutes?: boolean
  /** How often the wires are looked at, whatever the kernel says. */
  readonly carrierPoll_ms?: number
  /** Something changed: routes, neighbours, own addresses, links. After the watches concerned have been told. */
  onChange?(): void
}

export interface Watch {
  close(): void
}

interface Watched {
  readonly destination: IpAddress
  readonly listeners: Set<() => void>
  resolution: Resolution
  /** Of the neighbours that the resolution hangs on. */
  names: readonly string[]
}

export class Underlay {
  readonly #options: UnderlayOptions
  readonly #carrierReader = new CarrierReader()
  readonly #view: NetworkView
  readonly #choice: RouteChoice
  readonly #portLinks: readonly number[]
  readonly #timers: readonly Timer[]
  readonly #watched = new Map<string, Watched>()
  /** What the wire said last, where the kernel has not told of it yet. */
  readonly #carrier = new Map<number, boolean>()
  readonly #macs = new Map<string, string>()
  /** Neighbours that the kernel keeps for us, by name; at first those that it still keeps for a killed process. */
  readonly #managed = new Map<string, NeighbourKey>()
  /** What changed since the watches were last told. */
  #changed = nothing()
  #isUpdateDue = false
  #alert: Timer | undefined
  #alertUntil_us = 0

  /** Of the calling thread's namespace. Throws when an interface is not there. */
  static open(options: UnderlayOptions): Underlay {
    return new Underlay(options)
  }

  private constructor(options: UnderlayOptions) {
    const { ports, clock } = options
    this.#options = options
    this.#portLinks = ports.map(interfaceIndex)
    this.#view = new NetworkView(clock, (event) => this.#hear(event))
    for (const neighbour of this.#view.neighbours.values()) {
      this.#isNews(neighbour)
      this.#noteManaged(neighbour)
    }
    const numbers = new Map(this.#portLinks.map((index, port) => [index, port]))
    this.#choice = new RouteChoice(this.#view, numbers, (link) => this.#carrier.get(link.index) ?? link.carrier)
    this.#timers = [
      clock.every(options.carrierPoll_ms ?? CARRIER_POLL_ms, () => this.#pollCarrier()),
      clock.every(NEIGHBOUR_RETRY_ms, () => {
        this.#view.update() // what somebody has just entered by hand is not to be replaced
        this.#seekNeighbours()
      }),
    ]
    // Nothing is watched yet: a second from now will do to tell what of a killed process's is needed no more.
    this.#seek(this.#needed().values())
  }

  /** Where packets to the destination go now, or why nowhere. */
  resolve(destination: IpAddress): Resolution {
    return this.#watched.get(formatAddress(destination))?.resolution ?? this.#choice.resolve(destination)
  }

  /** The members of its ECMP group; none while it is unresolved. */
  adjacencies(destination: IpAddress): readonly Adjacency[] {
    const resolution = this.resolve(destination)
    return resolution.status === 'resolved' ? resolution.adjacencies : []
  }

  /**
   * Has the destination's neighbours found, and `changed` called whenever `resolve` says something else than before.
   */
  watch(destination: IpAddress, changed: () => void): Watch {
    const key = formatAddress(destination)
    const listener = (): void => changed() // of its own: the same function may watch twice
    const known = this.#watched.get(key)
    if (known) known.listeners.add(listener)
    else {
      const resolution = this.#choice.resolve(destination)
      const watched = { destination, listeners: new Set([listener]), resolution, names: namesIn(resolution) }
      this.#watched.set(key, watched)
      this.#seek(watched.resolution.neighbours)
    }
    return { close: () => this.#leave(key, listener) }
  }

  /** All that the kernel routes, for who forwards by all of it. */
  routes(): Iterable<ForwardingRoute> {
    return this.#choice.routes()
  }

  /** The host's own addresses, those of the loopback interface among them. */
  localAddresses(): IpAddress[] {
    return [...this.#view.addresses.values()].filter(({ usable }) => usable).map(({ address }) => address)
  }

  /** Is the port's device there, up, and on a wire that carries? */
  isUp(port: number): boolean {
    const link = this.#view.links.get(this.#portLinks[port]!)
    return link?.up === true && (this.#carrier.get(link.index) ?? link.carrier)
  }

  close(): void {
    for (const timer of this.#timers) timer.cancel()
    this.#alert?.cancel()
    this.#watched.clear()
    this.#release(this.#managed.keys())
    this.#view.close()
    this.#carrierReader.close()
  }

  #leave(key: string, listener: () => void): void {
    const watched = this.#watched.get(key)
    watched?.listeners.delete(listener)
    if (watched?.listeners.size === 0) this.#watched.delete(key)
  }

  // ---- what changes

  #hear({ kind, change, value }: NetworkEvent): void {
    if (kind === 'neighbour') {
      const gone = change === 'removed'
      if (gone) this.#managed.delete(neighbourName(value))
      else this.#noteManaged(value)
      if (!this.#isNews(gone ? { ...value, mac: undefined } : value)) return
      this.#changed.neighbours.add(neighbourName(value))
    } else if (kind === 'address') this.#changed.destinations.add(formatAddress(value.address))
    else {
      if (kind === 'link') {
        this.#carrier.delete(value.index)
        this.#watchCarriers()
      }
      if (kind === 'route') this.#changed.routes = true
      this.#changed.all = true
    }
    this.#updateSoon()
  }

  /** Most events of a neighbour say that it was asked, or answered, as before. */
  #isNews(neighbour: Neighbour): boolean {
    const name = neighbourName(neighbour)
    const mac = neighbour.mac && formatMac(neighbour.mac)
    if (this.#macs.get(name) === mac) return false
    if (mac === undefined) this.#macs.delete(name)
    else this.#macs.set(name, mac)
    return true
  }

  // Events come in groups, such as a link with its routes: they are one change.
  #updateSoon(): void {
    if (this.#isUpdateDue) return
    this.#isUpdateDue = true
    queueMicrotask(() => this.#update())
  }

  #update(): void {
    const { routes, all, neighbours, destinations } = this.#changed
    this.#changed = nothing()
    this.#isUpdateDue = false
    if (routes) this.#choice.routesChanged()
    const told: Watched[] = []
    const resolve = this.#choice.resolver()
    for (const [key, watched] of this.#watched) {
      if (!all && !destinations.has(key) && !watched.names.some((name) => neighbours.has(name))) continue
      const now = resolve(watched.destination)
      if (isSameResolution(now, watched.resolution)) continue
      watched.resolution = now
      watched.names = namesIn(now)
      told.push(watched)
    }
    for (const { listeners } of told) for (const listener of listeners) listener()
    this.#options.onChange?.()
    this.#seekNeighbours()
  }

  #watchCarriers(): void {
    const { clock } = this.#options
    this.#alertUntil_us = clock.now_us() + ALERT_ms * 1000
    this.#alert ??= clock.every(ALERT_POLL_ms, () => {
      this.#pollCarrier()
      if (clock.now_us() < this.#alertUntil_us) return
      this.#alert?.cancel()
      this.#alert = undefined
    })
  }

  #pollCarrier(): void {
    for (const index of this.#portLinks) {
      const link = this.#view.links.get(index)
      if (!link?.up) continue
      const now = this.#carrierReader.of(link.name)
      if (now === (this.#carrier.get(index) ?? link.carrier)) continue
      this.#carrier.set(index, now)
      this.#changed.all = true
      this.#updateSoon()
    }
  }

  // ---- neighbours

  // Whoever enters a neighbour by hand takes it from us, and may give it back.
  #noteManaged(neighbour: Neighbour): void {
    const name = neighbourName(neighbour)
    if (!neighbour.isManaged) this.#managed.delete(name)
    else if (this.#portLinks.includes(neighbour.interfaceIndex)) this.#managed.set(name, neighbour)
  }

  /** Asks for those that have not answered, and no longer for those that nobody needs. */
  #seekNeighbours(): void {
    const needed = this.#needed()
    this.#release([...this.#managed.keys()].filter((name) => !needed.has(name)))
    this.#seek(needed.values())
  }

  #needed(): Map<string, NeighbourKey> {
    const needed = new Map<string, NeighbourKey>()
    for (const { resolution, names } of this.#watched.values())
      for (const [i, name] of names.entries()) needed.set(name, resolution.neighbours[i]!)
    if (this.#options.followRoutes) for (const key of this.#choice.neighbours()) needed.set(neighbourName(key), key)
    return needed
  }

  #seek(neighbours: Iterable<NeighbourKey>): void {
    for (const key of neighbours) {
      const name = neighbourName(key)
      if (this.#managed.has(name) && this.#macs.has(name)) continue
      const known = this.#view.neighbours.get(name)
      if (known && isFixed(known)) continue
      // The link may be down or gone by now. Then the neighbour is sought again when it is back.
      if (wasTaken(() => manageNeighbour(this.#view.netlink, key))) this.#managed.set(name, key)
    }
  }

  #release(names: Iterable<string>): void {
    for (const name of names) {
      const key = this.#managed.get(name)!
      this.#managed.delete(name)
      wasTaken(() => deleteNeighbour(this.#view.netlink, key))
    }
  }
}

/** Names of neighbours, and destinations that became addresses of this host or are none any more. */
const nothing = () => ({
  ...{ routes: false, all: false },
  ...{ neighbours: new Set<string>(), destinations: new Set<string>() },
})

const namesIn = ({ neighbours }: Resolution): string[] => neighbours.map(neighbourName)

/** False when the kernel refused: the device is down or gone, the neighbour is not there. */
function wasTaken(change: () => void): boolean {
  try {
    change()
    return true
  } catch (error) {
    if (error instanceof LinuxError) return false
    throw error
  }
}
