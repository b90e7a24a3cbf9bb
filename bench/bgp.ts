/**
 * `gatehouse bench bgp`: DSR figure 12, a table from one peer to another, beside FRR and BIRD. A sender with the table in
 * memory and a receiver that counts (bgp/peer.ts) have a daemon between them; the time is from the first update sent to
 * the last one received. Each daemon is started anew for each size. Beside it how long who asks has to wait meanwhile
 * (bgp/shows.ts), VPN routes into VRFs (bgp/vrfs.ts, bgp/vpn-import.ts), and many VRFs with neighbours, which is
 * figure 13 (bgp/many-vrfs.ts).
 */

import { setTimeout as sleep } from 'node:timers/promises'
import { Lab } from '../lab/namespaces.ts'
import { ensurePackage, isRoot } from '../lab/packages.ts'
import {
  ADDRESS,
  type BgpDaemon,
  forgetful,
  gatehouse,
  NAMESPACE,
  peersOrWhy,
  residentBytes,
  SUBNET,
} from './bgp/daemons.ts'
import { manyVrfRows } from './bgp/many-vrfs.ts'
import { Peer, passOn } from './bgp/peers.ts'
import { showRows } from './bgp/shows.ts'
import { vpnImportRows } from './bgp/vpn-import.ts'
import { vrfRows } from './bgp/vrfs.ts'
import { median } from './measure.ts'
import { linePlot } from './plot.ts'
import { type Bench, type BenchOptions, type BenchRow, benchRow, machineText } from './report.ts'

/** After a table: for the daemon to come to rest. */
const REST_MS = 500

interface Size {
  readonly routes: number
  readonly rounds: number
  /** FRR takes minutes for more. */
  readonly withFrr: boolean
}

const FULL: readonly Size[] = [
  { routes: 100_000, rounds: 5, withFrr: true },
  { routes: 400_000, rounds: 5, withFrr: true },
  { routes: 1_000_000, rounds: 5, withFrr: true },
  { routes: 4_000_000, rounds: 3, withFrr: false },
]
const QUICK: readonly Size[] = [{ routes: 10_000, rounds: 1, withFrr: true }]
/** With the history and without, in turn. */
const HISTORY_TURNS = 3

/** Of one daemon with a table of one size. */
interface Figures {
  readonly announce_s: number
  readonly withdraw_s: number
  readonly resident_bytes: number
  readonly flaps: number
}

export const benchBgp: Bench = async (options) => {
  if (!isRoot()) throw new Error('this benchmark makes network namespaces and needs root: sudo ./gatehouse bench bgp')
  const ip = ensurePackage('iproute2', 'ip')
  if (typeof ip !== 'string') throw new Error(`this benchmark needs iproute2, and ${ip.missing}`)
  await using lab = await Lab.open()
  await lab.addNamespaces([NAMESPACE])
  const addresses = Object.values(ADDRESS).map((address) => `address add ${address}/32 dev lo`)
  // The next hops of all routes are there, for whoever looks.
  await lab.configure(new Map([[NAMESPACE, [...addresses, `route add ${SUBNET} dev lo`]]]))
  const daemons = [gatehouse, ...peersOrWhy(options.say)]
  const sizes = options.quick ? QUICK : FULL
  const figures = new Map<string, Map<number, Figures>>(daemons.map(({ name }) => [name, new Map()]))
  for (const size of sizes)
    for (const daemon of daemons) {
      if (daemon.name === 'FRR' && !size.withFrr) continue
      options.say(`${size.routes.toLocaleString('en-US')} routes through ${daemon.name}`)
      figures.get(daemon.name)!.set(size.routes, await measure(lab, daemon, size))
    }
  plotFigures(figures, options)
  const peers = daemons.map(({ name }) => name)
  const largest = sizes.at(-1)!.routes
  const rows = [
    ...sizes.flatMap(({ routes }) => rowsOf(routes, figures)),
    ...(await historyRows(lab, sizes.findLast(({ withFrr }) => withFrr)!, options)),
    ...(await showRows(lab, largest, options)),
    ...vrfRows(options.quick),
    ...(await vpnImportRows(lab, options.quick, peers.includes('FRR'))),
    ...(await manyVrfRows(lab, options, peers)),
  ]
  return { bench: 'bgp', machine: machineText(), rows }
}

async function measure(lab: Lab, daemon: BgpDaemon, { routes, rounds }: Size): Promise<Figures> {
  const running = await daemon.start(lab)
  const receiver = new Peer(lab, { role: 'receiver', routes })
  const sender = new Peer(lab, { role: 'sender', routes })
  try {
    await Promise.all([receiver.next('up'), sender.next('up')])
    const times: Record<'announce' | 'withdraw', number[]> = { announce: [], withdraw: [] }
    let resident_bytes = 0
    for (let round = 0; round < rounds; round++)
      for (const kind of ['announce', 'withdraw'] as const) {
        await sleep(REST_MS)
        times[kind].push(await passOn(sender, receiver, kind, routes))
        if (kind === 'announce') resident_bytes = Math.max(resident_bytes, residentBytes(running.pid))
      }
    const flaps = sender.downs + receiver.downs
    return { announce_s: median(times.announce), withdraw_s: median(times.withdraw), resident_bytes, flaps }
  } finally {
    await Promise.all([sender.stop(), receiver.stop()])
    await running.stop()
  }
}

/** What recording every update costs the load. */
async function historyRows(lab: Lab, { routes, rounds }: Size, { say }: BenchOptions): Promise<BenchRow[]> {
  const count = routes.toLocaleString('en-US')
  say(`${count} routes with the history and without`)
  const figures = new Map<BgpDaemon, Figures[]>([gatehouse, forgetful].map((daemon) => [daemon, []]))
  for (let turn = 0; turn < HISTORY_TURNS; turn++)
    for (const [daemon, of] of figures)
      of.push(await measure(lab, daemon, { routes, rounds: Math.ceil(rounds / 2), withFrr: false }))
  const [ours, without] = [...figures.values()]
  return (['announce', 'withdraw'] as const).map((kind) => {
    const perSecond = (of: readonly Figures[]): number => routes / median(of.map((one) => one[`${kind}_s`]))
    return benchRow({
      what: `BGP, ${count} routes, ${kind}, each update recorded`,
      ...{ value: perSecond(ours!), unit: 'routes/s', peer: 'without history', peerValue: perSecond(without!) },
    })
  })
}

function rowsOf(routes: number, figures: ReadonlyMap<string, ReadonlyMap<number, Figures>>): BenchRow[] {
  const ours = figures.get('Gatehouse')!.get(routes)!
  const peers = ['FRR', 'BIRD'].flatMap((name) => {
    const of = figures.get(name)?.get(routes)
    return of ? [{ name, of }] : []
  })
  // The design's bars are for 1 M and 4 M routes; FRR is held against at 1 M alone.
  const bars = routes < 1_000_000 ? {} : { FRR: { bar: 8, aim: 15 }, BIRD: { bar: 1.2, aim: 2.5 } }
  const barOf = (name: string): { bar?: number; aim?: number } => (bars as Record<string, object>)[name] ?? {}
  const count = routes.toLocaleString('en-US')
  const perSecond = (seconds: number): number => routes / seconds
  const speeds = (['announce', 'withdraw'] as const).flatMap((kind) =>
    peers.map(({ name, of }) =>
      benchRow({
        what: `BGP, ${count} routes, ${kind}`,
        value: perSecond(ours[`${kind}_s`]),
        unit: 'routes/s',
        peer: name,
        peerValue: perSecond(of[`${kind}_s`]),
        ...barOf(name),
      }),
    ),
  )
  const times = (['announce', 'withdraw'] as const).map((kind) =>
    benchRow({ what: `BGP, ${count} routes, ${kind}: time`, value: ours[`${kind}_s`], unit: 's', better: 'lower' }),
  )
  const bird = peers.find(({ name }) => name === 'BIRD')
  const memory = benchRow({
    what: `BGP, ${count} routes: memory`,
    value: ours.resident_bytes / 1e6,
    unit: 'MB',
    better: 'lower',
    ...(bird && { peer: 'BIRD', peerValue: bird.of.resident_bytes / 1e6 }),
    ...(routes === 1_000_000 && bird ? { bar: 2, aim: 1 } : {}),
  })
  const flaps = { value: ours.flaps, unit: 'sessions', bar: 0, better: 'lower' } as const
  return [...speeds, ...times, memory, benchRow({ what: `BGP, ${count} routes: sessions flapped`, ...flaps })]
}

function plotFigures(figures: ReadonlyMap<string, ReadonlyMap<number, Figures>>, { plot }: BenchOptions): void {
  for (const kind of ['announce', 'withdraw'] as const) {
    const lines = Array.from(figures, ([name, bySize]) => ({
      name,
      points: Array.from(bySize, ([routes, of]) => [routes, of[`${kind}_s`]] as const),
    }))
    const svg = linePlot({
      title: `BGP: a table from one peer to another, ${kind} (DSR figure 12)`,
      x: { label: 'routes', log: true },
      y: { label: 'time [s]', log: true },
      lines: lines.filter(({ points }) => points.length > 0),
    })
    plot(`bgp-${kind}.svg`, svg)
  }
}
