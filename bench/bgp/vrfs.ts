/**
 * VPN routes into VRFs by route target (DSR section 4.2), in one thread without sockets: what a route costs does not depend
 * on how many VRFs there are, but on how many it goes into.
 */

import { systemClock } from '../../src/base/clock.ts'
import { Random } from '../../src/base/random.ts'
import { plainHandling, plainNegotiated, plainSettings, type Updates } from '../../src/routing/bgp/messages.ts'
import type { VrfTargets } from '../../src/routing/bgp/rib/route-targets.ts'
import { RouteEngine } from '../../src/routing/bgp/route-engine.ts'
import { FAMILY } from '../../src/wire/bgp/family.ts'
import { MESSAGE_BYTES_MAX } from '../../src/wire/bgp/message.ts'
import { UpdateBuilder } from '../../src/wire/bgp/update-builder.ts'
import { median } from '../measure.ts'
import { type BenchRow, benchRow } from '../report.ts'

const AS = 65_001
const PREFIXES_PER_UPDATE = 5
const CHUNK_BYTES = 256 * 1024
const SEED = 5

export interface VrfLoad {
  readonly routes: number
  readonly vrfs: number
  /** Route targets that there are, and that each route has. */
  readonly targets: number
  readonly targetsPerRoute: number
}

/** Of one load, in seconds, and how many entries in VRFs it came to. */
interface Outcome {
  readonly announce_s: number
  readonly withdraw_s: number
  readonly entries: number
}

export function vrfRows(quick: boolean): BenchRow[] {
  const routes = quick ? 2000 : 100_000
  const rounds = quick ? 1 : 5
  const vrfs = quick ? 100 : 10_000
  const many = { routes, vrfs, targets: 300, targetsPerRoute: 1 }
  const wide = middle(rounds, many)
  const perSecond = (seconds: number): number => wide.entries / seconds
  const bars = { unit: 'routes/s', bar: 500_000, aim: 1_000_000 } as const
  const what = `routes into VRFs, 300 route targets, ${vrfs.toLocaleString('en-US')} VRFs`
  // As many entries of a route, among few VRFs and among all.
  const few = middle(rounds, { routes, vrfs: 10, targets: 10, targetsPerRoute: 10 })
  const all = middle(rounds, { routes, vrfs, targets: vrfs, targetsPerRoute: 10 })
  return [
    benchRow({ what, value: perSecond(wide.announce_s), ...bars }),
    benchRow({ what: `${what}: withdrawn`, value: perSecond(wide.withdraw_s), unit: 'routes/s' }),
    benchRow({
      what: `${routes.toLocaleString('en-US')} routes of 10 targets into ${vrfs.toLocaleString('en-US')} VRFs`,
      ...{ value: all.announce_s, unit: 's', better: 'lower', bar: 1.2 },
      ...{ peer: 'into 10 VRFs', peerValue: few.announce_s },
    }),
  ]
}

function middle(rounds: number, load: VrfLoad): Outcome {
  const outcomes = Array.from({ length: rounds }, () => measure(load))
  return {
    announce_s: median(outcomes.map(({ announce_s }) => announce_s)),
    withdraw_s: median(outcomes.map(({ withdraw_s }) => withdraw_s)),
    entries: outcomes[0]!.entries,
  }
}

function measure(load: VrfLoad): Outcome {
  const targets: VrfTargets[] = Array.from({ length: load.vrfs }, (_, i) => ({
    vrf: i + 1,
    distinguisher: { high: AS, low: i + 1 },
    imports: [{ high: 0x0002_0000 | AS, low: i % load.targets }],
    exports: [],
    label: 3,
  }))
  const engine = new RouteEngine({
    settings: { ...plainSettings, targets },
    clock: systemClock,
    send: () => {},
    pace: () => ({ received: 0, waiting: 0 }),
  })
  engine.take({
    ...{ kind: 'up', session: 1, slot: 1, peer: 'pe', local: Uint8Array.of(192, 0, 2, 1) },
    remote: Uint8Array.of(192, 0, 2, 2),
    negotiated: { ...plainNegotiated, remoteAs: AS, external: false, families: 1 << FAMILY.vpnv4 },
    handling: plainHandling,
  })
  while (engine.step());
  const [announced, withdrawn] = [updatesOf(load, false), updatesOf(load, true)]
  const announce_s = timed(engine, announced)
  const entries = engine.counts().paths - load.routes
  return { announce_s, withdraw_s: timed(engine, withdrawn), entries }
}

function timed(engine: RouteEngine, updates: readonly Updates[]): number {
  const from = performance.now()
  for (const one of updates) engine.take(one)
  while (engine.step());
  return (performance.now() - from) / 1000
}

/** Prefixes of a few at a time with the same attributes, each with targets of its own choice. */
function updatesOf({ routes, targets, targetsPerRoute }: VrfLoad, withdraws: boolean): Updates[] {
  const random = new Random(SEED)
  const builder = new UpdateBuilder()
  const nextHop = Uint8Array.from([...new Uint8Array(8), 198, 51, 100, 1])
  const all: Updates[] = []
  let memory = new SharedArrayBuffer(CHUNK_BYTES)
  let end = 0
  builder.target(new Uint8Array(memory))
  for (let route = 0; route < routes; route += PREFIXES_PER_UPDATE) {
    if (end > CHUNK_BYTES - MESSAGE_BYTES_MAX) {
      all.push({ kind: 'updates', memory, runs: Int32Array.of(1, 0, end) })
      memory = new SharedArrayBuffer(CHUNK_BYTES)
      builder.target(new Uint8Array(memory))
      end = 0
    }
    const attributes = withdraws ? undefined : attributesOf(random, route, targets, targetsPerRoute)
    builder.begin(end, FAMILY.vpnv4, attributes, attributes && nextHop)
    for (let i = route; i < route + PREFIXES_PER_UPDATE; i++)
      builder.addVpn4(16, 0x0000_fe4e, 1 + (i & 63), ((10 << 24) + (i << 8)) >>> 0, 24)
    end = builder.finish()
  }
  all.push({ kind: 'updates', memory, runs: Int32Array.of(1, 0, end) })
  return all
}

function attributesOf(random: Random, route: number, targets: number, targetsPerRoute: number): Uint8Array {
  const chosen = new Set<number>()
  while (chosen.size < targetsPerRoute) chosen.add(random.below(targets))
  const communities = [...chosen].flatMap((low) => [0, 2, AS >>> 8, AS & 255, 0, 0, low >>> 8, low & 255])
  return Uint8Array.from([
    ...[0x40, 1, 1, 0],
    ...[0x40, 2, 10, 2, 2, 0, 0, 0xfe, 0x4e, 0, 0, (route >>> 16) & 255, (route >>> 8) & 255],
    ...[0x40, 5, 4, 0, 0, 0, 100],
    ...[0xc0, 16, communities.length, ...communities],
  ])
}
