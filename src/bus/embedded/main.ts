/** The module `bus` of a site on one host: the server over the site's state directory, and where its clients find it. */

import { join } from 'node:path'
import { systemClock } from '../../base/clock.ts'
import type { Logger } from '../../base/log.ts'
import { startServer } from './server.ts'

export function busSocket(runDirectory: string): string {
  return join(runDirectory, 'bus.sock')
}

export interface RunOptions {
  /** The site's run directory. */
  readonly directory: string
  /** What has to last is below it. */
  readonly stateDirectory: string
  readonly log: Logger
}

/** Resolves once clients can connect. */
export async function runBus(options: RunOptions): Promise<{ close(): Promise<void> }> {
  const { directory, stateDirectory, log } = options
  const server = await startServer({
    socketPath: busSocket(directory),
    directory: join(stateDirectory, 'bus'),
    clock: systemClock,
    log,
  })
  log.info({ socket: busSocket(directory) }, 'bus is up')
  return server
}
