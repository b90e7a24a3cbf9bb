/**
 * All that the control module tells, and to whom: a feed of batches for each cluster and switch, and an entry in a bucket
 * for each host. What is there already when it begins to lead is read first, and gone on with.
 */

import { BUCKET, fibFeed, switchFeed } from '../agent/names.ts'
import type { Logger } from '../base/log.ts'
import type { Bus } from '../bus/bus.ts'
import type { Site } from '../config/site.ts'
import { hostBatch, type SwitchBatch } from '../wire/control/switch.ts'
import type { Acks } from './acks.ts'
import { ClusterFeed } from './cluster-feed.ts'
import { hostBatchesOf, switchBatchOf } from './edge.ts'
import type { HeldFib } from './held-fib.ts'
import type { Feeds, Placement, Progress } from './placement.ts'
import { SwitchFeed } from './switch-feed.ts'
import type { TenantChanges, TenantFib } from './tenant-fib.ts'

export interface SiteFeedsOptions {
  readonly bus: Bus
  readonly log: Logger
  readonly epoch: number
  newIncarnation(): string
}

export class SiteFeeds implements Feeds {
  readonly #options: SiteFeedsOptions
  readonly #acks: Acks
  readonly #clusters = new Map<string, ClusterFeed>()
  readonly #switches = new Map<string, SwitchFeed>()
  /** What is on the bus for each host, and which revision it has: who else writes there has taken our place. */
  readonly #hosts = new Map<string, { readonly bytes: Buffer; readonly revision: number }>()
  #hostsRead = false
  #site: Site
  /** By cluster: the tenants that it holds, each with the address that its nodes send from. */
  #wanted: ReadonlyMap<string, ReadonlyMap<TenantFib, string>> = new Map()

  constructor(options: SiteFeedsOptions, acks: Acks, site: Site) {
    this.#options = options
    this.#acks = acks
    this.#site = site
  }

  get switches(): string[] {
    return [...this.#switches.keys()]
  }

  clusterFeed(name: string): ClusterFeed | undefined {
    return this.#clusters.get(name)
  }

  cluster(name: string): Progress {
    const nodes = this.#site.clusters.find((cluster) => cluster.name === name)?.nodes ?? []
    const names = nodes.map((node) => node.name)
    return this.#progress(fibFeed(name), this.#clusters.get(name), names)
  }

  /** Of one node. */
  progressOf(cluster: string, node: string): { published: number; acked: number } {
    const { published, ackedByAll } = this.#progress(fibFeed(cluster), this.#clusters.get(cluster), [node])
    return { published, acked: ackedByAll }
  }

  switch(name: string): Progress {
    return this.#progress(switchFeed(name), this.#switches.get(name), [name])
  }

  #progress(feed: string, writer: ClusterFeed | SwitchFeed | undefined, readers: readonly string[]): Progress {
    if (!writer) return { published: 0, ackedByAll: 0, ackedByOne: 0 }
    const acked = readers.map((reader) => this.#acks.generationOf(feed, writer.incarnation, reader))
    return { published: writer.generation, ackedByAll: Math.min(...acked), ackedByOne: Math.max(...acked) }
  }

  /** Reads what clusters and switches were last told. */
  async open(): Promise<{ clusters: Map<string, HeldFib>; switches: (SwitchBatch | undefined)[] }> {
    const clusters = new Map<string, HeldFib>()
    for (const { name } of this.#site.clusters) clusters.set(name, await this.#openCluster(name))
    for (const { name } of this.#site.switches) await this.#openSwitch(name)
    return { clusters, switches: Array.from(this.#switches.values(), ({ last }) => last) }
  }

  /** Tells clusters what is wanted of them now, instead of what they hold. */
  async takeOver(held: ReadonlyMap<string, HeldFib>): Promise<void> {
    for (const feed of this.#clusters.values()) await feed.takeOver(held.get(feed.name)!, this.#wantedBy(feed))
  }

  /** Opens the feeds of what the site has now and had not before, and forgets those of what it has no more. */
  async setSite(site: Site): Promise<void> {
    this.#site = site
    for (const { name } of site.clusters) {
      if (this.#clusters.has(name)) continue
      const held = await this.#openCluster(name)
      await this.#clusters.get(name)!.takeOver(held, new Map())
    }
    for (const { name } of site.switches) if (!this.#switches.has(name)) await this.#openSwitch(name)
    keepOnly(this.#clusters, site.clusters)
    keepOnly(this.#switches, site.switches)
  }

  /** A bus that was away may have lost the end of what it had: then all is read again. */
  async verify(): Promise<void> {
    for (const feed of [...this.#clusters.values(), ...this.#switches.values()]) await feed.verify()
  }

  /** Works out which clusters hold which tenants, each with the address that the cluster's nodes send from. */
  place(tenants: Iterable<TenantFib>, placement: Placement): void {
    const addresses = new Map(this.#site.vips.map(({ name, address }) => [name, address]))
    const wanted = new Map<string, Map<TenantFib, string>>()
    for (const fib of tenants) {
      for (const [cluster, vip] of placement.holdersOf(fib.name)) {
        const held = wanted.get(cluster) ?? new Map<TenantFib, string>()
        wanted.set(cluster, held)
        held.set(fib, addresses.get(vip)!)
      }
    }
    this.#wanted = wanted
  }

  /** What clusters held that is not wanted there any more, with its next hops. */
  gone(): Map<TenantFib, readonly number[]> {
    const gone = new Map<TenantFib, readonly number[]>()
    for (const feed of this.#clusters.values())
      for (const fib of feed.tenants.keys()) if (!this.#wantedBy(feed).has(fib)) gone.set(fib, [...fib.hops.told])
    return gone
  }

  get needsRepair(): boolean {
    return [...this.#clusters.values()].some((feed) => feed.needsRepair)
  }

  /** Every change is told to every cluster that holds the tenant. */
  async tellClusters(
    changes: ReadonlyMap<TenantFib, TenantChanges>,
    gone: ReadonlyMap<TenantFib, readonly number[]>,
  ): Promise<void> {
    const feeds = [...this.#clusters.values()]
    await Promise.all(feeds.map((feed) => feed.update(this.#wantedBy(feed), changes, gone)))
  }

  async tellEdges(placement: Placement): Promise<void> {
    for (const one of this.#site.switches)
      await this.#switches.get(one.name)!.tell(switchBatchOf(this.#site, one, placement))
    await this.#tellHosts(placement)
  }

  async #tellHosts(placement: Placement): Promise<void> {
    const { bus, epoch } = this.#options
    const bucket = bus.bucket(BUCKET.hosts)
    const batches = hostBatchesOf(this.#site, placement)
    // Those of before too: a host may have gone while nobody led.
    if (!this.#hostsRead)
      for (const { key, value, revision } of await bucket.entries('*'))
        this.#hosts.set(key, { bytes: Buffer.from(value), revision })
    this.#hostsRead = true
    for (const [name, { revision }] of this.#hosts) {
      if (batches.has(name)) continue
      await bucket.delete(name, { revision })
      this.#hosts.delete(name)
    }
    for (const [name, batch] of batches) {
      const bytes = Buffer.from(hostBatch.encode({ ...batch, epoch }))
      const known = this.#hosts.get(name)
      if (known?.bytes.equals(bytes)) continue
      const revision = await bucket.put(name, bytes, { revision: known?.revision ?? 0 })
      this.#hosts.set(name, { bytes, revision })
    }
  }

  #wantedBy(feed: ClusterFeed): ReadonlyMap<TenantFib, string> {
    return this.#wanted.get(feed.name) ?? new Map()
  }

  async #openCluster(name: string): Promise<HeldFib> {
    const { bus, epoch, log, newIncarnation } = this.#options
    const { feed, before } = await ClusterFeed.open(bus, name, newIncarnation(), epoch, log)
    this.#clusters.set(name, feed)
    return before
  }

  async #openSwitch(name: string): Promise<void> {
    const { bus, epoch, log, newIncarnation } = this.#options
    this.#switches.set(name, await SwitchFeed.open(bus, name, newIncarnation(), epoch, log))
  }
}

function keepOnly(feeds: Map<string, unknown>, wanted: readonly { readonly name: string }[]): void {
  const names = new Set(wanted.map(({ name }) => name))
  for (const name of feeds.keys()) if (!names.has(name)) feeds.delete(name)
}
