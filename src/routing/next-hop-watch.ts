/**
 * How the kernel reaches BGP's next hops: asked about each once, and again whenever its routes, links or addresses change.
 */

import { formatAddress, type IpAddress } from '../base/address.ts'
import type { Clock, Timer } from '../base/clock.ts'
import { NetworkView } from '../linux/network-view.ts'
import { lookupRoute } from '../linux/route.ts'
import type { Reach } from './bgp/rib/next-hops.ts'

/** Changes come in bursts, of which the end counts. */
const SETTLE_ms = 50

export class NextHopWatch {
  readonly #changed: (address: IpAddress, reach: Reach) => void
  readonly #view: NetworkView
  readonly #watched = new Map<string, { readonly address: IpAddress; reach: Reach | null }>()
  #timer: Timer | undefined

  /** Of the network namespace of the calling thread. */
  constructor(clock: Clock, changed: (address: IpAddress, reach: Reach) => void) {
    this.#changed = changed
    this.#view = new NetworkView(clock, ({ kind }) => {
      if (kind !== 'neighbour') this.#timer ??= clock.after(SETTLE_ms, () => this.#lookAgain())
    })
  }

  /** It is told of now, and whenever it changes. */
  watch(address: IpAddress): void {
    const watched = { address, reach: null }
    this.#watched.set(formatAddress(address), watched)
    this.#look(watched)
  }

  close(): void {
    this.#timer?.cancel()
    this.#view.close()
  }

  #lookAgain(): void {
    this.#timer = undefined
    for (const watched of this.#watched.values()) this.#look(watched)
  }

  #look(watched: { readonly address: IpAddress; reach: Reach | null }): void {
    const reach = this.#ask(watched.address)
    const { reach: before } = watched
    if (before !== null && before?.metric === reach?.metric && (before === undefined) === (reach === undefined)) return
    watched.reach = reach
    this.#changed(watched.address, reach)
  }

  #ask(address: IpAddress): Reach {
    const route = lookupRoute(this.#view.netlink, address, { entry: true })
    return route && { metric: route.priority }
  }
}
