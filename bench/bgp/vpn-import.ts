/**
 * The same VPN routes into the same VRFs by route target, through Gatehouse and through FRR, each as a daemon with a session to a
 * provider edge that sends them (DSR section 7.2: FRR under 300 route targets). The time is from the first update sent until
 * the last route is in its VRFs. Gatehouse is asked; FRR does one update after the other and says when it has done the last
 * (vpn-frr.ts).
 */

import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Lab } from '../../lab/namespaces.ts'
import { median } from '../measure.ts'
import { type BenchRow, benchRow } from '../report.ts'
import { ADDRESS, NAMESPACE, running } from './daemons.ts'
import { nextOf } from './messages-of.ts'
import { Peer, passOn } from './peers.ts'
import { startVpnFrr } from './vpn-frr.ts'
import { entriesOf, VPN_AS, type VpnLoad } from './vpn-routes.ts'
import type { FromVpnSpeaker, ToVpnSpeaker, VpnSpeakerSetup } from './vpn-speaker.ts'

type Kind = 'announce' | 'withdraw'

interface Load extends VpnLoad {
  readonly vrfs: number
  readonly rounds: number
  /** Before the first: FRR waits for a second with what it first tells a neighbour. */
  readonly settle_ms: number
}

const FULL: Load = { routes: 50_000, vrfs: 1000, targets: 300, targetsPerRoute: 1, rounds: 3, settle_ms: 1500 }
const QUICK: Load = { routes: 2000, vrfs: 50, targets: 300, targetsPerRoute: 1, rounds: 1, settle_ms: 0 }
/** Between two. */
const REST_ms = 300
const PATIENCE_ms = 120_000

export async function vpnImportRows(lab: Lab, quick: boolean, withFrr: boolean): Promise<BenchRow[]> {
  const load = quick ? QUICK : FULL
  const entries = entriesOf(load, load.vrfs)
  const ours = await throughGatehouse(lab, load, entries)
  const theirs = withFrr ? await throughFrr(lab, load) : undefined
  const [routes, vrfs] = [load.routes, load.vrfs].map((count) => count.toLocaleString('en-US'))
  return (['announce', 'withdraw'] as const).map((kind) =>
    benchRow({
      what: `${routes} VPN routes from a peer into the tables of ${vrfs} VRFs by ${load.targets} route targets, ${kind}`,
      value: entries / ours[kind],
      unit: 'routes/s',
      ...(theirs && { peer: 'FRR', peerValue: entries / theirs[kind] }),
    }),
  )
}

async function throughGatehouse(lab: Lab, load: Load, entries: number): Promise<Record<Kind, number>> {
  const setup: VpnSpeakerSetup = { site: site(), vrfs: load.vrfs, targets: load.targets }
  const file = join(import.meta.dirname, 'vpn-speaker.ts')
  const args = ['--disable-warning=ExperimentalWarning', file, JSON.stringify(setup)]
  const child = lab.spawn(NAMESPACE, process.execPath, args, { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] })
  await nextOf<FromVpnSpeaker, 'ready'>(child, 'ready', PATIENCE_ms)
  const sender = new Peer(lab, { role: 'sender', routes: load.routes, vpn: load })
  try {
    await sender.next('up')
    return await middleOf(load, async (kind) => {
      const there = nextOf<FromVpnSpeaker, 'there'>(child, 'there', PATIENCE_ms)
      const started = sender.next('started')
      child.send({ paths: kind === 'announce' ? load.routes + entries : 0 } satisfies ToVpnSpeaker)
      sender.tell({ kind })
      const [from, to] = await Promise.all([started, there])
      return (to.at_ms - from.at_ms) / 1000
    })
  } finally {
    await sender.stop()
    await running(child).stop()
  }
}

async function throughFrr(lab: Lab, load: Load): Promise<Record<Kind, number>> {
  const frr = await startVpnFrr(lab, load, load.vrfs)
  const receiver = new Peer(lab, { role: 'receiver', routes: load.routes, vpn: load })
  const sender = new Peer(lab, { role: 'sender', routes: load.routes, vpn: load })
  const last = load.vrfs - 1
  const held = entriesOf(load, load.vrfs) - entriesOf(load, last)
  try {
    await Promise.all([receiver.next('up'), sender.next('up')])
    return await middleOf(load, async (kind) => {
      const time_s = await passOn(sender, receiver, kind, 1)
      const [holds, wanted] = [await frr.routesIn(last), kind === 'announce' ? held : 0]
      if (holds !== wanted) throw new Error(`FRR has ${holds} routes in its last VRF, not ${wanted}`)
      return time_s
    })
  } finally {
    await Promise.all([sender.stop(), receiver.stop()])
    await frr.stop()
  }
}

/** Seconds of each. */
async function middleOf(
  { rounds, settle_ms }: Load,
  once: (kind: Kind) => Promise<number>,
): Promise<Record<Kind, number>> {
  const times: Record<Kind, number[]> = { announce: [], withdraw: [] }
  await sleep(settle_ms)
  for (let round = 0; round < rounds; round++)
    for (const kind of ['announce', 'withdraw'] as const) {
      await sleep(REST_ms)
      times[kind].push(await once(kind))
    }
  return { announce: median(times.announce), withdraw: median(times.withdraw) }
}

/** The text of a site file with the provider edge. */
function site(): string {
  const pe = { name: 'pe', address: ADDRESS.sender, as: VPN_AS, passive: true, families: ['vpnv4'] }
  const routing = { as: VPN_AS, router_id: ADDRESS.daemon, listen: [{ address: ADDRESS.daemon }], neighbours: [pe] }
  return JSON.stringify({ site: 'bench', routing })
}
