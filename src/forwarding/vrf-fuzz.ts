/**
 * Random routes in three VRFs, some of which lead from one into another, against a model: the longest prefix of each, written
 * down a second time in the plainest way. `vrf.fuzz.ts` runs it.
 */

import { equal } from 'node:assert/strict'
import { formatAddress, ipv4Bytes, type Prefix, prefixContains } from '../base/address.ts'
import type { Random } from '../base/random.ts'
import { unaccounted } from '../dataplane/ledger.ts'
import { ipv4, udp } from '../wire/build.ts'
import { RouteColumnsBuilder } from '../wire/control/columns.ts'
import type { FibBatch, NextHop } from '../wire/control/fib.ts'
import { tunnelId } from '../wire/mutate.ts'
import { MemoryNode } from './memory-node.ts'
import { fromCustomer } from './sample-packets.ts'
import { ACME, GLOBEX, type SampleTenant, sampleBatch } from './sample-site.ts'

/** Two of the sample's, over IPv4, and a third one that is held only now and then. */
const THIRD: SampleTenant = { id: 9, name: 'third', vni: 1009 }
const ALL = [ACME, GLOBEX, THIRD]
/** Next hops of the sample: a neighbour and a discard. */
const [PEER, DISCARD] = [1, 7]
const INTO = 80

interface Route {
  readonly prefix: Prefix
  /** Of the tenant: its number in the sample, or INTO and the place of the tenant that it leads to. */
  readonly hop: number
}

export function fuzzVrfs(rounds: number, random: Random): void {
  const node = new MemoryNode()
  for (let round = 0; round < rounds; round++) {
    const held = random.chance(0.7) ? ALL : ALL.slice(0, 2)
    const routes = new Map(held.map((tenant) => [tenant, randomRoutes(random)]))
    equal(node.apply(batchOf(held, routes)), undefined)
    node.send()
    for (let i = 0; i < 20; i++) {
      const from = random.pick(held)
      const destination = ipv4Bytes(randomAddress(random))
      const packet = ipv4({ source: '192.168.1.2', destination: formatAddress(destination) }, udp({}))
      equal(
        send(node, from, fromCustomer(packet, from.vni)),
        modelOf(from, destination, held, routes),
        `round ${round}`,
      )
    }
    for (const { name } of held) equal(unaccounted(node.totals(name)!), 0)
  }
}

function modelOf(
  from: SampleTenant,
  destination: Uint8Array,
  held: readonly SampleTenant[],
  routes: ReadonlyMap<SampleTenant, readonly Route[]>,
): string {
  const found = longest(routes.get(from)!, destination)
  if (found === undefined) return 'no-route'
  if (found < INTO) return endOf(from, found)
  const into = ALL[found - INTO]!
  if (!held.includes(into)) return 'no-route'
  const there = longest(routes.get(into)!, destination)
  if (there === undefined) return 'no-route'
  if (there < INTO) return endOf(into, there)
  return held.includes(ALL[there - INTO]!) ? 'vrf-loop' : 'no-route'
}

function endOf({ vni }: SampleTenant, hop: number): string {
  return hop === PEER ? `out ${vni}` : 'discard-route'
}

function longest(routes: readonly Route[], destination: Uint8Array): number | undefined {
  let best: Route | undefined
  for (const route of routes)
    if (prefixContains(route.prefix, destination) && route.prefix.length >= (best?.prefix.length ?? 0)) best = route
  return best?.hop
}

function send(node: MemoryNode, { name }: SampleTenant, frame: Uint8Array): string {
  const before: Record<string, number> = { ...node.totals(name)!.drops }
  const [out] = node.send(frame)
  const reason = Object.entries(node.totals(name)!.drops).find(
    ([one, count]) => count !== (before[one] ?? 0) && !['icmp-rate', 'no-frames'].includes(one),
  )
  return reason ? reason[0] : `out ${out && tunnelId(out)}`
}

function batchOf(held: readonly SampleTenant[], routes: ReadonlyMap<SampleTenant, readonly Route[]>): FibBatch {
  const sample = sampleBatch(held)
  const routes4 = new RouteColumnsBuilder(1)
  const hops: NextHop[] = held.flatMap(({ id }) =>
    ALL.map((into, place) => ({ kind: 'vrf' as const, id: id * 100 + INTO + place, tenant: id, into: into.id })),
  )
  for (const [{ id }, own] of routes)
    for (const { prefix, hop } of own) {
      const view = new DataView(prefix.address.buffer, prefix.address.byteOffset)
      routes4.add4(id, view.getUint32(0), prefix.length, id * 100 + hop)
    }
  const routes6 = new RouteColumnsBuilder(4).build()
  return { ...sample, nextHops: [...sample.nextHops, ...hops], routes4: routes4.build(), routes6 }
}

/** No two of the same prefix: the later one would replace the first. */
function randomRoutes(random: Random): Route[] {
  const routes = new Map<string, Route>()
  for (let i = random.below(8); i > 0; i--) {
    const length = random.pick([0, 8, 9, 15, 16, 24, 32])
    const mask = length === 0 ? 0 : (-1 << (32 - length)) >>> 0
    const prefix = { address: ipv4Bytes((randomAddress(random) & mask) >>> 0), length }
    const hop = random.pick([PEER, PEER, DISCARD, INTO, INTO + 1, INTO + 2])
    routes.set(`${prefix.address.join('.')}/${length}`, { prefix, hop })
  }
  return [...routes.values()]
}

function randomAddress(random: Random): number {
  return (
    ((10 << 24) + (random.below(2) << 23) + (random.below(2) << 16) + (random.below(2) << 8) + random.below(2)) >>> 0
  )
}
