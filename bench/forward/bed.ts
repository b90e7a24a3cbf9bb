/**
 * The test bed: the wires, the generator, and one device at a time between them. A device is measured only once every flow
 * has been seen to come out as it should, so no figure is of packets that were dropped or went astray; and what a node counted
 * during a run must be what the generator sent and received.
 */

import { Lab } from '../../lab/namespaces.ts'
import { unaccounted } from '../../src/dataplane/ledger.ts'
import { allowedCores } from '../../src/linux/thread.ts'
import { Child } from './child.ts'
import { type Device, GatehouseNode } from './devices.ts'
import type { Rare } from './frames.ts'
import type { Load, Order, Run, Traffic, Verified } from './generator.ts'
import type { NodeCounters } from './node.ts'
import type { Tunnel } from './site.ts'
import { layWires, RECEIVER, SENDER } from './wires.ts'

/** The first packets find neighbours unresolved, and testpmd takes some seconds to begin. */
const VERIFY_ms = 30_000

/**
 * Packets on their way at once: half a millisecond's worth of a million a second. More than any device holds in a batch, less
 * than the smallest queue on the way (Linux' backlog of 1,000).
 */
const WINDOW: Load = { kind: 'window', packets: 512 }

export interface Way {
  readonly tunnel: Tunnel
  /** Of the inner Ethernet frame. */
  readonly bytes: number
}

export interface Pace {
  readonly warmUp_s: number
  readonly seconds: number
}

export class TestBed {
  readonly lab: Lab
  readonly #generator: Child<Order>
  readonly #flows: number
  readonly #say: (text: string) => void
  readonly #verified = new Set<string>()
  /** Packets that a node had in and nobody had out, over all runs. */
  unaccounted = 0

  /** Traffic is of so many flows. Needs root and iproute2. */
  static async open(flows: number, say: (text: string) => void): Promise<TestBed> {
    const lab = await Lab.open()
    try {
      await layWires(lab)
      const bed = new TestBed(lab, flows, say)
      const ends = { senderNamespace: lab.fullName(SENDER), receiverNamespace: lab.fullName(RECEIVER) }
      await bed.#generator.ask({ kind: 'open', ends: { ...ends, core: allowedCores()[0]! } })
      return bed
    } catch (error) {
      await lab.close()
      throw error
    }
  }

  private constructor(lab: Lab, flows: number, say: (text: string) => void) {
    this.lab = lab
    this.#flows = flows
    this.#say = say
    this.#generator = new Child(lab, undefined, `${import.meta.dirname}/generator.ts`)
  }

  /** Puts the device between the wires for as long as `measure` takes. */
  async with<D extends Device, T>(device: D, measure: (device: D) => Promise<T>): Promise<T> {
    this.#verified.clear()
    try {
      await device.start()
      return await measure(device)
    } finally {
      await device.stop()
    }
  }

  /** As fast as the device goes. */
  async fill(device: Device, way: Way, pace: Pace): Promise<Run> {
    return await this.#run(device, way, WINDOW, pace)
  }

  /** A steady stream, each packet on time. */
  async pace(device: Device, way: Way, packets_per_s: number, pace: Pace): Promise<Run> {
    return await this.#run(device, way, { kind: 'rate', packets_per_s, calm: false }, pace)
  }

  /** A steady stream from a sender that leaves its core to others between packets. */
  async trickle(
    device: Device,
    way: Way,
    packets_per_s: number,
    pace: Pace,
    rare?: { readonly kind: Rare; readonly after_s: number },
  ): Promise<Run> {
    return await this.#run(device, way, { kind: 'rate', packets_per_s, calm: true }, pace, rare)
  }

  async close(): Promise<void> {
    await this.lab.close()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  async #run(
    device: Device,
    way: Way,
    load: Load,
    pace: Pace,
    rare?: { readonly kind: Rare; readonly after_s: number },
  ): Promise<Run> {
    const { path, size } = device
    const traffic: Traffic = { ...path, ...way, size, flows: this.#flows, work: device.work(way.tunnel) }
    await this.#verify(device, traffic)
    const before = device instanceof GatehouseNode ? await device.counters() : undefined
    const run = await this.#generator.ask<Run>({ kind: 'run', traffic, load, ...pace, ...(rare && { rare }) })
    if (device instanceof GatehouseNode && !rare) this.unaccounted += missing(run, before!, await device.counters())
    this.#say(`  ${device.name}, ${way.bytes} B ${way.tunnel}, ${described(load)}: ${outcome(run)}`)
    return run
  }

  async #verify(device: Device, traffic: Traffic): Promise<void> {
    const key = `${traffic.tunnel} ${traffic.bytes}`
    if (this.#verified.has(key)) return
    const verified = await this.#generator.ask<Verified>({ kind: 'verify', traffic, within_ms: VERIFY_ms })
    const { right, flows, firstWrong } = verified
    if (firstWrong !== undefined) throw new Error(`${device.name}: ${firstWrong}`)
    if (right < flows) throw new Error(`${device.name}: only ${right} of ${flows} flows arrived`)
    this.#verified.add(key)
  }
}

/** What the node's books and the generator's differ by. */
function missing({ total }: Run, before: NodeCounters, after: NodeCounters): number {
  const lostBefore = (counters: NodeCounters): number => counters.kernel.reduce((sum, port) => sum + port.received, 0)
  const lostBehind = (counters: NodeCounters): number =>
    counters.kernel.reduce((sum, port) => sum + port.device.sent, 0)
  const received = after.totals.received - before.totals.received + lostBefore(after) - lostBefore(before)
  const sent = after.totals.sent - before.totals.sent - lostBehind(after) + lostBehind(before)
  return (
    Math.abs(total.sent - total.dropped - received) +
    Math.abs(sent - total.received) +
    Math.abs(unaccounted(after.totals))
  )
}

function described(load: Load): string {
  return load.kind === 'window' ? 'full' : `${Math.round(load.packets_per_s / 1000)} K/s`
}

function outcome({ seconds, received, waited, latency, total }: Run): string {
  const rate = `${(received / seconds / 1e6).toFixed(3)} M/s, lost ${total.sent - total.received}`
  const times = latency ? `p50 ${latency.p50_us.toFixed(1)} us, p99 ${latency.p99_us.toFixed(1)} us` : 'nothing arrived'
  return `${rate}, sender waited ${(waited * 100).toFixed(0)}%, ${times}`
}
