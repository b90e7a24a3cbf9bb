/** What the control module tells people: tenants, their routes, and how far nodes have come. */

import { formatAddress } from '../base/address.ts'
import type { FibPolicy, NextHop } from '../wire/control/fib.ts'
import type { Controller } from './controller.ts'
import type { PathOrder } from './path-order.ts'
import { compareKeys, formatKey } from './prefix-key.ts'
import type { TenantFib } from './tenant-fib.ts'

/** Beyond that a person asks for one tenant. */
const ROUTES_TOLD_MAX = 20_000

export interface ToldTenant {
  readonly name: string
  readonly id: number
  readonly vip: string | null
  readonly clusters: readonly string[]
  readonly routes: number
  readonly unreachable: number
}

export function tellTenants({ tenants, placement }: Controller): ToldTenant[] {
  return Array.from(tenants.values(), (fib) => ({
    name: fib.name,
    id: fib.id,
    vip: placement.vipOf(fib.name) ?? null,
    clusters: [...placement.holdersOf(fib.name).keys()],
    routes: fib.routes.size,
    unreachable: fib.unreachable,
  }))
}

/** By their numbers. */
type TenantNames = ReadonlyMap<number, string>

export interface ToldRoute {
  readonly tenant: string
  readonly prefix: string
  readonly via: readonly string[]
  /** Who said so, and since when it is so; of the site file's own routes neither. */
  readonly origin?: string
  readonly since?: string
  /** Where the tenant's paths have an order: what put the first before the next. */
  readonly why?: string
  /** Where the tenant's policies choose: what each of them makes of packets to the prefix. */
  readonly policies?: readonly string[]
}

/** Of one tenant, or of all. */
export function tellRoutes({ tenants, steering }: Controller, wanted: string): ToldRoute[] {
  const told: ToldRoute[] = []
  const names: TenantNames = new Map(Array.from(tenants.values(), ({ id, name }) => [id, name]))
  for (const fib of tenants.values()) {
    if (wanted !== '' && fib.name !== wanted) continue
    const keys = [...fib.routes.keys()].slice(0, ROUTES_TOLD_MAX - told.length).sort(compareKeys)
    const order = steering.orders.get(fib.name)
    for (const key of keys) {
      const hop = fib.hops.get(fib.routes.get(key)!)!
      const why = order ? whyOf(fib, hop.kind === 'policy' ? fib.hops.get(hop.ordinary)! : hop, order) : ''
      const learnt = fib.learntFrom(key)
      told.push({
        ...{ tenant: fib.name, prefix: formatKey(key), via: describe(fib, hop, names) },
        ...(learnt && { origin: learnt.origin }),
        ...(learnt && learnt.since_s > 0 && { since: new Date(learnt.since_s * 1000).toISOString() }),
        ...(why !== '' && { why }),
        ...(hop.kind === 'policy' && { policies: fib.policies.map((policy) => byPolicy(fib, hop, policy, names)) }),
      })
    }
  }
  return told
}

function byPolicy(
  fib: TenantFib,
  { ways }: Extract<NextHop, { kind: 'policy' }>,
  policy: FibPolicy,
  names: TenantNames,
): string {
  if (policy.way === 0) return `${policy.name}: discard`
  const found = ways.find(({ way }) => way === policy.way)
  if (!found) return `${policy.name}: ${policy.only ? 'no way' : 'as ordinary'}`
  return `${policy.name}: ${describe(fib, fib.hops.get(found.nextHop)!, names).join(', ')}`
}

export interface ToldPath {
  readonly tenant: string
  readonly connection: string
  /** From 0; those of the same place share packets. */
  readonly place: number
  readonly state: string
  readonly preference: number
  readonly cost: number
  readonly latency_ms?: number
  readonly loss_percent?: number
  readonly bandwidth_kbps?: number
}

/** Of tenants whose paths have an order, the best path first. */
export function tellPaths({ steering }: Controller, wanted: string): ToldPath[] {
  const orders = [...steering.orders].filter(([tenant]) => wanted === '' || tenant === wanted)
  return orders.flatMap(([tenant, order]) =>
    order.paths.map(({ name, preference, cost, latency_us, loss_ppm, bandwidth_kbps }) => ({
      ...{ tenant, connection: name, place: order.placeOf(name), state: PATH_STATES[order.stateOf(name)]! },
      ...{ preference, cost },
      ...(latency_us !== undefined && { latency_ms: Math.round(latency_us) / 1000 }),
      ...(loss_ppm !== undefined && { loss_percent: loss_ppm / 10_000 }),
      ...(bandwidth_kbps !== undefined && { bandwidth_kbps }),
    })),
  )
}

const PATH_STATES = ['up', 'back for a moment', 'down']

/** Of the primary before its first backup. */
function whyOf(fib: TenantFib, hop: NextHop, order: PathOrder): string {
  if (hop.kind !== 'failover') return ''
  const [first, second] = Array.from(hop.members.slice(0, 2), (id) => connectionOf(fib, fib.hops.get(id)!))
  return first !== undefined && second !== undefined ? order.why(first, second) : ''
}

/** Of those that share packets all are on paths that are as good. */
function connectionOf(fib: TenantFib, hop: NextHop): string | undefined {
  if (hop.kind === 'group') return connectionOf(fib, fib.hops.get(hop.members[0]!.nextHop)!)
  if (hop.kind !== 'peer' && hop.kind !== 'connected') return undefined
  return fib.segments.find(({ id }) => id === hop.segment)?.name
}

function describe(fib: TenantFib, hop: NextHop, names: TenantNames): string[] {
  if (hop.kind === 'group') {
    return hop.members.flatMap(({ nextHop, weight }) =>
      describe(fib, fib.hops.get(nextHop)!, names).map((text) => (weight === 1 ? text : `${text} weight ${weight}`)),
    )
  }
  if (hop.kind === 'failover') {
    return [...hop.members].flatMap((id, i) =>
      describe(fib, fib.hops.get(id)!, names).map((text) => (i === 0 ? text : `${text} as backup`)),
    )
  }
  if (hop.kind === 'policy') return describe(fib, fib.hops.get(hop.ordinary)!, names)
  if (hop.kind === 'discard') return ['discard']
  if (hop.kind === 'vrf') return [`the VRF of ${names.get(hop.into)}`]
  if (hop.kind === 'public') return [`host ${formatAddress(hop.remote)} of ${names.get(hop.owner)}`]
  const on = fib.segments.find(({ id }) => id === hop.segment)?.name ?? ''
  if (hop.kind === 'local') return [`local on ${on}`]
  if (hop.kind === 'connected') return [`connected on ${on}`]
  if (hop.kind === 'peer') return [`${formatAddress(hop.address)} on ${on}`]
  return [`${hop.address ? `${formatAddress(hop.address)} at ` : ''}host ${formatAddress(hop.remote)} on ${on}`]
}

export interface ToldNode {
  readonly name: string
  readonly cluster: string
  readonly generation: number
  /** It has acknowledged all that its cluster was told. */
  readonly current: boolean
  /** How often a tenant in its FIB was compared with what it was told, and differed, since this control module leads. */
  readonly checked: number
  readonly mismatches: number
}

export function tellNodes(controller: Controller): ToldNode[] {
  return controller.site.clusters.flatMap(({ name: cluster, nodes }) =>
    nodes.map(({ name }) => {
      const { published, acked } = controller.feeds.progressOf(cluster, name)
      return { name, cluster, generation: acked, current: acked === published, ...controller.digests.of(name) }
    }),
  )
}
