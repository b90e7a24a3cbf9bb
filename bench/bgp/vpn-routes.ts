/**
 * VPN routes by the hundred thousand, a few at a time with the same attributes and route targets of their own choice, as a
 * provider edge of the same AS has them; and VRFs that import them.
 */

import { Random } from '../../src/base/random.ts'
import type { VrfTargets } from '../../src/routing/bgp/rib/route-targets.ts'
import { FAMILY } from '../../src/wire/bgp/family.ts'
import { MESSAGE_BYTES_MAX } from '../../src/wire/bgp/message.ts'
import { UpdateBuilder } from '../../src/wire/bgp/update-builder.ts'
import { NEXT_HOP } from './daemons.ts'

export const VPN_AS = 65_001
const PREFIXES_PER_UPDATE = 5
const CHUNK_BYTES = 256 * 1024
const SEED = 5

export interface VpnLoad {
  readonly routes: number
  /** Route targets that there are, and that each route has. */
  readonly targets: number
  readonly targetsPerRoute: number
}

/** The target that a VRF imports, of VRFs that are numbered from 0. */
export function targetOf(vrf: number, targets: number): number {
  return vrf % targets
}

export function importersOf(vrfs: number, targets: number): VrfTargets[] {
  return Array.from({ length: vrfs }, (_, i) => ({
    vrf: i + 1,
    distinguisher: { high: VPN_AS, low: i + 1 },
    imports: [{ high: 0x0002_0000 | VPN_AS, low: targetOf(i, targets) }],
    exports: [],
    label: 3,
  }))
}

function addressOf(route: number): number {
  return ((10 << 24) + (route << 8)) >>> 0
}

/** The prefix of a route, by its number. */
export function vpnPrefix(route: number): string {
  const address = addressOf(route)
  return `${[24, 16, 8, 0].map((shift) => (address >>> shift) & 255).join('.')}/24`
}

/** How many entries in so many VRFs the routes come to. */
export function entriesOf(load: VpnLoad, vrfs: number): number {
  const importers = new Array<number>(load.targets).fill(0)
  for (let vrf = 0; vrf < vrfs; vrf++) importers[targetOf(vrf, load.targets)]!++
  const random = new Random(SEED)
  let entries = 0
  for (let route = 0; route < load.routes; route += PREFIXES_PER_UPDATE)
    for (const target of targetsOf(random, load)) entries += PREFIXES_PER_UPDATE * importers[target]!
  return entries
}

/** Whole messages, in chunks. */
export function vpnUpdates(load: VpnLoad, withdraws: boolean): Uint8Array<SharedArrayBuffer>[] {
  const random = new Random(SEED)
  const builder = new UpdateBuilder()
  const nextHop = Uint8Array.from([...new Uint8Array(8), ...NEXT_HOP.split('.').map(Number)])
  const all: Uint8Array<SharedArrayBuffer>[] = []
  let bytes = new Uint8Array(new SharedArrayBuffer(CHUNK_BYTES))
  let end = 0
  builder.target(bytes)
  for (let route = 0; route < load.routes; route += PREFIXES_PER_UPDATE) {
    if (end > CHUNK_BYTES - MESSAGE_BYTES_MAX) {
      all.push(bytes.subarray(0, end))
      bytes = new Uint8Array(new SharedArrayBuffer(CHUNK_BYTES))
      builder.target(bytes)
      end = 0
    }
    const attributes = withdraws ? undefined : attributesOf(route, targetsOf(random, load))
    builder.begin(end, FAMILY.vpnv4, attributes, attributes && nextHop)
    for (let i = route; i < route + PREFIXES_PER_UPDATE; i++)
      builder.addVpn4(16, 0x0000_fe4e, 1 + (i & 63), addressOf(i), 24)
    end = builder.finish()
  }
  all.push(bytes.subarray(0, end))
  return all
}

function targetsOf(random: Random, { targets, targetsPerRoute }: VpnLoad): Set<number> {
  const chosen = new Set<number>()
  while (chosen.size < targetsPerRoute) chosen.add(random.below(targets))
  return chosen
}

function attributesOf(route: number, targets: ReadonlySet<number>): Uint8Array {
  const communities = [...targets].flatMap((low) => [0, 2, VPN_AS >>> 8, VPN_AS & 255, 0, 0, low >>> 8, low & 255])
  return Uint8Array.from([
    ...[0x40, 1, 1, 0],
    ...[0x40, 2, 10, 2, 2, 0, 0, 0xfe, 0x4e, 0, 0, 1 + ((route >>> 16) & 127), (route >>> 8) & 255],
    ...[0x40, 5, 4, 0, 0, 0, 100],
    ...[0xc0, 16, communities.length, ...communities],
  ])
}
