/**
 * Tenants' neighbours whom BFD reached and does not reach any more, for forwarding nodes to pass over (RFC 5882 section 4.3;
 * RFC 5714). Neighbours that come from a range are not known one by one and are left out.
 */

import type { BrokenPathsTeller } from '../../agent/broken-paths.ts'
import type { RelaySetup, Way } from '../relay/ways.ts'
import type { WatchNews } from './neighbour-bfd.ts'

export class BrokenNeighbours {
  readonly #teller: Pick<BrokenPathsTeller, 'are' | 'close'>
  /** By the neighbours' names in the site file. */
  #ways: ReadonlyMap<string, Way> = new Map()
  readonly #broken = new Set<string>()

  constructor(teller: Pick<BrokenPathsTeller, 'are' | 'close'>, relay: RelaySetup | undefined) {
    this.#teller = teller
    this.relayBy(relay)
  }

  /** Another site file. */
  relayBy(relay: RelaySetup | undefined): void {
    const known = (relay?.ways ?? []).filter(({ number, neighbour }) => number !== 0 && neighbour !== undefined)
    this.#ways = new Map(known.map((way) => [way.neighbour!, way]))
    if (this.#broken.size > 0) this.#tell()
  }

  watched({ name, state, isFailure = false, isPeerDown = false }: WatchNews): void {
    if (isFailure) this.#broken.add(name)
    else if (state === 'up' || state === 'left' || isPeerDown) this.#broken.delete(name)
    else return
    this.#tell()
  }

  close(): void {
    this.#teller.close()
  }

  #tell(): void {
    const broken = [...this.#broken].flatMap((name) => this.#ways.get(name) ?? [])
    this.#teller.are(broken.map(({ vni, peers }) => ({ vni, remote: undefined, peer: peers.address })))
  }
}
