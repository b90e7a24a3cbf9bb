/**
 * What tenants' neighbours are told of other sites: the machines and networks that the tenant has there, as those sites offer
 * them (agent/offer-follower.ts). To neighbours we are on the way to them, so a customer's data centres at several sites reach
 * each other through the gateways, the hub (DSR section 6). Paths of other sites' neighbours are not told on, so data centres
 * may have the same AS.
 *
 * Nothing is held here: whoever needs all of it again reads it again.
 */

import { offerFrom } from '../../agent/names.ts'
import { OfferFollower } from '../../agent/offer-follower.ts'
import type { Clock } from '../../base/clock.ts'
import type { Logger } from '../../base/log.ts'
import type { Bus } from '../../bus/bus.ts'
import type { RemoteSite } from '../../config/remote-site.ts'
import type { Site } from '../../config/site.ts'
import { RouteColumnsBuilder } from '../../wire/control/columns.ts'
import type { SiteOffer } from '../../wire/control/offer.ts'
import type { RouteBatch } from '../../wire/control/route.ts'

/** Of a tenant that is none here, or another one. */
const NOBODY = ''

export interface RemoteRoutesOptions {
  readonly bus: Bus
  /** The routing node's. */
  readonly name: string
  readonly clock: Clock
  readonly log: Logger
  originate(batch: RouteBatch): Promise<void>
}

export class RemoteRoutes {
  readonly #options: RemoteRoutesOptions
  readonly #followed = new Map<string, OfferFollower>()
  /** VNIs by tenant, of those whose neighbours are told anything. */
  #tenants: ReadonlyMap<string, number> = new Map()
  #about = ''

  constructor(options: RemoteRoutesOptions) {
    this.#options = options
  }

  /** Resolves once what was there before has been originated. */
  async take({ tenants, routing, remote_sites }: Site): Promise<void> {
    const spoken = new Set(routing?.neighbours.map(({ tenant }) => tenant))
    const told = tenants.filter(({ name, vpn }) => vpn !== undefined || spoken.has(name))
    const about = JSON.stringify([told.map(({ name, vni }) => [name, vni]), remote_sites])
    if (about === this.#about) return
    this.#about = about
    this.#tenants = new Map(told.map(({ name, vni }) => [name, vni]))
    const names = new Set(remote_sites.map(({ name }) => name))
    for (const [name, follower] of this.#followed) {
      await follower.close()
      this.#followed.delete(name)
      if (!names.has(name)) await this.#options.originate(nothingFrom(name))
    }
    await Promise.all(remote_sites.map((remote) => this.#follow(remote)))
  }

  async close(): Promise<void> {
    await Promise.all(Array.from(this.#followed.values(), (follower) => follower.close()))
  }

  async #follow(remote: RemoteSite): Promise<void> {
    const { bus, name: module, clock, log, originate } = this.#options
    const { name: site, stale_routes_s: stale_s } = remote
    /** VNIs by tenant, as the other site has them. */
    const offered = new Map<string, number>()
    const follower = new OfferFollower({
      ...{ bus, clock, log, site, module, stale_s },
      apply: (offer) => {
        for (const { name, vni } of offer.tenants) offered.set(name, vni)
        if (!follower.isExpired) return originate(this.#batchOf(offer, offered))
        return undefined
      },
      expired: (isExpired) => void (isExpired ? originate(nothingFrom(site)) : this.#again(remote)),
    })
    this.#followed.set(site, follower)
    await follower.ready
  }

  /** It is believed again, and to be read from its beginning. */
  async #again(remote: RemoteSite): Promise<void> {
    const before = this.#followed.get(remote.name)
    this.#followed.delete(remote.name)
    await before?.close()
    await this.#follow(remote)
  }

  #batchOf({ site, snapshot, tables, routes4, routes6 }: SiteOffer, offered: ReadonlyMap<string, number>): RouteBatch {
    const tenants = tables.map((name) => (this.#tenants.get(name) === offered.get(name) ? name : NOBODY))
    const origin = offerFrom(site)
    return { origin, preference: 0, replaces: snapshot, tenants, gateways: [[]], routes4, routes6 }
  }
}

function nothingFrom(site: string): RouteBatch {
  const routes4 = new RouteColumnsBuilder(1).build()
  const routes6 = new RouteColumnsBuilder(4).build()
  const origin = offerFrom(site)
  return { origin, preference: 0, replaces: true, tenants: [], gateways: [], routes4, routes6 }
}
