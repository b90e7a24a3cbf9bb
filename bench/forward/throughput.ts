/**
 * How many packets a device forwards, a second and a second of processor time, at the smallest size: every device in turn,
 * several rounds, and the middle of each figure.
 */

import { median } from '../measure.ts'
import { type BenchRow, benchRow } from '../report.ts'
import type { Pace, TestBed } from './bed.ts'
import { type Device, GatehouseNode } from './devices.ts'
import type { Run } from './generator.ts'
import { routesText, type Tunnel } from './site.ts'

export interface Speed {
  readonly packets_per_s: number
  /** Of the whole machine. */
  readonly busy_ns: number
  /** 0 to 1. */
  readonly waited: number
}

/** By device and tunnel. */
export type Speeds = ReadonlyMap<Device, ReadonlyMap<Tunnel, Speed>>

export interface Contest {
  readonly devices: readonly Device[]
  readonly bytes: number
  readonly rounds: number
  readonly pace: Pace
}

/** A peer that does not work here is left out; what we measure must work. */
export async function measureSpeeds(
  bed: TestBed,
  { devices, bytes, rounds, pace }: Contest,
  say: (text: string) => void,
): Promise<Speeds> {
  const runs = new Map(devices.map((device) => [device, new Map<Tunnel, Run[]>()]))
  for (let round = 0; round < rounds; round++)
    for (const [device, known] of runs) {
      try {
        await bed.with(device, () => fillTunnels(bed, device, bytes, pace, known))
      } catch (error) {
        if (!device.isPeer) throw error
        say(`without ${device.name}: ${error instanceof Error ? error.message : error}`)
        runs.delete(device)
      }
    }
  return new Map(
    Array.from(runs, ([device, known]) => [device, new Map(Array.from(known, ([t, of]) => [t, middle(of)]))]),
  )
}

async function fillTunnels(
  bed: TestBed,
  device: Device,
  bytes: number,
  pace: Pace,
  known: Map<Tunnel, Run[]>,
): Promise<void> {
  for (const tunnel of tunnelsOf(device)) {
    const run = await bed.fill(device, { tunnel, bytes }, pace)
    known.set(tunnel, [...(known.get(tunnel) ?? []), run])
  }
}

/** To the others all packets are alike. */
function tunnelsOf(device: Device): readonly Tunnel[] {
  return device instanceof GatehouseNode ? ['vxlan', 'gre'] : ['vxlan']
}

function middle(runs: readonly Run[]): Speed {
  return {
    packets_per_s: median(runs.map(({ received, seconds }) => received / seconds)),
    busy_ns: median(runs.map(({ received, busy_s }) => (busy_s / received) * 1e9)),
    waited: median(runs.map(({ waited }) => waited)),
  }
}

export interface Field {
  readonly wire: Device
  /** As it may be set up; none where it cannot. */
  readonly linux: readonly Device[]
  readonly testpmd: Device | undefined
  readonly nodes: readonly GatehouseNode[]
}

export function speedRows(speeds: Speeds, field: Field, bytes: number): BenchRow[] {
  const of = (device: Device, tunnel: Tunnel = 'vxlan'): Speed => speeds.get(device)!.get(tunnel)!
  const wire = of(field.wire)
  const perProcessor = (speed: Speed): number | null =>
    speed.busy_ns > wire.busy_ns ? 1e9 / (speed.busy_ns - wire.busy_ns) : null
  const peers = [...field.linux, ...(field.testpmd ? [field.testpmd] : [])]
  const all = [...peers.map((device) => of(device)), ...field.nodes.flatMap((node) => [of(node), of(node, 'gre')])]
  const rival: Rival = {
    linux_s: best(field.linux.map((device) => of(device).packets_per_s)),
    linuxProcessor_s: best(field.linux.map((device) => perProcessor(of(device)) ?? 0)),
    testpmd_s: field.testpmd && of(field.testpmd).packets_per_s,
  }
  return [
    benchRow({
      what: `sender and receiver wired directly, ${bytes} B`,
      ...{ value: wire.packets_per_s, unit: 'packets/s', bar: 1 },
      ...{ peer: 'the fastest device', peerValue: best(all.map(({ packets_per_s }) => packets_per_s)) },
    }),
    ...peers.flatMap((device) => [
      benchRow({ what: `${device.name}, ${bytes} B`, value: of(device).packets_per_s, unit: 'packets/s' }),
      benchRow({
        what: `${device.name}, ${bytes} B, per CPU-second`,
        ...{ value: perProcessor(of(device)), unit: 'packets/CPU-s' },
      }),
    ]),
    ...field.nodes.flatMap((node) =>
      tunnelsOf(node).flatMap((tunnel) => {
        const speed = of(node, tunnel)
        const what = `VXLAN to ${tunnel.toUpperCase()}, ${bytes} B, ${routesText(node.size)}`
        return nodeRows(what, speed, perProcessor(speed), rival)
      }),
    ),
  ]
}

/** What the node is held against; of Linux the better of its ways, figure by figure. */
interface Rival {
  readonly linux_s: number | undefined
  readonly linuxProcessor_s: number | undefined
  readonly testpmd_s: number | undefined
}

function nodeRows(what: string, speed: Speed, perProcessor: number | null, rival: Rival): BenchRow[] {
  const linux = 'Linux VXLAN to VXLAN'
  return [
    benchRow({
      what: `${what}, per CPU-second`,
      ...{ value: perProcessor, unit: 'packets/CPU-s', bar: 1.5, aim: 2.5 },
      ...{ peer: linux, peerValue: rival.linuxProcessor_s },
    }),
    benchRow({
      what,
      ...{ value: speed.packets_per_s, unit: 'packets/s', bar: 0.9, aim: 1 },
      ...{ peer: 'DPDK testpmd io', peerValue: rival.testpmd_s },
    }),
    benchRow({
      what: `${what}, against Linux`,
      ...{ value: speed.packets_per_s, unit: 'packets/s', peer: linux, peerValue: rival.linux_s },
    }),
    benchRow({ what: `${what}: the sender waited for it`, value: speed.waited * 100, unit: '% of the time' }),
  ]
}

function best(values: readonly number[]): number | undefined {
  return values.length > 0 ? Math.max(...values) : undefined
}
