/**
 * `gatehouse bench forward`: what a forwarding node does for a packet, beside its peers on the same wires in the same run.
 * DSR section 7.1, figures 10 and 11. Everything runs in network namespaces made for it; needs root.
 *
 *   forward/wires.ts      the wires            forward/throughput.ts   packets a second and a second of processor time
 *   forward/generator.ts  sender, receiver     forward/sizes.ts        throughput and latency by packet size
 *   forward/devices.ts    node and peers       forward/updates.ts      while the FIB changes
 *   forward/bed.ts        all of it together   forward/stalls.ts       the longest pauses
 *
 * Beside them the pipeline without a kernel, `pipeline.ts`.
 */

import { setTimeout as sleep } from 'node:timers/promises'
import { ensurePackage, isRoot } from '../lab/packages.ts'
import { allowedCores } from '../src/linux/thread.ts'
import { type Pace, TestBed } from './forward/bed.ts'
import { type Device, GatehouseNode, LinuxVxlan, Testpmd, Wire } from './forward/devices.ts'
import { busySince_s, processorTime } from './forward/processor-time.ts'
import { LARGE, routesText, type Size, SMALL } from './forward/site.ts'
import { measureSizes, type SizeFigures, sizePlots, sizeRows } from './forward/sizes.ts'
import { measureStalls, stallRows } from './forward/stalls.ts'
import { type Field, measureSpeeds, type Speeds, speedRows } from './forward/throughput.ts'
import { measureUpdates, updateRows } from './forward/updates.ts'
import { measurePipeline, type PipelineLoad } from './pipeline.ts'
import { type Bench, type BenchOptions, type BenchRow, benchRow, machineText } from './report.ts'

interface Plan {
  readonly sizes: readonly number[]
  readonly rounds: number
  readonly flows: number
  /** Of each node that is measured; the first is the one that all else is measured on. */
  readonly fibs: readonly [Size, ...Size[]]
  readonly speed: Pace
  readonly bySize: Pace
  readonly updates: Pace
  readonly stalls: Pace
  readonly pipeline_s: number
  readonly pipeline?: PipelineLoad
}

/** Inner Ethernet frames: the smallest that there is, and DSR's range. */
const BYTES = [64, 128, 256, 512, 1024, 1500] as const

const FULL: Plan = {
  sizes: BYTES,
  rounds: 3,
  // Many more than the caches of a core hold routes of; their headers fit its second-level cache.
  flows: 4096,
  fibs: [LARGE, SMALL],
  speed: { warmUp_s: 1, seconds: 5 },
  bySize: { warmUp_s: 0.5, seconds: 2 },
  updates: { warmUp_s: 1, seconds: 5 },
  stalls: { warmUp_s: 1, seconds: 6 },
  pipeline_s: 5,
}

const QUICK: Plan = {
  sizes: [1500],
  rounds: 1,
  flows: 512,
  fibs: [{ tenants: 20, routesPerTenant: 1000 }],
  speed: { warmUp_s: 0.1, seconds: 0.2 },
  bySize: { warmUp_s: 0.1, seconds: 0.1 },
  updates: { warmUp_s: 0.1, seconds: 0.2 },
  stalls: { warmUp_s: 0.05, seconds: 0.3 },
  pipeline_s: 0.1,
  pipeline: { tenants: 20, flows: 1024 },
}

export const benchForward: Bench = async (options) => {
  const why = obstacle()
  if (why !== undefined) throw new Error(why)
  const plan = options.quick ? QUICK : FULL
  if (!options.quick) await warnIfBusy(options.say)
  const rows: BenchRow[] = []
  {
    await using bed = await TestBed.open(plan.flows, options.say)
    using _ = takenDownBySignal(bed)
    rows.push(...(await rowsOf(bed, plan, options)))
  }
  const { packets_per_s } = measurePipeline(plan.pipeline_s, plan.pipeline)
  const pipeline = { value: packets_per_s, unit: 'packets/s', bar: 10e6, aim: 20e6 }
  rows.push(benchRow({ what: `pipeline on memory ports, ${routesText(plan.fibs[0])}, one core`, ...pipeline }))
  return { bench: 'forward', machine: machineText(), rows }
}

async function rowsOf(bed: TestBed, plan: Plan, options: BenchOptions): Promise<BenchRow[]> {
  const { say, plot } = options
  const entered = enter(bed, plan, options)
  say(`throughput, ${BYTES[0]} B, ${plan.rounds} rounds`)
  const contest = { devices: devicesOf(entered), bytes: BYTES[0], rounds: plan.rounds, pace: plan.speed }
  const speeds = await measureSpeeds(bed, contest, say)
  const field = thoseIn(speeds, entered)
  const { linux } = field
  const node = field.nodes[0]!

  say('throughput and latency by packet size, and while the FIB changes')
  const sizesOf = (device: Device): Promise<SizeFigures[]> => {
    const isLoaded = device === node || linux.includes(device)
    return measureSizes(bed, device, plan.sizes, plan.bySize, isLoaded)
  }
  const [figures, updates] = await bed.with(node, async () => {
    return [await sizesOf(node), await measureUpdates(bed, node, plan.rounds, plan.updates)] as const
  })
  const bySize = new Map<Device, SizeFigures[]>([[node, figures]])
  for (const device of devicesOf({ ...field, nodes: [] }))
    bySize.set(device, await bed.with(device, () => sizesOf(device)))
  const linuxFigures = linux.map((device) => [device.name, bySize.get(device)!] as const)
  const named = Array.from(bySize, ([{ name }, of]) => [name, of] as const)
  for (const [name, svg] of sizePlots(named, figures, linuxFigures)) plot(name, svg)

  say('stalls')
  const stalls = await bed.with(node, () => measureStalls(bed, node, plan.stalls))
  const books = { value: bed.unaccounted, unit: 'packets', bar: 0, better: 'lower' } as const
  return [
    ...speedRows(speeds, field, BYTES[0]),
    ...sizeRows(figures, linuxFigures),
    ...updateRows(updates),
    ...stallRows(stalls),
    benchRow({ what: 'unaccounted for between sender, node and receiver, all runs', ...books }),
  ]
}

function enter({ lab }: TestBed, plan: Plan, { quick, say }: BenchOptions): Field {
  const other = quick ? undefined : allowedCores()[1]
  const linux = [new LinuxVxlan(lab), ...(other === undefined ? [] : [new LinuxVxlan(lab, other)])]
  // A quick run takes what is there.
  const missing = quick ? (Testpmd.isThere() ? undefined : 'not installed') : Testpmd.missing()
  if (missing !== undefined) say(`without DPDK testpmd: ${missing}`)
  const testpmd = missing === undefined ? new Testpmd(lab) : undefined
  const nodes = plan.fibs.map((size) => new GatehouseNode(lab, size))
  return { wire: new Wire(), linux, testpmd, nodes }
}

function devicesOf({ wire, linux, testpmd, nodes }: Field): Device[] {
  return [wire, ...linux, ...(testpmd ? [testpmd] : []), ...nodes]
}

function thoseIn(speeds: Speeds, { testpmd, linux, ...field }: Field): Field {
  const works = (device: Device): boolean => speeds.has(device)
  return { ...field, linux: linux.filter(works), testpmd: testpmd && works(testpmd) ? testpmd : undefined }
}

/** Why it cannot run here, undefined when it can. */
function obstacle(): string | undefined {
  if (!isRoot()) return 'this benchmark makes network namespaces and needs root: sudo ./gatehouse bench forward'
  const state = ensurePackage('iproute2', 'ip')
  return typeof state === 'string' ? undefined : `this benchmark needs iproute2, and ${state.missing}`
}

const LOOK_s = 1
const QUIET = 0.05

/** What others do meanwhile is counted as the devices' work. */
async function warnIfBusy(say: (text: string) => void): Promise<void> {
  const before = processorTime()
  await sleep(LOOK_s * 1000)
  const busy = busySince_s(before) / LOOK_s
  if (busy > QUIET) say(`others keep ${busy.toFixed(2)} cores of this machine busy: the figures will not be worth much`)
}

/** Interrupted, it takes everything down and ends. */
function takenDownBySignal(bed: TestBed): Disposable {
  const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const
  const end = (): void => void bed.close().then(() => process.exit(1))
  for (const signal of signals) process.once(signal, end)
  return { [Symbol.dispose]: () => void signals.forEach((signal) => void process.off(signal, end)) }
}
