/**
 * The access module as a process: one switch of the site, as the site file names it. It starts with what it was last
 * told (on disk), follows the control module over the bus, watches the nodes of its VIPs by BFD, and says what it knows
 * to whoever asks. When it ends its XDP programs are gone from the ports, however it ends.
 */

import { BrokenPathsTeller } from '../agent/broken-paths.ts'
import { busPlaceOf } from '../agent/bus-place.ts'
import { BatchFollower } from '../agent/follower.ts'
import { DEATHS_SUBJECT, switchFeed } from '../agent/names.ts'
import { announce } from '../agent/presence.ts'
import { showing } from '../agent/show.ts'
import { systemClock } from '../base/clock.ts'
import { mix32 } from '../base/hash.ts'
import type { Logger } from '../base/log.ts'
import { freshSeed, Random } from '../base/random.ts'
import { BfdService } from '../bfd/service.ts'
import type { Bus } from '../bus/bus.ts'
import { openBus } from '../bus/place.ts'
import type { Site } from '../config/site.ts'
import { framesLost } from '../dataplane/kernel-drops.ts'
import { CounterReader, createCounterMemory, unaccounted } from '../dataplane/ledger.ts'
import { createQsbrMemory } from '../dataplane/qsbr.ts'
import { startWorkers, type Workers } from '../dataplane/start.ts'
import { Underlay } from '../dataplane/underlay.ts'
import { listLinks } from '../linux/link.ts'
import { Netlink } from '../linux/netlink.ts'
import { setScheduling } from '../linux/thread.ts'
import { type SwitchBatch, switchBatch } from '../wire/control/switch.ts'
import { PROTOCOL } from '../wire/ipv4.ts'
import { UDP_PORT } from '../wire/udp.ts'
import { SwitchAgent, type SwitchPort } from './agent.ts'
import { createSwitchMemory, SwitchWriters } from './memory.ts'
import { COUNTER_ROWS } from './shared.ts'
import { Steered } from './steered.ts'

/** How often tenants' wires are looked at, and how many looks that may come to. */
const CARRIER_POLL_ms = 5
const CARRIER_LOOKS_per_s = 3200

export interface RunOptions {
  readonly site: Site
  /** The switch, as the site file names it. */
  readonly name: string
  /** The site's run directory. */
  readonly directory: string
  /** What it was last told is kept below it. */
  readonly stateDirectory: string
  readonly log: Logger
}

export async function runAccess(options: RunOptions): Promise<{ close(): Promise<void> }> {
  const { site, name, directory } = options
  const client = { name: `access.${name}`, clock: systemClock, random: new Random(freshSeed()) }
  const module = new AccessModule(options, await openBus(busPlaceOf(site, directory), client))
  await module.start()
  return module
}

class AccessModule {
  readonly #options: RunOptions
  readonly #ports: readonly SwitchPort[]
  readonly #workers: number
  readonly #bus: Bus
  readonly #underlay: Underlay
  readonly #counterMemory
  readonly #counters: CounterReader
  readonly #qsbrMemory: SharedArrayBuffer
  readonly #memory
  readonly #broken: BrokenPathsTeller
  readonly #agent: SwitchAgent
  readonly #follower: BatchFollower<SwitchBatch>
  readonly #steered = new Steered()
  readonly #closers: { close(): void }[] = []
  #running: Workers | undefined
  #announced: { close(): Promise<void> } | undefined

  constructor(options: RunOptions, bus: Bus) {
    this.#options = options
    const { site, name, stateDirectory, log } = options
    const found = site.switches.find((one) => one.name === name)
    if (!found) throw new Error(`the site ${site.site} has no switch named ${name}`)
    this.#workers = found.workers
    // Routed ports first: they have the same numbers in the underlay's view.
    this.#ports = [
      ...found.uplinks.map((port) => ({ name: port, isCustomer: false })),
      ...found.ports.map((port) => ({ name: port, isCustomer: true })),
    ]
    // The agent's deadlines (failovers) must hold beside spinning workers.
    setScheduling('round-robin')
    const clock = systemClock
    this.#bus = bus
    this.#broken = new BrokenPathsTeller(this.#bus, clock, name)
    this.#counterMemory = createCounterMemory(found.workers, COUNTER_ROWS)
    this.#counters = new CounterReader(this.#counterMemory)
    this.#qsbrMemory = createQsbrMemory(found.workers)
    this.#memory = createSwitchMemory(saltOf(name))
    this.#underlay = Underlay.open({
      ports: this.#ports.map((port) => port.name),
      ...{ clock, followRoutes: true, carrierPoll_ms: carrierPollOf(this.#ports.length) },
      onChange: () => this.#agent?.underlayChanged(),
    })
    this.#agent = new SwitchAgent({
      ports: this.#ports,
      writers: new SwitchWriters(this.#memory, this.#qsbrMemory),
      counters: this.#counters,
      underlay: this.#underlay,
      ...{ clock, log },
      bfd: (news) => new BfdService({ enabled: true, news, onDeath: (error) => this.#die('BFD', error) }),
      mtuOf: (port) => mtuOf(this.#ports[port]!.name),
      broken: (paths) => this.#broken.are(paths),
      steer: (addresses) => this.#steered.are(addresses),
    })
    this.#follower = new BatchFollower({
      ...{ bus: this.#bus, feed: switchFeed(name), message: switchBatch, module: name },
      ...{ directory: stateDirectory, clock, log },
      apply: (batch) => this.#agent.apply(batch),
    })
  }

  async start(): Promise<void> {
    this.#follower.start()
    this.#listen()
    await this.#startWorkers()
    await this.#follower.holding
    this.#announceReady()
    this.#options.log.info({ generation: this.#follower.generation, ports: this.#running?.ports }, 'ready')
  }

  async close(): Promise<void> {
    for (const closer of this.#closers) closer.close()
    await this.#follower.close()
    await this.#running?.stop()
    await this.#agent.close()
    this.#broken.close()
    this.#underlay.close()
    await this.#announced?.close()
    await this.#bus.close()
  }

  /** They warm up first; then the XDP programs go onto the ports. */
  async #startWorkers(): Promise<void> {
    this.#running = await startWorkers({
      workers: this.#workers,
      ports: this.#ports.map(({ name, isCustomer }) => ({
        interfaceName: name,
        steering: isCustomer ? 'customer' : 'underlay',
      })),
      program: new URL('./worker.ts', import.meta.url),
      parameters: this.#memory,
      qsbr: this.#qsbrMemory,
      counters: this.#counterMemory,
      tunnels: [{ protocol: PROTOCOL.udp, port: UDP_PORT.vxlan }],
      onMessage: () => {},
      onDeath: ({ worker, error }) => this.#die(`worker ${worker}`, error),
    })
    this.#steered.by(this.#running.steering)
  }

  #listen(): void {
    const { name } = this.#options
    for (const subscription of [
      this.#bus.subscribe(DEATHS_SUBJECT, ({ payload }) => this.#agent.nodeDied(Buffer.from(payload).toString())),
      showing(this.#bus, name, 'counters', () => [this.#count()]),
      showing(this.#bus, name, 'attachments', () =>
        this.#agent.attachments().map((row) => ({ ...row, unaccounted: unaccounted(row.totals) })),
      ),
      showing(this.#bus, name, 'balances', () => this.#agent.nodes()),
      showing(this.#bus, name, 'switch', () => [this.#switch()]),
    ]) {
      subscription.ready.catch(() => {})
      this.#closers.push(subscription)
    }
  }

  #announceReady(): void {
    const presence = { role: 'access', pid: process.pid, ready: true, since: systemClock.wall_ms() }
    this.#announced = announce(this.#bus, this.#options.name, presence)
  }

  #count() {
    return { totals: this.#counters.node(), kernelDrops: framesLost(this.#running?.kernelDrops() ?? []) }
  }

  #switch() {
    return {
      name: this.#options.name,
      generation: this.#follower.generation,
      ports: this.#running?.ports ?? [],
      kernelDrops: this.#running?.kernelDrops() ?? [],
      transit: this.#agent.transit(),
    }
  }

  // A half-dead switch that swallows a queue is the worst of all: no cleaning up, the kernel does it.
  #die(thread: string, error: Error): void {
    this.#options.log.error({ thread, error: error.stack }, 'a thread died')
    process.exit(1)
  }
}

/** Tenants' failovers wait for it: no more than 5 ms, but where there are so many wires that the looks would add up. */
function carrierPollOf(ports: number): number {
  return Math.max(CARRIER_POLL_ms, (ports * 1000) / CARRIER_LOOKS_per_s)
}

/** Switches choose among paths differently, each always alike: by their names. */
function saltOf(name: string): number {
  let salt = 0
  for (let i = 0; i < name.length; i++) salt = mix32(salt ^ name.charCodeAt(i))
  return salt
}

function mtuOf(interfaceName: string): number {
  const netlink = new Netlink()
  try {
    return listLinks(netlink).find(({ name }) => name === interfaceName)?.mtu ?? 0
  } finally {
    netlink.close()
  }
}
