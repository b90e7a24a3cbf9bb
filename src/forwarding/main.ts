/**
 * The forwarding module as a process: one node of a cluster, as the site file names it. It starts with what it was last told
 * (on disk), follows the control module over the bus, answers the switches' BFD once it is ready, and says what it knows to
 * whoever asks.
 */

import { busPlaceOf } from '../agent/bus-place.ts'
import { BatchFollower } from '../agent/follower.ts'
import { Latest } from '../agent/latest.ts'
import { BROKEN_SUBJECT, BUCKET, DIGESTS_SUBJECT, fibFeed, NEIGHBOURS_SUBJECT, PATHS_SUBJECT } from '../agent/names.ts'
import { announce, modulesOf } from '../agent/presence.ts'
import { showing } from '../agent/show.ts'
import { formatAddress, type IpAddress, parseAddress } from '../base/address.ts'
import { systemClock } from '../base/clock.ts'
import type { Logger } from '../base/log.ts'
import { freshSeed, Random } from '../base/random.ts'
import { BfdService, PULSE_ms } from '../bfd/service.ts'
import { defaultBfdTimers } from '../bfd/session.ts'
import { type Bus, BusError } from '../bus/bus.ts'
import { openBus } from '../bus/place.ts'
import { nodesOf, type Site } from '../config/site.ts'
import { framesLost } from '../dataplane/kernel-drops.ts'
import { unaccounted } from '../dataplane/ledger.ts'
import { Underlay } from '../dataplane/underlay.ts'
import { setScheduling } from '../linux/thread.ts'
import { fibDigests } from '../wire/control/digest.ts'
import { type FibBatch, fibBatch } from '../wire/control/fib.ts'
import { neighbourNews, nodeState, pathNews } from '../wire/control/report.ts'
import { ForwardingAgent } from './agent.ts'
import { DigestRounds } from './digest-rounds.ts'
import { packetQuestion } from './explainer.ts'

/** How long neighbours that do not answer hold up a node that starts, and one that takes a batch over. */
const SETTLE_START_ms = 3000
const SETTLE_BATCH_ms = 1000
const SETTLE_LOOK_ms = 5

const STATE_EVERY_ms = 1000

/**
 * A node whose agent, or one of whose workers, stands still for so long is taken for dead: nothing that either does takes
 * as long. A table of ten million routes is two seconds.
 */
const STANDSTILL_ms = 5000

export interface RunOptions {
  readonly site: Site
  /** The node, as the site file names it. */
  readonly name: string
  /** The site's run directory. */
  readonly directory: string
  /** What it was last told is kept below it. */
  readonly stateDirectory: string
  readonly log: Logger
}

export async function runForwarding(options: RunOptions): Promise<{ close(): Promise<void> }> {
  const { site, name, directory } = options
  const client = { name: `forwarding.${name}`, clock: systemClock, random: new Random(freshSeed()) }
  const module = new ForwardingModule(options, await openBus(busPlaceOf(site, directory), client))
  await module.start()
  return module
}

class ForwardingModule {
  readonly #options: RunOptions
  readonly #bus: Bus
  readonly #underlay: Underlay
  readonly #agent: ForwardingAgent
  readonly #bfd: BfdService
  readonly #follower: BatchFollower<FibBatch>
  readonly #digests: DigestRounds
  readonly #state: Latest
  readonly #ownAddress: IpAddress
  /** The other nodes of its cluster. */
  readonly #partners: readonly string[]
  readonly #closers: { close(): void }[] = []
  #ready = false
  #announced: { close(): Promise<void> } | undefined

  constructor(options: RunOptions, bus: Bus) {
    this.#options = options
    const { site, name, stateDirectory, log } = options
    const found = nodesOf(site).find(({ node }) => node.name === name)
    if (!found) throw new Error(`the site ${site.site} has no node named ${name}`)
    const { node, cluster } = found
    this.#ownAddress = parseAddress(node.address)!
    this.#partners = nodesOf(site).flatMap((one) => (one.cluster === cluster && one.node !== node ? one.node.name : []))
    // The agent's deadlines (failovers) must hold beside spinning workers.
    setScheduling('round-robin')
    const random = new Random(freshSeed())
    this.#bus = bus
    this.#underlay = Underlay.open({ ports: node.ports, clock: systemClock })
    this.#agent = new ForwardingAgent({
      name,
      ports: node.ports,
      workers: node.workers,
      underlay: this.#underlay,
      clock: systemClock,
      random,
      log,
      shareNeighbour: (news) => bus.publish(NEIGHBOURS_SUBJECT, neighbourNews.encode(news)),
      sharePath: (news) => bus.publish(PATHS_SUBJECT, pathNews.encode(news)),
      onDeath: (error) => this.#die(error),
    })
    this.#bfd = new BfdService({
      enabled: false,
      accept: { ...defaultBfdTimers, role: 'passive' },
      standstill_ms: STANDSTILL_ms,
      news: ({ peer, state, diagnostic }) =>
        log.info({ peer: formatAddress(peer.remote), state, diagnostic }, 'BFD session'),
      onDeath: (error) => this.#die(error),
    })
    this.#follower = new BatchFollower({
      bus,
      feed: fibFeed(cluster),
      message: fibBatch,
      module: name,
      directory: stateDirectory,
      clock: systemClock,
      log,
      apply: (batch) => this.#apply(batch),
    })
    this.#digests = new DigestRounds({
      ...{ node: name, cluster, holdings: this.#agent.holdings, clock: systemClock },
      incarnation: () => (this.#follower.generation > 0 ? this.#follower.incarnation : undefined),
      say: (news) => bus.publish(DIGESTS_SUBJECT, fibDigests.encode(news)),
    })
    this.#state = new Latest(bus, bus.bucket(BUCKET.nodes), name)
    this.#listen()
  }

  async start(): Promise<void> {
    const { log } = this.#options
    this.#follower.start()
    await this.#agent.start()
    await this.#follower.holding
    if (await this.#hasPartners()) await this.#settled(0, SETTLE_START_ms)
    this.#ready = true
    this.#closers.push(cancelled(systemClock.every(PULSE_ms, () => this.#beat())))
    await this.#bfd.setEnabled(true)
    this.#report()
    this.#closers.push(cancelled(systemClock.every(STATE_EVERY_ms, () => this.#report())))
    this.#announceReady()
    log.info({ generation: this.#follower.generation, ports: this.#agent.ports() }, 'ready')
  }

  /** Tells the switches first, so that nothing is sent here any more when the workers stop. */
  async close(): Promise<void> {
    this.#ready = false
    await this.#bfd.setEnabled(false)
    for (const closer of this.#closers) closer.close()
    await this.#follower.close()
    await this.#digests.close()
    await this.#agent.stop()
    await this.#bfd.stop()
    this.#underlay.close()
    this.#state.close()
    await this.#announced?.close()
    await this.#bus.close()
  }

  #listen(): void {
    const neighbours = this.#bus.subscribe(NEIGHBOURS_SUBJECT, ({ payload }) => {
      const news = neighbourNews.decode(payload)
      if (news.ok) this.#agent.neighbourNews(news.value)
    })
    const paths = this.#bus.subscribe(PATHS_SUBJECT, ({ payload }) => {
      const news = pathNews.decode(payload)
      if (news.ok) this.#agent.pathNews(news.value)
    })
    const broken = this.#bus.subscribe(BROKEN_SUBJECT, ({ payload }) => this.#agent.brokenPaths(payload))
    const connection = { close: this.#bus.onConnection((isConnected) => this.#agent.busChanged(isConnected)) }
    this.#closers.push(connection)
    const { name } = this.#options
    const shown = [
      showing(this.#bus, name, 'counters', () => [this.#counters()]),
      showing(this.#bus, name, 'tenants', () => this.#tenants()),
      showing(this.#bus, name, 'policies', () => this.#agent.policies()),
      showing(this.#bus, name, 'packet', (question) => {
        const asked = packetQuestion.safeParse(JSON.parse(question || '{}'))
        return asked.success ? [this.#agent.explain(asked.data)].filter((answer) => answer !== undefined) : []
      }),
      showing(this.#bus, name, 'node', async () => [await this.#node()]),
    ]
    for (const subscription of [neighbours, paths, broken, ...shown]) {
      subscription.ready.catch(() => {})
      this.#closers.push(subscription)
    }
  }

  #announceReady(): void {
    const presence = { role: 'forwarding', pid: process.pid, ready: true, since: systemClock.wall_ms() }
    this.#announced = announce(this.#bus, this.#options.name, presence)
  }

  // Acknowledged once its new neighbours have answered: whoever waits for that sends packets here next.
  async #apply(batch: FibBatch): Promise<string | undefined> {
    const waitedFor = this.#agent.neighbours.unresolved
    const failed = await this.#agent.apply(batch)
    const vips = [...this.#agent.holdings.tenants()].map(({ vip }) => vip)
    this.#agent.takeTunnelsTo([this.#ownAddress, ...vips])
    if (this.#ready) await this.#settled(waitedFor, SETTLE_BATCH_ms)
    return failed
  }

  // A half-dead node that swallows a queue is the worst of all: without a beat BFD says Down.
  #beat(): void {
    if (this.#agent.isMoving()) this.#bfd.beat()
  }

  // Answers of neighbours come to nodes that are up, and from those over the bus: the first one of a cluster would wait
  // for nothing.
  async #hasPartners(): Promise<boolean> {
    if (!this.#bus.connected) return false
    try {
      const modules = await modulesOf(this.#bus)
      return this.#partners.some((name) => modules.get(name)?.ready)
    } catch (error) {
      if (error instanceof BusError) return false
      throw error
    }
  }

  // Next hops that are to be asked for have answered, but for so many, so that the first packets need not wait.
  async #settled(unresolved: number, within_ms: number): Promise<void> {
    const until_us = systemClock.now_us() + within_ms * 1000
    while (this.#agent.neighbours.unresolved > unresolved && systemClock.now_us() < until_us)
      await new Promise<void>((resolve) => systemClock.after(SETTLE_LOOK_ms, resolve))
  }

  #report(): void {
    const { name } = this.#options
    const totals = this.#agent.counters.node()
    const { drops, ...basic } = totals
    const counters = [
      ...Object.entries(basic).map(([counter, value]) => ({ name: counter, value })),
      ...Object.entries(drops).map(([reason, value]) => ({ name: `drop.${reason}`, value })),
    ]
    const { epoch, generation } = this.#follower
    const tenants = this.#agent.tenants().length
    this.#state.put(nodeState.encode({ node: name, ready: this.#ready, epoch, generation, tenants, counters }))
  }

  #counters() {
    return { totals: this.#agent.counters.node(), kernelDrops: framesLost(this.#agent.kernelDrops()) }
  }

  #tenants() {
    return this.#agent.tenants().map(({ name, totals }) => ({ name, ...totals, unaccounted: unaccounted(totals) }))
  }

  async #node() {
    const sessions = await this.#bfd.sessions()
    return {
      name: this.#options.name,
      ready: this.#ready,
      generation: this.#follower.generation,
      ports: this.#agent.ports(),
      kernelDrops: this.#agent.kernelDrops(),
      bfd: sessions.map(({ peer, state }) => ({ remote: formatAddress(peer.remote), state })),
    }
  }

  // As bad as one that is half dead: no cleaning up, the kernel does it.
  #die(error: Error): void {
    this.#options.log.error({ error: error.stack }, 'a thread died')
    process.exit(1)
  }
}

function cancelled(timer: { cancel(): void }): { close(): void } {
  return { close: () => timer.cancel() }
}
