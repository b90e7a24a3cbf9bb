/**
 * What is lost around the gateway and not by it: at the vSwitches of the hosts, and by the wires' ends of customers,
 * machines and hosts. Lost there or lost here, a demo's packet is lost, and TCP would hide it.
 */

import { countersOf, listLinks } from '../src/linux/link.ts'
import { withNamespace } from '../src/linux/namespace.ts'
import { Netlink } from '../src/linux/netlink.ts'
import type { Lab } from './namespaces.ts'
import { MANAGEMENT } from './nats/management.ts'
import { type Drops, sumOfDrops } from './observe.ts'
import type { Surroundings } from './site.ts'

export class Outside {
  readonly #surroundings: Surroundings
  readonly #wires: WireEnds

  constructor(surroundings: Surroundings) {
    const { lab, topology } = surroundings
    const { overlay, boxes, hosts } = topology
    this.#surroundings = surroundings
    this.#wires = new WireEnds(lab, [...overlay, ...[...boxes, ...hosts].map(({ namespace }) => namespace)])
  }

  /** Since the surroundings were made: by host and reason, and `wire`. */
  async drops(): Promise<Drops> {
    const hosts = await Promise.all(
      Array.from(this.#surroundings.vswitches, async ([host, vswitch]) =>
        Object.fromEntries(Object.entries(await vswitch.losses()).map(([why, count]) => [`${host}:${why}`, count])),
      ),
    )
    return sumOfDrops([...hosts, { wire: this.#wires.dropped() }])
  }

  close(): void {
    this.#wires.close()
  }

  [Symbol.dispose](): void {
    this.close()
  }
}

/** The interfaces of some namespaces. What a veth cannot hand to its other end is counted by the end that sent it. */
export class WireEnds {
  readonly #ends: { readonly netlink: Netlink; readonly indices: readonly number[] }[]

  constructor(lab: Lab, namespaces: readonly string[]) {
    this.#ends = namespaces.map((namespace) =>
      withNamespace(lab.fullName(namespace), () => {
        const netlink = new Netlink()
        const indices = listLinks(netlink).filter(({ name, loopback }) => !loopback && name !== MANAGEMENT)
        return { netlink, indices: indices.map(({ index }) => index) }
      }),
    )
  }

  dropped(): number {
    const each = this.#ends.flatMap(({ netlink, indices }) =>
      indices.map((index) => countersOf(netlink, index)?.sendDropped ?? 0),
    )
    return each.reduce((sum, count) => sum + count, 0)
  }

  close(): void {
    for (const { netlink } of this.#ends) netlink.close()
  }
}
