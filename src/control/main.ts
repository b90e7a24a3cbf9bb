/** The control module as a process: its bus and its names. Forwarding never waits for it. */

import { randomUUID } from 'node:crypto'
import { busPlaceOf } from '../agent/bus-place.ts'
import { systemClock } from '../base/clock.ts'
import type { Logger } from '../base/log.ts'
import { freshSeed, Random } from '../base/random.ts'
import { openBus } from '../bus/place.ts'
import type { Site } from '../config/site.ts'
import { LeaseKeeper } from './lease-keeper.ts'
import { LEASE_MS, serveControl } from './serve.ts'

export interface RunOptions {
  /** What to start with if there is no site on the bus yet. */
  readonly site: Site
  readonly name: string
  /** The site's run directory. */
  readonly directory: string
  readonly log: Logger
}

export async function runControl({ site, name, directory, log }: RunOptions): Promise<{ close(): Promise<void> }> {
  const random = new Random(freshSeed())
  const place = busPlaceOf(site, directory)
  const clock = systemClock
  const bus = await openBus(place, { name, clock, random })
  const keeper = new LeaseKeeper({ place, holder: name, ttl_ms: LEASE_MS, clock })
  const lead = (signal: AbortSignal) => keeper.campaign(signal)
  const running = serveControl({ name, bus, clock, log, site, newIncarnation: randomUUID, campaign: lead })
  running.ended.catch((error: Error) => {
    log.error({ error: error.stack }, 'the control module failed')
    process.exit(1)
  })
  return {
    async close() {
      await running.close()
      await keeper.close()
      await bus.close()
    },
  }
}
