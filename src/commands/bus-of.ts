/** The bus of a site that runs on this host, for commands that ask or tell it something. */

import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { busPlaceOf } from '../agent/bus-place.ts'
import { systemClock } from '../base/clock.ts'
import { freshSeed, Random } from '../base/random.ts'
import { type Bus, BusError } from '../bus/bus.ts'
import { busSocket } from '../bus/embedded/main.ts'
import { type BusPlace, openBus } from '../bus/place.ts'
import { RUN_ROOT, type Site } from '../config/site.ts'
import { Failure } from './failure.ts'
import { siteIn } from './written-site.ts'

/** Of several servers the first may be on a host that is gone. */
const CONNECT_WITHIN_MS = 6000

/**
 * Runs `use` with a connection and ends it. What the bus refuses is a `Failure`. Whoever has the site at hand hands it
 * in; otherwise it is the one that was started in the directory.
 */
export async function withBus<T>(directory: string, use: (bus: Bus) => Promise<T>, site?: Site): Promise<T> {
  const name = `command-${process.pid}`
  const place = placeOf(directory, site ?? siteIn(directory))
  const bus = await openBus(place, { name, clock: systemClock, random: new Random(freshSeed()) })
  try {
    await bus.whenConnected(CONNECT_WITHIN_MS)
    return await use(bus)
  } catch (error) {
    if (error instanceof BusError) throw new Failure(error.message)
    throw error
  } finally {
    await bus.close()
  }
}

function placeOf(directory: string, site: Site | undefined): BusPlace {
  const socketPath = busSocket(directory)
  try {
    if (site?.bus.nats) return busPlaceOf(site, directory)
  } catch (error) {
    throw new Failure((error as Error).message)
  }
  if (!existsSync(socketPath)) throw new Failure(`no site runs in ${directory}: there is no ${socketPath}`)
  return { socketPath }
}

/** The run directory that is meant when none is said: that of the only site that runs here. */
export function onlyRunDirectory(): string {
  const sites = existsSync(RUN_ROOT) ? readdirSync(RUN_ROOT).filter((name) => hasBus(join(RUN_ROOT, name))) : []
  const [only] = sites
  if (only !== undefined && sites.length === 1) return join(RUN_ROOT, only)
  if (sites.length === 0) throw new Failure(`no site runs in ${RUN_ROOT}; say where it runs with --run DIR`)
  throw new Failure(`several sites run here: ${sites.join(', ')}; say which one with --run ${RUN_ROOT}/NAME`)
}

function hasBus(directory: string): boolean {
  return existsSync(busSocket(directory)) || siteIn(directory)?.bus.nats !== undefined
}
