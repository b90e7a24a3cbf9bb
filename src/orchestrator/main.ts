/** The orchestrator as a module: its sites, and what it does about them. The HTTP API is put before it by `gatehouse run`. */

import { randomUUID } from 'node:crypto'
import { natsPlaceOf } from '../agent/bus-place.ts'
import type { Clock } from '../base/clock.ts'
import type { Logger } from '../base/log.ts'
import type { Random } from '../base/random.ts'
import { busSocket } from '../bus/embedded/main.ts'
import type { BusPlace } from '../bus/place.ts'
import { directoryOf, type Orchestrator, type SiteEntry } from '../config/orchestrator.ts'
import { Exchange } from './exchange.ts'
import { Sites } from './sites.ts'
import { Tenants } from './tenants.ts'

export interface RunningOrchestrator {
  readonly sites: Sites
  readonly tenants: Tenants
  readonly exchange: Exchange
  close(): Promise<void>
}

/** Throws an `Error` that names the file that cannot be read. */
export async function runOrchestrator(
  file: Orchestrator,
  { clock, random, log }: { clock: Clock; random: Random; log: Logger },
): Promise<RunningOrchestrator> {
  const name = file.orchestrator
  const places = file.sites.map((site) => ({ name: site.name, place: placeOf(site) }))
  const sites = await Sites.open({ name, sites: places, clock, random, log })
  const tenants = new Tenants({ name, sites, clock, log, newId: randomUUID })
  const exchange = new Exchange({ name, sites, clock, log })
  return {
    sites,
    tenants,
    exchange,
    async close() {
      await tenants.close()
      await exchange.close()
      await sites.close()
    },
  }
}

function placeOf(site: SiteEntry): BusPlace {
  return site.nats ? natsPlaceOf(site.name, site.nats) : { socketPath: busSocket(directoryOf(site)) }
}
