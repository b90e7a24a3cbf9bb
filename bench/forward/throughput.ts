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

export async function measureSpeeds(bed: TestBed, { devices, bytes, rounds, pace }: Contest): Promise<Speeds> {
  const runs = new Map(devices.map((device) => [device, new Map<Tunnel, Run[]>()]))
  for (let round = 0; round < rounds; round++)
    for (const device of devices)
      await bed.with(device, async () => {
        for (const tunnel of tunnelsOf(device)) {
          const run = await bed.fill(device, { tunnel, bytes }, pace)
          const known = runs.get(device)!
          known.set(tunnel, [...(known.get(tunnel) ?? []), run])
        }
      })
  return new Map(
    Array.from(runs, ([device, byTunnel]) => [device, new Map(Array.from(byTunnel, ([t, of]) => [t, middle(of)]))]),
  )
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
  readonly linux: readonly Device[]
  readonly testpmd: Device | undefined
  readonly nodes: readonly GatehouseNode[]
}

export function speedRows(speeds: Speeds, field: Field, bytes: number): BenchRow[] {
  const of = (device: Device, tunnel: Tunnel = 'vxlan'): Speed => speeds.get(device)!.get(tunnel)!
  const wire = of(field.wire)
  const perSecondOfProcessor = (speed: Speed): number | null =>
    speed.busy_ns > wire.busy_ns ? 1e9 / (speed.busy_ns - wire.busy_ns) : null
  // The better of what Linux can do.
  const linuxPerSecond = Math.max(...field.linux.map((device) => of(device).packets_per_s))
  const linuxPerProcessor = Math.max(...field.linux.map((device) => perSecondOfProcessor(of(device)) ?? 0))
  const peers = [...field.linux, ...(field.testpmd ? [field.testpmd] : [])]
  const all = [...peers.map((device) => of(device)), ...field.nodes.flatMap((node) => [of(node), of(node, 'gre')])]
  const fastest = Math.max(...all.map(({ packets_per_s }) => packets_per_s))
  return [
    benchRow({
      what: `sender and receiver wired directly, ${bytes} B`,
      ...{ value: wire.packets_per_s, unit: 'packets/s', peer: 'the fastest device', peerValue: fastest, bar: 1 },
    }),
    ...peers.flatMap((device) => [
      benchRow({ what: `${device.name}, ${bytes} B`, value: of(device).packets_per_s, unit: 'packets/s' }),
      benchRow({
        what: `${device.name}, ${bytes} B, per CPU-second`,
        ...{ value: perSecondOfProcessor(of(device)), unit: 'packets/CPU-s' },
      }),
    ]),
    ...field.nodes.flatMap((node) =>
      tunnelsOf(node).flatMap((tunnel) => {
        const what = `VXLAN to ${tunnel.toUpperCase()}, ${bytes} B, ${routesText(node.size)}`
        const speed = of(node, tunnel)
        const linux = { peer: 'Linux VXLAN to VXLAN', bar: 1.5, aim: 2.5 }
        const testpmd = { peer: 'DPDK testpmd io', bar: 0.9, aim: 1 }
        const testpmdPerSecond = field.testpmd && of(field.testpmd).packets_per_s
        return [
          benchRow({
            what: `${what}, per CPU-second`,
            ...{ value: perSecondOfProcessor(speed), unit: 'packets/CPU-s', ...linux, peerValue: linuxPerProcessor },
          }),
          benchRow({
            what,
            ...{ value: speed.packets_per_s, unit: 'packets/s', ...testpmd, peerValue: testpmdPerSecond },
          }),
          benchRow({
            what: `${what}, against Linux`,
            ...{ value: speed.packets_per_s, unit: 'packets/s', peer: linux.peer, peerValue: linuxPerSecond },
          }),
          benchRow({ what: `${what}: the sender waited for it`, value: speed.waited * 100, unit: '% of the time' }),
        ]
      }),
    ),
  ]
}
