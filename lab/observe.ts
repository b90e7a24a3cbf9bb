/**
 * What the modules of a running site say of themselves, over the bus: who is ready, what each has counted, and where
 * hosts are to send. The one place of the lab that knows how they say it.
 */

import { BUCKET } from '../src/agent/names.ts'
import { modulesOf, type Presence } from '../src/agent/presence.ts'
import { askToShow } from '../src/agent/show.ts'
import { formatAddress } from '../src/base/address.ts'
import { type Bus, BusError, type Subscription } from '../src/bus/bus.ts'
import type { Totals } from '../src/dataplane/ledger.ts'
import { hostBatch } from '../src/wire/control/switch.ts'
import type { Surroundings } from './site.ts'

export interface ModuleCounters {
  readonly name: string
  readonly role: 'forwarding' | 'access'
  /** Of its process; undefined while it is not ready. */
  readonly pid: number | undefined
  /** Undefined while it does not answer. */
  readonly totals: Totals | undefined
  /** Frames that the kernel lost before the module saw them or after it sent them. */
  readonly kernelDrops: number
  /** By tenant, what the module has dropped of its packets. */
  readonly tenants: Readonly<Record<string, Drops>>
}

/** Frames by reason: only the reasons that occurred. */
export type Drops = Readonly<Record<string, number>>

/** The one row that a packet module answers to `counters`. */
interface CountersRow {
  readonly totals: Totals
  readonly kernelDrops: number
}

/** A forwarding node's answer to `tenants`, and a switch's to `attachments`: a row a tenant or a port of one. */
type TenantRow = { readonly name: string; readonly drops: Drops }
type AttachmentRow = { readonly vni: number; readonly totals: Totals }

/** A routing node's answer to `sessions`: a row a neighbour. */
export interface SessionRow {
  readonly name: string
  readonly state: string
  /** How often it went down since the routing node was started. */
  readonly flaps: number
  /** The state of BFD with it, where that is wanted. */
  readonly bfd?: string
}

/** The control module's answer to `routes`. */
type RouteRow = { readonly prefix: string; readonly via: readonly string[] }

/** BGP with a tenant's neighbour, by the site file. */
export interface SessionState {
  readonly name: string
  readonly tenant: string
  /** Of the routing node that tells of it; undefined, as the row is, while none does. */
  readonly pid: number | undefined
  readonly row: SessionRow | undefined
}

export const UP = 'established'

const CONTROL = 'control'
const CONNECT_MS = 20_000

export class Observer {
  /** The modules that a site of this kind has, by name. */
  readonly expected: readonly string[]
  readonly #surroundings: Surroundings
  readonly #bus: Bus
  readonly #hosts: Subscription
  readonly #tenantOf: ReadonlyMap<number, string>

  constructor(surroundings: Surroundings) {
    this.#surroundings = surroundings
    this.#tenantOf = new Map(surroundings.site.tenants.map(({ vni, name }) => [vni, name]))
    this.expected = [CONTROL, ...[...this.#packetModules(), ...this.#speakers()].map(({ name }) => name)]
    this.#bus = surroundings.connect(`lab.${process.pid}`)
    this.#hosts = this.#bus.bucket(BUCKET.hosts).watch('>', ({ value }) => value && void this.#steer(value))
    this.#hosts.ready.catch(() => {})
  }

  #packetModules(): { name: string; role: 'forwarding' | 'access' }[] {
    const { clusters, switches } = this.#surroundings.site
    return [
      ...clusters.flatMap(({ nodes }) => nodes.map(({ name }) => ({ name, role: 'forwarding' as const }))),
      ...switches.map(({ name }) => ({ name, role: 'access' as const })),
    ]
  }

  #speakers(): readonly { readonly name: string }[] {
    return this.#surroundings.site.routing?.nodes ?? []
  }

  /** Rejects when there is no bus in time. */
  async connected(): Promise<void> {
    await this.#bus.whenConnected(CONNECT_MS)
  }

  /** The names of the modules that are not ready, all of them while the bus is not there. */
  async notReady(): Promise<readonly string[]> {
    const present = await this.#presence()
    return this.expected.filter((name) => !present.get(name)?.ready)
  }

  async modules(): Promise<ModuleCounters[]> {
    const present = await this.#presence()
    return await Promise.all(
      this.#packetModules().map(async ({ name, role }) => {
        const [row] = await this.#ask<CountersRow>(name, 'counters')
        const { pid, ready } = present.get(name) ?? {}
        const { totals, kernelDrops = 0 } = row ?? {}
        return {
          name,
          role,
          pid: ready ? pid : undefined,
          totals,
          kernelDrops,
          tenants: await this.#tenants(name, role),
        }
      }),
    )
  }

  /** Of several routing nodes one has the session, and others may tell that they have not. */
  async sessions(): Promise<SessionState[]> {
    const { routing } = this.#surroundings.site
    const neighbours = (routing?.neighbours ?? []).filter(
      (one) => one.tenant !== undefined && one.address !== undefined,
    )
    if (neighbours.length === 0) return []
    const present = await this.#presence()
    const told = await Promise.all(
      this.#speakers().map(async ({ name }) => {
        const rows = await this.#ask<SessionRow>(name, 'sessions')
        return rows.map((row) => ({ row, pid: present.get(name)?.pid }))
      }),
    )
    const rows = Map.groupBy(told.flat(), ({ row }) => row.name)
    return neighbours.map(({ name, tenant }) => {
      const all = rows.get(name) ?? []
      const { row, pid } = all.find((one) => one.row.state === UP) ?? all[0] ?? {}
      return { name, tenant: tenant!, row, pid }
    })
  }

  /** A tenant's, as the control module has them: next hops by prefix. */
  async routes(tenant: string): Promise<Map<string, string>> {
    const rows = await this.#ask<RouteRow>(CONTROL, 'routes', tenant)
    return new Map(rows.map(({ prefix, via }) => [prefix, via.join(', ')]))
  }

  async #presence(): Promise<Map<string, Presence>> {
    return this.#bus.connected ? await modulesOf(this.#bus).catch(noneOf<Map<string, Presence>>(new Map())) : new Map()
  }

  async #tenants(module: string, role: ModuleCounters['role']): Promise<Record<string, Drops>> {
    if (role === 'forwarding') {
      const rows = await this.#ask<TenantRow>(module, 'tenants')
      return Object.fromEntries(rows.map(({ name, drops }) => [name, drops]))
    }
    const rows = await this.#ask<AttachmentRow>(module, 'attachments')
    const ofTenant = Map.groupBy(rows, ({ vni }) => this.#tenantOf.get(vni))
    return Object.fromEntries(
      Array.from(ofTenant, ([tenant, all]) => [tenant ?? '?', sumOfDrops(all.map(({ totals }) => totals.drops))]),
    )
  }

  async #ask<Row>(module: string, thing: string, filter = ''): Promise<Row[]> {
    return (await askToShow(this.#bus, module, thing, filter).catch(noneOf<unknown[]>([]))) as Row[]
  }

  /** A VPC that moved to another VIP moves on its hosts too. */
  async #steer(value: Uint8Array): Promise<void> {
    const batch = hostBatch.decode(value)
    if (!batch.ok) return
    const vswitch = this.#surroundings.vswitches.get(batch.value.host)
    for (const { key, vip } of batch.value.exits) await vswitch?.setVip(key, formatAddress(vip))
  }

  async close(): Promise<void> {
    this.#hosts.close()
    await this.#bus.close()
  }
}

export function sumOfDrops(all: readonly Drops[]): Drops {
  const sum: Record<string, number> = {}
  for (const drops of all)
    for (const [reason, count] of Object.entries(drops)) if (count > 0) sum[reason] = (sum[reason] ?? 0) + count
  return sum
}

/** For what the bus refuses while modules come and go. */
function noneOf<T>(value: T): (error: unknown) => T {
  return (error) => {
    if (error instanceof BusError) return value
    throw error
  }
}
