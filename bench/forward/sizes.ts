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
  { name: 'minimum', key: 'min_us' },
  { name: 'mean', key: 'mean_us' },
  { name: 'p50', key: 'p50_us' },
  { name: 'p99', key: 'p99_us' },
] as const

/** `linux`: as it may be set up; the better of them is held against the node, row by row. */
export function sizeRows(node: readonly SizeFigures[], linux: readonly (readonly SizeFigures[])[]): BenchRow[] {
  const best = (bytes: number, choose: 'min' | 'max', of: (figure: SizeFigures) => number | undefined) => {
    const all = linux.flatMap((figures) => figures.filter((figure) => figure.bytes === bytes))
    const values = all.flatMap((figure) => of(figure) ?? [])
    return values.length > 0 ? Math[choose](...values) : undefined
  }
  const throughput = node.map(({ bytes, packets_per_s }) =>
    benchRow({
      what: `figure 10: VXLAN to VXLAN, ${bytes} B`,
      ...{ value: packets_per_s, unit: 'packets/s', peer: 'Linux' },
      peerValue: best(bytes, 'max', (figure) => figure.packets_per_s),
    }),
  )
  const latency = LOADS.flatMap(({ name: load }) =>
    node.flatMap(({ bytes, loads }) =>
      LATENCIES.map(({ name, key }) => {
        const isPromised = load === 'half load' && name.startsWith('p')
        return benchRow({
          what: `figure 11: ${name} latency at ${load}, ${bytes} B`,
          ...{ value: loads.get(load)?.[key] ?? null, unit: 'us', peer: 'Linux', better: 'lower' },
          peerValue: best(bytes, 'min', (figure) => figure.loads.get(load)?.[key]),
          ...(isPromised && { bar: 1.5, aim: 1 }),
        })
      }),
    ),
  )
  return [...throughput, ...latency]
}

/** A line a device: what it forwards of each size. */
export function throughputPlot(devices: readonly (readonly [name: string, figures: readonly SizeFigures[]])[]): string {
  const lines = devices.map(([name, figures]) => ({
    name,
    points: figures.map(({ bytes, packets_per_s }) => [bytes, packets_per_s] as const),
  }))
  return linePlot({
    title: 'Throughput by packet size (DSR figure 10)',
    x: { label: 'inner Ethernet frame [bytes]' },
    y: { label: 'packets/s' },
    lines,
  })
}

/** The node's four latencies by size, and the ends of Linux' range. */
export function latencyPlots(node: readonly SizeFigures[], linux: readonly SizeFigures[]): Map<LoadName, string> {
  const pointsOf = (figures: readonly SizeFigures[], load: LoadName, key: (typeof LATENCIES)[number]['key']) =>
    figures.flatMap(({ bytes, loads }) => {
      const latency = loads.get(load)?.[key]
      return latency === undefined ? [] : [[bytes, latency] as const]
    })
  return new Map(
    LOADS.map(({ name: load }) => {
      const lines: LinePlot['lines'] = [
        ...LATENCIES.map(({ name, key }) => ({ name, points: pointsOf(node, load, key) })),
        ...LATENCIES.slice(2).map(({ name, key }) => ({ name: `Linux ${name}`, points: pointsOf(linux, load, key) })),
      ]
      const title = `Latency by packet size at ${load} (DSR figure 11)`
      const y = { label: 'latency [us]', log: true }
      return [load, linePlot({ title, x: { label: 'inner Ethernet frame [bytes]' }, y, lines })]
    }),
  )
}
