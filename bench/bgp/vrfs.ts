/**
 * VPN routes into VRFs by route target (DSR section 4.2), in one thread without sockets: what a route costs does not depend
 * on how many VRFs there are, but on how many it goes into.
 */

import { systemClock } from '../../src/base/clock.ts'
import { plainHandling, plainNegotiated, plainSettings, type Updates } from '../../src/routing/bgp/messages.ts'
import { RouteEngine } from '../../src/routing/bgp/route-engine.ts'
import { FAMILY } from '../../src/wire/bgp/family.ts'
import { collectGarbage, median } from '../measure.ts'
import { type BenchRow, benchRow } from '../report.ts'
import { importersOf, VPN_AS, type VpnLoad, vpnUpdates } from './vpn-routes.ts'

interface VrfLoad extends VpnLoad {
  readonly vrfs: number
}

/** Of one load, in seconds, and how many entries in VRFs it came to. */
interface Outcome {
  readonly announce_s: number
  readonly withdraw_s: number
  readonly entries: number
}

export function vrfRows(quick: boolean): BenchRow[] {
  const routes = quick ? 2000 : 100_000
  const rounds = quick ? 1 : 9
  const vrfs = quick ? 100 : 10_000
  const many = { routes, vrfs, targets: 300, targetsPerRoute: 1 }
  const [wide] = middles(rounds, [many])
  const perSecond = (seconds: number): number => wide!.entries / seconds
  const bars = { unit: 'routes/s', bar: 500_000, aim: 1_000_000 } as const
  const what = `routes into VRFs, 300 route targets, ${vrfs.toLocaleString('en-US')} VRFs`
  // As many entries of a route, among few VRFs and among all.
  const [few, all] = middles(rounds, [
    { routes, vrfs: 10, targets: 10, targetsPerRoute: 10 },
    { routes, vrfs, targets: vrfs, targetsPerRoute: 10 },
  ])
  return [
    benchRow({ what, value: perSecond(wide!.announce_s), ...bars }),
    benchRow({ what: `${what}: withdrawn`, value: perSecond(wide!.withdraw_s), unit: 'routes/s' }),
    benchRow({
      what: `${routes.toLocaleString('en-US')} routes of 10 targets into ${vrfs.toLocaleString('en-US')} VRFs`,
      ...{ value: all!.announce_s, unit: 's', better: 'lower', bar: 1.2 },
      ...{ peer: 'into 10 VRFs', peerValue: few!.announce_s },
    }),
  ]
}

/** Of loads that are measured in turn. */
function middles(rounds: number, loads: readonly VrfLoad[]): Outcome[] {
  const outcomes = Array.from({ length: rounds }, () => loads.map(measure))
  return loads.map((_, i) => ({
    announce_s: median(outcomes.map((round) => round[i]!.announce_s)),
    withdraw_s: median(outcomes.map((round) => round[i]!.withdraw_s)),
    entries: outcomes[0]![i]!.entries,
  }))
}

function measure(load: VrfLoad): Outcome {
  const targets = importersOf(load.vrfs, load.targets)
  const engine = new RouteEngine({
    settings: { ...plainSettings, targets },
    clock: systemClock,
    send: () => {},
    pace: () => ({ received: 0, waiting: 0 }),
  })
  engine.take({
    ...{ kind: 'up', session: 1, slot: 1, peer: 'pe', local: Uint8Array.of(192, 0, 2, 1) },
    remote: Uint8Array.of(192, 0, 2, 2),
    negotiated: { ...plainNegotiated, remoteAs: VPN_AS, external: false, families: 1 << FAMILY.vpnv4 },
    handling: plainHandling,
  })
  while (engine.step());
  collectGarbage()
  const [announced, withdrawn] = [false, true].map((withdraws) => vpnUpdates(load, withdraws).map(whole))
  const announce_s = timed(engine, announced!)
  const entries = engine.counts().paths - load.routes
  return { announce_s, withdraw_s: timed(engine, withdrawn!), entries }
}

function timed(engine: RouteEngine, updates: readonly Updates[]): number {
  const from = performance.now()
  for (const one of updates) engine.take(one)
  while (engine.step());
  return (performance.now() - from) / 1000
}

function whole(bytes: Uint8Array<SharedArrayBuffer>): Updates {
  return { kind: 'updates', memory: bytes.buffer, runs: Int32Array.of(1, 0, bytes.length) }
}
