/**
 * What the site offers to the other sites of its tenants, told as a feed (wire/control/offer.ts): its own ways to prefixes,
 * never another site's, and how good its connections are. Small changes of what was measured are not told: the other end
 * chooses by differences that are clearly larger (path-order.ts).
 */

import { isDeepStrictEqual } from 'node:util'
import { FeedWriter, refuseNewer } from '../agent/feed-writer.ts'
import { OFFER_FEED } from '../agent/names.ts'
import { parseAddress, parseMac } from '../base/address.ts'
import type { Logger } from '../base/log.ts'
import type { Bus } from '../bus/bus.ts'
import type { Site } from '../config/site.ts'
import type { Tenant } from '../config/tenant.ts'
import { RouteColumnsBuilder } from '../wire/control/columns.ts'
import { type OfferedPath, type OfferedTenant, type SiteOffer, siteOffer } from '../wire/control/offer.ts'
import { HeldOffer } from './held-offer.ts'
import { addRow, type PrefixKey } from './prefix-key.ts'
import type { TenantChanges, TenantFib } from './tenant-fib.ts'

/** By so much, a part of one, a latency or a bandwidth may differ from what was told, and a loss by so many of a million. */
const SAME = 0.1
const SAME_LOSS_ppm = 2000

export interface OffersOptions {
  readonly bus: Bus
  readonly log: Logger
  readonly epoch: number
  newIncarnation(): string
  /** The VIP that the tenant's packets are to be sent to now. */
  vipOf(tenant: string): string | undefined
  /** The tenant's connections here, the best first. */
  pathsOf(tenant: Tenant): OfferedPath[]
}

const TOLD = true

export class Offers {
  readonly #options: OffersOptions
  readonly #tenants: ReadonlyMap<string, TenantFib>
  #site: Site
  /** Those of the site that are offered to others. */
  #wanted: ReadonlyMap<string, Tenant> = new Map()
  /** Of these something is to be said that is no route. */
  readonly #due = new Set<string>()
  #writer: FeedWriter | undefined
  #told = new HeldOffer<true>(TOLD)
  #generation = 0
  #isWhole = false

  constructor(options: OffersOptions, site: Site, tenants: ReadonlyMap<string, TenantFib>) {
    this.#options = options
    this.#site = site
    this.#tenants = tenants
    this.setSite(site)
  }

  setSite(site: Site): void {
    this.#site = site
    this.#wanted = new Map(site.remote_sites.length === 0 ? [] : site.tenants.map((tenant) => [tenant.name, tenant]))
    this.#isWhole = false
  }

  /** Looks for what `tell` has to say but for routes that change. True where there is something. */
  look(): boolean {
    if (!this.#isOffering) return false
    for (const [name, tenant] of this.#wanted) if (this.#news(tenant)) this.#due.add(name)
    return !this.#isWhole || this.#due.size > 0
  }

  /** Says what differs from what was said. `changes` are all since the last time. */
  async tell(changes: ReadonlyMap<TenantFib, TenantChanges>): Promise<void> {
    if (!this.#isOffering) return
    this.#writer ??= await this.#open()
    const writer = this.#writer
    const draft = new Draft()
    for (const name of this.#isWhole ? this.#due : this.#wanted.keys()) {
      const tenant = this.#wanted.get(name)
      const news = tenant && this.#news(tenant)
      if (news) draft.tenants.push(news)
    }
    this.#due.clear()
    if (this.#isWhole) for (const [fib, { changed }] of changes) this.#compareSome(draft, fib, changed)
    else this.#compareAll(draft)
    const isFirst = !this.#isWhole
    this.#isWhole = true
    const isNew =
      this.#told.last?.epoch !== this.#options.epoch || !isDeepStrictEqual(this.#head, headOf(this.#told.last))
    if (isFirst ? isNew || !draft.isEmpty : !draft.isEmpty) await this.#send(writer, draft)
    if (writer.isSnapshotDue) await this.#snapshot(writer)
  }

  /** After a lost connection. Rejects with 'wrong-sequence' if the feed is not as it was left. */
  async verify(): Promise<void> {
    await this.#writer?.verify()
  }

  /** Or has been, and has to say that it is over. */
  get #isOffering(): boolean {
    return this.#site.remote_sites.length > 0 || this.#told.tenants.size > 0
  }

  get #head() {
    const { gateway, vips } = this.#site
    return { mac: parseMac(gateway.mac)!, vips: vips.map(({ address }) => parseAddress(address)!) }
  }

  async #open(): Promise<FeedWriter> {
    const { bus, log, newIncarnation } = this.#options
    const { writer, messages } = await FeedWriter.open(bus, OFFER_FEED, newIncarnation())
    for (const message of messages) {
      const decoded = siteOffer.decode(message)
      refuseNewer(OFFER_FEED, decoded)
      if (decoded.ok) this.#told.apply(decoded.value)
      else {
        log.error({ reason: decoded.message }, 'what was offered cannot be read; the feed starts over')
        writer.startOver(newIncarnation())
        this.#told = new HeldOffer<true>(TOLD)
        break
      }
    }
    this.#generation = this.#told.last?.generation ?? 0
    return writer
  }

  /** The tenant as it is to be said now; undefined where that is as good as said. */
  #news(tenant: Tenant): OfferedTenant | undefined {
    const { name, vni } = tenant
    const vip = this.#site.vips.find((one) => one.name === (this.#options.vipOf(name) ?? tenant.vip))
    const now = { name, vni, vip: parseAddress(vip!.address)!, paths: this.#options.pathsOf(tenant) }
    const said = this.#told.tenants.get(name)?.offered
    return said && isAsGood(said, now) ? undefined : now
  }

  #routesOf(tenant: string): ReadonlyMap<PrefixKey, true> {
    return this.#told.tenants.get(tenant)?.routes ?? new Map()
  }

  #compareAll(draft: Draft): void {
    for (const name of this.#wanted.keys()) {
      const fib = this.#tenants.get(name)
      if (fib) this.#compare(draft, fib)
    }
    for (const name of this.#told.tenants.keys())
      if (!this.#wanted.has(name)) draft.remove(name, this.#routesOf(name).keys())
  }

  #compare(draft: Draft, fib: TenantFib): void {
    const told = this.#routesOf(fib.name)
    for (const key of fib.routes.keys()) if (!told.has(key) && fib.isOffered(key)) draft.route(fib.name, key, true)
    for (const key of told.keys()) if (!fib.isOffered(key)) draft.route(fib.name, key, false)
  }

  #compareSome(draft: Draft, fib: TenantFib, keys: Iterable<PrefixKey>): void {
    if (!this.#wanted.has(fib.name)) return
    const told = this.#routesOf(fib.name)
    for (const key of keys) {
      const isOffered = fib.isOffered(key)
      if (isOffered !== told.has(key)) draft.route(fib.name, key, isOffered)
    }
  }

  async #send(writer: FeedWriter, draft: Draft): Promise<void> {
    // A feed begins with a snapshot.
    const isFirst = this.#told.last === undefined
    const batch = this.#batch(draft, this.#generation + 1, isFirst)
    await writer.append(siteOffer.encode(batch), isFirst)
    this.#told.apply(batch)
    this.#generation++
    const { generation, tenants, routes4, routes6 } = batch
    const routes = routes4.lengths.length + routes6.lengths.length
    this.#options.log.info({ generation, tenants: tenants.length, routes }, 'told what this site offers')
  }

  async #snapshot(writer: FeedWriter): Promise<void> {
    const draft = new Draft()
    for (const [name, { offered, routes }] of this.#told.tenants) {
      draft.tenants.push(offered)
      for (const key of routes.keys()) draft.route(name, key, true)
    }
    await writer.append(siteOffer.encode(this.#batch(draft, this.#generation, true)), true)
  }

  #batch(draft: Draft, generation: number, snapshot: boolean): SiteOffer {
    const base = snapshot ? generation : generation - 1
    return {
      ...{ site: this.#site.site, epoch: this.#options.epoch, generation, base, snapshot },
      ...this.#head,
      ...draft.build(),
    }
  }
}

class Draft {
  readonly tenants: OfferedTenant[] = []
  readonly #removed: string[] = []
  readonly #tables = new Map<string, number>()
  readonly #routes = { v4: new RouteColumnsBuilder(1), v6: new RouteColumnsBuilder(4) }

  get isEmpty(): boolean {
    return this.tenants.length + this.#removed.length + this.#tables.size === 0
  }

  route(tenant: string, key: PrefixKey, isOffered: boolean): void {
    const table = this.#tables.get(tenant) ?? this.#tables.size
    this.#tables.set(tenant, table)
    addRow(this.#routes, table, key, isOffered ? 1 : 0)
  }

  /** Routing nodes hold nothing: each route is withdrawn. */
  remove(tenant: string, keys: Iterable<PrefixKey>): void {
    this.#removed.push(tenant)
    for (const key of keys) this.route(tenant, key, false)
  }

  build() {
    return {
      tenants: this.tenants,
      removedTenants: this.#removed,
      tables: [...this.#tables.keys()],
      routes4: this.#routes.v4.build(),
      routes6: this.#routes.v6.build(),
    }
  }
}

function headOf(batch: SiteOffer | undefined) {
  return batch && { mac: batch.mac, vips: batch.vips }
}

function isAsGood(said: OfferedTenant, now: OfferedTenant): boolean {
  if (said.vni !== now.vni || said.vip.join() !== now.vip.join() || said.paths.length !== now.paths.length) return false
  return said.paths.every((path, i) => isSamePath(path, now.paths[i]!))
}

function isSamePath(said: OfferedPath, now: OfferedPath): boolean {
  const settings = ({ name, isUp, preference, cost, isProbed }: OfferedPath) =>
    [name, isUp, preference, cost, isProbed].join(' ')
  return (
    settings(said) === settings(now) &&
    isNear(said.latency_us, now.latency_us, (a) => a * SAME) &&
    isNear(said.bandwidth_kbps, now.bandwidth_kbps, (a) => a * SAME) &&
    isNear(said.loss_ppm, now.loss_ppm, () => SAME_LOSS_ppm)
  )
}

function isNear(a: number | undefined, b: number | undefined, margin: (a: number) => number): boolean {
  if (a === undefined || b === undefined) return a === b
  return Math.abs(a - b) <= margin(a)
}
