/**
 * The speaker with VRFs that import VPN routes, in a process of its own, and who looks when they are there.
 *
 *   parent --{ paths }--> child       to be told when there are so many, VPN routes and entries in VRFs together
 *   parent <--{ ... }-- child         `ready`, `there`
 */

import { setTimeout as sleep } from 'node:timers/promises'
import { parseSite } from '../../src/config/load.ts'
import { Speaker } from '../../src/routing/bgp/speaker.ts'
import { importersOf } from './vpn-routes.ts'

export interface VpnSpeakerSetup {
  /** The text of a site file. */
  readonly site: string
  readonly vrfs: number
  readonly targets: number
}

export interface ToVpnSpeaker {
  readonly paths: number
}

export type FromVpnSpeaker = { readonly kind: 'ready' } | { readonly kind: 'there'; readonly at_ms: number }

const LOOK_ms = 5

async function run({ site, vrfs, targets }: VpnSpeakerSetup): Promise<void> {
  const tell = (message: FromVpnSpeaker): void => void process.send!(message)
  const speaker = await Speaker.start({
    routing: parseSite(site).site!.routing!,
    targets: importersOf(vrfs, targets),
    event() {},
    onDeath(error) {
      console.error(error.message)
      process.exit(1)
    },
  })
  process.on('disconnect', () => process.exit(0))
  process.on('message', async ({ paths }: ToVpnSpeaker) => {
    while ((await speaker.counts()).paths !== paths) await sleep(LOOK_ms)
    tell({ kind: 'there', at_ms: performance.timeOrigin + performance.now() })
  })
  tell({ kind: 'ready' })
}

if (import.meta.main) void run(JSON.parse(process.argv[2]!))
