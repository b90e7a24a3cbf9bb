/**
 * What the site's tenants have at other sites: what those offer, as an orchestrator has carried it here. It is on this site's
 * bus, so packets go on by it whoever is away: the orchestrator, the other site's control module, its bus. Where nobody has
 * heard the other site for as long as the site file says, it counts for nothing.
 */

import type { Events } from '../agent/events.ts'
import { offerFrom } from '../agent/names.ts'
import { OfferFollower } from '../agent/offer-follower.ts'
import { formatAddress, type IpAddress, type MacAddress, parseAddress } from '../base/address.ts'
import type { Clock } from '../base/clock.ts'
import type { Logger } from '../base/log.ts'
import type { Bus } from '../bus/bus.ts'
import type { RemoteSite } from '../config/remote-site.ts'
import type { Site } from '../config/site.ts'
import type { Tenant } from '../config/tenant.ts'
import type { OfferedPath } from '../wire/control/offer.ts'
import { HeldOffer } from './held-offer.ts'
import type { GatewaySet, OriginRoutes, Touched } from './published-routes.ts'

/** Behind whatever is this site's own. */
const LAST = 65_535
const NOWHERE = new Uint8Array(4)

/** A tenant as another site has it. */
export interface RemoteTenant {
  readonly remote: RemoteSite
  readonly vip: IpAddress
  /** All that may send for it. */
  readonly vips: readonly IpAddress[]
  readonly mac: MacAddress
  readonly paths: readonly OfferedPath[]
}

export interface RemoteSitesOptions {
  readonly bus: Bus
  readonly clock: Clock
  readonly log: Logger
  readonly events: Events
  /** Of these tenants something is offered that was not before, or not any more; those of `moved` are reached otherwise. */
  changed(touched: Touched, moved: ReadonlySet<string>): void
}

interface Followed {
  readonly held: HeldOffer<GatewaySet>
  readonly follower: OfferFollower
}

export class RemoteSites {
  readonly #options: RemoteSitesOptions
  readonly #followed = new Map<string, Followed>()
  #remotes: readonly RemoteSite[] = []
  #families: ReadonlyMap<string, number> = new Map()
  /** VIPs of this site. */
  #own: ReadonlySet<string> = new Set()

  constructor(options: RemoteSitesOptions) {
    this.#options = options
  }

  /** Resolves once what was there before has been read. */
  async setSite({ remote_sites, vips, tenants }: Site): Promise<void> {
    const before = new Map(this.#remotes.map((remote) => [remote.name, remote]))
    this.#remotes = remote_sites
    this.#own = new Set(vips.map(({ address }) => address))
    const families = new Map(vips.map(({ name, address }) => [name, parseAddress(address)!.length]))
    this.#families = new Map(tenants.map(({ name, vip }) => [name, families.get(vip)!]))
    const wanted = new Map(remote_sites.map((remote) => [remote.name, remote]))
    for (const [name, { held, follower }] of this.#followed) {
      if (wanted.get(name)?.stale_routes_s === before.get(name)?.stale_routes_s) continue
      void follower.close()
      this.#followed.delete(name)
      this.#changedAll(held)
    }
    // Cost, preference and MTU are part of every tenant's network, which is made anew with the site.
    const fresh = remote_sites.filter(({ name }) => !this.#followed.has(name)).map((remote) => this.#follow(remote))
    await Promise.all(fresh)
  }

  /** Where else the tenant is: under the same name and VNI, over tunnels of the same IP version. */
  of({ name, vni }: Pick<Tenant, 'name' | 'vni'>): RemoteTenant[] {
    const family = this.#families.get(name)
    return this.#remotes.flatMap((remote) => {
      const held = this.#believed(remote.name)
      const offered = held?.tenants.get(name)?.offered
      if (!offered || offered.vni !== vni || offered.vip.length !== family || this.#isOwn(offered.vip)) return []
      const { mac, vips } = held!.last!
      const { vip, paths } = offered
      return { remote, vip, vips: vips.filter((address) => address.length === family), mac, paths }
    })
  }

  /** As the routes of an origin each. */
  routesOf(tenant: string): OriginRoutes[] {
    return this.#remotes.flatMap(({ name }) => {
      const routes = this.#believed(name)?.tenants.get(tenant)?.routes
      return routes ? { origin: offerFrom(name), preference: LAST, isRemote: true, routes } : []
    })
  }

  async close(): Promise<void> {
    await Promise.all(Array.from(this.#followed.values(), ({ follower }) => follower.close()))
  }

  /** What is sent there would come back here. */
  #isOwn(vip: IpAddress): boolean {
    return this.#own.has(formatAddress(vip))
  }

  #believed(site: string): HeldOffer<GatewaySet> | undefined {
    const followed = this.#followed.get(site)
    return followed && !followed.follower.isExpired ? followed.held : undefined
  }

  async #follow({ name, stale_routes_s }: RemoteSite): Promise<void> {
    const { bus, clock, log, changed } = this.#options
    const gateway = { address: NOWHERE, weight: 1, backup: false, site: name }
    const held = new HeldOffer<GatewaySet>({ gateways: [gateway] })
    const follower = new OfferFollower({
      ...{ bus, clock, log, site: name, module: 'control', stale_s: stale_routes_s },
      apply: (offer) => {
        const own = offer.vips.find((vip) => this.#isOwn(vip))
        if (own) log.error({ site: name, vip: formatAddress(own) }, 'another site has a VIP of ours')
        const { touched, moved } = held.apply(offer)
        changed(touched, moved)
      },
      expired: (isExpired) => {
        if (isExpired) this.#tellExpired(name)
        this.#changedAll(held)
      },
    })
    this.#followed.set(name, { held, follower })
    await follower.ready
  }

  #tellExpired(site: string): void {
    const { log, events } = this.#options
    log.warn({ site }, 'what another site offers is withdrawn: nobody has told of it for too long')
    events.tell('origin-withdrawn', offerFrom(site), 'nobody has told of what it offers for too long')
  }

  #changedAll({ tenants }: HeldOffer<GatewaySet>): void {
    const touched = new Map(Array.from(tenants, ([name, { routes }]) => [name, [...routes.keys()]]))
    this.#options.changed(touched, new Set(tenants.keys()))
  }
}
