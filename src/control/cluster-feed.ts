/** What one cluster's nodes are told: which tenants they hold, and batch by batch how those change. */

import { FeedWriter, refuseNewer } from '../agent/feed-writer.ts'
import { fibFeed } from '../agent/names.ts'
import type { Logger } from '../base/log.ts'
import type { Bus } from '../bus/bus.ts'
import { fibBatch } from '../wire/control/fib.ts'
import { latestAcked } from './acks.ts'
import { FibComposer, tenantRecord } from './compose.ts'
import { HeldFib } from './held-fib.ts'
import type { TenantChanges, TenantFib } from './tenant-fib.ts'

export class ClusterFeed {
  readonly name: string
  readonly #writer: FeedWriter
  readonly #epoch: number
  readonly #log: Logger
  /** Nodes have generations that the feed has lost: differences would lead on from what they do not have. */
  #isCut = false
  /** Each with the address that the nodes send from. */
  #held: ReadonlyMap<TenantFib, string> = new Map()
  #generation: number
  /** The generation that told the latest of a tenant; of none before this leader's first batch is told. */
  readonly #toldBy = new WeakMap<TenantFib, number>()
  /** What a node holds of them is not what it was told. */
  readonly #damaged = new Set<TenantFib>()
  readonly #byId = new Map<number, TenantFib>()

  /**
   * Answers the feed and what was told on it before; throws if a newer version told it. `fresh` is the name of the feed
   * if it starts over.
   */
  static async open(bus: Bus, name: string, fresh: string, epoch: number, log: Logger) {
    const { writer, messages } = await FeedWriter.open(bus, fibFeed(name), fresh)
    let before = new HeldFib()
    for (const message of messages) {
      const decoded = fibBatch.decode(message)
      refuseNewer(fibFeed(name), decoded)
      if (decoded.ok) before.apply(decoded.value)
      else {
        log.error({ cluster: name, reason: decoded.message }, 'a batch on the feed cannot be read; it starts over')
        writer.startOver(fresh)
        before = new HeldFib()
        break
      }
    }
    const acked = await latestAcked(bus, fibFeed(name), writer.incarnation)
    const feed = new ClusterFeed(name, writer, epoch, Math.max(before.generation, acked), log)
    feed.#isCut = acked > before.generation
    if (feed.#isCut) log.error({ cluster: name, generation: before.generation, acked }, 'a feed has lost its end')
    return { feed, before }
  }

  private constructor(name: string, writer: FeedWriter, epoch: number, generation: number, log: Logger) {
    this.name = name
    this.#writer = writer
    this.#epoch = epoch
    this.#generation = generation
    this.#log = log
  }

  get generation(): number {
    return this.#generation
  }

  get epoch(): number {
    return this.#epoch
  }

  /**
   * From this generation on nodes hold the tenant as it is now; undefined where they cannot yet, for something of it has not
   * been told.
   */
  currentSince(fib: TenantFib): number | undefined {
    return fib.isTaken ? this.#toldBy.get(fib) : undefined
  }

  tenant(id: number): TenantFib | undefined {
    return this.#byId.get(id)
  }

  /** The next update tells all of the tenant again. */
  repair(fib: TenantFib): void {
    this.#damaged.add(fib)
  }

  get needsRepair(): boolean {
    return this.#damaged.size > 0
  }

  get incarnation(): string {
    return this.#writer.incarnation
  }

  /** After a lost connection. Rejects with 'wrong-sequence' if the feed is not as it was left. */
  verify(): Promise<void> {
    return this.#writer.verify()
  }

  get tenants(): ReadonlyMap<TenantFib, string> {
    return this.#held
  }

  /** The first batch of an epoch is sent also if it says nothing new: from then on older epochs are refused. */
  async takeOver(before: HeldFib, wanted: ReadonlyMap<TenantFib, string>): Promise<void> {
    this.#hold(wanted)
    for (const fib of wanted.keys()) this.#toldBy.set(fib, this.#generation + 1)
    if (this.#generation === 0 || this.#isCut) return this.#snapshot(this.#generation + 1)
    await this.#send(before.differenceTo(wanted))
  }

  /**
   * Tells what changed since the last time. `changes` are those of all tenants; `wanted` is the same map for as long as the
   * same tenants are wanted here under the same addresses.
   */
  async update(
    wanted: ReadonlyMap<TenantFib, string>,
    changes: ReadonlyMap<TenantFib, TenantChanges>,
    gone: Gone,
  ): Promise<void> {
    const composer = new FibComposer()
    if (wanted === this.#held) {
      for (const [fib, changed] of changes) this.#compose(composer, fib, wanted, changed)
      for (const fib of this.#damaged) if (!changes.has(fib)) this.#compose(composer, fib, wanted)
    } else {
      for (const fib of this.#held.keys()) if (!wanted.has(fib)) composer.removeTenant(fib.id, gone.get(fib) ?? [])
      for (const fib of wanted.keys()) this.#compose(composer, fib, wanted, changes.get(fib))
      this.#hold(wanted)
    }
    this.#damaged.clear()
    if (!composer.isEmpty) await this.#send(composer)
    if (this.#writer.isSnapshotDue) await this.#snapshot(this.#generation)
  }

  /** What there is to tell of the tenant, if it is wanted here. */
  #compose(
    composer: FibComposer,
    fib: TenantFib,
    wanted: ReadonlyMap<TenantFib, string>,
    changed?: TenantChanges,
  ): void {
    const vip = wanted.get(fib)
    if (vip === undefined) return
    const before = this.#held.get(fib)
    const isDamaged = this.#damaged.has(fib)
    if (before === vip && !changed && !isDamaged) return
    this.#toldBy.set(fib, this.#generation + 1)
    if (before === undefined) composer.addWhole(fib, vip)
    else if (isDamaged) composer.replaceWhole(fib, vip)
    else {
      if (before !== vip || changed?.segments) composer.addTenant(tenantRecord(fib, vip))
      if (changed) composer.addChanges(fib, changed)
    }
  }

  #hold(wanted: ReadonlyMap<TenantFib, string>): void {
    this.#held = wanted
    this.#byId.clear()
    for (const fib of wanted.keys()) this.#byId.set(fib.id, fib)
  }

  async #send(composer: FibComposer): Promise<void> {
    const base = this.#generation
    const generation = base + 1
    const batch = composer.build({ cluster: this.name, epoch: this.#epoch, generation, base, snapshot: false })
    await this.#writer.append(fibBatch.encode(batch), false)
    this.#generation = generation
    this.#log.info({ cluster: this.name, generation, ...sizesOf(batch) }, 'told a cluster')
  }

  async #snapshot(generation: number): Promise<void> {
    const composer = new FibComposer()
    for (const [fib, vip] of this.#held) composer.addWhole(fib, vip)
    const head = { cluster: this.name, epoch: this.#epoch, generation, base: generation, snapshot: true }
    const batch = composer.build(head)
    await this.#writer.append(fibBatch.encode(batch), true)
    this.#generation = generation
    this.#log.info({ cluster: this.name, generation, snapshot: true, ...sizesOf(batch) }, 'told a cluster')
  }
}

/** The next hops that FIBs have of tenants that are about to be taken from some. */
export type Gone = ReadonlyMap<TenantFib, readonly number[]>

function sizesOf({ tenants, nextHops, routes4, routes6 }: ReturnType<FibComposer['build']>) {
  return { tenants: tenants.length, nextHops: nextHops.length, routes: routes4.lengths.length + routes6.lengths.length }
}
