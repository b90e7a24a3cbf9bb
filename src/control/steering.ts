/**
 * Which of their connections tenants prefer now: what the site file says of each, and what routing nodes say of the probes
 * that are its quality (tracks.ts). Kept for tenants that say anything of it, across changes of the site.
 */

import type { Site } from '../config/site.ts'
import type { Connection, Tenant } from '../config/tenant.ts'
import type { Liveness, PathQuality } from '../wire/control/liveness.ts'
import { type KnownPath, type Path, PathOrder } from './path-order.ts'
import { SmoothedDelay } from './path-quality.ts'

export type Things = ReadonlyMap<string, Liveness>

export class Steering {
  #before: ReadonlyMap<string, readonly KnownPath[]> = new Map()
  #tenants: readonly Tenant[] = []
  readonly #orders = new Map<string, PathOrder>()
  /** By probe. */
  readonly #delays = new Map<string, SmoothedDelay>()

  /** By tenant; of those that leave all to the routes there is none. */
  get orders(): ReadonlyMap<string, PathOrder> {
    return this.#orders
  }

  /** The orders that another leader had, for tenants that have none here yet. */
  goOnWith(orders: ReadonlyMap<string, readonly KnownPath[]>): void {
    this.#before = orders
  }

  /** Another site, whose orders are those of now. Answers the tenants with another order. */
  setSite({ tenants }: Site, things: Things, now_us: number): string[] {
    this.#tenants = tenants.filter(isOrdered)
    keepOnly(this.#orders, new Set(this.#tenants.map(({ name }) => name)))
    keepOnly(
      this.#delays,
      new Set(this.#tenants.flatMap(({ connections }) => connections.flatMap((one) => one.probes))),
    )
    return this.take(things, now_us)
  }

  /** What is known of probes now. Answers the tenants whose routes have to be others. */
  take(things: Things, now_us: number): string[] {
    const names = new Set(this.#tenants.flatMap(({ connections }) => connections.flatMap(({ probes }) => probes)))
    for (const name of names) {
      const quality = things.get(name)?.quality
      if (quality) this.#delayOf(name).take(quality)
    }
    return this.#tenants.flatMap(({ name, connections, steer }) => {
      const order = this.#orders.get(name) ?? new PathOrder(this.#before.get(name))
      this.#orders.set(name, order)
      const paths = connections.map((connection) => this.#pathOf(connection, things))
      return order.take(paths, steer, now_us) ? [name] : []
    })
  }

  #delayOf(probe: string): SmoothedDelay {
    const known = this.#delays.get(probe) ?? new SmoothedDelay()
    this.#delays.set(probe, known)
    return known
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

/** One that says nothing of its paths has routes as they were learnt. */
function isOrdered({ steer, connections }: Tenant): boolean {
  const preferences = new Set(connections.map(({ preference }) => preference))
  return steer.length > 0 || preferences.size > 1 || connections.some(({ probes }) => probes.length > 0)
}

function keepOnly(map: Map<string, unknown>, names: ReadonlySet<string>): void {
  for (const name of map.keys()) if (!names.has(name)) map.delete(name)
}
