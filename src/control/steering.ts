/**
 * Which of their connections tenants prefer now: what the site file says of each, and what routing nodes say of the probes
 * that are its quality (tracks.ts). The way by another site is one more of them: it is as good as the path to that site and the
 * best of its connections together. Kept for tenants that say anything of it, across changes of the site.
 */

import { pathTo } from '../config/remote-site.ts'
import type { Site } from '../config/site.ts'
import type { Connection, Tenant } from '../config/tenant.ts'
import type { Liveness, PathQuality } from '../wire/control/liveness.ts'
import type { OfferedPath } from '../wire/control/offer.ts'
import { type KnownPath, type Path, PathOrder } from './path-order.ts'
import { SmoothedDelay } from './path-quality.ts'
import type { RemoteTenant } from './remote-sites.ts'

export type Things = ReadonlyMap<string, Liveness>

export class Steering {
  #before: ReadonlyMap<string, readonly KnownPath[]> = new Map()
  #tenants: readonly Tenant[] = []
  readonly #orders = new Map<string, PathOrder>()
  /** By probe. */
  readonly #delays = new Map<string, SmoothedDelay>()
  readonly #remotes: (tenant: Tenant) => readonly RemoteTenant[]
  #between: readonly string[] = []

  constructor(remotes: (tenant: Tenant) => readonly RemoteTenant[] = () => []) {
    this.#remotes = remotes
  }

  /** By tenant; of those that leave all to the routes there is none. */
  get orders(): ReadonlyMap<string, PathOrder> {
    return this.#orders
  }

  /** The orders that another leader had, for tenants that have none here yet. */
  goOnWith(orders: ReadonlyMap<string, readonly KnownPath[]>): void {
    this.#before = orders
  }

  /** Another site, whose orders are those of now. Answers the tenants with another order. */
  setSite({ tenants, remote_sites }: Site, things: Things, now_us: number): string[] {
    this.#tenants = tenants.filter(isOrdered)
    this.#between = remote_sites.flatMap(({ probe }) => probe ?? [])
    keepOnly(this.#orders, new Set(this.#tenants.map(({ name }) => name)))
    keepOnly(this.#delays, this.#probes)
    return this.take(things, now_us)
  }

  /** What is known of probes now. Answers the tenants whose routes have to be others. */
  take(things: Things, now_us: number): string[] {
    for (const name of this.#probes) {
      const quality = things.get(name)?.quality
      if (quality) this.#delayOf(name).take(quality)
    }
    return this.#tenants.flatMap((tenant) => {
      const { name, connections, steer } = tenant
      const order = this.#orders.get(name) ?? new PathOrder(this.#before.get(name))
      this.#orders.set(name, order)
      const here = connections.map((connection) => this.#pathOf(connection, things))
      const paths = [...here, ...this.#remotes(tenant).map((remote) => this.#pathBy(remote, things))]
      return order.take(paths, steer, now_us) ? [name] : []
    })
  }

  /** The tenant's connections at this site, the best first, for other sites. `isUp` says what else is known of one. */
  offered({ name, connections }: Tenant, things: Things, isUp: (connection: string) => boolean): OfferedPath[] {
    const order = this.#orders.get(name)
    const known = new Map(connections.map((one) => [one.name, this.#pathOf(one, things)]))
    const names = order?.paths.map((path) => path.name) ?? [...known.keys()]
    return names.flatMap((connection) => {
      const path = known.get(connection)
      if (!path) return []
      const { isDown, ...rest } = path
      return { ...rest, isUp: !isDown && isUp(connection) }
    })
  }

  get #probes(): Set<string> {
    const own = this.#tenants.flatMap(({ connections }) => connections.flatMap(({ probes }) => probes))
    return new Set([...own, ...this.#between])
  }

  #delayOf(probe: string): SmoothedDelay {
    const known = this.#delays.get(probe) ?? new SmoothedDelay()
    this.#delays.set(probe, known)
    return known
  }

  #pathBy({ remote, paths }: RemoteTenant, things: Things): Path {
    const { name, preference, cost, probe } = remote
    const best = paths.find(({ isUp }) => isUp)
    const between = probe === undefined ? undefined : things.get(probe)
    const quality = between?.isUp ? between.quality : undefined
    // At a site with nothing but machines there is no further path.
    const isAll = paths.length === 0
    return {
      name: pathTo(name),
      preference: Math.max(preference, best?.preference ?? 0),
      cost: cost + (best?.cost ?? 0),
      isProbed: probe !== undefined && (isAll || best?.isProbed === true),
      isDown: between?.isUp === false || (!isAll && !best),
      latency_us: joined(probe && this.#delays.get(probe)?.value_us, isAll ? 0 : best?.latency_us, (a, b) => a + b),
      loss_ppm: joined(quality?.loss_ppm, isAll ? 0 : best?.loss_ppm, bothLost),
      probes: Math.min(quality?.probes ?? 0, isAll ? Number.MAX_SAFE_INTEGER : (best?.probes ?? 0)),
      bandwidth_kbps: joined(quality?.bandwidth_kbps || undefined, isAll ? Infinity : best?.bandwidth_kbps, Math.min),
    }
  }

  /** Of several probes the best: the path is part of what each of them measures. */
  #pathOf({ name, preference, cost, probes }: Connection, things: Things): Path {
    const known = probes.flatMap((probe) => things.get(probe) ?? [])
    const up = known.filter(({ isUp }) => isUp)
    const qualities = up.flatMap(({ quality }) => quality ?? [])
    const delays = up.flatMap((probe) => this.#delays.get(probe.name)?.value_us ?? [])
    const rates = qualities.flatMap(({ bandwidth_kbps }) => (bandwidth_kbps > 0 ? bandwidth_kbps : []))
    const least = qualities.reduce<PathQuality | undefined>(
      (best, one) => (best && best.loss_ppm <= one.loss_ppm ? best : one),
      undefined,
    )
    return {
      ...{ name, preference, cost },
      isProbed: probes.length > 0,
      isDown: probes.length > 0 && known.length === probes.length && up.length === 0,
      latency_us: delays.length === 0 ? undefined : Math.min(...delays),
      loss_ppm: least?.loss_ppm,
      probes: least?.probes ?? 0,
      bandwidth_kbps: rates.length === 0 ? undefined : Math.max(...rates),
    }
  }
}

/** Of two paths in a row, where both are known. */
function joined(a: number | '' | undefined, b: number | undefined, join: (a: number, b: number) => number) {
  return a === undefined || a === '' || b === undefined ? undefined : join(a, b)
}

/** What the one lets through the other may still lose. */
const bothLost = (a: number, b: number): number => Math.round(a + b - (a * b) / 1e6)

/** One that says nothing of its paths has routes as they were learnt. */
function isOrdered({ steer, connections }: Tenant): boolean {
  const preferences = new Set(connections.map(({ preference }) => preference))
  return steer.length > 0 || preferences.size > 1 || connections.some(({ probes }) => probes.length > 0)
}

function keepOnly(map: Map<string, unknown>, names: ReadonlySet<string>): void {
  for (const name of map.keys()) if (!names.has(name)) map.delete(name)
}
