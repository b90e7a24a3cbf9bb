/**
 * What the modules of a running site say of themselves, over the bus: who is ready, what each has counted, and where hosts
 * are to send. The one place of the lab that knows how they say it.
 */

import { BUCKET } from '../src/agent/names.ts'
import { askToShow } from '../src/agent/show.ts'
import { formatAddress } from '../src/base/address.ts'
import { systemClock } from '../src/base/clock.ts'
import { freshSeed, Random } from '../src/base/random.ts'
import { type Bus, BusError, type Subscription } from '../src/bus/bus.ts'
import { connectBus } from '../src/bus/embedded/client.ts'
import { busSocket } from '../src/bus/embedded/main.ts'
import type { Totals } from '../src/dataplane/ledger.ts'
import { hostBatch } from '../src/wire/control/switch.ts'
import type { Surroundings } from './site.ts'

export interface ModuleCounters {
  readonly name: string
  readonly role: 'forwarding' | 'access'
  readonly ready: boolean
  /** Undefined while it does not answer. */
  readonly totals: Totals | undefined
  /** Frames that the kernel lost before the module saw them or after it sent them. */
  readonly kernelDrops: number
}

/** What a packet module answers to `state`, as far as it matters here. */
interface StateAnswer {
  readonly ready: boolean
  readonly node: Totals
  readonly kernelDrops: readonly {
    readonly received: number
    readonly invalid: number
    readonly device: { readonly received: number; readonly sent: number }
  }[]
}

/** What the control module answers to `nodes`. */
type NodesAnswer = readonly { readonly name: string; readonly current: boolean }[]

const CONTROL = 'control'

export class Observer {
  /** The modules that a site of this kind has, by name. */
  readonly expected: readonly string[]
  readonly #surroundings: Surroundings
  readonly #bus: Bus
  readonly #hosts: Subscription

  constructor(surroundings: Surroundings) {
    const { runFolder } = surroundings
    this.#surroundings = surroundings
    this.expected = [CONTROL, ...this.#packetModules().map(({ name }) => name)]
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
  async notReady(): Promise<readonly string[]> {
    if (!this.#bus.connected) return this.expected
    const [nodes, modules] = await Promise.all([this.#ask<NodesAnswer>(CONTROL, 'nodes'), this.modules()])
    const waiting = modules.filter((module) => !module.ready || isBehind(nodes, module.name)).map(({ name }) => name)
    return nodes ? waiting : [CONTROL, ...waiting]
  }

  async modules(): Promise<ModuleCounters[]> {
    return await Promise.all(
      this.#packetModules().map(async ({ name, role }) => {
        const answer = await this.#ask<StateAnswer>(name, 'state')
        const kernelDrops = (answer?.kernelDrops ?? []).reduce(
          (sum, { received, invalid, device }) => sum + received + invalid + device.received + device.sent,
          0,
        )
        return { name, role, ready: answer?.ready ?? false, totals: answer?.node, kernelDrops }
      }),
    )
  }

  async #ask<T>(module: string, thing: string): Promise<T | undefined> {
    try {
      return (await askToShow(this.#bus, module, thing)) as T
    } catch (error) {
      if (error instanceof BusError) return undefined
      throw error
    }
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

function isBehind(nodes: NodesAnswer | undefined, name: string): boolean {
  return nodes?.some((node) => node.name === name && !node.current) ?? false
}
