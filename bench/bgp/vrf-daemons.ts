/**
 * The daemons with many VRFs, each with the same neighbours (DSR figure 13), as daemons.ts has them with two. What FRR has for it
 * are its views, which need no VRF of the kernel's and no zebra: a table and an instance each. BIRD has a table each.
 */

import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Lab } from '../../lab/namespaces.ts'
import type { BusPlace } from '../../src/bus/place.ts'
import { ADDRESS, AS, folderOf, launch, NAMESPACE, type RunningDaemon, running, SUBNET, startFrr } from './daemons.ts'
import { nextOf } from './messages-of.ts'
import { neighbourAddress } from './vrf-peers.ts'
import { type FromVrfSpeaker, neighbourName } from './vrf-speaker.ts'

const PATIENCE_ms = 60_000

export interface VrfLayout {
  readonly vrfs: number
  /** Of each: their AS numbers. */
  readonly neighbours: readonly number[]
}

export interface VrfDaemon {
  readonly name: string
  /** Listens once it resolves, or soon after. */
  start(lab: Lab, layout: VrfLayout): Promise<VrfRunning>
}

export interface VrfRunning extends RunningDaemon {
  /** When the control module has been told of so many more changes of routes; absent where there is none. */
  reported?(changes: number): Promise<number>
}

interface Neighbour {
  readonly vrf: number
  readonly place: number
  readonly address: string
  readonly as: number
}

/** Of one VRF; they are numbered from 1. */
function neighboursOf({ neighbours }: VrfLayout, vrf: number): Neighbour[] {
  return neighbours.map((as, place) => ({ vrf, place, as, address: neighbourAddress(vrf, place) }))
}

function vrfsOf({ vrfs }: VrfLayout): number[] {
  return Array.from({ length: vrfs }, (_, i) => i + 1)
}

export const gatehouse: VrfDaemon = { name: 'Gatehouse', start: (lab, layout) => startVrfSpeaker(lab, layout) }

/** `bus`: where its routes go. */
export async function startVrfSpeaker(lab: Lab, layout: VrfLayout, bus?: BusPlace): Promise<VrfRunning> {
  const neighbours = vrfsOf(layout).flatMap((vrf) => neighboursOf(layout, vrf))
  const routing = {
    ...{ as: AS.daemon, router_id: ADDRESS.daemon, listen: [{ address: ADDRESS.daemon }] },
    neighbours: neighbours.map(({ vrf, place, address, as }) => {
      return { name: neighbourName(vrf, place), address, as, passive: true }
    }),
  }
  const file = `${folderOf(lab, 'vrf-speaker')}/site.json`
  writeFileSync(file, JSON.stringify({ site: 'bench', routing }))
  const args = [
    '--disable-warning=ExperimentalWarning',
    join(import.meta.dirname, 'vrf-speaker.ts'),
    file,
    ...(bus ? [JSON.stringify(bus)] : []),
  ]
  const child = lab.spawn(NAMESPACE, process.execPath, args, { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] })
  // What the control module has been told, and when the last of it.
  let total = 0
  let at_ms = 0
  child.on('message', (message: FromVrfSpeaker) => {
    if (message.kind === 'reported') ({ routes: total, at_ms } = message)
  })
  await nextOf<FromVrfSpeaker, 'ready'>(child, 'ready', PATIENCE_ms)
  let expected = 0
  return {
    ...running(child),
    async reported(changes) {
      expected += changes
      while (total < expected) await nextOf<FromVrfSpeaker, 'reported'>(child, 'reported', PATIENCE_ms)
      return at_ms
    },
  }
}

export const frr: VrfDaemon = {
  name: 'FRR',
  start(lab, layout) {
    const views = vrfsOf(layout).flatMap((vrf) => [
      `router bgp ${AS.daemon} view vrf${vrf}`,
      ` bgp router-id ${ADDRESS.daemon}`,
      ' no bgp ebgp-requires-policy',
      ' no bgp network import-check',
      ' neighbor all peer-group',
      ' neighbor all passive',
      ' neighbor all ebgp-multihop 10',
      // What it would wait before it passes anything on.
      ' neighbor all advertisement-interval 0',
      ...neighboursOf(layout, vrf).flatMap(({ address, as }) => [
        ` neighbor ${address} remote-as ${as}`,
        ` neighbor ${address} peer-group all`,
      ]),
      'exit',
    ])
    return Promise.resolve(startFrr(lab, folderOf(lab, 'frr-vrfs'), [...views, '']))
  },
}

export const bird: VrfDaemon = {
  name: 'BIRD',
  start(lab, layout) {
    const folder = folderOf(lab, 'bird-vrfs')
    const tables = vrfsOf(layout).flatMap((vrf) => [
      `ipv4 table vrf${vrf};`,
      ...neighboursOf(layout, vrf).flatMap(({ place, address, as }) => [
        `protocol bgp n${vrf}_${place} {`,
        `  local ${ADDRESS.daemon} as ${AS.daemon}; neighbor ${address} as ${as};`,
        '  multihop; passive on;',
        `  ipv4 { table vrf${vrf}; igp table master4; import all; export all; };`,
        '}',
      ]),
    ])
    const ours = [`router id ${ADDRESS.daemon};`, 'protocol device {}']
    // Without it next hops lead nowhere, and their routes are passed on to nobody.
    const nextHops = `protocol static { ipv4; route ${SUBNET} via "lo"; }`
    writeFileSync(`${folder}/bird.conf`, [...ours, nextHops, ...tables, ''].join('\n'))
    const args = ['-f', '-c', `${folder}/bird.conf`, '-s', `${folder}/bird.ctl`]
    return Promise.resolve(running(launch(lab, folder, 'bird', args)))
  },
}
