/**
 * Which routing node speaks with which neighbour, as forwarding nodes have to know. A tenant's neighbours are those of the
 * site file; each one's session is on one of the routing nodes that live (base/rendezvous.ts), and of whoever comes from a
 * range it is the whole range that is on one. While none lives they stay where they would be if all did. Probes of tenants'
 * addresses are the routing node's that the site file says.
 */

import { type IpAddress, masked, type Prefix, parseAddress, parseInterface, prefixContains } from '../base/address.ts'
import { rendezvous, sessionKey } from '../base/rendezvous.ts'
import { nodeOfProbe, type Probe } from '../config/probe.ts'
import type { Neighbour } from '../config/routing.ts'
import type { Site } from '../config/site.ts'
import type { FibSession } from '../wire/control/fib.ts'

export interface Spoken {
  /** All routing nodes: any of them may come to have sessions. */
  readonly speakers: readonly IpAddress[]
  readonly sessions: readonly FibSession[]
  readonly probes: readonly FibSession[]
}

const NOTHING: Spoken = { speakers: [], sessions: [], probes: [] }

export class Speakers {
  readonly #addresses: ReadonlyMap<string, IpAddress>
  readonly #members: readonly string[]
  readonly #neighbours: ReadonlyMap<string | undefined, readonly Neighbour[]>
  readonly #probes: ReadonlyMap<string | undefined, readonly Probe[]>

  /** `live` are names of routing nodes. */
  constructor({ routing }: Site, live: ReadonlySet<string>) {
    this.#addresses = new Map(routing?.nodes.map(({ name, address }) => [name, parseAddress(address)!]))
    const names = [...this.#addresses.keys()]
    const alive = names.filter((name) => live.has(name))
    this.#members = alive.length > 0 ? alive : names
    this.#neighbours = Map.groupBy(routing?.neighbours ?? [], ({ tenant }) => tenant)
    this.#probes = Map.groupBy(routing?.probes ?? [], ({ tenant }) => tenant)
  }

  /** On a segment of the tenant with these subnets. */
  on(tenant: string, vni: number, subnets: readonly Prefix[]): Spoken {
    if (this.#members.length === 0) return NOTHING
    const sessions = (this.#neighbours.get(tenant) ?? []).flatMap(
      (neighbour) => this.#sessionOf(neighbour, vni, subnets) ?? [],
    )
    // Of several ranges on a segment the first one's node has them all.
    const [others] = sessions.filter(({ peer }) => peer === undefined)
    const named = sessions.filter(({ peer }) => peer !== undefined)
    const probes = this.#probesOn(tenant, subnets)
    if (named.length === 0 && !others && probes.length === 0) return NOTHING
    return { speakers: [...this.#addresses.values()], sessions: others ? [...named, others] : named, probes }
  }

  #probesOn(tenant: string, subnets: readonly Prefix[]): FibSession[] {
    const names = [...this.#addresses.keys()]
    return (this.#probes.get(tenant) ?? []).flatMap((probe) => {
      const peer = parseAddress(probe.to)!
      if (!subnets.some((subnet) => prefixContains(subnet, peer))) return []
      return { peer, speaker: this.#addresses.get(nodeOfProbe(probe, names)!)! }
    })
  }

  #sessionOf({ address, prefix }: Neighbour, vni: number, subnets: readonly Prefix[]): FibSession | undefined {
    const peer = address === undefined ? undefined : parseAddress(address)!
    const range = prefix === undefined ? undefined : rangeOf(prefix)
    const isHere = subnets.some((subnet) => (peer ? prefixContains(subnet, peer) : overlap(subnet, range!)))
    if (!isHere) return undefined
    const node = rendezvous(sessionKey(vni, peer ?? range!.address), this.#members)!
    return { peer, speaker: this.#addresses.get(node)! }
  }
}

function rangeOf(text: string): Prefix {
  const { address, length } = parseInterface(text)!
  return { address: masked(address, length), length }
}

function overlap(a: Prefix, b: Prefix): boolean {
  return prefixContains(a, b.address) || prefixContains(b, a.address)
}
