/** The module `bus` of a site on one host: the server over the site's run directory, and where its clients find it. */

import { join } from 'node:path'
import { systemClock } from '../../base/clock.ts'
import type { Logger } from '../../base/log.ts'
import { startServer } from './server.ts'

export function busSocket(runDirectory: string): string {
  return join(runDirectory, 'bus.sock')
}

/** Resolves once clients can connect. */
export async function runBus(options: { directory: string; log: Logger }): Promise<{ close(): Promise<void> }> {
  const { directory, log } = options
  const server = await startServer({
    socketPath: busSocket(directory),
    directory: join(directory, 'bus'),
    clock: systemClock,
    log,
  })
  log.info({ socket: busSocket(directory) }, 'bus is up')
  return server
}
