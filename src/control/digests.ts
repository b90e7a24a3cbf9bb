/**
 * Whether nodes hold what they were told: each says now and then what it found in its memory of a tenant, as a digest, and
 * here the same is made of what was compiled. Only what nothing has changed in between is compared: the node's generation is
 * at least the one that told the latest of the tenant, and nothing of it waits to be told. Where they differ an error is
 * logged, an event is told, and all of the tenant is told again (cluster-feed.ts).
 */

import type { Events } from '../agent/events.ts'
import { DIGESTS_SUBJECT } from '../agent/names.ts'
import type { Clock } from '../base/clock.ts'
import type { Logger } from '../base/log.ts'
import { inSlices, type Slices } from '../base/slices.ts'
import type { Bus, Subscription } from '../bus/bus.ts'
import {
  DIGEST_FORMAT,
  Digest,
  type FibDigests,
  fibDigests,
  isSameDigest,
  type TenantDigest,
} from '../wire/control/digest.ts'
import type { ClusterFeed } from './cluster-feed.ts'
import { tenantRecord } from './compose.ts'
import { addToDigest } from './prefix-key.ts'
import type { TenantFib } from './tenant-fib.ts'

/** Between two of so many routes others have their turn. */
const ROUTES_AT_ONCE = 1024
/** Messages of nodes that wait; those beyond are lost, and their tenants' turn comes again. */
const WAITING_MAX = 1000
/** What telling all again does not mend is told again after twice as long. */
const REPAIR_FIRST_ms = 1000
const REPAIR_LAST_ms = 3_600_000

export interface DigestsOptions {
  readonly bus: Bus
  readonly clock: Clock
  readonly log: Logger
  readonly events: Events
  cluster(name: string): ClusterFeed | undefined
  /** A feed has something to tell again. */
  repair(): void
}

interface Known {
  readonly revision: number
  readonly vip: string
  readonly digest: TenantDigest
}

export class Digests {
  readonly #options: DigestsOptions
  readonly #subscription: Subscription
  readonly #known = new WeakMap<TenantFib, Known>()
  readonly #checks = new Map<string, { checked: number; mismatches: number }>()
  /** By cluster and tenant: when it may be told again, and after how long the next time. */
  readonly #repairs = new Map<string, { notBefore_us: number; wait_ms: number }>()
  readonly #waiting: FibDigests[] = []
  #working: Promise<void> | undefined

  constructor(options: DigestsOptions) {
    this.#options = options
    this.#subscription = options.bus.subscribe(DIGESTS_SUBJECT, ({ payload }) => {
      const news = fibDigests.decode(payload)
      if (news.ok) void this.hear(news.value)
    })
    this.#subscription.ready.catch(() => {})
  }

  /** How often a tenant of the node was compared, and differed, since this module leads. */
  of(node: string): { readonly checked: number; readonly mismatches: number } {
    return this.#checks.get(node) ?? { checked: 0, mismatches: 0 }
  }

  /** Resolves when it has been compared, and what came before it. */
  hear(news: FibDigests): Promise<void> {
    if (this.#waiting.length < WAITING_MAX) this.#waiting.push(news)
    this.#working ??= this.#work().finally(() => {
      this.#working = undefined
    })
    return this.#working
  }

  close(): void {
    this.#waiting.length = 0
    this.#subscription.close()
  }

  async #work(): Promise<void> {
    for (let news = this.#waiting.shift(); news; news = this.#waiting.shift()) {
      const feed = this.#options.cluster(news.cluster)
      if (!feed || news.format !== DIGEST_FORMAT) continue
      if (feed.incarnation !== news.incarnation || feed.epoch !== news.epoch) continue
      for (const found of news.tenants) await this.#compare(news, feed, found)
    }
  }

  async #compare({ node, generation }: FibDigests, feed: ClusterFeed, found: TenantDigest): Promise<void> {
    const fib = feed.tenant(found.tenant)
    if (!fib || !isComparable(feed, fib, generation)) return
    const wanted = await this.#wanted(fib, feed.tenants.get(fib)!)
    // It may have changed meanwhile.
    if (!wanted || !isComparable(feed, fib, generation)) return
    const { checked, mismatches } = this.of(node)
    const isSame = isSameDigest(wanted, found)
    this.#checks.set(node, { checked: checked + 1, mismatches: mismatches + (isSame ? 0 : 1) })
    if (isSame) this.#repairs.delete(`${feed.name} ${fib.id}`)
    else this.#differs(node, feed, fib, { held: found.routes, told: wanted.routes, generation })
  }

  #differs(node: string, feed: ClusterFeed, fib: TenantFib, what: { held: number; told: number; generation: number }) {
    const { clock, log, events, repair } = this.#options
    const { held, told, generation } = what
    const about = { node, cluster: feed.name, tenant: fib.name, generation, routesHeld: held, routesTold: told }
    log.error(about, 'a node does not hold what it was told')
    events.tell('fib-differs', node, `tenant ${fib.name}: ${held} routes, told ${told}, as of generation ${generation}`)
    const key = `${feed.name} ${fib.id}`
    const last = this.#repairs.get(key)
    const now_us = clock.now_us()
    if (last && now_us < last.notBefore_us) return
    const wait_ms = last ? Math.min(last.wait_ms * 2, REPAIR_LAST_ms) : REPAIR_FIRST_ms
    this.#repairs.set(key, { notBefore_us: now_us + wait_ms * 1000, wait_ms })
    feed.repair(fib)
    repair()
  }

  /** Undefined if it changed while it was looked at. */
  async #wanted(fib: TenantFib, vip: string): Promise<TenantDigest | undefined> {
    const { revision } = fib
    const known = this.#known.get(fib)
    if (known?.revision === revision && known.vip === vip) return known.digest
    const digest = await inSlices(digestOf(fib, vip), this.#options.clock)
    if (!digest) return undefined
    this.#known.set(fib, { revision, vip, digest })
    return digest
  }
}

function isComparable(feed: ClusterFeed, fib: TenantFib, generation: number): boolean {
  const since = feed.currentSince(fib)
  return since !== undefined && generation >= since
}

function* digestOf(fib: TenantFib, vip: string): Slices<TenantDigest | undefined> {
  const { revision } = fib
  const digest = new Digest()
  digest.addTenant(tenantRecord(fib, vip))
  for (const hop of fib.hops.all()) digest.addHop(hop)
  let count = 0
  for (const [key, hop] of fib.routes) {
    addToDigest(digest, key, hop)
    if (++count % ROUTES_AT_ONCE !== 0) continue
    yield
    if (fib.revision !== revision) return undefined
  }
  return digest.of(fib.id)
}
