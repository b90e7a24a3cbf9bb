/**
 * What the forwarding node holds while it is measured, worked out from a few numbers and a seed, so that the node and the
 * generator, which are two processes, agree without telling each other.
 *
 *   a tenant's site --VXLAN, its VNI-- sender | node | receiver --VXLAN or GRE, its key-- machines
 *
 * A tenant's routes lead to machines by turns over VXLAN and over GRE, so that one FIB serves both measurements.
 */

import { parseAddress, parseMac } from '../../src/base/address.ts'
import { Random } from '../../src/base/random.ts'
import { type RouteColumns, RouteColumnsBuilder, WITHDRAWN } from '../../src/wire/control/columns.ts'
import type { FibBatch, FibTenant, NextHop } from '../../src/wire/control/fib.ts'
import { ADDRESS } from './wires.ts'

export interface Size {
  readonly tenants: number
  readonly routesPerTenant: number
}

/** What Linux can hold as well: it has no VRF devices everywhere, so one tenant. */
export const SMALL: Size = { tenants: 1, routesPerTenant: 1000 }
export const LARGE: Size = { tenants: 1000, routesPerTenant: 1000 }

export function routesText({ tenants, routesPerTenant }: Size): string {
  const routes = (tenants * routesPerTenant).toLocaleString('en-US')
  return `${routes} routes in ${tenants === 1 ? 'one tenant' : `${tenants.toLocaleString('en-US')} tenants`}`
}

export type Tunnel = 'vxlan' | 'gre'

export const GATEWAY_MAC = '02:67:68:00:00:01'
export const CUSTOMER_MAC = '02:00:00:00:0c:01'
export const MACHINE_MAC = '02:00:00:00:0d:01'
/** Where updates have routes lead to, and from where back again. */
const OTHER_MACHINE_MAC = '02:00:00:00:0d:02'

export const vniOf = (tenant: number): number => 10_000 + tenant
export const keyOf = (tenant: number): number => 1_000_000 + tenant

/** The tenants' IPv6, for the first IPv6 packet. */
const PREFIX6 = [0x20010db8, 0, 0, 0] as const
export const DESTINATION6 = '2001:db8::5'

const SEED = 7
const HOP = { vxlan: 1, gre: 2, otherVxlan: 3 } as const
const hopId = (tenant: number, hop: number): number => tenant * 10 + hop

/** Prefixes of 24 bits of tenant `t` are `[t * routesPerTenant, (t + 1) * routesPerTenant)`: those at even places by VXLAN. */
export function prefixesOf({ tenants, routesPerTenant }: Size): Uint32Array {
  const random = new Random(SEED)
  const prefixes = new Uint32Array(tenants * routesPerTenant)
  for (let tenant = 0; tenant < tenants; tenant++) {
    const known = new Set<number>()
    while (known.size < routesPerTenant) known.add((0x0b000000 + random.below(0x30000000)) & ~0xff)
    prefixes.set([...known], tenant * routesPerTenant)
  }
  return prefixes
}

export function tunnelOf(place: number): Tunnel {
  return place % 2 === 0 ? 'vxlan' : 'gre'
}

/** All that the node is to hold, as the control module would say it. */
export function snapshotOf(size: Size): FibBatch {
  const prefixes = prefixesOf(size)
  const routes4 = new RouteColumnsBuilder(1)
  const routes6 = new RouteColumnsBuilder(4)
  for (let tenant = 1; tenant <= size.tenants; tenant++) {
    const first = (tenant - 1) * size.routesPerTenant
    for (let place = first; place < first + size.routesPerTenant; place++)
      routes4.add4(tenant, prefixes[place]!, 24, hopId(tenant, HOP[tunnelOf(place)]))
    routes6.add6(tenant, PREFIX6, 32, hopId(tenant, HOP.vxlan))
  }
  const numbers = Array.from({ length: size.tenants }, (_, i) => i + 1)
  return {
    ...difference(routes4.build()),
    snapshot: true,
    tenants: numbers.map(tenantOf),
    nextHops: numbers.flatMap(nextHopsOf),
    routes6: routes6.build(),
  }
}

/** Beside those that the traffic takes: what updates go round, and what is loaded at once. */
export const MORE_ROUTES = 100_000

/** Routes that come to be, change and go, as rounds over a ring of them. */
export class Updates {
  readonly #tables: Uint32Array
  readonly #addresses: Uint32Array
  readonly #nextHops: Uint32Array
  #at = 0
  #round = 0

  constructor({ tenants }: Size) {
    const random = new Random(SEED + 1)
    const routes = MORE_ROUTES
    this.#tables = Uint32Array.from({ length: routes }, () => 1 + random.below(tenants)).sort()
    this.#addresses = Uint32Array.from({ length: routes }, () => (0x64000000 + random.below(0x08000000)) & ~0xff)
    this.#nextHops = new Uint32Array(routes)
  }

  /** The next `count` updates: added in the first round, changed in the second, withdrawn in the third, and so on. */
  next(count: number): RouteColumns {
    const from = this.#at
    const to = Math.min(from + count, this.#tables.length)
    for (let i = from; i < to; i++) this.#nextHops[i] = this.#nextHop(this.#tables[i]!)
    this.#at = to
    if (to === this.#tables.length) {
      this.#at = 0
      this.#round++
    }
    return {
      tables: this.#tables.subarray(from, to),
      addresses: this.#addresses.subarray(from, to),
      lengths: new Uint8Array(to - from).fill(24),
      nextHops: this.#nextHops.subarray(from, to),
    }
  }

  #nextHop(tenant: number): number {
    const phase = this.#round % 3
    if (phase === 2) return WITHDRAWN
    return hopId(tenant, phase === 0 ? HOP.vxlan : HOP.otherVxlan)
  }
}

const NONE6 = new RouteColumnsBuilder(4).build()

/** Its generation is for the node to say. */
export function difference(routes4: RouteColumns): FibBatch {
  return {
    cluster: 'bench',
    epoch: 1,
    generation: 1,
    base: 0,
    snapshot: false,
    tenants: [],
    removedTenants: new Uint32Array(),
    nextHops: [],
    removedNextHops: new Uint32Array(),
    routes4,
    routes6: NONE6,
  }
}

function tenantOf(tenant: number): FibTenant {
  const interfaceOf = (text: string, length: number) => ({
    address: parseAddress(text)!,
    length,
    mac: parseMac(GATEWAY_MAC)!,
  })
  const host = { address: parseAddress(ADDRESS.receiver)! }
  return {
    id: tenant,
    name: `tenant-${tenant}`,
    vip: parseAddress(ADDRESS.vip)!,
    policies: [],
    segments: [
      {
        kind: 'connection',
        id: tenant * 10 + 1,
        name: 'site',
        vni: vniOf(tenant),
        remote: parseAddress(ADDRESS.sender)!,
        mtu: 0,
        interfaces: [interfaceOf('192.168.1.1', 24), interfaceOf('2001:db8:ffff::1', 64)],
        peers: [],
        speakers: [],
        probes: [],
        sessions: [],
      },
      {
        kind: 'vpc',
        id: tenant * 10 + 2,
        name: 'vpc',
        key: keyOf(tenant),
        hosts: [
          { ...host, tunnel: 'vxlan', payload: 'ethernet' },
          { ...host, tunnel: 'gre', payload: 'ip' },
        ],
        interfaces: [interfaceOf('172.16.0.1', 24)],
      },
    ],
  }
}

function nextHopsOf(tenant: number): NextHop[] {
  const common = {
    kind: 'host',
    tenant,
    segment: tenant * 10 + 2,
    key: keyOf(tenant),
    remote: parseAddress(ADDRESS.receiver)!,
    address: undefined,
    mtu: 0,
  } as const
  const byVxlan = { ...common, tunnel: 'vxlan', payload: 'ethernet' } as const
  return [
    { ...byVxlan, id: hopId(tenant, HOP.vxlan), mac: parseMac(MACHINE_MAC)! },
    { ...common, id: hopId(tenant, HOP.gre), tunnel: 'gre', payload: 'ip', mac: undefined },
    { ...byVxlan, id: hopId(tenant, HOP.otherVxlan), mac: parseMac(OTHER_MACHINE_MAC)! },
  ]
}
