/**
 * DSR figure 13: very many VRFs with eight neighbours each, all of which announce routes at the same time, and withdraw them. The
 * time is from the first update sent until every neighbour has the routes of the seven others of its VRF, and until the control
 * module has been told of them, which only Gatehouse has. Beside FRR and BIRD with as many as they can cope with: of 8,000
 * sessions FRR needs minutes to take them up and 6 GB, and BIRD, which serves four of them between two looks at all, 13 s for
 * whatever goes through.
 */

import type { ChildProcess } from 'node:child_process'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Lab } from '../../lab/namespaces.ts'
import { raiseDescriptorLimit } from '../../src/linux/descriptor-limit.ts'
import { median } from '../measure.ts'
import { linePlot } from '../plot.ts'
import { type BenchOptions, type BenchRow, benchRow } from '../report.ts'
import { ADDRESS, AS, NAMESPACE, NEXT_HOP, running } from './daemons.ts'
import { nextOf } from './messages-of.ts'
import { bird, frr, gatehouse, type VrfDaemon, type VrfRunning } from './vrf-daemons.ts'
import { type FromVrfPeers, NEIGHBOUR_SUBNET, type ToVrfPeers, type VrfPeersSetup } from './vrf-peers.ts'

interface Run {
  readonly vrfs: number
  readonly daemon: VrfDaemon
  /** Of all neighbours together. */
  readonly amounts: readonly number[]
  readonly rounds: number
  /** Before the first: FRR waits for a second with what it first tells a neighbour. */
  readonly settle_ms: number
}

type Kind = 'announce' | 'withdraw'

/** Seconds; `report` is of the announcement. */
interface Times {
  readonly announce: number
  readonly withdraw: number
  readonly report: number | undefined
}

interface Outcome {
  readonly vrfs: number
  readonly name: string
  readonly byAmount: ReadonlyMap<number, Times>
  readonly flaps: number
}

/** FRR takes a quarter of a minute to take up the sessions of so many. */
const BESIDE_FRR = 200
const AMOUNTS = [8000, 40_000, 200_000]
const OFTEN = { amounts: AMOUNTS, rounds: 3, settle_ms: 1500 }
const FULL: readonly Run[] = [
  ...[gatehouse, frr, bird].map((daemon) => ({ vrfs: BESIDE_FRR, daemon, ...OFTEN })),
  { vrfs: 1000, daemon: gatehouse, ...OFTEN },
  { vrfs: 1000, daemon: bird, amounts: [40_000], rounds: 1, settle_ms: 0 },
]
const QUICK: readonly Run[] = [gatehouse, frr, bird].map((daemon) => {
  return { vrfs: 10, daemon, amounts: [800], rounds: 1, settle_ms: 0 }
})
const NEIGHBOURS = Array.from({ length: 8 }, (_, place) => 65_101 + place)
/** Between two. */
const REST_ms = 300
const PATIENCE_ms = 120_000
/** Of a process beside its sessions. */
const DESCRIPTORS = 1000

/** `peers`: names of those that are there. */
export async function manyVrfRows(
  lab: Lab,
  { quick, say, plot }: BenchOptions,
  peers: readonly string[],
): Promise<BenchRow[]> {
  const runs = (quick ? QUICK : FULL).filter(({ daemon }) => daemon === gatehouse || peers.includes(daemon.name))
  const sessions = Math.max(...runs.map(({ vrfs }) => vrfs)) * NEIGHBOURS.length
  if (!raiseDescriptorLimit(sessions + DESCRIPTORS)) throw new Error(`${sessions} sessions are more than may be open`)
  await lab.configure(new Map([[NAMESPACE, [`route add local ${NEIGHBOUR_SUBNET} dev lo`]]]))
  const outcomes: Outcome[] = []
  for (const run of runs) {
    say(`${count(run.vrfs)} VRFs with ${NEIGHBOURS.length} neighbours each through ${run.daemon.name}`)
    outcomes.push(await measure(lab, run))
  }
  plotOutcomes(outcomes, plot)
  return outcomes.filter(({ name }) => name === gatehouse.name).flatMap((ours) => rowsOf(ours, outcomes))
}

async function measure(lab: Lab, { vrfs, daemon, amounts, rounds, settle_ms }: Run): Promise<Outcome> {
  const layout = { vrfs, neighbours: NEIGHBOURS }
  const daemonOf = await daemon.start(lab, layout)
  const peers = startVrfPeers(lab, { ...layout, address: ADDRESS.daemon, as: AS.daemon, nextHop: NEXT_HOP })
  let flaps = 0
  peers.on('message', ({ kind }: FromVrfPeers) => {
    if (kind === 'down') flaps++
  })
  try {
    await nextOf<FromVrfPeers, 'up'>(peers, 'up', PATIENCE_ms)
    // What went down on the way there was refused, for whatever reason, and came again.
    flaps = 0
    await sleep(settle_ms)
    const byAmount = new Map<number, Times>()
    for (const amount of amounts) byAmount.set(amount, await timesOf(peers, daemonOf, { vrfs, amount, rounds }))
    return { vrfs, name: daemon.name, byAmount, flaps }
  } finally {
    await running(peers).stop()
    await daemonOf.stop()
  }
}

export function startVrfPeers(lab: Lab, setup: VrfPeersSetup): ChildProcess {
  const args = [
    '--disable-warning=ExperimentalWarning',
    join(import.meta.dirname, 'vrf-peers.ts'),
    JSON.stringify(setup),
  ]
  return lab.spawn(NAMESPACE, process.execPath, args, { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] })
}

async function timesOf(
  peers: ChildProcess,
  daemon: VrfRunning,
  { vrfs, amount, rounds }: { readonly vrfs: number; readonly amount: number; readonly rounds: number },
): Promise<Times> {
  const times: Record<Kind | 'report', number[]> = { announce: [], withdraw: [], report: [] }
  for (let round = 0; round < rounds; round++)
    for (const kind of ['announce', 'withdraw'] as const) {
      await sleep(REST_ms)
      const over = nextOf<FromVrfPeers, 'passed-on'>(peers, 'passed-on', PATIENCE_ms)
      peers.send({ kind, routes: amount / (vrfs * NEIGHBOURS.length) } satisfies ToVrfPeers)
      const [{ from_ms, to_ms }, reported_ms] = await Promise.all([over, daemon.reported?.(amount)])
      times[kind].push((to_ms - from_ms) / 1000)
      if (kind === 'announce' && reported_ms !== undefined) times.report.push((reported_ms - from_ms) / 1000)
    }
  return {
    announce: median(times.announce),
    withdraw: median(times.withdraw),
    report: times.report.length > 0 ? median(times.report) : undefined,
  }
}

function rowsOf({ vrfs, name, byAmount, flaps }: Outcome, outcomes: readonly Outcome[]): BenchRow[] {
  const others = outcomes.filter((other) => other.vrfs === vrfs && other.name !== name)
  const most = vrfs === BESIDE_FRR ? ' (more take FRR minutes)' : ''
  const where = `${count(vrfs)} VRFs with ${NEIGHBOURS.length} neighbours each${most}`
  const rows = Array.from(byAmount).flatMap(([amount, times]) => {
    const what = `${where}, ${count(amount)} routes`
    const beside = (kind: Kind): BenchRow[] =>
      others.flatMap((other) => {
        const theirs = other.byAmount.get(amount)
        if (!theirs) return []
        const peer = { peer: other.name, peerValue: amount / theirs[kind] }
        return [benchRow({ what: `${what}, ${kind}`, value: amount / times[kind], unit: 'routes/s', ...peer })]
      })
    const timeRow = (kind: string, value: number): BenchRow =>
      benchRow({ what: `${what}, ${kind}: time`, value, unit: 's', better: 'lower' })
    return [
      ...beside('announce'),
      ...beside('withdraw'),
      timeRow('announce', times.announce),
      timeRow('withdraw', times.withdraw),
      timeRow('report to the control module', times.report!),
    ]
  })
  return [...rows, benchRow({ what: `${where}: sessions flapped`, value: flaps, unit: 'sessions', better: 'lower' })]
}

/** The paper's figure with as many VRFs as it has, and all daemons with as many as FRR copes with. */
function plotOutcomes(outcomes: readonly Outcome[], plot: BenchOptions['plot']): void {
  const largest = Math.max(...outcomes.map(({ vrfs }) => vrfs))
  const smallest = Math.min(...outcomes.map(({ vrfs }) => vrfs))
  const ours = outcomes.find(({ name, vrfs }) => name === gatehouse.name && vrfs === largest)!
  const axes = { x: { label: 'routes', log: true }, y: { label: 'time [s]', log: true } } as const
  const line = (name: string, { byAmount }: Outcome, kind: keyof Times) => {
    return { name, points: Array.from(byAmount, ([amount, times]) => [amount, times[kind]!] as const) }
  }
  plot(
    'bgp-vrfs.svg',
    linePlot({
      title: `BGP: ${count(largest)} VRFs with ${NEIGHBOURS.length} neighbours each (DSR figure 13)`,
      ...axes,
      lines: [
        line('announce', ours, 'announce'),
        line('withdraw', ours, 'withdraw'),
        line('report to the control module', ours, 'report'),
      ],
    }),
  )
  plot(
    'bgp-vrfs-peers.svg',
    linePlot({
      title: `BGP: ${count(smallest)} VRFs with ${NEIGHBOURS.length} neighbours each, announce`,
      ...axes,
      lines: outcomes.filter(({ vrfs }) => vrfs === smallest).map((one) => line(one.name, one, 'announce')),
    }),
  )
}

function count(value: number): string {
  return value.toLocaleString('en-US')
}
