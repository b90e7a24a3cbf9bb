/**
 * What the modules of a running site say of themselves, over the bus: who is ready, what each has counted, and where hosts
 * are to send. The one place of the lab that knows how they say it.
 */

import { BUCKET } from '../src/agent/names.ts'
import { modulesOf, type Presence } from '../src/agent/presence.ts'
import { askToShow } from '../src/agent/show.ts'
import { formatAddress } from '../src/base/address.ts'
import { systemClock } from '../src/base/clock.ts'
import { freshSeed, Random } from '../src/base/random.ts'
import type { Bus, Subscription } from '../src/bus/bus.ts'
import { connectBus } from '../src/bus/embedded/client.ts'
import { busSocket } from '../src/bus/embedded/main.ts'
import type { Totals } from '../src/dataplane/ledger.ts'
import { hostBatch } from '../src/wire/control/switch.ts'
import type { Surroundings } from './site.ts'

export interface ModuleCounters {
  readonly name: string
  readonly role: 'forwarding' | 'access'
  /** Undefined while it does not answer. */
  readonly totals: Totals | undefined
  /** Frames that the kernel had no room for before the module saw them. */
  readonly kernelDrops: number
}

/** The answer to `show.MODULE.counters`. */
interface CountersAnswer {
  readonly totals: Totals
  readonly kernelDrops: number
}

export class Observer {
  /** The modules that a site of this kind has, by name. */
  readonly expected: readonly string[]
  readonly #surroundings: Surroundings
  readonly #bus: Bus
  readonly #hosts: Subscription

  constructor(surroundings: Surroundings) {
    const { runFolder } = surroundings
    this.#surroundings = surroundings
    this.expected = ['control', ...this.#packetModules().map(({ name }) => name)]
    this.#bus = connectBus({
      socketPath: busSocket(runFolder),
      name: `lab.${process.pid}`,
      clock: systemClock,
      random: new Random(freshSeed()),
    })
    this.#hosts = this.#bus.bucket(BUCKET.hosts).watch('>', ({ value }) => value && void this.#steer(value))
    this.#hosts.ready.catch(() => {})
  }

  #packetModules(): { name: string; role: 'forwarding' | 'access' }[] {
    const { clusters, switches } = this.#surroundings.site
    return [
      ...clusters.flatMap(({ nodes }) => nodes.map(({ name }) => ({ name, role: 'forwarding' as const }))),
      ...switches.map(({ name }) => ({ name, role: 'access' as const })),
    ]
  }

  /** The names of the modules that are not ready, all of them while the bus is not there. */
  async notReady(): Promise<string[]> {
    const present = await this.presence()
    return this.expected.filter((name) => !present.get(name)?.ready)
  }

  async presence(): Promise<Map<string, Presence>> {
    if (!this.#bus.connected) return new Map()
    return await modulesOf(this.#bus).catch(() => new Map())
  }

  async counters(): Promise<ModuleCounters[]> {
    return await Promise.all(
      this.#packetModules().map(async ({ name, role }) => {
        const answer = (await askToShow(this.#bus, name, 'counters').catch(() => undefined)) as
          | CountersAnswer
          | undefined
        return { name, role, totals: answer?.totals, kernelDrops: answer?.kernelDrops ?? 0 }
      }),
    )
  }

  /** A VPC that moved to another VIP moves on its hosts too. */
  async #steer(value: Uint8Array): Promise<void> {
    const batch = hostBatch.decode(value)
    if (!batch.ok) return
    const vswitch = this.#surroundings.vswitches.get(batch.value.host)
    for (const { key, vip } of batch.value.exits) await vswitch?.setVip(key, formatAddress(vip))
  }

  async close(): Promise<void> {
    this.#hosts.close()
    await this.#bus.close()
  }
}
