/**
 * What the site's tenants have at other sites: what those offer, as an orchestrator has carried it here. It is on this site's
 * bus, so packets go on by it whoever is away: the orchestrator, the other site's control module, its bus. Whoever carries it
 * holds a lease while he hears the other site; where nobody has for as long as the site file says, it counts for nothing.
 */

import type { Events } from '../agent/events.ts'
import { BatchFollower } from '../agent/follower.ts'
import { LiveSpeakers } from '../agent/live-speakers.ts'
import { BUCKET, offerFrom } from '../agent/names.ts'
import { type IpAddress, type MacAddress, parseAddress } from '../base/address.ts'
import type { Clock } from '../base/clock.ts'
import type { Logger } from '../base/log.ts'
import type { Bus } from '../bus/bus.ts'
import type { RemoteSite } from '../config/remote-site.ts'
import type { Site } from '../config/site.ts'
import type { Tenant } from '../config/tenant.ts'
import { type OfferedPath, type SiteOffer, siteOffer } from '../wire/control/offer.ts'
import { HeldOffer } from './held-offer.ts'
import type { GatewaySet, OriginRoutes, Touched } from './published-routes.ts'

/** Behind whatever is this site's own. */
const LAST = 65_535
const CHECK_ms = 1000
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
  readonly follower: BatchFollower<SiteOffer>
  isExpired: boolean
}

export class RemoteSites {
  readonly #options: RemoteSitesOptions
  readonly #carriers: LiveSpeakers
  readonly #followed = new Map<string, Followed>()
  readonly #awaySince_us = new Map<string, number>()
  readonly #check: { cancel(): void }
  #remotes: readonly RemoteSite[] = []
  #families: ReadonlyMap<string, number> = new Map()

  constructor(options: RemoteSitesOptions) {
    this.#options = options
    const { bus, clock } = options
    this.#carriers = new LiveSpeakers(bus, (carrier, epoch) => this.#carried(carrier, epoch !== undefined))
    this.#check = clock.every(CHECK_ms, () => this.#expire())
  }

  /** Resolves once what was there before has been read. */
  async setSite({ remote_sites, vips, tenants }: Site): Promise<void> {
    this.#remotes = remote_sites
    const families = new Map(vips.map(({ name, address }) => [name, parseAddress(address)!.length]))
    this.#families = new Map(tenants.map(({ name, vip }) => [name, families.get(vip)!]))
    const names = new Set(remote_sites.map(({ name }) => name))
    for (const [name, { held, follower }] of this.#followed) {
      if (names.has(name)) continue
      void follower.close()
      this.#followed.delete(name)
      this.#awaySince_us.delete(name)
      this.#changedAll(held)
    }
    const fresh = remote_sites.filter(({ name }) => !this.#followed.has(name)).map(({ name }) => this.#follow(name))
    await Promise.all([this.#carriers.follow(remote_sites.map(({ name }) => offerFrom(name))), ...fresh])
  }

  /** Where else the tenant is: under the same name and VNI, over tunnels of the same IP version. */
  of({ name, vni }: Pick<Tenant, 'name' | 'vni'>): RemoteTenant[] {
    const family = this.#families.get(name)
    return this.#remotes.flatMap((remote) => {
      const { held, isExpired } = this.#followed.get(remote.name) ?? {}
      const offered = held?.tenants.get(name)?.offered
      if (!offered || isExpired || offered.vni !== vni || offered.vip.length !== family) return []
      const { mac, vips } = held!.last!
      const { vip, paths } = offered
      return { remote, vip, vips: vips.filter((address) => address.length === family), mac, paths }
    })
  }

  /** As the routes of an origin each. */
  routesOf(tenant: string): OriginRoutes[] {
    return this.#remotes.flatMap(({ name }) => {
      const { held, isExpired } = this.#followed.get(name) ?? {}
      const routes = isExpired ? undefined : held?.tenants.get(tenant)?.routes
      return routes ? { origin: offerFrom(name), preference: LAST, isRemote: true, routes } : []
    })
  }

  async close(): Promise<void> {
    this.#check.cancel()
    this.#carriers.close()
    await Promise.all(Array.from(this.#followed.values(), ({ follower }) => follower.close()))
  }

  async #follow(name: string): Promise<void> {
    const { bus, clock, log, changed } = this.#options
    const gateway = { address: NOWHERE, weight: 1, backup: false, site: name }
    const held = new HeldOffer<GatewaySet>({ gateways: [gateway] })
    const feed = offerFrom(name)
    const follower = new BatchFollower<SiteOffer>({
      ...{ bus, feed, message: siteOffer, module: 'control', clock, log },
      apply(offer) {
        const { touched, moved } = held.apply(offer)
        changed(touched, moved)
        return undefined
      },
    })
    this.#followed.set(name, { held, follower, isExpired: false })
    follower.start()
    if (await bus.bucket(BUCKET.feeds).get(feed)) await follower.current
  }

  #carried(carrier: string, isThere: boolean): void {
    const name = this.#remotes.find((remote) => offerFrom(remote.name) === carrier)?.name ?? ''
    const { clock } = this.#options
    if (!isThere) {
      if (!this.#awaySince_us.has(name)) this.#awaySince_us.set(name, clock.now_us())
      return
    }
    this.#awaySince_us.delete(name)
    const followed = this.#followed.get(name)
    if (!followed?.isExpired) return
    followed.isExpired = false
    this.#changedAll(followed.held)
  }

  #expire(): void {
    const { clock, log, events } = this.#options
    for (const { name, stale_routes_s } of this.#remotes) {
      const since_us = this.#awaySince_us.get(name)
      const followed = this.#followed.get(name)
      if (since_us === undefined || !followed || followed.isExpired) continue
      if (clock.now_us() - since_us < stale_routes_s * 1e6) continue
      followed.isExpired = true
      log.warn({ site: name }, 'what another site offers is withdrawn: nobody has told of it for too long')
      events.tell('origin-withdrawn', offerFrom(name), 'nobody has told of what it offers for too long')
      this.#changedAll(followed.held)
    }
  }

  #changedAll({ tenants }: HeldOffer<GatewaySet>): void {
    const touched = new Map(Array.from(tenants, ([name, { routes }]) => [name, [...routes.keys()]]))
    this.#options.changed(touched, new Set(tenants.keys()))
  }
}
