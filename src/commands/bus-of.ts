/** The bus of a site that runs on this host, for commands that ask or tell it something. */

import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { systemClock } from '../base/clock.ts'
import { freshSeed, Random } from '../base/random.ts'
import { type Bus, BusError } from '../bus/bus.ts'
import { connectBus } from '../bus/embedded/client.ts'
import { busSocket } from '../bus/embedded/main.ts'
import { RUN_ROOT } from '../config/site.ts'
import { Failure } from './failure.ts'

const CONNECT_WITHIN_MS = 3000

/** Runs `use` with a connection and ends it. What the bus refuses is a `Failure`. */
export async function withBus<T>(directory: string, use: (bus: Bus) => Promise<T>): Promise<T> {
  const socketPath = busSocket(directory)
  if (!existsSync(socketPath)) throw new Failure(`no site runs in ${directory}: there is no ${socketPath}`)
  const name = `command-${process.pid}`
  const bus = connectBus({ socketPath, name, clock: systemClock, random: new Random(freshSeed()) })
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

/** The run directory that is meant when none is said: that of the only site that runs here. */
export function onlyRunDirectory(): string {
  const sites = existsSync(RUN_ROOT)
    ? readdirSync(RUN_ROOT).filter((name) => existsSync(busSocket(join(RUN_ROOT, name))))
    : []
  const [only] = sites
  if (only !== undefined && sites.length === 1) return join(RUN_ROOT, only)
  if (sites.length === 0) throw new Failure(`no site runs in ${RUN_ROOT}; say where it runs with --run DIR`)
  throw new Failure(`several sites run here: ${sites.join(', ')}; say which one with --run ${RUN_ROOT}/NAME`)
}
