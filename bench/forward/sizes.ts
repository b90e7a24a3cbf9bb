/**
 * DSR section 7.1, figures 10 and 11: throughput and latency by packet size, at half and at full load. A load is a part of
 * what the very device was seen to forward of that size a moment before, so every device is asked for what it can give.
 */

import { type LinePlot, linePlot } from '../plot.ts'
import { type BenchRow, benchRow } from '../report.ts'
import type { Pace, TestBed } from './bed.ts'
import type { Device } from './devices.ts'
import type { Latency } from './receiver.ts'

/** DSR's are 50 and 99 percent. */
const LOADS = [
  { name: 'half load', part: 0.5 },
  { name: 'full load', part: 0.99 },
] as const
type LoadName = (typeof LOADS)[number]['name']

export interface SizeFigures {
  readonly bytes: number
  readonly packets_per_s: number
  readonly loads: ReadonlyMap<LoadName, Loaded>
}

interface Loaded extends Latency {
  readonly packets_per_s: number
  /** Of what was sent, 0 to 1. */
  readonly lost: number
}

/** `loaded`: also at half and full load, otherwise throughput alone. */
export async function measureSizes(
  bed: TestBed,
  device: Device,
  sizes: readonly number[],
  pace: Pace,
  loaded: boolean,
): Promise<SizeFigures[]> {
  const figures: SizeFigures[] = []
  for (const bytes of sizes) {
    const way = { tunnel: 'vxlan', bytes } as const
    const { received, seconds } = await bed.fill(device, way, pace)
    const packets_per_s = received / seconds
    const loads = new Map<LoadName, Loaded>()
    for (const { name, part } of loaded ? LOADS : []) {
      const { latency, total, ...run } = await bed.pace(device, way, packets_per_s * part, pace)
      const lost = (total.sent - total.received) / total.sent
      if (latency) loads.set(name, { ...latency, packets_per_s: run.received / run.seconds, lost })
    }
    figures.push({ bytes, packets_per_s, loads })
  }
  return figures
}

const LATENCIES = [
  { name: 'minimum', key: 'min_us', isPromised: false },
  { name: 'mean', key: 'mean_us', isPromised: false },
  { name: 'p50', key: 'p50_us', isPromised: true },
  { name: 'p99', key: 'p99_us', isPromised: true },
] as const

type Devices = readonly (readonly [name: string, figures: readonly SizeFigures[]])[]

/** Of Linux, as it may be set up, the better figure at a size. */
function bestOf(
  linux: Devices,
  bytes: number,
  choose: 'min' | 'max',
  of: (figure: SizeFigures) => number | undefined,
): number | undefined {
  const all = linux.flatMap(([, figures]) => figures.filter((figure) => figure.bytes === bytes))
  const values = all.flatMap((figure) => of(figure) ?? [])
  return values.length > 0 ? Math[choose](...values) : undefined
}

/**
 * `linux`: as it may be set up; the better of them is held against the node, row by row. Within the sender's system call a
 * packet waits for nobody, and so at half load the latencies of each set-up are told too.
 */
export function sizeRows(node: readonly SizeFigures[], linux: Devices): BenchRow[] {
  const throughput = node.map(({ bytes, packets_per_s }) =>
    benchRow({
      what: `figure 10: VXLAN to VXLAN, ${bytes} B`,
      ...{ value: packets_per_s, unit: 'packets/s', peer: 'Linux' },
      peerValue: bestOf(linux, bytes, 'max', (figure) => figure.packets_per_s),
    }),
  )
  const each = linux.length > 1 ? linux.flatMap((one) => latencyRowsBeside(one, node)) : []
  return [...throughput, ...LOADS.flatMap(({ name }) => loadRows(name, node, linux)), ...each]
}

function latencyRowsBeside(peer: Devices[number], node: readonly SizeFigures[]): BenchRow[] {
  return node.flatMap(({ bytes, loads }) =>
    LATENCIES.filter(({ isPromised }) => isPromised).map(({ name, key }) =>
      benchRow({
        what: `${name} latency at half load, ${bytes} B, beside ${peer[0]}`,
        ...{ value: loads.get('half load')?.[key] ?? null, unit: 'us', peer: 'Linux', better: 'lower' },
        peerValue: bestOf([peer], bytes, 'min', ({ loads }) => loads.get('half load')?.[key]),
      }),
    ),
  )
}

function loadRows(load: LoadName, node: readonly SizeFigures[], linux: Devices): BenchRow[] {
  const throughput = node.map(({ bytes, loads }) =>
    benchRow({
      what: `figure 10: VXLAN to VXLAN at ${load}, ${bytes} B`,
      ...{ value: loads.get(load)?.packets_per_s ?? null, unit: 'packets/s', peer: 'Linux' },
      peerValue: bestOf(linux, bytes, 'max', ({ loads }) => loads.get(load)?.packets_per_s),
    }),
  )
  const latency = node.flatMap(({ bytes, loads }) =>
    LATENCIES.map(({ name, key, isPromised }) =>
      benchRow({
        what: `figure 11: ${name} latency at ${load}, ${bytes} B`,
        ...{ value: loads.get(load)?.[key] ?? null, unit: 'us', peer: 'Linux', better: 'lower' },
        peerValue: bestOf(linux, bytes, 'min', ({ loads }) => loads.get(load)?.[key]),
        ...(isPromised && load === 'half load' && { bar: 1.5, aim: 1 }),
      }),
    ),
  )
  const lost = node.map(({ bytes, loads }) =>
    benchRow({
      what: `packets lost at ${load}, ${bytes} B`,
      ...{ value: percent(loads.get(load)?.lost) ?? null, unit: '%', peer: 'Linux', better: 'lower' },
      peerValue: bestOf(linux, bytes, 'min', ({ loads }) => percent(loads.get(load)?.lost)),
    }),
  )
  return [...throughput, ...latency, ...lost]
}

function percent(part: number | undefined): number | undefined {
  return part === undefined ? undefined : part * 100
}

const BY_SIZE = { label: 'inner Ethernet frame [bytes]' }

/** By file name. `devices`: all that were measured; of those that were asked for latencies, `node` and `linux`. */
export function sizePlots(devices: Devices, node: readonly SizeFigures[], linux: Devices): Map<string, string> {
  const loaded = devices.filter(([, figures]) => figures.some(({ loads }) => loads.size > 0))
  const plots = new Map([
    ['forward-throughput.svg', throughputPlot(devices)],
    ['forward-throughput-by-load.svg', loadPlot(loaded)],
    ['forward-loss.svg', lossPlot(loaded)],
  ])
  for (const { name } of LOADS)
    plots.set(`forward-latency-${name.replace(' ', '-')}.svg`, latencyPlot(name, node, linux))
  return plots
}

/** A line a device: what it forwards of each size when it is sent more than it can take. */
function throughputPlot(devices: Devices): string {
  const lines = devices.map(([name, figures]) => ({
    name,
    points: figures.map(({ bytes, packets_per_s }) => [bytes, packets_per_s] as const),
  }))
  return linePlot({ title: 'The most that is forwarded, by packet size', x: BY_SIZE, y: { label: 'packets/s' }, lines })
}

/** A line a device and load. */
function linesByLoad(devices: Devices, of: (loaded: Loaded) => number): LinePlot['lines'] {
  return devices.flatMap(([device, figures]) =>
    LOADS.map(({ name: load }) => ({
      name: `${device}, ${load}`,
      points: figures.flatMap(({ bytes, loads }) => {
        const loaded = loads.get(load)
        return loaded ? [[bytes, of(loaded)] as const] : []
      }),
    })),
  )
}

function loadPlot(devices: Devices): string {
  return linePlot({
    title: 'Throughput by packet size at half and full load (DSR figure 10)',
    x: BY_SIZE,
    y: { label: 'packets/s' },
    lines: linesByLoad(devices, ({ packets_per_s }) => packets_per_s),
  })
}

function lossPlot(devices: Devices): string {
  return linePlot({
    title: 'Packets lost by packet size at half and full load',
    x: BY_SIZE,
    y: { label: 'lost [%]' },
    lines: linesByLoad(devices, ({ lost }) => lost * 100),
  })
}

/** The node's four latencies by size, and the ends of Linux' range: of its set-ups, the better at each size. */
function latencyPlot(load: LoadName, node: readonly SizeFigures[], linux: Devices): string {
  const points = (of: (bytes: number, loads: SizeFigures['loads']) => number | undefined) =>
    node.flatMap(({ bytes, loads }) => {
      const latency = of(bytes, loads)
      return latency === undefined ? [] : [[bytes, latency] as const]
    })
  const lines: LinePlot['lines'] = [
    ...LATENCIES.map(({ name, key }) => ({ name, points: points((_, loads) => loads.get(load)?.[key]) })),
    ...LATENCIES.slice(2).map(({ name, key }) => ({
      name: `Linux ${name}`,
      points: points((bytes) => bestOf(linux, bytes, 'min', ({ loads }) => loads.get(load)?.[key])),
    })),
  ]
  const title = `Latency by packet size at ${load} (DSR figure 11)`
  return linePlot({ title, x: BY_SIZE, y: { label: 'latency [us]', log: true }, lines })
}
